//! Failing stores: each request gets `internal`, the cause is logged once, and the first request
//! after the failure succeeds.

use api_tests::cases::{auth_failed, auth_required};
use api_tests::dataset::WEAK;
use api_tests::server::{at_once, value};
use api_tests::{Admin, LOGIN, LOGOUT, Server, Setup, read, toml};
use serde_json::{Value, json};

fn log_in_with(server: &Server, password: &str) -> Value {
    let form = [("username", "luoyun"), ("password", password)];
    let response = server.connect().post(LOGIN, &form);
    let reply = response.json();
    assert_eq!(response.status, if reply["error"] == "internal" { 500 } else { 200 });
    reply
}

fn log_in(server: &Server) -> Value {
    log_in_with(server, "luoyun")
}

fn internal() -> Value {
    let desc = "Something went wrong on the server. Try again later.";
    json!({"code": 1, "desc": desc, "error": "internal"})
}

fn logged(server: &Server) -> Vec<String> {
    server.logged("error=")
}

/// Asserts that exactly one line has been logged after the first `before` lines, that it contains
/// `cause`, and that it starts with the pairs that the README describes.
fn assert_logged_once(server: &Server, before: &mut usize, cause: &str) {
    let lines = logged(server);
    let new = &lines[*before..];
    assert!(new.len() == 1 && new[0].contains(cause), "{cause}: {new:?}");
    let mut pairs = new[0].split(' ').map(|pair| pair.split_once('=').unwrap_or_default());
    let (endpoint, error) = (pairs.next().unwrap(), pairs.next().unwrap());
    let endpoints = ["login", "logout", "myun/instance"].map(|it| ("endpoint", it));
    let errors = ["internal", "auth_required"].map(|it| ("error", it));
    assert!(endpoints.contains(&endpoint) && errors.contains(&error), "{new:?}");
    let is_time = |(name, time): (&str, &str)| name == "duration_us" && time.parse::<u64>().is_ok();
    assert!(pairs.next().is_some_and(is_time), "{new:?}");
    *before = lines.len();
}

#[test]
fn logins_create_the_tables_of_an_empty_database() {
    let server = Server::start(Setup { bare: true, ..Setup::default() });
    // A first start that broke off.
    server.sql("CREATE TABLE users (id INTEGER PRIMARY KEY); DROP TABLE users");
    // Fewer than are throttled.
    at_once(4, |_| assert_eq!(log_in_with(&server, "x"), auth_failed()));
    assert_eq!(server.value::<String>("PRAGMA journal_mode"), "wal");
    let names = "SELECT group_concat(name) FROM (SELECT name FROM sqlite_schema ORDER BY name)";
    assert_eq!(server.value::<String>(names), Server::with(&[]).value::<String>(names));

    server.sql(&format!("DELETE FROM login_failures; {}", read("migrations/demo.sql")));
    assert_eq!(server.list(&server.log_in("luoyun"))["total"], 3);
    assert_eq!(logged(&server), [""; 0]);
}

#[test]
fn the_first_user_can_be_added_before_the_first_login() {
    let server = Server::start(Setup { bare: true, ..Setup::default() });
    let admin = |file: &str| Admin::on(&server.state().join(file));
    let add = ["user", "add", "luoyun", "--memory-kib", "8", "--passes", "1"];
    admin("sqlite_db.db").done_with(&add, b"luoyun");
    assert_eq!(server.value::<String>("PRAGMA journal_mode"), "wal");
    assert_eq!(server.list(&server.log_in("luoyun"))["total"], 0);
    // A mistyped name creates no database.
    assert_eq!(admin("sqlite.db").run(&["user", "list"]).code, Some(1));
    assert!(!server.state().join("sqlite.db").exists());
}

#[test]
fn another_versions_tables_are_refused_with_what_to_do_and_stay_as_they_are() {
    const ADVICE: &str = "docs/operations.md";
    for (change, cause, advice) in [
        ("users RENAME TO people", "no such table: users", ""),
        ("users DROP COLUMN session_epoch", "no such column", ADVICE),
    ] {
        let sql = format!("DROP TRIGGER user_change_ends_sessions; ALTER TABLE {change}");
        let server = Server::start(Setup { sql: &sql, ..Setup::default() });
        let names = "SELECT group_concat(name) FROM sqlite_schema";
        let before: String = server.value(names);
        let reply = log_in_with(&server, "x");
        assert_eq!(reply["error"], "internal");
        assert!(reply["desc"].as_str().unwrap().contains(advice), "{reply}");
        assert_logged_once(&server, &mut 0, cause);
        assert!(logged(&server)[0].contains(advice));
        assert_eq!(server.value::<String>(names), before);
    }
}

/// The unit test of `api/schema` compares the schema and the rows.
#[test]
fn the_first_requests_add_what_an_earlier_versions_database_lacks() {
    let sql = read("tests/it/0.1.0.sql");
    let variables = &[("login_failures", "1000")];
    let server = Server::start(Setup { bare: true, sql: &sql, variables, ..Setup::default() });
    let key = server.log_in("luoyun");
    for lacks in [
        "DROP INDEX instances_of_user; ALTER TABLE instances DROP COLUMN summary",
        "DROP INDEX sessions_of_user_by_expiry",
        "DROP TRIGGER session_sets_last_login; ALTER TABLE users DROP COLUMN last_login",
        "ALTER TABLE login_failures DROP COLUMN address",
        "DROP TABLE nodes",
    ] {
        server.sql(lacks);
        at_once(8, |i| match i % 3 {
            0 => assert_eq!(server.list(&key)["total"], 3, "{lacks}"),
            1 => assert_eq!(log_in_with(&server, "x"), auth_failed(), "{lacks}"),
            _ => assert!(server.accepts(&server.log_in("luoyun")), "{lacks}"),
        });
    }
    assert_eq!(logged(&server), [""; 0]);
}

/// With a rollback journal, the writer would lock out the readers too.
#[test]
fn a_database_locked_for_longer_than_the_busy_timeout_is_internal_for_logins_alone() {
    let server = Server::with(&[]);
    let key = server.log_in("luoyun");
    let name = || {
        let desc = server.baseinfo(&key, "2252")["desc"].clone();
        [desc, server.list(&key)["list"][0]["name"].clone()]
    };
    let before = name();
    assert_eq!(before, ["Information about openerp7 img gz", "openerp7 img gz"]);

    let db = server.database();
    db.execute_batch("BEGIN EXCLUSIVE; UPDATE instances SET name = 'renamed'").unwrap();
    assert_eq!(log_in(&server), internal());
    assert_logged_once(&server, &mut 0, "database is locked");
    assert_eq!(name(), before, "uncommitted data was read");
    db.execute_batch("COMMIT").unwrap();
    assert_eq!(log_in(&server)["code"], 0);
    assert_eq!(name(), ["Information about renamed", "renamed"]);
    assert_eq!(logged(&server).len(), 1);
}

#[test]
fn a_key_value_store_that_fails_is_internal() {
    let server = Server::with(&[]);
    let key = server.log_in("luoyun");
    let mut lines = 0;

    let db = server.key_value();
    db.execute_batch("ALTER TABLE spin_key_value RENAME TO away").unwrap();
    assert_eq!(server.list(&key), internal());
    assert_logged_once(&server, &mut lines, "get the session's entry");
    assert_eq!(log_in(&server), internal());
    assert_logged_once(&server, &mut lines, "set the session's entry");
    db.execute_batch("ALTER TABLE away RENAME TO spin_key_value").unwrap();
    assert_eq!(server.list(&key)["total"], 3);
    assert_eq!(log_in(&server)["code"], 0);
    assert_eq!(logged(&server).len(), lines);
}

/// Runs `request` while every statement fails that makes a change of the kind `event`.
fn while_failing<T>(server: &Server, event: &str, request: impl FnOnce() -> T) -> T {
    let trigger = "BEGIN SELECT RAISE(ABORT, 'a full disk'); END";
    server.sql(&format!("CREATE TRIGGER \"{event}\" BEFORE {event} {trigger}"));
    let outcome = request();
    server.sql(&format!("DROP TRIGGER \"{event}\""));
    outcome
}

/// Asserts that the database satisfies `condition`, and that each entry in the key-value store has
/// its row.
fn assert_holds(server: &Server, condition: &str) {
    let db = server.database();
    let key_value = server.state().join("sqlite_key_value.db");
    db.execute("ATTACH ?1 AS kv", [key_value.to_str()]).unwrap();
    let orphans = "SELECT NOT EXISTS (SELECT 1 FROM kv.spin_key_value
        WHERE substr(key, 9) NOT IN (SELECT digest FROM sessions))";
    for sql in [orphans, &format!("SELECT {condition}")] {
        assert!(value::<bool>(&db, sql), "{sql}");
    }
}

/// What precedes the outcome of a login is `internal` if it fails. What follows it is logged, and the
/// outcome stands: a client whose session is stored gets its key.
#[test]
fn a_statement_of_a_login_that_fails_loses_nothing() {
    let server = Server::with(&[]);
    let key = server.log_in("luoyun");
    let mut lines = 0;
    // The rows with the largest keys are checked by every sweep.
    let old_failures = "INSERT INTO login_failures (key, failures, retry_at, forget_at)
        VALUES (9223372036854775807, 1, 0, 1)";
    let old_sessions = "INSERT INTO sessions (digest, user_id, expires_at)
        VALUES ('old1', 1, 1), ('old2', 1, 2), ('old3', 1, 3)";
    let is_weak = "password NOT LIKE '$%' FROM users WHERE id = 1";
    let none = "count(*) = 0 FROM login_failures";
    let three = "count(*) = 3 FROM login_failures";
    let four = "count(*) = 2 FROM login_failures WHERE failures = 4";
    let ended = "count(*) = 3 FROM sessions WHERE digest LIKE 'old%'";
    let (right, done) = ("luoyun", json!("Welcome to LYC."));
    let [internal, failed] = [internal(), auth_failed()].map(|reply| reply["desc"].clone());
    // The change that fails; what precedes the login, in SQL and in wrong passwords; its password;
    // the reply; the failed operation; what holds afterwards.
    for (event, sql, wrong, password, desc, cause, holds) in [
        ("INSERT ON login_failures", "", 0, "x", &internal, "count a failed login", none),
        ("DELETE ON login_failures", old_failures, 0, "x", &failed, "sweep the failed", three),
        ("INSERT ON sessions", WEAK, 4, right, &internal, "insert the session's row", is_weak),
        ("UPDATE OF password ON users", WEAK, 0, right, &done, "upgrade the password", is_weak),
        ("DELETE ON login_failures", "", 4, right, &done, "forget the failed logins", four),
        ("DELETE ON sessions", old_sessions, 0, right, &done, "delete the ended sessions'", ended),
    ] {
        let reset = "DELETE FROM login_failures; DELETE FROM sessions WHERE digest LIKE 'old%'";
        server.sql(&format!("{reset}; {sql}"));
        for _ in 0..wrong {
            assert_eq!(log_in_with(&server, "x")["error"], "auth_failed");
        }
        let reply = while_failing(&server, event, || log_in_with(&server, password));
        assert_eq!(&reply["desc"], desc, "{cause}");
        assert_logged_once(&server, &mut lines, cause);
        assert_holds(&server, holds);
        if let Some(key) = reply["session_key"].as_str() {
            assert!(server.accepts(key), "{cause}");
        }

        let expected = if password == right { &done } else { &failed };
        assert_eq!(&log_in_with(&server, password)["desc"], expected, "after: {cause}");
        assert_eq!(server.list(&key)["total"], 3, "the session from before, after: {cause}");
    }
}

#[test]
fn each_failure_after_the_outcome_of_a_login_is_logged() {
    let server = Server::with(&[("sessions_per_user", "1")]);
    let _first = server.log_in("luoyun");
    server.sql(WEAK);
    assert_eq!(log_in_with(&server, "x"), auth_failed());
    let reply = while_failing(&server, "UPDATE OF password ON users", || {
        while_failing(&server, "DELETE ON login_failures", || {
            while_failing(&server, "DELETE ON sessions", || log_in(&server))
        })
    });
    assert_eq!(reply["code"], 0);
    let lines = logged(&server);
    for cause in ["upgrade the password", "forget the failed logins", "delete the ended sessions'"]
    {
        assert_eq!(lines.iter().filter(|line| line.contains(cause)).count(), 1, "{lines:?}");
    }
}

#[test]
fn a_logout_whose_row_stays_has_ended_the_session() {
    let server = Server::with(&[]);
    let (key, mut lines) = (server.log_in("luoyun"), 0);
    let logout = || server.post(LOGOUT, &[("session_key", &key)]);
    assert_eq!(while_failing(&server, "DELETE ON sessions", logout)["desc"], "Bye.");
    assert_logged_once(&server, &mut lines, "delete the session's row");
    assert_eq!(server.list(&key), auth_required());
    // A login deletes the row after it expires.
    assert_holds(&server, "count(*) = 1 FROM sessions");
}

#[test]
fn a_corrupted_session_entry_is_rejected_and_logged() {
    let server = Server::with(&[]);
    let key = server.log_in("luoyun");
    let (db, mut lines) = (server.key_value(), 0);
    let set = |entry: &[u8]| {
        let sql = "UPDATE spin_key_value SET value = ?1";
        assert_eq!(db.execute(sql, [entry]).unwrap(), 1);
    };
    let entry: Vec<u8> = value(&db, "SELECT value FROM spin_key_value");
    // The unit tests of `api/common` have more.
    for corrupted in [b"", &b"\xff"[..], &[&entry[..], b" 1"].concat()] {
        set(corrupted);
        assert_eq!(server.list(&key), auth_required());
        assert_logged_once(&server, &mut lines, "corrupted session entry");
    }
    set(&entry);
    assert_eq!(server.list(&key)["total"], 3);
}

/// Each numeric variable, with its range, as docs/operations.md has them. The defaults there are those
/// of spin.toml.
fn ranges() -> Vec<(String, i64, i64)> {
    let variables = toml("spin.toml")["variables"].clone();
    let operations = read("docs/operations.md");
    let ranges = operations.lines().filter_map(|line| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [_, name, default, range, ..] = cells[..] else { return None };
        let ((low, high), name) = (range.split_once(" to ")?, name.trim_matches('`'));
        assert_eq!(variables[name]["default"], default, "{name} in spin.toml");
        Some((name.to_owned(), low.parse().ok()?, high.parse().ok()?))
    });
    let ranges: Vec<_> = ranges.collect();
    assert_eq!(ranges.len() + 1, variables.as_object().unwrap().len(), "{ranges:?}");
    ranges
}

#[test]
fn a_variable_outside_its_range_is_internal_and_named_in_the_log_and_at_its_ends_logins_work() {
    let mut rows = Vec::new();
    for (name, low, high) in ranges() {
        let values = [(low - 1).to_string(), (high + 1).to_string(), "soon".into(), "1 2".into()];
        let cause = format!("not a whole number from {low} to {high}");
        rows.extend(values.map(|value| (name.clone(), value, cause.clone())));
        for value in [low, high].map(|edge| edge.to_string()) {
            let server = Server::with(&[(&name, &value)]);
            // The first login stores the password with this setting, the second one verifies it.
            for (password, error) in
                [("luoyun", json!(null)), ("luoyun", json!(null)), ("x", json!("auth_failed"))]
            {
                assert_eq!(log_in_with(&server, password)["error"], error, "{name}={value}");
            }
            assert_eq!(server.logged("internal"), [""; 0]);
        }
    }
    for value in ["X Real IP", "X-Real-IP:", "X-Réal-IP"] {
        rows.push(("client_address_header".to_owned(), value.to_owned(), String::new()));
    }
    for (name, value, cause) in rows {
        let server = Server::with(&[(&name, &value)]);
        assert_eq!(log_in(&server), internal(), "{name}={value}");
        let start = format!("the variable {name} is \\\"{value}\\\", {cause}");
        assert_logged_once(&server, &mut 0, start.trim_end_matches(", "));
    }
}
