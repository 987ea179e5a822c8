//! Failing stores: each request gets `internal`, the cause is logged once, and the first request
//! after the failure succeeds.

use api_tests::cases::{auth_failed, auth_required};
use api_tests::dataset::WEAK;
use api_tests::server::{at_once, value};
use api_tests::{LOGOUT, Server, Setup, example, read, toml};
use serde_json::{Value, json};

fn log_in(server: &Server) -> Value {
    server.log_in_with("luoyun", "luoyun")
}

/// Asserts that a line for each of `causes`, which are separated by `; `, has been logged after the
/// first `before` lines, as `docs/operations.md` describes it.
fn assert_logged(server: &Server, before: &mut usize, causes: &str) {
    let lines = server.logged("error=");
    let new = &lines[*before..];
    let causes: Vec<_> = causes.split("; ").collect();
    assert_eq!(new.len(), causes.len(), "{causes:?}: {new:?}");
    let starts = [
        "endpoint=login error=internal",
        "endpoint=logout error=internal",
        "endpoint=myun/instance error=internal",
        "endpoint=myun/instance error=auth_required",
    ];
    for (line, cause) in new.iter().zip(causes) {
        let (start, rest) = line.split_once(" duration_us=").unwrap();
        let (time, logged) = rest.split_once(" cause=").unwrap();
        assert!(starts.contains(&start) && time.parse::<u64>().is_ok(), "{line}");
        assert!(logged.contains(cause), "{line}: {cause}");
    }
    *before = lines.len();
}

#[test]
fn logins_create_the_tables_of_an_empty_database() {
    let server = Server::start(Setup { bare: true, ..Setup::default() });
    // A first start that broke off.
    server.sql("CREATE TABLE users (id INTEGER PRIMARY KEY); DROP TABLE users");
    // Fewer than are throttled.
    at_once(4, |_| assert_eq!(server.log_in_with("luoyun", "x"), auth_failed()));
    assert_eq!(server.value::<String>("PRAGMA journal_mode"), "wal");
    let names = "SELECT group_concat(name) FROM (SELECT name FROM sqlite_schema ORDER BY name)";
    assert_eq!(server.value::<String>(names), Server::with(&[]).value::<String>(names));

    server.sql(&format!("DELETE FROM login_failures; {}", read("migrations/demo.sql")));
    assert_eq!(server.list(&server.log_in("luoyun"))["total"], 3);
    assert_eq!(server.logged("error="), [""; 0]);
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
        let reply = server.log_in_with("luoyun", "x");
        assert_eq!(reply["error"], "internal");
        assert!(reply["desc"].as_str().unwrap().contains(advice), "{reply}");
        assert_logged(&server, &mut 0, cause);
        assert!(server.logged("error=")[0].contains(advice));
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
            1 => assert_eq!(server.log_in_with("luoyun", "x"), auth_failed(), "{lacks}"),
            _ => assert!(server.accepts(&server.log_in("luoyun")), "{lacks}"),
        });
    }
    assert_eq!(server.logged("error="), [""; 0]);
}

/// With a rollback journal, the writer would lock out the readers too.
#[test]
fn a_database_locked_for_longer_than_the_busy_timeout_is_internal_for_logins_alone() {
    let server = Server::with(&[]);
    let key = server.log_in("luoyun");
    let read = || [server.baseinfo(&key, "2252"), server.list(&key)];
    let before = read();

    let db = server.database();
    db.execute_batch("BEGIN EXCLUSIVE; UPDATE instances SET name = 'renamed'").unwrap();
    assert_eq!(log_in(&server), example("Internal"));
    assert_logged(&server, &mut 0, "database is locked");
    assert_eq!(read(), before, "a read waited, or saw uncommitted data");
    db.execute_batch("COMMIT").unwrap();
    assert_eq!(log_in(&server)["code"], 0);
    assert_eq!(server.logged("error=").len(), 1);
}

#[test]
fn a_key_value_store_that_fails_is_internal() {
    let server = Server::with(&[]);
    let key = server.log_in("luoyun");
    let mut lines = 0;

    let db = server.key_value();
    db.execute_batch("ALTER TABLE spin_key_value RENAME TO away").unwrap();
    assert_eq!(server.list(&key), example("Internal"));
    assert_logged(&server, &mut lines, "get the session's entry");
    assert_eq!(log_in(&server), example("Internal"));
    assert_logged(&server, &mut lines, "set the session's entry");
    db.execute_batch("ALTER TABLE away RENAME TO spin_key_value").unwrap();
    assert_eq!(server.list(&key)["total"], 3);
    assert_eq!(log_in(&server)["code"], 0);
    assert_eq!(server.logged("error=").len(), lines);
}

/// Runs `request` while every statement fails that makes a change of one of the kinds `events`.
fn while_failing<T>(server: &Server, events: &str, request: impl FnOnce() -> T) -> T {
    for event in events.split("; ") {
        let trigger = "BEGIN SELECT RAISE(ABORT, 'a full disk'); END";
        server.sql(&format!("CREATE TRIGGER \"{event}\" BEFORE {event} {trigger}"));
    }
    let outcome = request();
    for event in events.split("; ") {
        server.sql(&format!("DROP TRIGGER \"{event}\""));
    }
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
    let [internal, failed] =
        [example("Internal"), auth_failed()].map(|reply| reply["desc"].clone());
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
            assert_eq!(server.log_in_with("luoyun", "x")["error"], "auth_failed");
        }
        let reply = while_failing(&server, event, || server.log_in_with("luoyun", password));
        assert_eq!(&reply["desc"], desc, "{cause}");
        assert_logged(&server, &mut lines, cause);
        assert_holds(&server, holds);
        if let Some(key) = reply["session_key"].as_str() {
            assert!(server.accepts(key), "{cause}");
        }

        let expected = if password == right { &done } else { &failed };
        assert_eq!(&server.log_in_with("luoyun", password)["desc"], expected, "after: {cause}");
        assert_eq!(server.list(&key)["total"], 3, "the session from before, after: {cause}");
    }
}

#[test]
fn each_failure_after_the_outcome_of_a_login_is_logged() {
    let server = Server::with(&[("sessions_per_user", "1")]);
    let _first = server.log_in("luoyun");
    server.sql(WEAK);
    assert_eq!(server.log_in_with("luoyun", "x"), auth_failed());
    let events = "DELETE ON sessions; DELETE ON login_failures; UPDATE OF password ON users";
    assert_eq!(while_failing(&server, events, || log_in(&server))["code"], 0);
    let causes = "delete the ended sessions'; forget the failed logins; upgrade the password";
    assert_logged(&server, &mut 0, causes);
}

#[test]
fn a_logout_whose_row_stays_has_ended_the_session() {
    let server = Server::with(&[]);
    let (key, mut lines) = (server.log_in("luoyun"), 0);
    let logout = || server.post(LOGOUT, &[("session_key", &key)]);
    assert_eq!(while_failing(&server, "DELETE ON sessions", logout)["desc"], "Bye.");
    assert_logged(&server, &mut lines, "delete the session's row");
    assert_eq!(server.list(&key), auth_required());
    // A login deletes the row after it expires.
    assert_holds(&server, "count(*) = 1 FROM sessions");
}

#[test]
fn a_corrupted_session_entry_is_rejected_and_logged() {
    let server = Server::with(&[]);
    let key = server.log_in("luoyun");
    // The unit test of `api/common` has more.
    let corrupt = "UPDATE spin_key_value SET value = CAST(value || ' 1' AS BLOB)";
    server.key_value().execute_batch(corrupt).unwrap();
    assert_eq!(server.list(&key), auth_required());
    assert_logged(&server, &mut 0, "corrupted session entry");
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

/// Asserts that a login with this value of the variable `name` is `internal`, and that the log says why.
fn assert_rejected(name: &str, value: &str, cause: &str) {
    let server = Server::with(&[(name, value)]);
    assert_eq!(log_in(&server), example("Internal"), "{name}={value}");
    assert_logged(&server, &mut 0, &format!("the variable {name} is \\\"{value}\\\"{cause}"));
}

#[test]
fn a_variable_outside_its_range_is_internal_and_named_in_the_log_and_at_its_ends_logins_work() {
    for (name, low, high) in ranges() {
        let cause = format!(", not a whole number from {low} to {high}");
        for value in [&(low - 1).to_string(), &(high + 1).to_string(), "soon", "1 2"] {
            assert_rejected(&name, value, &cause);
        }
        for value in [low, high].map(|edge| edge.to_string()) {
            let server = Server::with(&[(&name, &value)]);
            // The first login stores the password with this setting, the second one verifies it.
            let passwords = ["luoyun", "luoyun", "x"];
            let errors = passwords.map(|it| server.log_in_with("luoyun", it)["error"].clone());
            assert_eq!(errors, [json!(null), json!(null), json!("auth_failed")], "{name}={value}");
            assert_eq!(server.logged("internal"), [""; 0]);
        }
    }
    assert_rejected("client_address_header", "X Real IP", "");
}
