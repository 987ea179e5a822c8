// Takes the README's screenshots: each language in each colour scheme.

import { BASE_URL, launch, logIn, open } from "./browser.js";

const browser = await launch("chrome");
for (const [name, locale] of [["en", "en-US"], ["zh", "zh-CN"]]) {
  for (const scheme of ["light", "dark"]) {
    const page = await open(browser, { url: `${BASE_URL}/` }, { locale, scheme, width: 900, height: 520 });
    await logIn(page, "many");
    await page.waitForSelector("#rows tr");
    await page.screenshot({ path: `api/console/screenshots/${name}-${scheme}.png` });
    await page.browserContext().close();
  }
}
await browser.close();
