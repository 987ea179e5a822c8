// End-to-end tests of the console, in Chromium and in Firefox.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { BASE_URL, fill, launch, logIn, open, serve } from "./browser.js";

const read = (path) => readFileSync(new URL(path, import.meta.url), "utf8");
const axe = read("node_modules/axe-core/axe.min.js");
const LIST = "api/myun/instance";
const INFO = "api/instance/baseinfo";
const WIDTHS = [320, 768, 1280];

/** Waits until `check`, a function of the page, is true of `argument`. */
async function waitFor(page, check, argument, otherwise) {
  try {
    await page.waitForFunction(check, { timeout: 10_000, polling: 20 }, argument);
  } catch (error) {
    assert.fail(`${otherwise ? await otherwise() : check}: ${error.message}`);
  }
}

const textOf = (page, selector) => page.$eval(selector, (element) => element.textContent);
const waitForText = (page, selector, expected) =>
  waitFor(page, ([selector, expected]) => document.querySelector(selector).textContent === expected, [selector, expected],
    async () => `${selector} is "${await textOf(page, selector)}", not "${expected}"`);
const isShown = (page, selector) => page.$eval(selector, (element) => element.checkVisibility());
const isDisabled = (page, selector) => page.$eval(selector, (element) => element.disabled);
const names = (page) => page.$$eval("#rows td:nth-child(2)", (cells) => cells.map((cell) => cell.textContent));
const focused = (page) => page.evaluate(() => document.activeElement.id);
const press = (page, selector) => page.$eval(selector, (button) => button.click());
const refusal = (error, status = 200, headers = {}) => ({ status, headers, body: { code: 1, desc: "In English.", error } });
const listOf = (list, fields = {}) => ({ body: { code: 0, desc: "", list, total: list.length, sepa: 10, p: 1, ...fields } });
const instance = (id, fields = {}) => ({
  id, name: `vm ${id}`, summary: null, status: 5, status_string: "application is running",
  vdi_type: 1, vdi_host: "10.0.0.2", vdi_port: 5900, ...fields,
});
const desktop = (fields = {}) => ({ body: { code: 0, desc: "", instance_id: 1, vdi_type: 1, host: "10.0.0.2", port: 5900, ...fields } });

/** Waits until the files are saved; returns their text, and removes them. */
async function saved(page, files) {
  const isThere = () => files.every((file) => readdirSync(page.downloads).includes(file)) && !readdirSync(page.downloads).some((file) => /part|crdownload/.test(file));
  for (const limit = Date.now() + 10_000; !isThere(); await page.evaluate(() => new Promise(requestAnimationFrame))) {
    assert.ok(Date.now() < limit, `${readdirSync(page.downloads)}, not ${files}`);
  }
  const texts = files.map((file) => readFileSync(join(page.downloads, file), "utf8"));
  for (const file of files) rmSync(join(page.downloads, file));
  return texts;
}

const readByGLib = (texts) =>
  JSON.parse(execFileSync("/usr/bin/python3", [new URL("vv.py", import.meta.url).pathname], { input: JSON.stringify(texts) }));

async function assertAccessible(page, where) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => axe.run());
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html)}`);
  assert.deepEqual(found, [], where);
}

for (const name of ["chrome", "firefox"]) {
  describe(name, () => {
    let browser;
    before(async () => (browser = await launch(name)));
    after(() => browser.close());

    /** A test with a page; fails if the page has recorded an error. */
    const pageTest = (name, options, body) =>
      test(name, async () => {
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

    pageTest("a login shows the user's own instances", { isDirect: true }, async (page) => {
      assert.equal(await isShown(page, "#instances"), false);
      await logIn(page, "luoyun");
      await waitForText(page, "#message", "3 virtual machines");
      assert.deepEqual(await names(page), ["openerp7 img gz", "gallery3", "ubuntu 12.04 64位版"]);
      assert.equal(await textOf(page, "#rows tr:first-child .status"), "instance is stopped");
      for (const selector of ["#pages", "#login", "#retry"]) assert.equal(await isShown(page, selector), false);
      assert.equal(await focused(page), "heading");
      await page.reload();
      await waitForText(page, "#message", "3 virtual machines");
    });

    pageTest("statuses have words and colours, and summaries are shown", {}, async (page) => {
      await logIn(page, "many");
      await waitForText(page, "#message", "23 virtual machines");
      const words = await page.$$eval("#rows .status", (cells) => cells.map((cell) => cell.textContent));
      assert.deepEqual(words.slice(0, 5), [
        "application is running", "instance is stopped", "new instance that hasn't run once",
        "the instance disk does not exist", "Unknown Status",
      ]);
      const colours = await page.$$eval("#rows .status", (cells) => cells.map((cell) => getComputedStyle(cell).color));
      assert.equal(new Set(colours.slice(0, 4)).size, 4);
      assert.equal((await names(page))[0], "vm 1The first one.");
    });

    pageTest("the address has the page, for Back and reload", {}, async (page) => {
      await logIn(page, "many");
      await waitForText(page, "#page", "Page 1 of 3, 23 in all");
      assert.equal(await isDisabled(page, "#previous"), true);
      await page.click("#next");
      await waitForText(page, "#page", "Page 2 of 3, 23 in all");
      assert.equal((await names(page))[0], "vm 11");
      await page.click("#next");
      await waitForText(page, "#page", "Page 3 of 3, 23 in all");
      assert.deepEqual(await names(page), ["vm 21", "vm 22", "vm 23"]);
      assert.equal(await isDisabled(page, "#next"), true);
      await page.evaluate(() => history.back());
      await waitForText(page, "#page", "Page 2 of 3, 23 in all");
      await page.reload();
      await waitForText(page, "#page", "Page 2 of 3, 23 in all");
      await page.click("#previous");
      await waitForText(page, "#page", "Page 1 of 3, 23 in all");
    });

    pageTest("a page that has vanished leads to the last page, and rubbish to the first", {}, async (page, site) => {
      await logIn(page, "many");
      await waitForText(page, "#message", "23 virtual machines");
      for (const [p, shown] of [["9", 3], ["1e3", 1], ["9".repeat(400), 3], ["0003", 3], ["0", 1], ["-2", 1], ["NaN", 1], ["", 1], ["%00", 1]]) {
        await page.goto(`${site.url}?p=${p}`);
        await waitForText(page, "#page", `Page ${shown} of 3, 23 in all`);
      }
      await page.click("#next");
      await waitForText(page, "#page", "Page 2 of 3, 23 in all");
      site.rules[LIST] = () => ((site.rules[LIST] = null), listOf([], { total: 2 }));
      await page.click("#next");
      await waitForText(page, "#page", "Page 1 of 3, 23 in all");
    });

    pageTest("a user without instances sees a message", {}, async (page) => {
      await logIn(page, "empty");
      await page.waitForSelector("#none", { visible: true });
      assert.equal(await isShown(page, "#table"), false);
    });

    pageTest("the desktop button saves a .vv file, many times", {}, async (page) => {
      await logIn(page, "many");
      await waitForText(page, "#message", "23 virtual machines");
      assert.match(await textOf(page, "#rows tr:first-child td:last-child"), /^10\.0\.0\.2:5901/);
      assert.equal(await textOf(page, "#rows tr:nth-child(2) td:last-child"), "none");
      const lines = "[virt-viewer]\ntype=spice\nhost=10.0.0.2\nport=5901\ntitle=vm 1\n";
      for (let i = 0; i < 20; i += 1) {
        await page.click('[aria-label="Open the desktop of vm 1"]');
        assert.deepEqual(await saved(page, ["501.vv"]), [lines]);
        await waitForText(page, "#message", "Saved 501.vv. Open it with remote-viewer.");
      }
    });

    pageTest("GLib reads every name and address in the saved file", {}, async (page, site) => {
      const rows = [
        // The name, the file's title; the address, the file's host.
        ["C:\\new", "C:\\new", "10.0.0.2", "10.0.0.2"],
        ["DEV\\build\\", "DEV\\build\\", "node-1.example_x", "node-1.example_x"],
        ["  two spaces  ", "  two spaces  ", "fd00::1", "fd00::1"],
        [" ", "3", "[fd00::1]", "fd00::1"],
        ["", "4", "fe80::1%eth0", "fe80::1%eth0"],
        ["a\nhost=evil\r\n[x]\tb\r", "a\nhost=evil\r\n[x]\tb\r", "[fe80::1%eth0]", "fe80::1%eth0"],
        ["\t\n\\s", "\t\n\\s", "::ffff:10.0.0.2", "::ffff:10.0.0.2"],
        ["a;b,c#d=e \"f\" 'g' $h", "a;b,c#d=e \"f\" 'g' $h", "::", "::"],
        ["#[=;", "#[=;", "10.0.0.2", "10.0.0.2"],
        // remote-viewer puts the display's number in place of %d.
        ["50%d %%d %s", "50%\u2060d %%\u2060d %s", "10.0.0.2", "10.0.0.2"],
        ["位🖥\u202e\u200f\u2028\u00a0", "位🖥\u202e\u200f\u2028\u00a0", "10.0.0.2", "10.0.0.2"],
        ["\0\f\x01\x7f", "\ufffd\ufffd\x01\x7f", "10.0.0.2", "10.0.0.2"],
        ["位".repeat(64), "位".repeat(64), "10.0.0.2", "10.0.0.2"],
      ];
      site.rules[LIST] = () => listOf(rows.map(([name], id) => instance(id, { name })));
      await logIn(page, "luoyun");
      await waitForText(page, "#message", `${rows.length} virtual machines`);
      const texts = [];
      for (const [id, [, , host]] of rows.entries()) {
        site.rules[INFO] = () => desktop({ host });
        await page.click(`#open${id}`);
        texts.push(...(await saved(page, [`${id}.vv`])));
      }
      const files = rows.map(([, title, , host]) => ({ group: "virt-viewer", type: "spice", host, port: "5900", title }));
      assert.deepEqual(readByGLib(texts), files);
    });

    pageTest("what has gone between list and click saves nothing, and the list is loaded again", {}, async (page, site) => {
      const address = "The desktop has no valid address at the moment.";
      const port = "The desktop has no port at the moment.";
      const rows = [
        [desktop({ port: null }), port], [desktop({ port: undefined }), port], [desktop({ port: 0 }), port],
        [desktop({ port: 65536 }), port], [desktop({ port: "5900\nx=1" }), port], [desktop({ host: undefined }), address],
        ...["", null, "a b", "10.0.0.2\n", "\n10.0.0.2", "10.0.0.2:5900", "spice://h", "h;p", "[::1]x", "fe80::1%a b", "-h", "1,2"].map((host) => [desktop({ host }), address]),
        [desktop({ vdi_type: 2 }), "The desktop is not a SPICE desktop."],
        [refusal("instance_not_found"), "This virtual machine no longer exists."],
        [refusal("instance_not_owned"), "This virtual machine is no longer yours."],
      ];
      await logIn(page, "many");
      await waitForText(page, "#message", "23 virtual machines");
      for (const [reply, message] of rows) {
        const before = site.count(LIST);
        site.rules[INFO] = () => reply;
        await press(page, "#open501");
        await waitForText(page, "#message", message);
        assert.equal(site.count(LIST), before + 1, JSON.stringify(reply.body));
        assert.equal(await page.$eval("#message", ({ className }) => className), "bad");
      }
      assert.deepEqual(readdirSync(page.downloads), []);
    });

    pageTest("hostile names are shown as text", {}, async (page) => {
      await logIn(page, "hostile");
      await waitForText(page, "#message", "2 virtual machines");
      assert.equal((await names(page))[0], '<script>window.hacked = 1</script><img src=x onerror="window.hacked = 1">');
      assert.equal(await page.$("#rows script, #rows img"), null);
      assert.equal(await page.evaluate(() => window.hacked), undefined);
      await page.click("#open601");
      const [file] = readByGLib(await saved(page, ["601.vv"]));
      assert.deepEqual([file.host, file.title], ["fd00::1", 'a\nhost=evil\r"quotes" & 位']);
    });

    pageTest("a logout ends the session", {}, async (page, site) => {
      await logIn(page, "luoyun");
      await waitForText(page, "#message", "3 virtual machines");
      const key = await page.evaluate(() => sessionStorage.getItem("session_key"));
      assert.match(key, /^[0-9a-f]{40}$/);
      assert.equal(await page.evaluate(() => JSON.stringify(localStorage) + document.cookie), "{}");
      await page.click("#logout");
      await waitForText(page, "#message", "You are logged out.");
      assert.equal(await page.evaluate(() => sessionStorage.length), 0);
      assert.deepEqual(await names(page), []);
      const body = new URLSearchParams({ session_key: key });
      const reply = await (await fetch(site.url + LIST, { method: "POST", body })).json();
      assert.equal(reply.error, "auth_required");
    });

    pageTest("a logout that the server does not confirm ends it on the page", {}, async (page, site) => {
      for (const reply of [null, { status: 500, body: "" }, refusal("internal", 500)]) {
        await logIn(page, "luoyun");
        await waitForText(page, "#message", "3 virtual machines");
        site.rules["api/logout"] = () => reply;
        await page.click("#logout");
        await waitForText(page, "#message", "You are logged out here, but not yet on the server.");
        assert.equal(await page.evaluate(() => sessionStorage.length), 0);
        assert.equal(await isShown(page, "#login"), true);
      }
    });

    pageTest("an expired session leads to the login, on whichever control", {}, async (page) => {
      for (const control of ["#next", "#open501", null]) {
        await logIn(page, "many");
        await waitForText(page, "#page", "Page 1 of 3, 23 in all");
        await page.evaluate(() => sessionStorage.setItem("session_key", "0".repeat(40)));
        await (control ? page.click(control) : page.reload());
        await waitForText(page, "#message", "Your session has ended. Log in again.");
        assert.equal(await isShown(page, "#instances"), false);
        assert.equal(await focused(page), "username");
      }
    });

    // What is under way, and what is done before its reply arrives.
    const underWay = {
      "a login": ["api/login", async (page) => logIn(page, "many")],
      "a list": [LIST, async (page) => logIn(page, "many")],
      "the next page": [LIST, async (page) => press(page, "#next")],
      "an open": [INFO, async (page) => press(page, "#open502, #open503")],
    };
    for (const [what, [path, begin]] of Object.entries(underWay)) {
      pageTest(`${what} is requested once, and its control says so`, {}, async (page, site) => {
        const isInside = !/login|list/.test(what);
        if (isInside) {
          await logIn(page, "many");
          await waitForText(page, "#message", "23 virtual machines");
        }
        const before = site.count(path);
        const held = site.hold(path);
        await begin(page);
        const release = await held;
        const controls = what === "a login" ? ["#login button"] : ["#next", "#previous", "#retry", "#rows button"];
        for (const control of controls) {
          if (!(await page.$(control))) continue;
          assert.equal(await isDisabled(page, control), true, control);
          for (let i = 0; i < 3; i += 1) await press(page, control);
        }
        if (what !== "a list") assert.equal((await page.$$("button[aria-busy=true]")).length, 1);
        await page.select("#language", "zh");
        await waitForText(page, "#message", "请稍候…");
        if (what !== "a list") assert.equal((await page.$$("button[aria-busy=true]:disabled")).length, 1);
        if (what === "a login") await page.$eval("#login", (form) => form.requestSubmit());
        release();
        await waitFor(page, () => !document.querySelector("#next").disabled && document.querySelector("#message").textContent !== "请稍候…");
        assert.equal(site.count(path), before + 1);
        assert.equal((await page.$$("[aria-busy=true]")).length, 0);
      });
    }

    for (const [what, [path, begin]] of Object.entries(underWay).slice(1)) {
      pageTest(`${what} that arrives after a logout, and another login, is not used`, {}, async (page, site) => {
        if (what !== "a list") {
          await logIn(page, "many");
          await waitForText(page, "#message", "23 virtual machines");
        }
        const held = site.hold(path);
        await begin(page);
        const release = await held;
        await press(page, "#logout");
        await waitForText(page, "#message", "You are logged out.");
        const settled = await page.evaluate(() => window.settled);
        const isLate = what === "a list";
        if (!isLate) {
          await logIn(page, "luoyun");
          await waitForText(page, "#message", "3 virtual machines");
        }
        release();
        // Without an abort, the late reply is one more.
        await page.evaluate(() => fetch(location.href));
        await waitFor(page, (settled) => window.settled > settled, settled);
        assert.deepEqual(await names(page), isLate ? [] : ["openerp7 img gz", "gallery3", "ubuntu 12.04 64位版"]);
        await waitForText(page, "#message", isLate ? "You are logged out." : "3 virtual machines");
        assert.equal(await isShown(page, "#login"), isLate);
        assert.deepEqual(readdirSync(page.downloads), []);
      });
    }

    pageTest("Back before a page or a file arrives shows the page of the address", {}, async (page, site) => {
      await logIn(page, "many");
      await waitForText(page, "#page", "Page 1 of 3, 23 in all");
      await page.click("#next");
      await waitForText(page, "#page", "Page 2 of 3, 23 in all");
      for (const [path, control] of [[LIST, "#next"], [INFO, "#rows button"]]) {
        const held = site.hold(path);
        await press(page, control);
        const release = await held;
        await page.evaluate(() => history.back());
        await waitForText(page, "#page", "Page 1 of 3, 23 in all");
        release();
        await page.evaluate(() => fetch(location.href));
        assert.equal(await textOf(page, "#page"), "Page 1 of 3, 23 in all");
        await page.evaluate(() => history.forward());
        await waitForText(page, "#page", "Page 2 of 3, 23 in all");
      }
      assert.deepEqual(readdirSync(page.downloads), []);
    });

    pageTest("a load that fails offers a retry and a logout", {}, async (page, site) => {
      const unreadable = (status) => `The server cannot answer now (HTTP ${status}).`;
      const rows = [
        [null, "The server does not answer."], [{ status: 500, body: "" }, unreadable(500)],
        [{ status: 502, headers: { "content-type": "text/html" }, body: "<h1>Bad Gateway</h1>" }, unreadable(502)],
        ...[null, [], 1, "x", {}, { code: 0 }, { code: 1 }, { code: 1, error: 5 }, { code: 0, list: null }, { code: 0, list: {} }, { code: 0, list: [null] }, { code: 0, list: [{}] }]
          .map((body) => [{ body: JSON.stringify(body) }, unreadable(200)]),
        [refusal("busy", 503, { "retry-after": "1" }), "The server is busy. Try again in a moment."],
        [refusal("too_many_attempts", 429, { "retry-after": "9" }), "The server is busy. Try again in a moment."],
        [refusal("internal", 500), "Something went wrong on the server. Try again later."],
      ];
      await logIn(page, "many");
      await waitForText(page, "#message", "23 virtual machines");
      for (const [reply, message] of rows) {
        site.rules[LIST] = () => reply;
        await page.reload();
        await waitForText(page, "#message", message);
        assert.equal(await focused(page), "retry");
        assert.equal(await isShown(page, "#logout"), true);
        site.rules[LIST] = null;
        await page.click("#retry");
        await waitForText(page, "#message", "23 virtual machines");
      }
      site.rules[LIST] = () => null;
      await page.click("#next");
      await waitForText(page, "#message", "The server does not answer.");
      assert.equal((await names(page))[0], "vm 1The first one.");
      site.rules[LIST] = null;
      await page.click("#retry");
      await waitForText(page, "#page", "Page 2 of 3, 23 in all");
      site.rules[LIST] = () => null;
      await page.evaluate(() => history.back());
      await waitForText(page, "#message", "The server does not answer.");
      assert.deepEqual(await names(page), []);
      await page.click("#logout");
      await waitForText(page, "#message", "You are logged out.");
    });

    pageTest("a list without the optional fields is shown", {}, async (page, site) => {
      site.rules[LIST] = () => ({ body: { code: 0, list: [{ id: 1 }, instance(2, { vdi_host: "a b" }), instance(3, { vdi_type: 2 })] } });
      await logIn(page, "luoyun");
      await waitForText(page, "#message", "3 virtual machines");
      const cells = await page.$$eval("#rows td", (cells) => cells.map((cell) => cell.textContent.trim()));
      assert.deepEqual(cells, ["1", "", "", "none", "2", "vm 2", "application is running", "none", "3", "vm 3", "application is running", "10.0.0.2:5900"]);
      assert.equal(await page.$("#rows button"), null);
    });

    pageTest("every error of the contract has a message in both languages", {}, async (page, site) => {
      const errors = read("../../docs/contract.md").split("### Errors")[1].split("## POST")[0];
      const words = [...errors.matchAll(/^\| `(\w+)` \| \d/gm)].map(([, word]) => word);
      assert.ok(words.length >= 12, words);
      for (const word of new Set([...words, "request_timeout", "busy", "cross_site", "new_word", "toString"])) {
        site.rules["api/login"] = () => refusal(word);
        await logIn(page, "luoyun");
        await waitFor(page, () => /[.:]/.test(document.querySelector("#message").textContent));
        const isKnown = !/^The server refuses this: /.test(await textOf(page, "#message"));
        assert.equal(isKnown, !/new_word|toString/.test(word), word);
        await page.select("#language", "zh");
        assert.match(await textOf(page, "#message"), /^[\p{sc=Han}，]+([。]|：\w+)$/u, word);
        await page.select("#language", "en");
      }
      assert.equal(await isShown(page, "#login"), true);
    });

    pageTest("a wait is a deadline on the clock, for the name that has to wait", {}, async (page, site) => {
      site.rules["api/login"] = () => refusal("too_many_attempts", 429, { "retry-after": "30" });
      await logIn(page, "guessed", "wrong");
      await waitForText(page, "#message", "Too many wrong passwords.");
      assert.match(await textOf(page, "#countdown"), /^Try again in (29|30) s$/);
      assert.equal(await isDisabled(page, "#login button"), true);
      await fill(page, "#username", "luoyun");
      assert.deepEqual([await textOf(page, "#countdown"), await textOf(page, "#message")], ["", ""]);
      assert.equal(await isDisabled(page, "#login button"), false);
      await fill(page, "#username", " guessed ");
      assert.equal(await isDisabled(page, "#login button"), true);
      // The clock goes back an hour, and then the lid is closed for 20 s.
      for (const [ahead, left] of [[-3_600_000, /^Try again in (2\d|30) s$/], [20_000, /^Try again in (\d|10) s$/], [40_000, /^$/]]) {
        await page.evaluate((ahead) => (window.ahead = ahead), ahead);
        await waitFor(page, (left) => new RegExp(left).test(document.querySelector("#countdown").textContent), left.source);
      }
      assert.equal(await isDisabled(page, "#login button"), false);
    });

    pageTest("the keyboard alone is sufficient", {}, async (page) => {
      assert.equal(await focused(page), "username");
      await page.keyboard.type("many");
      await page.keyboard.press("Tab");
      await page.keyboard.type("many");
      await page.keyboard.press("Enter");
      await waitForText(page, "#page", "Page 1 of 3, 23 in all");
      assert.equal(await focused(page), "heading");
      await page.keyboard.press("Tab");
      await page.keyboard.press("Enter");
      await saved(page, ["501.vv"]);
      await waitForText(page, "#message", "Saved 501.vv. Open it with remote-viewer.");
      assert.equal(await focused(page), "open501");
      for (let i = 0; i < 20 && (await focused(page)) !== "next"; i += 1) await page.keyboard.press("Tab");
      await page.keyboard.press(" ");
      await waitForText(page, "#page", "Page 2 of 3, 23 in all");
      await page.keyboard.down("Shift");
      await page.keyboard.press("Tab");
      await page.keyboard.up("Shift");
      assert.equal(await focused(page), "logout");
      await page.keyboard.press("Enter");
      await waitForText(page, "#message", "You are logged out.");
    });

    pageTest("the language is the browser's, and a choice persists", { locale: "zh-CN" }, async (page) => {
      assert.equal(await textOf(page, "#login h2"), "登录");
      await logIn(page, "luoyun", "wrong");
      await waitForText(page, "#message", "用户名或密码错误。");
      await logIn(page, "luoyun");
      await waitForText(page, "#message", "3 台虚拟机");
      assert.equal(await textOf(page, "#rows tr:first-child .status"), "已停止");
      await page.select("#language", "en");
      await waitForText(page, "#message", "3 virtual machines");
      assert.equal(await textOf(page, "#rows tr:first-child .status"), "instance is stopped");
      await page.reload();
      await waitForText(page, "#message", "3 virtual machines");
      assert.equal(await page.$eval("html", ({ lang }) => lang), "en");
    });

    const storages = {
      "is blocked": () => {
        for (const name of ["localStorage", "sessionStorage"]) {
          Object.defineProperty(window, name, { get: () => { throw new DOMException("blocked", "SecurityError"); } });
        }
      },
      "is full": () => (Storage.prototype.setItem = () => { throw new DOMException("full", "QuotaExceededError"); }),
      "holds rubbish": () => {
        for (const storage of [localStorage, sessionStorage]) {
          for (const key of ["language", "session_key"]) if (!storage[key]) storage[key] = "toString";
        }
      },
    };
    for (const [state, prepare] of Object.entries(storages)) {
      pageTest(`storage that ${state} is replaced by memory`, { prepare }, async (page) => {
        if (state === "holds rubbish") await waitForText(page, "#message", "Your session has ended. Log in again.");
        await logIn(page, "many");
        await waitForText(page, "#message", "23 virtual machines");
        await page.select("#language", "zh");
        await page.click("#next");
        await waitForText(page, "#page", "第 2 页，共 3 页，23 台");
        await page.click("#logout");
        await waitForText(page, "#message", "您已退出。");
        await press(page, "#next");
        assert.equal(await isShown(page, "#login"), true);
      });
    }

    pageTest("a duplicated tab, and a page that Back restores, show no other user's instances", {}, async (page, site) => {
      await logIn(page, "many");
      await waitForText(page, "#message", "23 virtual machines");
      const key = await page.evaluate(() => sessionStorage.session_key);
      const tab = await open(browser, site, { context: page.browserContext() });
      await tab.evaluate((key) => (sessionStorage.session_key = key), key);
      await tab.reload();
      await waitForText(tab, "#message", "23 virtual machines");
      await press(tab, "#logout");
      await waitForText(page, "#message", "You are logged out.");
      assert.deepEqual(await names(page), []);
      await logIn(tab, "many");
      await waitForText(tab, "#message", "23 virtual machines");
      await tab.close();
      await logIn(page, "luoyun");
      await waitForText(page, "#message", "3 virtual machines");
      await page.evaluate(() => {
        sessionStorage.removeItem("session_key");
        dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true }));
      });
      assert.deepEqual([await names(page), await isShown(page, "#login")], [[], true]);
    });

    for (const end of ["/", ""]) {
      pageTest(`below a path, "/vdi${end}", the page uses the API there`, { prefix: "/vdi" }, async (page, site) => {
        await page.goto(site.url.replace(/\/$/, end));
        await logIn(page, "many");
        await waitForText(page, "#message", "23 virtual machines");
        await page.click("#next");
        await waitForText(page, "#page", "Page 2 of 3, 23 in all");
        await page.reload();
        await waitForText(page, "#page", "Page 2 of 3, 23 in all");
        await page.click("#logout");
        await waitForText(page, "#message", "You are logged out.");
      });
    }

    pageTest("without JavaScript, a sentence says what is needed", {}, async (page, site) => {
      site.rules[""] = (forward) => forward({ "content-security-policy": "script-src 'none'" });
      await page.goto(site.url);
      await waitForText(page, "#message", "This page needs JavaScript. 本页面需要 JavaScript。");
      assert.equal(await isShown(page, "#language"), false);
      page.errors.length = 0;
    });

    pageTest("columns keep readable widths beside the longest names and summaries", {}, async (page, site) => {
      const long = instance(2252, { name: "W".repeat(64), summary: "概要W".repeat(341), status_string: "new instance that hasn't run once", vdi_host: "fd00:1234:5678:9abc:def0:1234:5678:9abc", vdi_port: 65535 });
      site.rules[LIST] = () => listOf([long, instance(1), instance(2, { summary: "s".repeat(1024) })], { total: 1e6 });
      await logIn(page, "luoyun");
      await waitForText(page, "#message", "1000000 virtual machines");
      for (const width of WIDTHS) {
        await page.setViewport({ width, height: 700 });
        const { wider, broken } = await page.evaluate(() => {
          const range = document.createRange();
          const broken = [];
          // A word of a label or status is on one line.
          for (const element of document.querySelectorAll(`${innerWidth > 700 ? "th, " : ""}.status, button, #page`)) {
            for (const node of element.childNodes) {
              for (const { 0: word, index } of node.data?.matchAll(/\S+/g) ?? []) {
                range.setStart(node, index);
                range.setEnd(node, index + word.length);
                if (element.checkVisibility() && range.getBoundingClientRect().height > 30) broken.push(word);
              }
            }
          }
          return { wider: document.documentElement.scrollWidth - innerWidth, broken };
        });
        assert.deepEqual([wider <= 0, broken], [true, []], `${width}`);
        const name = await page.$eval("#rows td:nth-child(2)", (cell) => cell.clientWidth);
        assert.ok(name >= 200, `${width}: ${name}`);
      }
    });

    for (const [locale, scheme, wrong, bye] of [
      ["en-US", "light", "The user name or the password is wrong.", "You are logged out."],
      ["zh-CN", "dark", "用户名或密码错误。", "您已退出。"],
    ]) {
      // Firefox takes no scheme over BiDi.
      pageTest(`accessible and no wider than the viewport: ${locale}`, { scheme: name === "chrome" && scheme, locale }, async (page, site) => {
        for (const width of WIDTHS) {
          await page.setViewport({ width, height: 700 });
          await assertAccessible(page, "login");
          await logIn(page, "many", `wrong ${width}`);
          await waitForText(page, "#message", wrong);
          await assertAccessible(page, "refused");
          for (const user of ["many", "hostile", "empty", "failed"]) {
            site.rules[LIST] = user === "failed" ? () => null : null;
            await logIn(page, user === "failed" ? "many" : user);
            await page.waitForSelector(user === "failed" ? "#retry" : "#instances:has(#heading:focus)", { visible: true });
            await assertAccessible(page, user);
            const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
            assert.ok(wider <= 0, `${user}: ${wider} pixels too wide`);
            await page.click("#logout");
            await waitForText(page, "#message", bye);
          }
        }
      });
    }
  });
}
