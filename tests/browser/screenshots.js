// Takes the README's screenshots: each language in each colour scheme.

import { launch, logIn, open } from "./browser.js";

const browser = await launch();
for (const [name, locale] of [["en", "en-US"], ["zh", "zh-CN"]]) {
  for (const colorScheme of ["light", "dark"]) {
    const viewport = { width: 900, height: 520 };
    const page = await open(browser, { locale, colorScheme, viewport });
    await logIn(page, "many");
    await page.locator("#rows tr").first().waitFor();
    await page.screenshot({ path: `api/console/screenshots/${name}-${colorScheme}.png` });
    await page.context().close();
  }
}
await browser.close();
