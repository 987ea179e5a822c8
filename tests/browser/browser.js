// Shared by the tests and the screenshots: a browser, and pages that record their errors.

import { chromium } from "playwright-core";

export const BASE_URL = process.env.BASE_URL;

export const launch = () =>
  chromium.launch({
    executablePath: process.env.CHROMIUM,
    args: [
      // Chromium's sandbox does not work as root, which CI uses.
      ...(process.getuid() === 0 ? ["--no-sandbox"] : []),
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--no-first-run",
    ],
  });

/**
 * Opens the console in a new browser context. `page.errors` collects console errors, exceptions,
 * requests to other origins and violations of the content security policy.
 */
export async function open(browser, options = {}) {
  const context = await browser.newContext({ locale: "en-US", ...options });
  const page = await context.newPage();
  page.errors = [];
  page.on("console", (message) => {
    // The browser logs every 4xx response as an error; a throttled login is expected.
    const isThrottled = message.text().includes("the server responded with a status of 429");
    if (message.type() === "error" && !isThrottled) page.errors.push(message.text());
  });
  page.on("pageerror", (error) => page.errors.push(String(error)));
  page.on("request", (request) => {
    const url = new URL(request.url());
    const isOwn = url.origin === BASE_URL || ["data:", "blob:"].includes(url.protocol);
    if (!isOwn) page.errors.push(`request to ${request.url()}`);
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
