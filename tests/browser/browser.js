// Shared by the tests and the screenshots: the browsers, and the page behind a proxy whose replies
// the test delays, replaces and counts.

import { mkdtempSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import puppeteer from "puppeteer-core";

export const BASE_URL = process.env.BASE_URL;

// Starts `chrome` or `firefox`.
export const launch = (browser) =>
  puppeteer.launch({
    browser,
    protocol: "webDriverBiDi",
    executablePath: { chrome: process.env.CHROMIUM, firefox: process.env.FIREFOX }[browser],
    // Chromium's sandbox does not work as root, which CI uses.
    args: browser === "chrome" && process.getuid() === 0 ? ["--no-sandbox"] : [],
    // The panel takes the keyboard.
    extraPrefsFirefox: { "browser.download.alwaysOpenPanel": false },
  });

// A proxy before the server, which serves it below `prefix`. `rules` has a function by path
// (`api/login`), which takes one that forwards the request; it returns the reply's `status`,
// `headers` and `body`, or null to close the connection.
export async function serve(prefix = "") {
  const site = { rules: {} };
  const requests = [];
  const server = createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray());
    const path = request.url.replace(/\?.*/, "").slice(prefix.length + 1);
    requests.push(path);
    const forward = async (extra) => {
      const headers = { "content-type": request.headers["content-type"] ?? "" };
      const reply = await fetch(`${BASE_URL}/${path}`, { method: request.method, headers, body: body.length ? body : null });
      return { status: reply.status, headers: { ...Object.fromEntries(reply.headers), ...extra }, body: await reply.text() };
    };
    const reply = await (site.rules[path] ?? ((forward) => forward()))(forward);
    if (!reply) return request.socket.destroy();
    const text = typeof reply.body === "string" ? reply.body : JSON.stringify(reply.body);
    response.writeHead(reply.status ?? 200, { ...reply.headers, "content-length": Buffer.byteLength(text) }).end(text);
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  return Object.assign(site, {
    url: `http://127.0.0.1:${server.address().port}${prefix}/`,
    count: (path) => requests.filter((seen) => seen === path).length,
    close: () => server.close() && server.closeAllConnections(),
    // Holds the next reply from `path`; resolves when the request is there, to what sends it.
    hold: (path) =>
      new Promise((arrived) => {
        site.rules[path] = async (forward) => {
          delete site.rules[path];
          const reply = await forward();
          return new Promise((send) => arrived(() => send(reply)));
        };
      }),
  });
}

// Opens `site` in a new context. `page.errors` collects errors and violations of the content
// security policy. The page's clock is `window.ahead` milliseconds ahead.
export async function open(browser, site, { locale = "en-US", width = 1280, height = 800, scheme, prepare = () => {} } = {}) {
  const downloads = mkdtempSync(join(tmpdir(), "console-"));
  const context = await browser.createBrowserContext({ downloadBehavior: { policy: "allow", downloadPath: downloads } });
  const page = await context.newPage();
  Object.assign(page, { downloads, errors: [] });
  page.on("console", (message) => {
    // The browser logs every 4xx and 5xx response, and every closed connection.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) page.errors.push(message.text());
  });
  page.on("pageerror", (error) => page.errors.push(String(error)));
  await page.evaluateOnNewDocument((locale) => {
    Object.defineProperty(navigator, "language", { value: locale });
    const now = Date.now;
    Date.now = () => now() + (window.ahead ?? 0);
    document.addEventListener("securitypolicyviolation", (event) =>
      console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
  }, locale);
  await page.evaluateOnNewDocument(prepare);
  await page.setViewport({ width, height });
  if (scheme) await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  await page.goto(site.url);
  return page;
}

// Replaces the value of an input, as a password manager does.
export const fill = (page, selector, value) =>
  page.$eval(selector, (input, value) => {
    Object.assign(input, { value }).dispatchEvent(new Event("input", { bubbles: true }));
  }, value);

export async function logIn(page, username, password = username) {
  await fill(page, "#username", username);
  await fill(page, "#password", password);
  await page.click("#login button");
}
