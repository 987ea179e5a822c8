//! Failing stores: each request gets `internal`, the cause is logged once, and the first request
//! after the failure succeeds.

use std::fs;

use api_tests::server::migrations;
use api_tests::{Server, Setup};
use rusqlite::params;
use serde_json::{Value, json};

fn start(setup: Setup) -> Server {
    Server::start_process(setup, tempfile::tempdir().unwrap())
}

fn log_in(server: &Server) -> Value {
    let form = [("username", "luoyun"), ("password", "luoyun")];
    let response = server.connect().post("/api/login", &form);
    assert_eq!(response.status, if response.json()["code"] == 0 { 200 } else { 500 });
    response.json()
}

fn list(server: &Server, key: &str) -> Value {
    server.connect().post("/api/myun/instance", &[("session_key", key)]).json()
}

fn internal() -> Value {
    let desc = "Something went wrong on the server. Try again later.";
    json!({"code": 1, "desc": desc, "error": "internal"})
}

/// The log lines of the components that contain `error=`.
fn logged(server: &Server) -> Vec<String> {
    let output = fs::read_to_string(server.state().join("output.log")).unwrap();
    output.lines().filter(|line| line.contains("error=")).map(str::to_owned).collect()
}

/// Asserts that exactly one line has been logged after the first `before` lines, that it contains
/// `cause`, and that it starts with the pairs that the README describes.
fn assert_logged_once(server: &Server, before: &mut usize, cause: &str) {
    let lines = logged(server);
    let new = &lines[*before..];
    assert!(new.len() == 1 && new[0].contains(cause), "{cause}: {new:?}");
    let words: Vec<_> = new[0].split(' ').take(3).map(|pair| pair.split_once('=')).collect();
    let [Some(("endpoint", endpoint)), Some(("error", error)), Some(("duration_us", time))] =
        words[..]
    else {
        panic!("{new:?}");
    };
    assert!(["login", "myun/instance"].contains(&endpoint), "{new:?}");
    assert!(["internal", "auth_required"].contains(&error), "{new:?}");
    assert!(time.parse::<u64>().is_ok(), "{new:?}");
    *before = lines.len();
}

#[test]
fn a_database_without_tables_is_internal_until_it_has_them() {
    let server = start(Setup { bare: true, ..Setup::default() });
    let mut lines = 0;
    assert_eq!(log_in(&server), internal());
    assert_logged_once(&server, &mut lines, "no such table");

    for file in migrations() {
        server.database().execute_batch(&fs::read_to_string(file).unwrap()).unwrap();
    }
    let key = log_in(&server)["session_key"].clone();
    assert_eq!(list(&server, key.as_str().unwrap())["total"], 3);
    assert_eq!(logged(&server).len(), lines);
}

#[test]
fn a_database_locked_for_longer_than_the_busy_timeout_is_internal() {
    let server = start(Setup::default());
    let key = server.log_in("luoyun");
    let mut lines = 0;

    let db = server.database();
    db.execute_batch("BEGIN EXCLUSIVE").unwrap();
    assert_eq!(log_in(&server), internal());
    assert_logged_once(&server, &mut lines, "database is locked");
    assert_eq!(list(&server, &key)["total"], 3, "a reader does not wait for a writer");
    db.execute_batch("COMMIT").unwrap();
    assert_eq!(log_in(&server)["code"], 0);
    assert_eq!(logged(&server).len(), lines);
}

#[test]
fn a_key_value_store_that_fails_is_internal() {
    let server = start(Setup::default());
    let key = server.log_in("luoyun");
    let mut lines = 0;

    let db = server.key_value();
    db.execute_batch("ALTER TABLE spin_key_value RENAME TO away").unwrap();
    assert_eq!(list(&server, &key), internal());
    assert_logged_once(&server, &mut lines, "get the session's entry");
    assert_eq!(log_in(&server), internal());
    assert_logged_once(&server, &mut lines, "set the session's entry");
    db.execute_batch("ALTER TABLE away RENAME TO spin_key_value").unwrap();
    assert_eq!(list(&server, &key)["total"], 3);
    assert_eq!(log_in(&server)["code"], 0);
    assert_eq!(logged(&server).len(), lines);
}

#[test]
fn a_corrupted_session_entry_is_rejected_and_logged() {
    let server = start(Setup::default());
    let key = server.log_in("luoyun");
    let (db, mut lines) = (server.key_value(), 0);
    let set = "UPDATE spin_key_value SET value = ?1";
    let whole: Vec<u8> =
        db.query_row("SELECT value FROM spin_key_value", [], |row| row.get(0)).unwrap();
    db.execute(set, params![b"1 4000000000"]).unwrap();
    assert_eq!(list(&server, &key)["error"], "auth_required");
    assert_logged_once(&server, &mut lines, "corrupted session entry");
    db.execute(set, params![whole]).unwrap();
    assert_eq!(list(&server, &key)["total"], 3);
}

#[test]
fn a_wait_is_logged_when_it_begins_or_doubles_and_not_at_each_refusal() {
    let server = start(Setup { variables: &[("login_failures", "2")], ..Setup::default() });
    let wrong = || {
        let form = [("username", "luoyun"), ("password", "a wrong one")];
        server.connect().post("/api/login", &form).json()["error"].clone()
    };
    assert_eq!(wrong(), "auth_failed");
    assert_eq!(list(&server, "0000")["error"], "auth_required");
    assert_eq!(logged(&server), Vec::<String>::new());
    let line = |failures: u32, seconds: u32| {
        format!(
            "endpoint=login error=too_many_attempts limit=login_failures client=\"127.0.0.1\" \
             failures={failures} wait_seconds={seconds}"
        )
    };
    let mut expected = Vec::new();
    for (failures, seconds) in [(2, 30), (3, 60)] {
        assert_eq!(wrong(), "auth_failed");
        expected.push(line(failures, seconds));
        for _ in 0..5 {
            assert_eq!(wrong(), "too_many_attempts");
        }
        assert_eq!(logged(&server), expected);
        let end = "UPDATE login_failures SET retry_at = unixepoch() WHERE retry_at > 0";
        server.database().execute(end, []).unwrap();
    }
}

/// Each numeric variable, with its range.
const RANGES: [(&str, i64, i64); 8] = [
    ("session_ttl_seconds", 1, 315_360_000),
    ("password_memory_kib", 8, 262_144),
    ("password_passes", 1, 10),
    ("login_failures", 1, 1_000_000),
    ("login_address_failures", 1, 1_000_000),
    ("login_window_seconds", 1, 86_400),
    ("login_first_wait_seconds", 1, 86_400),
    ("login_longest_wait_seconds", 1, 86_400),
];

#[test]
fn a_variable_outside_its_range_is_internal_and_named_in_the_log() {
    for (name, low, high) in RANGES {
        for value in [(low - 1).to_string(), (high + 1).to_string(), "soon".into(), "1 2".into()] {
            let variables = &[(name, value.as_str())];
            let server = start(Setup { variables, ..Setup::default() });
            let mut lines = 0;
            assert_eq!(log_in(&server), internal(), "{name}={value}");
            let cause = format!(
                "the variable {name} is \\\"{value}\\\", not a whole number from {low} to {high}"
            );
            assert_logged_once(&server, &mut lines, &cause);
        }
    }
}

#[test]
fn logins_work_at_both_ends_of_each_range() {
    for (name, low, high) in RANGES {
        for value in [low, high].map(|edge| edge.to_string()) {
            let variables = &[(name, value.as_str())];
            let server = start(Setup { variables, ..Setup::default() });
            // The first login stores the password with this setting, the second one verifies it.
            for _ in 0..2 {
                assert_eq!(log_in(&server)["code"], 0, "{name}={value}");
            }
            let wrong = [("username", "luoyun"), ("password", "x")];
            let reply = server.connect().post("/api/login", &wrong).json();
            assert_eq!(reply["error"], "auth_failed", "{name}={value}");
            assert_eq!(logged(&server).iter().filter(|line| line.contains("internal")).count(), 0);
        }
    }
}
