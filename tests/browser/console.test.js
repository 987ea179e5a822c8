// End-to-end tests of the console, in Chromium and in Firefox.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync, rmSync } from "node:fs";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { BASE_URL, fill, launch, logIn, open, serve } from "./browser.js";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const axe = readFileSync(here("node_modules/axe-core/axe.min.js"), "utf8");
const [LOGIN, LIST, INFO, LOGOUT] = ["login", "myun/instance", "instance/baseinfo", "logout"].map((path) => `api/${path}`);
const WRONG = "The user name or the password is wrong.";
const UNCONFIRMED = "You are logged out here, but not yet on the server. Keep this page open: it tries again.";
const OFFLINE = "The server does not answer.";
const BYE = "You are logged out.";
const downloading = (file) => `Downloading ${file}… Open it with remote-viewer.`;
const RANGES = [, "Page 1 of 3, 1–10 of 23", "Page 2 of 3, 11–20 of 23", "Page 3 of 3, 21–23 of 23"];

const textOf = (page, selector) => page.$eval(selector, (element) => element.textContent.trim());
const textsOf = (page, selector) => page.$$eval(selector, (elements) => elements.map((element) => element.textContent.trim()));
const names = (page) => textsOf(page, "#rows td:nth-child(2)");
const isShown = (page, selector) => page.$eval(selector, (element) => element.checkVisibility());
const isDisabled = (page, selector) => page.$eval(selector, (element) => element.disabled);
const focused = (page) => page.evaluate(() => document.activeElement.id);
const press = (page, selector) => page.$$eval(selector, (buttons) => buttons.forEach((button) => button.click()));

// Waits until the text of `selector` is `expected`, or matches it.
async function waitForText(page, selector, expected) {
  const { source } = expected instanceof RegExp ? expected : RegExp(`^${expected.replace(/[.()?]/g, "\\$&")}$`);
  const isThere = (selector, source) => RegExp(source).test(document.querySelector(selector).textContent.trim());
  await page.waitForFunction(isThere, { timeout: 10_000, polling: 20 }, selector, source).catch(async (error) =>
    assert.fail(`${selector} is "${await textOf(page, selector)}", not "${expected}": ${error.message}`));
}

// Waits until a message is spoken, and in view; or for a page of the list by its number.
async function waitFor(page, expected) {
  if (typeof expected === "number") return waitForText(page, "#page", RANGES[expected]);
  await waitForText(page, "#live", expected);
  assert.equal(await page.evaluate(() => {
    const message = [...document.querySelectorAll("#message, #warning")].find((element) => element.checkVisibility() && !element.closest(".spoken"));
    const { top, bottom } = message?.getBoundingClientRect() ?? { top: 0, bottom: 0 };
    return top >= visualViewport.offsetTop - 1 && bottom <= visualViewport.offsetTop + visualViewport.height + 1;
  }), true, `${expected} is out of view`);
}
const click = (page, selector, expected) => page.click(selector).then(() => waitFor(page, expected));
const reload = (page, expected) => page.reload().then(() => waitFor(page, expected));
// Gives a late reply the time to be shown.
const settle = async (page) => { for (let i = 0; i < 3; i += 1) await page.evaluate(() => fetch(location.href)); };
const go = (page, steps, expected) => page.evaluate((steps) => history.go(steps), steps).then(() => waitFor(page, expected));

// Logs in, and waits for the list or for another result.
const LISTS = { many: RANGES[1], luoyun: "3 virtual machines", hostile: "2 virtual machines" };
const enter = (page, user, expected = LISTS[user], password = user) => logIn(page, user, password).then(() => waitFor(page, expected));

const refusal = (error, status = 200, headers = {}) => ({ status, headers, body: { code: 1, desc: "In English.", error } });
const listOf = (list, total = list.length) => ({ body: { code: 0, desc: "", list, total, sepa: 10, p: 1 } });
const instance = (id, fields) => ({
  id, name: `vm ${id}`, summary: null, status: 5, status_string: "application is running",
  vdi_type: 1, vdi_host: "10.0.0.2", vdi_port: 5900, ...fields,
});
const desktop = (fields) => ({ body: { code: 0, desc: "", instance_id: 1, vdi_type: 1, host: "10.0.0.2", port: 5900, ...fields } });

// Waits until `file` is saved; returns its text, and removes it.
async function saved(page, file) {
  for (const limit = Date.now() + 10_000; readdirSync(page.downloads).join() !== file; ) {
    assert.ok(Date.now() < limit, `${readdirSync(page.downloads)}, not ${file}`);
    await textOf(page, "#message");
  }
  const text = readFileSync(`${page.downloads}/${file}`, "utf8");
  rmSync(`${page.downloads}/${file}`);
  return text;
}

async function assertAccessible(page, where) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => axe.run());
  assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html)}`), [], where);
  const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(wider <= 0, `${where}: ${wider} pixels too wide`);
}

for (const name of ["chrome", "firefox"]) {
  const browser = await launch(name);
  after(() => browser.close());

  // A test with a page; fails if the page has recorded an error.
  const pageTest = (title, options, body) =>
    test(`${name}: ${title}`, async () => {
      const site = options.isDirect ? { url: `${BASE_URL}/`, close() {} } : await serve(options.prefix);
      const page = await open(browser, site, options);
      try {
        await body(page, site);
        assert.deepEqual(page.errors, []);
      } finally {
        await page.browserContext().close();
        site.close();
        rmSync(page.downloads, { recursive: true });
      }
    });

  pageTest("a login shows the user, and the user's own instances, as text, with their time and the colours of their statuses", {}, async (page, site) => {
    assert.equal(await isShown(page, "#instances"), false);
    site.rules[LIST] = () => listOf([instance(1)]);
    await enter(page, " \x7fluoyun\u3000", "1 virtual machine", "luoyun");
    const count = await textOf(page, "#count");
    assert.match(count, /^1 virtual machine, as of \d+:\d\d:\d\d\s[AP]M$/);
    await page.waitForFunction((count) => !count.includes(new Date().toLocaleTimeString("en")), {}, count);
    site.rules[LIST] = null;
    await click(page, "#reload", "3 virtual machines");
    assert.notEqual((await textOf(page, "#count")).slice(-11), count.slice(-11));
    assert.deepEqual(await names(page), ["openerp7 img gz", "gallery3", "ubuntu 12.04 64位版"]);
    assert.equal(await textOf(page, "#rows .status"), "instance is stopped");
    for (const selector of ["#pages", "#login", "#retry"]) assert.equal(await isShown(page, selector), false);
    await reload(page, "3 virtual machines");
    assert.equal(await textOf(page, "#account"), "luoyun\n      Log out");
    assert.equal(await page.$eval("#viewer", ({ href, rel }) => `${href} ${rel}`), "https://virt-manager.org/download/ noreferrer");
    await click(page, "#logout", BYE);
    await logIn(page, "empty");
    await page.waitForSelector("#none", { visible: true });
    assert.equal(await isShown(page, "#table"), false);
    await click(page, "#logout", BYE);
    await enter(page, "many");
    const colours = await page.$$eval("#rows .status", (cells) => cells.map((cell) => getComputedStyle(cell).color));
    assert.equal(new Set(colours.slice(0, 4)).size, 4);
    assert.equal((await names(page))[0], "vm 1The first one.");
    await page.click("#logout");
    await enter(page, "hostile");
    assert.equal((await names(page))[0], '<script>window.hacked = 1</script><img src=x onerror="window.hacked = 1">');
    assert.deepEqual([await page.$("#rows script, #rows img"), await page.evaluate(() => window.hacked)], [null, undefined]);
  });

  pageTest("below a path, with or without its slash, the address has the page; one that has vanished leads to the last", { prefix: "/a" }, async (page, site) => {
    await page.goto(site.url.slice(0, -1));
    await enter(page, "many");
    assert.equal(await isDisabled(page, "#previous"), true);
    await click(page, "#next", 2);
    assert.equal((await names(page))[0], "vm 11");
    // Back before a page or a file arrives.
    for (const [path, control] of [[LIST, "#next"], [INFO, "#open511"]]) {
      const held = site.hold(path);
      await press(page, control);
      const release = await held;
      await go(page, -1, 1);
      release();
      await settle(page);
      await waitFor(page, 1);
      await go(page, 1, 2);
    }
    assert.deepEqual(readdirSync(page.downloads), []);
    await click(page, "#next", 3);
    assert.deepEqual([await names(page), await isDisabled(page, "#next")], [["vm 21", "vm 22", "vm 23"], true]);
    await go(page, -1, 2);
    await reload(page, 2);
    site.rules[LIST] = () => ((site.rules[LIST] = null), listOf([], 2));
    await click(page, "#next", 1);
    site.rules[LIST] = () => ((site.rules[LIST] = null), { body: { code: 0, list: [{ id: 1 }, instance(2, { vdi_host: "a b" }), instance(3, { vdi_type: 2 })] } });
    await reload(page, "3 virtual machines");
    assert.deepEqual(await textsOf(page, "#rows td"), [
      "1", "", "unknown", "Cannot open: unknown.", "2", "vm 2", "application is running", "The desktop has no valid address at the moment.",
      "3", "vm 3", "application is running", "10.0.0.2:5900The desktop is not a SPICE desktop.",
    ]);
    for (const [p, shown] of [["9", 3], ["1e3", 1], ["9".repeat(400), 3], ["0003", 3], ["0", 1], ["-2", 1], ["NaN", 1], ["", 1], ["%00", 1]]) {
      await page.goto(`${site.url}?p=${p}`);
      await waitFor(page, shown);
    }
  });

  pageTest("GLib reads every name and address in the saved files", {}, async (page, site) => {
    const rows = [
      // The name, the address, the file; what the file has instead.
      ["C:\\new\\", "node-1.example_x", "C_new-0.vv"],
      ["  two spaces  ", "fd00::1", "two_spaces-1.vv"],
      [" ", "[fd00::1]", "2.vv", "2", "fd00::1"],
      ["", "fe80::1%eth0", "3.vv", "3"],
      ["\t\na\nhost=evil\r\n[x]\tb\\s\r", "[fe80::1%eth0]", "a_host_evil_x_b_s-4.vv", , "fe80::1%eth0"],
      ["a;b,c#d=e \"f\" 'g' $h", "::", "a_b_c_d_e_f_g_h-5.vv"],
      ["../.#[=;\0\f\x01\x7f", "::ffff:10.0.0.2", "6.vv", "../.#[=;\ufffd\ufffd\x01\x7f"],
      // remote-viewer replaces %d by the display's number.
      ["50%d %%d %s", "10.0.0.2", "50_d_d_s-7.vv", "50%\u2060d %%\u2060d %s"],
      ["位🖥\u202e\u200f\u2028\u00a0", "10.0.0.2", "位-8.vv"],
      ["位".repeat(64), "10.0.0.2", `${"位".repeat(50)}-9.vv`],
      // Windows takes this for a device.
      ["Con.é 2.0", "10.0.0.2", "_Con.é_2.0-10.vv"],
    ];
    site.rules[LIST] = () => listOf(rows.map(([name], id) => instance(id, { name })));
    await logIn(page, "luoyun");
    const texts = [];
    for (const [id, [, host, file]] of rows.entries()) {
      site.rules[INFO] = () => desktop({ host });
      await page.waitForSelector(`#open${id}:enabled`);
      await press(page, `#open${id}`);
      await waitFor(page, downloading(file));
      texts.push(await saved(page, file));
    }
    const files = rows.map(([name, from, , title = name, host = from]) =>
      ({ group: "virt-viewer", type: "spice", host, port: "5900", title, "delete-this-file": "1" }));
    assert.deepEqual(JSON.parse(execFileSync("/usr/bin/python3", [here("vv.py")], { input: JSON.stringify(texts) })), files);
  });

  pageTest("only running desktops can be opened, each by a name of its own, and once", {}, async (page, site) => {
    const statuses = [3, 4, 5, 0, 1, 2, 9, 77, 100, 245, 255, null];
    site.rules[LIST] = () => listOf(statuses.map((status, id) => instance(id, { name: "vm", status, status_string: `status ${status}` })));
    await enter(page, "luoyun", "Page 1 of 2, 1–12 of 12");
    assert.deepEqual(await page.$$eval("#rows button", (buttons) => buttons.map((button) => button.ariaLabel)),
      [0, 1, 2].map((id) => `Open the desktop of vm (${id})`));
    assert.deepEqual((await textsOf(page, "#rows td:last-child")).slice(3), statuses.slice(3).map((status) => `Cannot open: status ${status}.`));
    assert.equal(await page.$eval("#rows .status", (cell) => getComputedStyle(cell, "::before").content), '""');
    const copied = await page.$eval("#rows td:last-child", (cell) => getSelection().selectAllChildren(cell) ?? String(getSelection()).trim());
    assert.equal(copied, "10.0.0.2:5900");
    for (const [id, open] of [["0", () => page.click("#open0", { count: 2, clickCount: 2 })], ["1", () => press(page, "#open1")]]) {
      site.rules[INFO] = () => desktop({});
      await open();
      await waitFor(page, downloading(`vm-${id}.vv`));
      await press(page, `#open${id}`);
      await saved(page, `vm-${id}.vv`);
    }
    assert.equal(site.count(INFO), 2);
  });

  pageTest("what has gone between list and click saves nothing, and the list is loaded again", {}, async (page, site) => {
    const rows = [
      ...[null, undefined, 0, 65536, "5900\nx=1"].map((port) => [desktop({ port }), "The desktop has no port at the moment."]),
      ...[undefined, "", null, "a b", "10.0.0.2\n", "\n10.0.0.2", "10.0.0.2:5900", "spice://h", "h;p", "[::1]x", "fe80::1%a b", "-h", "1,2"]
        .map((host) => [desktop({ host }), "The desktop has no valid address at the moment."]),
      [desktop({ vdi_type: 2 }), "The desktop is not a SPICE desktop."],
      [refusal("instance_not_found"), "This virtual machine no longer exists."],
      [refusal("instance_not_owned"), "This virtual machine is no longer yours."],
    ];
    await enter(page, "many");
    for (const [index, [reply, message]] of rows.entries()) {
      site.rules[INFO] = () => reply;
      await page.$eval("#message", (element) => (element.textContent = ""));
      await press(page, "#open501");
      await waitFor(page, message);
      assert.equal(site.count(LIST), index + 2, JSON.stringify(reply.body));
    }
    assert.deepEqual(readdirSync(page.downloads), []);
  });

  pageTest("a logout ends the session, when the server answers again; until then, a warning stays", {}, async (page, site) => {
    const keyOf = () => page.evaluate(() => sessionStorage.getItem("session_key"));
    const isOpen = async (session_key) => (await (await fetch(site.url + LIST, { method: "POST", body: new URLSearchParams({ session_key }) })).json()).code === 0;
    const online = () => page.evaluate(() => dispatchEvent(new Event("online")));
    const logOut = async (expected) => {
      const key = await keyOf();
      assert.equal(await isOpen(key), true);
      assert.equal(await page.evaluate(() => localStorage.length + document.cookie.length), 0);
      await click(page, "#logout", expected);
      assert.deepEqual([await keyOf(), await names(page), await isShown(page, "#login"), await isOpen(key)], [null, [], true, expected !== BYE]);
      return key;
    };
    for (const [reply, ...steps] of [
      [null, online],
      [{ status: 500, body: "" }, () => page.reload()],
      [refusal("internal", 500), () => page.click("#read"), () => enter(page, "many")],
    ]) {
      await enter(page, "luoyun");
      site.rules[LOGOUT] = () => reply;
      const key = await logOut(UNCONFIRMED);
      await online();
      await enter(page, "luoyun", WRONG, "wrong");
      assert.equal(await textOf(page, "#warning p"), UNCONFIRMED);
      assert.equal(await isShown(page, "#warning"), true);
      site.rules[LOGOUT] = null;
      for (const step of steps) await step();
      await page.waitForFunction(() => !sessionStorage.getItem("ending"));
      assert.deepEqual([await isOpen(key), await isShown(page, "#warning")], [false, false]);
    }
    await logOut(BYE);
  });

  pageTest("an expired session leads to the login, on whichever control", {}, async (page) => {
    for (const control of ["#next", "#open501"]) {
      await enter(page, "many");
      await page.evaluate(() => sessionStorage.setItem("session_key", "0".repeat(40)));
      await click(page, control, "Your session has ended. Log in again.");
      assert.deepEqual([await isShown(page, "#instances"), await focused(page)], [false, "username"]);
    }
  });

  // What is under way, its controls, and how it begins.
  for (const [what, path, controls, begin] of [
    ["a login", LOGIN, ["#login button"], (page) => logIn(page, "luoyun").then(() => page.$eval("#login", (form) => form.requestSubmit()))],
    ["a list", LIST, ["#next", "#previous", "#retry"], (page) => logIn(page, "many")],
    ["the next page", LIST, ["#next", "#previous", "#rows button"], (page) => press(page, "#next")],
    ["a file", INFO, ["#rows button", "#next"], (page) => press(page, "#open506, #open507")],
  ]) {
    pageTest(`${what} is requested once, and not used after a logout and another login`, {}, async (page, site) => {
      if (!/login|list/.test(what)) await enter(page, "many");
      const before = site.count(path);
      const held = site.hold(path);
      await begin(page);
      const late = [await held];
      for (const control of controls) {
        assert.equal(await isDisabled(page, control), true, control);
        await press(page, control);
      }
      await page.select("#language", "zh");
      await waitForText(page, "#message", "请稍候…");
      assert.equal((await page.$$("button[aria-busy=true]:disabled")).length, what === "a list" ? 0 : 1);
      await page.select("#language", "en");
      if (what !== "a login") {
        const logout = site.hold(LOGOUT);
        await press(page, "#logout");
        late.push(await logout);
        assert.deepEqual([await names(page), await isShown(page, "#login"), site.count(path)], [[], true, before + 1]);
        await enter(page, "luoyun");
      }
      for (const release of late) release();
      await settle(page);
      await waitFor(page, "3 virtual machines");
      assert.deepEqual([(await names(page))[0], site.count(LOGIN)], ["openerp7 img gz", what === "a login" ? 1 : 2]);
      assert.deepEqual([await page.$("[aria-busy=true]"), readdirSync(page.downloads)], [null, []]);
    });
  }

  pageTest("a load that fails offers a retry and a logout", {}, async (page, site) => {
    const unreadable = (status) => `The server cannot answer now (HTTP ${status}).`;
    site.rules[LOGIN] = () => ({ body: { code: 0, desc: "" } });
    await enter(page, "many", unreadable(200));
    site.rules[LOGIN] = null;
    await enter(page, "many");
    for (const [reply, message] of [
      [null, OFFLINE], [{ status: 500, body: "" }, unreadable(500)],
      [{ status: 502, headers: { "content-type": "text/html" }, body: "<h1>Bad Gateway</h1>" }, unreadable(502)],
      ...[null, [], "x", {}, { code: 0 }, { code: 1, error: 5 }, { code: 0, list: {} }, { code: 0, list: [null] }, { code: 0, list: [{}] }]
        .map((body) => [{ body: JSON.stringify(body) }, unreadable(200)]),
      [refusal("busy", 503, { "retry-after": "1" }), "The server is busy. Try again in a moment."],
      [refusal("too_many_attempts", 429, { "retry-after": "9" }), "The server is busy. Try again in a moment."],
      [refusal("internal", 500), "Something went wrong on the server. Try again later."],
    ]) {
      site.rules[LIST] = () => reply;
      await reload(page, message);
      assert.deepEqual([await focused(page), await isShown(page, "#logout")], ["retry", true]);
      site.rules[LIST] = null;
      await click(page, "#retry", RANGES[1]);
    }
    site.rules[LIST] = () => null;
    await click(page, "#next", OFFLINE);
    assert.equal((await names(page))[0], "vm 1The first one.");
    site.rules[LIST] = null;
    await click(page, "#retry", 2);
    site.rules[LIST] = () => null;
    await go(page, -1, OFFLINE);
    assert.deepEqual(await names(page), []);
  });

  pageTest("every error of the contract has a message in both languages", {}, async (page, site) => {
    const words = [...readFileSync(here("../../docs/contract.md"), "utf8").matchAll(/^\| `(\w+)` \| \d{3} \|/gm)].map(([, word]) => word);
    assert.ok(words.length >= 12, words);
    for (const word of new Set([...words, "request_timeout", "busy", "cross_site", "new_word", "toString"])) {
      site.rules[LOGIN] = () => refusal(word);
      await enter(page, "luoyun", /new_word|toString/.test(word) ? `The server refuses this: ${word}` : /^(?!The server refuses this).*\.$/);
      await page.select("#language", "zh");
      assert.match((await textsOf(page, "#message, #live")).join(""), /^[\p{sc=Han}，]+(。|：\w+)$/u, word);
      await page.select("#language", "en");
    }
  });

  pageTest("a wait is a deadline on the clock, for the name that has to wait, and spoken at its start and end", {}, async (page, site) => {
    const limit = (seconds) => (site.rules[LOGIN] = () => refusal("too_many_attempts", 429, { "retry-after": seconds }));
    const jump = (ahead) => page.evaluate((ahead) => (window.ahead = ahead), ahead);
    limit("900");
    await enter(page, "other", "Too many attempts to log in. Try again in 15 min.", "wrong");
    limit("30");
    await enter(page, "guessed", "Too many attempts to log in. Try again in 30 s.", "wrong");
    assert.equal(await focused(page), "password");
    for (const [name, ahead] of [["guessed", 0], ["luoyun", 0], [" \x7fguessed\u0085\u3000", -3_600_000]]) {
      await jump(ahead);
      await fill(page, "#username", name);
      assert.match(await textOf(page, "#notice"), name === "luoyun" ? /^$/ : /^Try again in (2\d|30) s\.$/);
      assert.equal(await isDisabled(page, "#login button"), name !== "luoyun");
    }
    // As when the lid was closed.
    await jump(20_000);
    await waitForText(page, "#countdown", /^Try again in (\d|10) s\.$/);
    await jump(40_000);
    await waitFor(page, "You can log in again.");
    assert.deepEqual([await textOf(page, "#countdown"), await isDisabled(page, "#login button")], ["", false]);
  });

  pageTest("the keyboard alone is sufficient", { isDirect: true }, async (page) => {
    const type = async (...keys) => { for (const key of keys) await page.keyboard.press(key); };
    await type(..."many", "Tab", ..."many", "Enter");
    await waitFor(page, 1);
    assert.equal(await focused(page), "heading");
    await type("Tab", "Enter");
    await waitFor(page, RANGES[1]);
    assert.equal(await focused(page), "reload");
    await type("Tab", "Enter");
    assert.equal(await saved(page, "vm_1-501.vv"), "[virt-viewer]\ntype=spice\nhost=10.0.0.2\nport=5901\ntitle=vm 1\ndelete-this-file=1\n");
    await waitFor(page, downloading("vm_1-501.vv"));
    assert.equal(await focused(page), "open501");
    for (let i = 0; i < 20 && (await focused(page)) !== "next"; i += 1) await type("Tab");
    await type(" ");
    await waitFor(page, 2);
    await page.keyboard.down("Shift");
    await type("Tab");
    await page.keyboard.up("Shift");
    await type("Enter");
    await waitFor(page, BYE);
  });

  for (const [state, prepare] of Object.entries({
    "is blocked": () => {
      const get = () => { throw new DOMException("blocked", "SecurityError"); };
      for (const name of ["localStorage", "sessionStorage"]) Object.defineProperty(window, name, { get });
    },
    "is full": () => (Storage.prototype.setItem = () => { throw new DOMException("full", "QuotaExceededError"); }),
    "holds rubbish": () => {
      localStorage.language ??= "toString";
      sessionStorage.session_key ??= "\ud800 &=";
    },
  })) {
    pageTest(`storage that ${state} is overwritten, or replaced by memory`, { prepare }, async (page) => {
      await waitFor(page, state === "holds rubbish" ? "Your session has ended. Log in again." : "");
      await enter(page, "many");
      await page.select("#language", "zh");
      assert.equal(await page.$eval("html", ({ lang }) => lang), "zh");
      assert.equal(await textOf(page, "#rows .status"), "应用运行中");
      await page.click("#next");
      await waitForText(page, "#page", "第 2 页，共 3 页，第 11–20 台，共 23 台");
      if (state === "holds rubbish") await reload(page, /^第 2 页/);
      await click(page, "#logout", "您已退出。");
    });
  }

  pageTest("another tab, another path and Back show no other user's instances", { prefix: "/a" }, async (page, site) => {
    await enter(page, "many");
    const session = await page.evaluate(() => ({ ...sessionStorage }));
    const tab = await page.browserContext().newPage();
    await tab.evaluateOnNewDocument((session) => Object.assign(sessionStorage, session), session);
    await tab.goto(site.url);
    await tab.waitForSelector("#open501");
    await press(tab, "#logout");
    await waitFor(page, BYE);
    assert.deepEqual(await names(page), []);
    await tab.close();
    await enter(page, "many");
    await page.goto(site.url.replace(/a.$/, "b/"));
    assert.equal(await isShown(page, "#login"), true);
    await enter(page, "luoyun");
    await page.goto(site.url);
    await waitFor(page, RANGES[1]);
    assert.equal(await textOf(page, "#user"), "many");
    await page.evaluate(() => {
      sessionStorage.clear();
      dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true }));
    });
    assert.deepEqual([await names(page), await isShown(page, "#login")], [[], true]);
  });

  // Each size of the window; where a phone's keyboard covers the rest, of what it leaves.
  for (const [width, height, visible] of [[1280, 800], [320, 200], [390, 664, 280]]) {
    const prepare = visible && (() => Object.defineProperty(window, "visualViewport", { value: Object.assign(new EventTarget(), { scale: 1, offsetTop: 0, height: 280 }) }));
    pageTest(`a result is in view, in its form, row or bar, and tied to its control: ${width}×${visible ?? height}`, { width, height, prepare }, async (page, site) => {
      const assertTied = async (control, home) =>
        assert.deepEqual(await page.$eval(control, (control, home) => {
          const message = document.getElementById("message");
          const isTied = control.getAttribute("aria-describedby").split(" ").some((id) => document.getElementById(id).contains(message));
          return [isTied, control.closest(home).contains(message), message.checkVisibility()];
        }, home), [true, true, true]);
      await enter(page, "many", WRONG, "wrong");
      for (const control of ["#username", "#password"]) {
        await assertTied(control, "form");
        assert.equal(await page.$eval(control, (input) => input.ariaInvalid), "true");
      }
      assert.equal(await focused(page), "password");
      site.rules[LOGIN] = () => null;
      await enter(page, "many", OFFLINE, "wrong");
      await assertTied("#enter", "form");
      site.rules[LOGIN] = null;
      await enter(page, "many");
      for (const [rule, reply, control, home, message] of [
        [INFO, desktop({}), "#open507", "tr", downloading("vm_7-507.vv")],
        [INFO, null, "#open509", "tr", OFFLINE],
        [INFO, desktop({ port: null }), "#open508", "tr", "The desktop has no port at the moment."],
        [LIST, null, "#next", "nav", OFFLINE],
        [LIST, null, "#retry", "nav", OFFLINE],
        [LIST, null, "#reload", "section", OFFLINE],
      ]) {
        site.rules[rule] = () => reply;
        // At the lower edge of the window.
        await page.$eval(control, (button) => (button.scrollIntoView({ block: "end" }), button.click()));
        await waitFor(page, message);
        await assertTied(control, home);
      }
      if (visible) return;
      site.rules[INFO] = () => null;
      await click(page, "#open510", OFFLINE);
      // As when the browser shows downloads below the page.
      await page.setViewport({ width, height: height - 60 });
      await page.waitForFunction(() => document.getElementById("message").getBoundingClientRect().bottom <= innerHeight);
    });
  }

  pageTest("without JavaScript, a sentence says what is needed", {}, async (page, site) => {
    site.rules[""] = (forward) => forward({ "content-security-policy": "script-src 'none'" });
    await page.goto(site.url);
    await waitForText(page, "#message", "This page needs JavaScript. 本页面需要 JavaScript。");
    assert.equal(await isShown(page, "#language"), false);
    page.errors.length = 0;
  });

  const long = { name: "W".repeat(64), summary: "概要W".repeat(341), status_string: "new instance that hasn't run once", vdi_host: "fd00:1234:5678:9abc:def0:1234:5678:9abc" };
  const rules = { failed: () => null, long: () => listOf([instance(2252, long), instance(2, { summary: "s".repeat(1024) })], 1e6) };
  for (const [locale, scheme, wrong, bye] of [
    ["en-US", "light", WRONG, BYE],
    ["zh-CN", "dark", "用户名或密码错误。", "您已退出。"],
  ]) {
    // Firefox takes no scheme over BiDi.
    pageTest(`accessible, with readable columns, and no wider than the viewport: ${locale}`, { scheme: name === "chrome" && scheme, locale }, async (page, site) => {
      for (const width of [320, 768, 1280]) {
        await page.setViewport({ width, height: 700 });
        await assertAccessible(page, "login");
        await enter(page, "many", wrong, `wrong ${width}`);
        await assertAccessible(page, "refused");
        for (const user of ["many", "hostile", "empty", "failed", "long"]) {
          site.rules[LIST] = rules[user];
          await logIn(page, rules[user] ? "many" : user);
          await page.waitForSelector(user === "failed" ? "#retry:focus" : "#heading:focus");
          await assertAccessible(page, `${width}, ${user}`);
          const widths = await page.$$eval("#rows tr:first-child td", (cells) => cells.map((cell) => cell.clientWidth));
          // Of an ID, a name, the longest word of a status, and half of an IPv6 address.
          assert.ok(widths.every((wide, column) => wide >= [50, 180, 100, 180][column]), `${width}, ${user}: ${widths}`);
          if (user === "many") {
            await click(page, "#open501", /vm_1-501/);
            await assertAccessible(page, `${width}, downloading`);
            site.rules[LOGOUT] = () => null;
            await click(page, "#logout", /[.。]$/);
            await assertAccessible(page, `${width}, not logged out`);
            site.rules[LOGOUT] = null;
            await page.click("#read");
          } else await click(page, "#logout", bye);
        }
      }
    });
  }
}
