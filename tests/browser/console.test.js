// End-to-end tests of the console in Chromium.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { BASE_URL, launch, logIn, open } from "./browser.js";

const axe = await readFile(new URL("node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

/** A test with a page; fails if the page has recorded an error. */
function pageTest(name, options, body) {
  test(name, async () => {
    const page = await open(browser, options);
    await body(page);
    assert.deepEqual(page.errors, []);
    await page.context().close();
  });
}

async function assertAccessible(page, where) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => axe.run());
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html)}`);
  assert.deepEqual(found, [], where);
}

/** Waits until the text of `selector` is `expected`. */
async function waitForText(page, selector, expected) {
  try {
    await page.waitForFunction(
      ([selector, expected]) => document.querySelector(selector).textContent === expected,
      [selector, expected],
      { timeout: 10_000 },
    );
  } catch {
    assert.equal(await page.locator(selector).textContent(), expected);
  }
}

const names = (page) => page.locator("#rows tr td:nth-child(2)").allTextContents();

pageTest("a login shows the user's own instances", {}, async (page) => {
  assert.equal(await page.locator("#instances").isVisible(), false);
  await logIn(page, "luoyun");
  await waitForText(page, "#message", "3 virtual machines");
  assert.deepEqual(await names(page), ["openerp7 img gz", "gallery3", "ubuntu 12.04 64位版"]);
  assert.equal(await page.locator("#rows tr:first-child .status").textContent(), "instance is stopped");
  assert.equal(await page.locator("#pages").isVisible(), false);
  assert.equal(await page.locator("#login").isVisible(), false);
  assert.equal(await page.locator(":focus").textContent(), "My virtual machines");
  await page.reload();
  await waitForText(page, "#message", "3 virtual machines");
});

pageTest("a failed login shows the API's message", {}, async (page) => {
  await logIn(page, "luoyun", "wrong");
  await waitForText(page, "#message", "The user name or the password is wrong.");
  assert.equal(await page.locator("#login").isVisible(), true);
  await logIn(page, "luoyun");
  await waitForText(page, "#message", "3 virtual machines");
});

pageTest("statuses have words and colours, and summaries are shown", {}, async (page) => {
  await logIn(page, "many");
  await waitForText(page, "#message", "23 virtual machines");
  const status = page.locator("#rows .status");
  assert.deepEqual((await status.allTextContents()).slice(0, 5), [
    "application is running", "instance is stopped", "new instance that hasn't run once",
    "the instance disk does not exist", "Unknown Status",
  ]);
  const colour = (at) => status.nth(at).evaluate((cell) => getComputedStyle(cell).color);
  assert.equal(new Set([await colour(0), await colour(1), await colour(2), await colour(3)]).size, 4);
  assert.equal((await names(page))[0], "vm 1The first one.");
});

pageTest("the buttons change the page", {}, async (page) => {
  await logIn(page, "many");
  await waitForText(page, "#page", "Page 1 of 3, 23 in all");
  assert.equal(await page.locator("#previous").isDisabled(), true);
  await page.locator("#next").click();
  await waitForText(page, "#page", "Page 2 of 3, 23 in all");
  assert.equal((await names(page))[0], "vm 11");
  await page.locator("#next").click();
  await waitForText(page, "#page", "Page 3 of 3, 23 in all");
  assert.deepEqual(await names(page), ["vm 21", "vm 22", "vm 23"]);
  assert.equal(await page.locator("#next").isDisabled(), true);
  await page.locator("#previous").click();
  await waitForText(page, "#page", "Page 2 of 3, 23 in all");
});

pageTest("a user without instances sees a message", {}, async (page) => {
  await logIn(page, "empty");
  await waitForText(page, "#none", "You have no virtual machines.");
  assert.equal(await page.locator("#table").isVisible(), false);
});

async function clickAndDownload(page, button) {
  const [file] = await Promise.all([page.waitForEvent("download"), button.click()]);
  return [file.suggestedFilename(), await readFile(await file.path(), "utf8")];
}

pageTest("the desktop button downloads a .vv file", {}, async (page) => {
  await logIn(page, "many");
  await waitForText(page, "#message", "23 virtual machines");
  assert.match(await page.locator("#rows tr:first-child td:last-child").textContent(), /^10\.0\.0\.2:5901/);
  assert.equal(await page.locator("#rows tr:nth-child(2) td:last-child").textContent(), "none");
  const button = page.getByRole("button", { name: "Open the desktop of vm 1", exact: true });
  const lines = "[virt-viewer]\ntype=spice\nhost=10.0.0.2\nport=5901\ntitle=vm 1\n";
  assert.deepEqual(await clickAndDownload(page, button), ["501.vv", lines]);
  await waitForText(page, "#message", "Saved 501.vv. Open it with remote-viewer.");
});

pageTest("hostile names are shown as text", {}, async (page) => {
  await logIn(page, "hostile");
  await waitForText(page, "#message", "2 virtual machines");
  assert.equal((await names(page))[0], '<script>window.hacked = 1</script><img src=x onerror="window.hacked = 1">');
  assert.equal(await page.locator("#rows script, #rows img").count(), 0);
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  const lines = (await clickAndDownload(page, page.locator("#rows button").nth(1)))[1];
  assert.equal(lines, '[virt-viewer]\ntype=spice\nhost=fd00::1\nport=5901\ntitle=a host=evil "quotes" & 位\n');
});

pageTest("a logout ends the session", {}, async (page) => {
  await logIn(page, "luoyun");
  await waitForText(page, "#message", "3 virtual machines");
  const key = await page.evaluate(() => sessionStorage.getItem("session_key"));
  assert.match(key, /^[0-9a-f]{40}$/);
  assert.equal(await page.evaluate(() => JSON.stringify(localStorage) + document.cookie), "{}");
  await page.locator("#logout").click();
  await waitForText(page, "#message", "You are logged out.");
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  assert.equal(await page.locator("#rows tr").count(), 0);
  const body = new URLSearchParams({ session_key: key });
  const reply = await (await fetch(`${BASE_URL}/api/myun/instance`, { method: "POST", body })).json();
  assert.equal(reply.error, "auth_required");
});

pageTest("an invalid session brings back the login", {}, async (page) => {
  await logIn(page, "many");
  await waitForText(page, "#page", "Page 1 of 3, 23 in all");
  await page.evaluate(() => sessionStorage.setItem("session_key", "0".repeat(40)));
  await page.locator("#next").click();
  await waitForText(page, "#message", "A valid session_key is required. Log in to get one.");
  assert.equal(await page.locator("#instances").isVisible(), false);
  assert.equal(await page.locator(":focus").getAttribute("id"), "username");
  await logIn(page, "many");
  await waitForText(page, "#page", "Page 1 of 3, 23 in all");
});

pageTest("a throttled login counts down", {}, async (page) => {
  await page.clock.install();
  for (let i = 0; i < 5; i += 1) {
    await logIn(page, "guessed", "wrong");
    await waitForText(page, "#message", "The user name or the password is wrong.");
    await page.locator("#message").evaluate((message) => (message.textContent = ""));
  }
  await logIn(page, "guessed", "wrong");
  await page.waitForFunction(() => document.querySelector("#login button").disabled);
  assert.match(await page.locator("#message").textContent(), /^Too many wrong passwords\./);
  assert.match(await page.locator("#countdown").textContent(), /^Try again in (29|30) s$/);
  await page.clock.runFor(10_000);
  assert.match(await page.locator("#countdown").textContent(), /^Try again in (19|20) s$/);
  await page.clock.runFor(25_000);
  assert.equal(await page.locator("#countdown").textContent(), "");
  assert.equal(await page.locator("#login button").isDisabled(), false);
});

pageTest("the keyboard alone is sufficient", { acceptDownloads: true }, async (page) => {
  const focused = () => page.evaluate(() => document.activeElement.id);
  assert.equal(await focused(), "username");
  await page.keyboard.type("many");
  await page.keyboard.press("Tab");
  await page.keyboard.type("many");
  await page.keyboard.press("Enter");
  await waitForText(page, "#page", "Page 1 of 3, 23 in all");
  assert.equal(await focused(), "heading");
  await page.keyboard.press("Tab");
  const [download] = await Promise.all([page.waitForEvent("download"), page.keyboard.press("Enter")]);
  assert.equal(download.suggestedFilename(), "501.vv");
  for (let i = 0; i < 20 && (await focused()) !== "next"; i += 1) await page.keyboard.press("Tab");
  await page.keyboard.press("Space");
  await waitForText(page, "#page", "Page 2 of 3, 23 in all");
  await page.keyboard.press("Shift+Tab");
  assert.equal(await focused(), "logout");
  await page.keyboard.press("Enter");
  await waitForText(page, "#message", "You are logged out.");
});

pageTest("the language is the browser's, and a choice persists", { locale: "zh-CN" }, async (page) => {
  assert.equal(await page.locator("#login h2").textContent(), "登录");
  assert.equal(await page.locator("html").getAttribute("lang"), "zh");
  await logIn(page, "luoyun");
  await waitForText(page, "#message", "3 台虚拟机");
  assert.equal(await page.locator("#rows tr:first-child .status").textContent(), "已停止");
  await page.locator("#language").selectOption("en");
  assert.equal(await page.locator("#heading").textContent(), "My virtual machines");
  assert.equal(await page.locator("#rows tr:first-child .status").textContent(), "instance is stopped");
  await page.reload();
  await waitForText(page, "#message", "3 virtual machines");
  assert.equal(await page.locator("html").getAttribute("lang"), "en");
});

for (const colorScheme of ["light", "dark"]) {
  for (const [width, height] of [[360, 740], [1280, 800]]) {
    pageTest(`accessible and no wider than the viewport: ${colorScheme}, ${width} px`, { colorScheme, viewport: { width, height } }, async (page) => {
      await assertAccessible(page, "login");
      await logIn(page, "luoyun", "wrong");
      await waitForText(page, "#message", "The user name or the password is wrong.");
      await assertAccessible(page, "refused");
      for (const user of ["many", "hostile", "empty"]) {
        await logIn(page, user);
        await page.locator("#instances").waitFor();
        await assertAccessible(page, user);
        const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(wider <= 0, `${user}: ${wider} pixels too wide`);
        await page.locator("#logout").click();
        await waitForText(page, "#message", "You are logged out.");
      }
    });
  }
}
