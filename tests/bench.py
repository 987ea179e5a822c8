#!/usr/bin/env python3
"""make bench: measures the API with wrk, and prints the tables of docs/performance.md. What is
compared alternates. A figure is the median of the rounds, the first of which is a warm-up."""

import contextlib
import hashlib
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

ROOT = pathlib.Path(__file__).resolve().parent.parent
LOGIN, LOGOUT = "/api/login", "/api/logout"
BASEINFO, LIST = "/api/instance/baseinfo", "/api/myun/instance"
SUCCESS, RIGHT = '"code":0', "username=bench&password=password"
WRONG = (LOGIN, "username=$N&password=x")
# A login never ends the readers' session.
MANY = {"sessions_per_user": 1_000_000}
CHEAPEST = MANY | {"password_memory_kib": 8, "password_passes": 1}
# Of the known sessions, the readers have number 0, and each logout takes another one.
SESSION = f"session_key={0:040x}"
DESKTOP = f"{SESSION}&instance_id=10"

# wrk's script. Its arguments: a text that each expected reply contains; the number of the first
# request; then, in turn, paths and forms, in which $N stands for the request's number.
LUA = r"""
local threads, ready = {}, {}
local form = {["Content-Type"] = "application/x-www-form-urlencoded"}
wrong = 0
function setup(thread) table.insert(threads, thread) end
function init(args) expected, number, arguments = args[1], tonumber(args[2]), args end
function request()
  local at = 3 + number % ((#arguments - 2) / 2) * 2
  number = number + 1
  if ready[at] then return ready[at] end
  local body, numbered = arguments[at + 1]:gsub("%$N", string.format("%040x", number))
  local request = wrk.format("POST", arguments[at], form, body)
  if numbered == 0 then ready[at] = request end
  return request
end
function response(status, fields, body)
  if not body:find(expected, 1, true) then wrong = wrong + 1 end
end
function done(summary, latency)
  for _, thread in ipairs(threads) do wrong = wrong + thread:get("wrong") end
  local lost = summary.errors
  wrong = wrong + lost.connect + lost.read + lost.write + lost.timeout
  print(string.format('{"rate": %f, "p50": %f, "p99": %f, "errors": %d}',
    summary.requests / summary.duration * 1e6, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3, wrong))
end
"""


def table(heads, rows):
    for row in [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]:
        print(f"| {' | '.join(map(str, row))} |")
    print(flush=True)


def cells(it):
    return [f"{it['rate']:.0f}", f"{it['p50']:.2f}", f"{it['p99']:.2f}"]


def ratios(one, other, *figures):
    return ", ".join(f"{one[it] / other[it]:.2f}" if other[it] else "-" for it in figures)


class Server:
    """A host in a process group of its own, on a new state folder, which `fill` fills."""
    def __init__(self, bench, fill, manifest=None, variables=CHEAPEST):
        self.folder = tempfile.TemporaryDirectory(prefix="luoyun-bench-")
        bench.callback(self.folder.cleanup)
        state = pathlib.Path(self.folder.name)
        subprocess.run([ROOT / "scripts/state-folder.sh", state], check=True)
        with sqlite3.connect(state / "sqlite_db.db", isolation_level=None) as database:
            database.execute("ATTACH ? AS kv", [str(state / "sqlite_key_value.db")])
            fill(database)
        database.close()
        command = ["spin", "up"] if HOST != "devhost" else [ROOT / "target/debug/devhost"]
        command += ["--from", ROOT / (manifest or MANIFEST)]
        command += ["--listen", "127.0.0.1:0", "--state-dir", state]
        for name, value in variables.items():
            command += ["--variable", f"{name}={value}"]
        output = state / "output.log"
        with output.open("w") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        bench.callback(self.stop)
        deadline = time.monotonic() + 60
        while not (served := re.search(r"^Serving (http://\S+)\n", output.read_text(), re.M)):
            if self.process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"The server does not serve: {output.read_text()}")
            time.sleep(0.05)
        self.url = served[1]

    def stop(self):
        for end in [signal.SIGTERM, signal.SIGKILL]:
            with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                os.killpg(self.process.pid, end)
                self.process.wait(30)


def data(instances, users, sessions, keys=1):
    """tests/it/dataset.sql, and `keys` known sessions: number 0 of the user bench, who owns 1,000
    of the instances; the others of user 2, as a login looks at all sessions of its user."""
    def fill(database):
        migrations = (ROOT / "migrations").glob("[0-9]*.sql")
        for file in [ROOT / "migrations/local.sql", *sorted(migrations)]:
            database.executescript(file.read_text())
        database.execute(f"CREATE TEMP TABLE size AS SELECT {instances} AS instances, "
                         f"{users} AS users, {sessions} AS sessions")
        database.executescript(f"BEGIN; {(ROOT / 'tests/it/dataset.sql').read_text()}")
        known = [(hashlib.sha1(f"{key:040x}".encode()).hexdigest(), 2 if key else 1)
                 for key in range(keys)]
        database.executemany("INSERT INTO sessions (digest, user_id, expires_at) "
                             "VALUES (?, ?, 4000000000)", known)
        database.executemany("INSERT INTO kv.spin_key_value VALUES ('default', ?, ?)",
                             [(f"session:{digest}", f"{user} 4000000000 7".encode())
                              for digest, user in known])
        database.execute("COMMIT")
    return fill


def bare(database):
    """A database without tables, in WAL mode, and the entry that tests/components/bare reads."""
    database.execute("PRAGMA main.journal_mode = WAL")
    database.execute("CREATE TABLE kv.spin_key_value (store TEXT NOT NULL, key TEXT NOT NULL, "
                     "value BLOB NOT NULL, PRIMARY KEY (store, key))")
    database.execute("INSERT INTO kv.spin_key_value VALUES ('default', 'entry', ?)",
                     [b"1 4000000000 7"])


class Load:
    """Requests to a server: in turn, those of `targets`, which are paths and forms."""
    def __init__(self, server, connections, *targets, expected=SUCCESS, number=1):
        self.server, self.connections, self.number = server, connections, number
        self.expected, self.requests = expected, [part for target in targets for part in target]

    def start(self, seconds):
        return subprocess.Popen(
            ["wrk", "--threads=1", f"--connections={self.connections}", f"--duration={seconds}s",
             "--timeout=10s", f"--script={SCRIPT}", self.server.url, "--", self.expected,
             str(self.number), *self.requests], stdout=subprocess.PIPE, text=True)


def run(loads, seconds):
    """Runs loads at the same time; returns the results of each."""
    wrks = [load.start(seconds) for load in loads]
    results = [json.loads(wrk.communicate(timeout=60)[0].splitlines()[-1]) for wrk in wrks]
    for load, result in zip(loads, results):
        load.number += int(result["rate"] * seconds * 1.5) + load.connections
        if result["errors"] and load.expected == SUCCESS:
            print(f"{result['errors']} replies of {load.requests[0]} were not as expected.\n")
    return results


def measure(variants, label="", seconds=1):
    """For each variant, the medians of each of its loads over all rounds."""
    rounds = {name: [] for name in variants}
    for number in range(ROUNDS + 1):
        for name, loads in variants.items():
            print(f"{label}{name}, round {number} of {ROUNDS}", file=sys.stderr)
            results = run(loads, seconds)
            if number:
                rounds[name].append(results)
    return {name: [{key: statistics.median([result[key] for result in results])
                    for key in results[0]} for results in zip(*of_variant)]
            for name, of_variant in rounds.items()}


def endpoints(bench):
    """The endpoints, and the components of tests/components: (a) and (b) of docs/performance.md."""
    rows, baselines = [], (ROOT / "tests/components/spin.toml").read_text()
    manifests = {"0.2": ("spin.toml", "release"), "0.3": ("spin-wasi03.toml", "wasi03")}
    for version, (manifest, profile) in manifests.items():
        if version == "0.3" and MANIFEST == "spin.toml":
            continue
        api = Server(bench, data(10_000, 1_000, 1_000, keys=200_000), manifest)
        components = ROOT / f"target/components-{profile}.toml"
        components.write_text(re.sub(r"release/(empty|bare)", rf"{profile}/\1",
                                     baselines.replace("../../target/", "")))
        components, number = Server(bench, bare, components, {}), 1
        for endpoint, path, form, calls in [
            ("baseinfo", BASEINFO, DESKTOP, "bytes=70"),
            ("list of 10", LIST, SESSION, "bytes=2260"),
            ("logout", LOGOUT, "session_key=$N", None),
            # The module is the same for both.
            ("login, cheapest password", LOGIN, RIGHT, "bytes=50&login=1"),
        ][:4 if version == "0.2" else 3]:
            for connections in [1, 16]:
                variants = {"luoyun-api": [Load(api, connections, (path, form), number=number)],
                            "(a)": [Load(components, connections, ("/empty", ""))]}
                if calls:
                    variants["(b)"] = [Load(components, connections, ("/bare", calls))]
                label = f"{endpoint}, WASI {version}, {connections} connections, "
                [ours], *others = measure(variants, label).values()
                if path == LOGOUT:
                    number = variants["luoyun-api"][0].number
                others = [f"{it['rate']:.0f} ({ratios(ours, it, 'rate')})" for [it] in others]
                rows.append([endpoint, version, connections, *cells(ours), *others, ""][:8])
    table(["endpoint", "WASI", "connections", "requests/s", "p50, ms", "p99, ms", "(a)", "(b)"],
          rows)


def load(bench):
    """A reader beside other clients."""
    size = data(10_000, 1_000, 1_000)
    cheapest = Server(bench, size)
    unlimited = Server(bench, size, variables=MANY | {"login_address_failures": 1_000_000})
    # The wait outlasts the measurement; it begins during the warm-up.
    throttled = Server(bench, size, variables=MANY | {"login_first_wait_seconds": 900})
    variants = {"none": (cheapest, None)}
    for name, server, count, request, expected in [
        ("readers", cheapest, 8, (BASEINFO, DESKTOP), SUCCESS),
        ("logins, cheapest password", cheapest, 8, (LOGIN, RIGHT), SUCCESS),
        ("wrong logins, not yet throttled", unlimited, 64, WRONG, '"auth_failed"'),
        ("wrong logins, throttled", throttled, 64, WRONG, '"too_many_attempts"'),
    ]:
        variants[f"{count} {name}"] = (server, Load(server, count, request, expected=expected))
    results = measure({name: [Load(server, 1, (BASEINFO, DESKTOP), (LIST, SESSION)),
                              *([beside] if beside else [])]
                       for name, (server, beside) in variants.items()}, seconds=3)
    [alone] = results["none"]
    table(["background load", "its requests/s", "reader's p50, ms", "p99, ms", "to none"],
          [[name, *(f"{other['rate']:.0f}" for other in others or [{"rate": 0}]), *cells(it)[1:],
            ratios(it, alone, "p50", "p99")] for name, (it, *others) in results.items()])


def growth(bench):
    sizes = [1_000, 100_000] if QUICK else [1_000, 10_000, 100_000, 1_000_000]
    servers = {f"{size:,} instances": Server(bench, data(size, size, size)) for size in sizes}
    requests = {"baseinfo": (BASEINFO, DESKTOP), "first page": (LIST, SESSION),
                "page 50": (LIST, f"{SESSION}&p=50"), "login": (LOGIN, RIGHT)}
    rows = [[name] for name in [*servers, "last to first"]]
    for name, request in requests.items():
        loads = {size: [Load(server, 1, request)] for size, server in servers.items()}
        results = [it for [it] in measure(loads, f"{name}, ").values()]
        column = [*(f"{it['p50']:.2f}" for it in results), ratios(results[-1], results[0], "p50")]
        rows = [[*row, cell] for row, cell in zip(rows, column)]
    table(["p50 in ms, 1 connection", *requests], rows)


PARTS = {"endpoints": endpoints, "load": load, "growth": growth}
QUICK = "--quick" in sys.argv
HOST, MANIFEST = [subprocess.check_output([ROOT / "scripts" / script], text=True).strip()
              for script in ["host.sh", "manifest.sh"]]
parts = [part for part in sys.argv[1:] if part != "--quick"] or [*PARTS]
if not set(parts) <= set(PARTS):
    sys.exit(f"ARGS= takes --quick and any of {', '.join(PARTS)}, not {' '.join(parts)}.")
ROUNDS = 1 if QUICK else 5
with tempfile.NamedTemporaryFile("w", prefix="luoyun-bench-", suffix=".lua") as script:
    script.write(LUA)
    script.flush()
    SCRIPT = script.name
    print(f"Server: {HOST} with {MANIFEST}, on the loopback interface, with {os.cpu_count()} "
          "processors.\n")
    for part in parts:
        with contextlib.ExitStack() as servers:
            PARTS[part](servers)
