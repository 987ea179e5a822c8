#!/usr/bin/env python3
"""make bench: measures the API with wrk, and prints the tables of docs/performance.md. What is
compared alternates. A figure is the median of the rounds, the first of which is a warm-up."""

import contextlib
import json
import os
import pathlib
import re
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
LOGIN, BASEINFO, LIST = "/api/login", "/api/instance/baseinfo", "/api/myun/instance"
RIGHT, WRONG = "username=bench&password=password", "username=nobody&password=x"
# A login never ends the readers' session.
MANY = {"sessions_per_user": 1_000_000}
CHEAPEST = MANY | {"password_memory_kib": 8, "password_passes": 1}

# wrk's script. Its arguments: the form to send, and a text that each expected reply contains.
LUA = r"""
local threads = {}
wrong = 0
wrk.method, wrk.headers["Content-Type"] = "POST", "application/x-www-form-urlencoded"
function setup(thread) table.insert(threads, thread) end
function init(args) wrk.body, expected = args[1], args[2] end
function response(status, fields, body)
  if not body:find(expected, 1, true) then wrong = wrong + 1 end
end
function done(summary, latency)
  local lost = summary.errors
  for _, thread in ipairs(threads) do wrong = wrong + thread:get("wrong") end
  print(string.format('{"rate": %f, "p50": %f, "p99": %f, "errors": %d}',
    summary.requests / summary.duration * 1e6, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3, wrong + lost.connect + lost.read + lost.write + lost.timeout))
end
"""


class Server:
    """A host in a process group of its own, on a new state folder with the data of `fill`."""
    def __init__(self, bench, fill, manifest=None, variables=CHEAPEST):
        folder = tempfile.TemporaryDirectory(prefix="luoyun-bench-", ignore_cleanup_errors=True)
        state = pathlib.Path(bench.enter_context(folder))
        subprocess.run([ROOT / "scripts/state-folder.sh", state], check=True)
        with contextlib.closing(sqlite3.connect(state / "sqlite_db.db")) as database:
            database.execute("ATTACH ? AS kv", [str(state / "sqlite_key_value.db")])
            database.executescript(fill)
        command = ["spin", "up"] if HOST != "devhost" else [ROOT / "target/debug/devhost"]
        command += ["--from", ROOT / (manifest or MANIFEST)]
        command += ["--listen", "127.0.0.1:0", "--state-dir", state]
        for name, value in variables.items():
            command += ["--variable", f"{name}={value}"]
        output = state / "output.log"
        with output.open("w") as log:
            process = bench.enter_context(subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True))
        bench.callback(os.killpg, process.pid, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while not (served := re.search(r"^Serving (http://\S+)\n", output.read_text(), re.M)):
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"The server does not serve: {output.read_text()}")
            time.sleep(0.05)
        self.url = served[1]

    def log_in(self):
        """Returns the forms of a list and of a baseinfo, with a session of the user bench."""
        reply = urllib.request.urlopen(self.url + LOGIN, RIGHT.encode())
        session = f"session_key={json.load(reply)['session_key']}"
        return session, f"{session}&instance_id=10"


def data(size):
    """tests/dataset.sql with `size` instances, users and sessions."""
    files = [ROOT / "migrations/local.sql", *sorted((ROOT / "migrations").glob("[0-9]*.sql"))]
    tables = "".join(file.read_text() for file in files)
    dataset = (ROOT / "tests/dataset.sql").read_text()
    return f"{tables} BEGIN; CREATE TEMP TABLE size AS SELECT {size} AS rows; {dataset} COMMIT;"


# The entry that tests/components/bare reads.
BARE = """PRAGMA main.journal_mode = WAL;
CREATE TABLE kv.spin_key_value
    (store TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (store, key));
INSERT INTO kv.spin_key_value VALUES ('default', 'entry', CAST('1 4000000000 7' AS BLOB));"""


def start(seconds, server, connections, path, form, expected='"code":0'):
    return subprocess.Popen(
        ["wrk", "--threads=1", f"--connections={connections}", f"--duration={seconds}s",
         "--timeout=10s", f"--script={SCRIPT}", server.url + path, "--", form, expected],
        stdout=subprocess.PIPE, text=True)


def compare(title, variants, seconds=1):
    """Prints, for each variant, the figures of the first of its loads beside the others, and their
    ratios to those of the first variant."""
    rounds = {name: [] for name in variants}
    for number in range(ROUNDS + 1):
        for name, loads in variants.items():
            print(f"{title}, {name}, round {number} of {ROUNDS}", file=sys.stderr)
            wrks = [start(seconds, *load) for load in loads]
            results = [json.loads(wrk.communicate()[0].splitlines()[-1]) for wrk in wrks]
            if number:
                rounds[name].append(results[0])
                if errors := sum(result["errors"] for result in results):
                    print(f"{name}: {errors} replies were not as expected.\n")
    keys = ["rate", "p50", "p99"]
    print(f"| {title} | requests/s | p50, ms | p99, ms | ratios |\n| --- | ---: | ---: | ---: | ---: |")
    for name, results in rounds.items():
        medians = [statistics.median(result[key] for result in results) for key in keys]
        first = medians if name == [*rounds][0] else first
        ratios = ", ".join(f"{ours / its:.2f}" for ours, its in zip(medians, first))
        print(f"| {name} | {medians[0]:.0f} | {medians[1]:.2f} | {medians[2]:.2f} | {ratios} |")
    print(flush=True)


def endpoints(bench):
    """The endpoints, and the components of tests/components."""
    baselines = (ROOT / "tests/components/spin.toml").read_text().replace("../../target/", "")
    for version, manifest, profile in [("0.2", "spin.toml", "release"),
                                       ("0.3", "spin-wasi03.toml", "wasi03")]:
        if version == "0.3" and MANIFEST == "spin.toml":
            continue
        api = Server(bench, data(10_000), manifest)
        file = ROOT / f"target/components-{profile}.toml"
        file.write_text(baselines.replace("release", profile))
        components = Server(bench, BARE, file, {})
        session, desktop = api.log_in()
        for endpoint, path, form, calls in [
            ("baseinfo", BASEINFO, desktop, "bytes=70"),
            ("list of 10", LIST, session, "bytes=2260"),
            ("login, cheapest password", LOGIN, RIGHT, "bytes=50&login=1"),
        ]:
            # A login has the same module in both manifests.
            for connections in [1, 16] if version == "0.2" or path != LOGIN else []:
                compare(f"{endpoint}, WASI {version}, {connections} connections", {
                    "bare": [(components, connections, "/bare", calls)],
                    "empty": [(components, connections, "/empty", "")],
                    "luoyun-api": [(api, connections, path, form)]})


def load(bench):
    """A reader beside other clients."""
    variants = {}
    for name, count, request, variables in [
        ("others", 0, None, CHEAPEST),
        ("readers", 8, BASEINFO, CHEAPEST),
        ("logins, cheapest password", 8, (LOGIN, RIGHT), CHEAPEST),
        ("wrong logins, not yet throttled", 64, (LOGIN, WRONG, '"auth_failed"'),
         MANY | {"login_failures": 1_000_000, "login_address_failures": 1_000_000}),
        # The wait outlasts the measurement; it begins during the warm-up.
        ("wrong logins, throttled", 64, (LOGIN, WRONG, '"too_many_attempts"'),
         MANY | {"login_first_wait_seconds": 900}),
    ]:
        server = Server(bench, data(10_000), variables=variables)
        reader = BASEINFO, server.log_in()[1]
        beside = [(server, count, *(reader if request == BASEINFO else request))] if count else []
        variants[f"{count} {name}"] = [(server, 1, *reader), *beside]
    compare("a reader beside", variants, seconds=3)


def growth(bench):
    sizes = [1_000, 100_000] if ROUNDS == 1 else [1_000, 10_000, 100_000, 1_000_000]
    servers = {f"{size:,} instances": Server(bench, data(size)) for size in sizes}
    forms = {name: server.log_in() for name, server in servers.items()}
    for title, path, form in [
        ("baseinfo", BASEINFO, "{1}"), ("first page", LIST, "{0}"), ("page 50", LIST, "{0}&p=50"),
        ("login", LOGIN, RIGHT),
    ]:
        compare(title, {name: [(server, 1, path, form.format(*forms[name]))]
                        for name, server in servers.items()})


PARTS = {"endpoints": endpoints, "load": load, "growth": growth}
ROUNDS = 1 if "--quick" in sys.argv else 5
HOST, MANIFEST = [subprocess.check_output([ROOT / "scripts" / script], text=True).strip()
                  for script in ["host.sh", "manifest.sh"]]
with tempfile.NamedTemporaryFile("w", prefix="luoyun-bench-", suffix=".lua") as script:
    script.write(LUA)
    script.flush()
    SCRIPT = script.name
    print(f"{HOST} with {MANIFEST}, {os.cpu_count()} processors\n")
    for part in [part for part in sys.argv[1:] if part != "--quick"] or PARTS:
        with contextlib.ExitStack() as servers:
            PARTS[part](servers)
