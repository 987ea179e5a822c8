// What the tests and the screenshots share: a browser, and pages in it that are watched.

import { chromium } from "playwright-core";

export const BASE_URL = process.env.BASE_URL;

export const launch = () =>
  chromium.launch({
    executablePath: process.env.CHROMIUM,
    args: [
      // As root, as in CI, there is no sandbox to be had.
      ...(process.getuid() === 0 ? ["--no-sandbox"] : []),
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--no-first-run",
    ],
  });

/** Opens the console in a context of its own; `page.complaints` collects what went wrong. */
export async function open(browser, options = {}) {
  const context = await browser.newContext({ locale: "en-US", ...options });
  const page = await context.newPage();
  page.complaints = [];
  page.on("console", (message) => {
    // The browser itself says this of a refusal with a status of its own.
    const refused = message.text().includes("the server responded with a status of 429");
    if (message.type() === "error" && !refused) page.complaints.push(message.text());
  });
  page.on("pageerror", (error) => page.complaints.push(String(error)));
  page.on("request", (request) => {
    const url = new URL(request.url());
    const own = url.origin === BASE_URL || ["data:", "blob:"].includes(url.protocol);
    if (!own) page.complaints.push(`request to ${request.url()}`);
  });
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) =>
      console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`),
    );
  });
  await page.goto(BASE_URL);
  return page;
}

export async function logIn(page, username, password = username) {
  await page.locator("#username").fill(username);
  await page.locator("#password").fill(password);
  await page.locator("#login button").click();
}
