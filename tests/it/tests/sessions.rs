//! Sessions: login, logout, expiry and revocation, and the rows and entries in the stores.

use std::iter::{from_fn, repeat_with};
use std::thread;

use api_tests::cases::auth_required;
use api_tests::dataset::{ARGON2ID, insert_users};
use api_tests::server::{at_once, value, wait_until};
use api_tests::{BASEINFO, Client, LIST, LOGIN, LOGOUT, LUOYUN, Server, Setup};

fn server() -> Server {
    Server::with(&[])
}

/// Asserts that every endpoint that needs a session rejects `key`, whatever its parameters.
fn assert_refused(server: &Server, key: &str) {
    let mut client = server.connect();
    for (path, name, value) in [
        (BASEINFO, "instance_id", "2252"),
        (BASEINFO, "instance_id", "99999"),
        (BASEINFO, "instance_id", "not a number"),
        (LIST, "p", "1"),
        (LIST, "p", "99999"),
        (LIST, "p", "not a number"),
        (LOGOUT, "p", "1"),
    ] {
        let reply = client.post(path, &[("session_key", key), (name, value)]).json();
        assert_eq!(reply, auth_required(), "{path} {name}={value}");
    }
}

fn rows(server: &Server) -> i64 {
    server.value("SELECT count(*) FROM sessions")
}

fn entries(server: &Server) -> i64 {
    value(&server.key_value(), "SELECT count(*) FROM spin_key_value")
}

#[test]
fn logging_out_ends_one_session_and_leaves_nothing_of_it() {
    let server = server();
    let (key, other) = (server.log_in("luoyun"), server.log_in("luoyun"));
    let _ = server.post(LOGOUT, &[("session_key", &key)]);
    assert!(server.accepts(&other));
    assert_eq!((rows(&server), entries(&server)), (1, 1));
}

/// Another user with the same id and name.
const SAME_ID: &str = "DELETE FROM users WHERE id = 1; INSERT INTO users (id, username, password)
    VALUES (1, 'luoyun', '5ce229cfdbc7804f86696e7240ba64f86e67d821')";

#[test]
fn only_a_change_of_password_lock_epoch_or_person_ends_the_users_sessions_and_no_others() {
    for (is_end, change) in [
        (true, "UPDATE users SET password = 'x' WHERE id = 1"),
        (true, "UPDATE users SET is_locked = 1 WHERE id = 1"),
        (true, "UPDATE users SET is_locked = 1 WHERE id = 1; UPDATE users SET is_locked = 0"),
        (true, "UPDATE users SET session_epoch = session_epoch + 1 WHERE id = 1"),
        (true, "DELETE FROM users WHERE id = 1"),
        (true, SAME_ID),
        (
            false,
            "UPDATE users SET username = 'lin', is_locked = 0, password = password WHERE id = 1",
        ),
    ] {
        let server = server();
        let (key, other) = (server.log_in("luoyun"), server.log_in("gallery"));
        server.sql(change);
        if is_end {
            assert_refused(&server, &key);
        }
        assert_eq!(server.accepts(&key), !is_end, "{change}");
        assert!(server.accepts(&other), "{change}");
    }
}

#[test]
fn a_session_ends_when_it_expires() {
    let server = server();
    let key = server.log_in("luoyun");
    let expire_in = |seconds: i64| {
        // The entry is `USER_ID EXPIRES_AT EPOCH`.
        let db = server.key_value();
        let entry: String = value(&db, "SELECT CAST(value AS TEXT) FROM spin_key_value");
        let [user, _, epoch] = entry.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{entry}");
        };
        let expires_at = server.value::<i64>("SELECT unixepoch()") + seconds;
        let sql = "UPDATE spin_key_value SET value = CAST(?1 AS BLOB)";
        db.execute(sql, [format!("{user} {expires_at} {epoch}")]).unwrap();
    };
    expire_in(0);
    assert_refused(&server, &key);
    expire_in(600);
    assert!(server.accepts(&key));
}

#[test]
fn session_ttl_seconds_sets_the_lifetime_of_a_session() {
    let thirty_days = 30 * 24 * 60 * 60;
    for (variables, expected) in
        [(&[][..], thirty_days), (&[("session_ttl_seconds", "3600")], 3600)]
    {
        let server = Server::with(variables);
        let _ = server.log_in("luoyun");
        let lifetime = server.value::<i64>("SELECT expires_at - unixepoch() FROM sessions");
        assert!((expected - 60..=expected).contains(&lifetime), "{lifetime} seconds");
    }
}

#[test]
fn a_login_sets_last_login_and_no_store_contains_its_key() {
    let server = server();
    let key = server.log_in("luoyun");
    let last_login = "SELECT COUNT(*) FROM users WHERE id = 1 AND last_login > unixepoch() - 60";
    assert_eq!(server.value::<i64>(last_login), 1);

    let row: String = server.value("SELECT digest FROM sessions");
    let entry = "SELECT key || CAST(value AS TEXT) FROM spin_key_value";
    let entry: String = value(&server.key_value(), entry);
    assert!(entry.contains(&row), "the entry's key lacks the digest of the row");
    assert!(!row.contains(&key) && !entry.contains(&key));
}

/// Logs in `count` times, on a few concurrent connections; returns the keys.
fn log_in_concurrently(server: &Server, count: usize) -> Vec<String> {
    const CONNECTIONS: usize = 4;
    let keys = at_once(CONNECTIONS, |_| {
        let mut client = server.connect();
        let log_in = || client.post(LOGIN, &LUOYUN).json()["session_key"].clone();
        repeat_with(log_in).take(count / CONNECTIONS).collect::<Vec<_>>()
    });
    let keys = keys.into_iter().flatten();
    keys.map(|key| key.as_str().expect("a session key").to_owned()).collect()
}

#[test]
fn expired_sessions_are_swept_from_both_stores() {
    let server = Server::with(&[("session_ttl_seconds", "1"), ("sessions_per_user", "10000")]);
    let first = log_in_concurrently(&server, 600);
    let last = first.last().unwrap();
    wait_until("the last key expires", || !server.accepts(last));
    log_in_concurrently(&server, 250);

    // Sessions that were valid when the last one was issued, within a second: expiry is in whole
    // seconds, so all sessions of one second expire together.
    let alive = "SELECT COUNT(*) FROM sessions
                 WHERE expires_at > (SELECT MAX(expires_at) FROM sessions) - 2";
    let limit = server.value::<i64>(alive) + 3;
    let (rows, entries) = (rows(&server), entries(&server));
    println!("{rows} rows, {entries} entries, limit {limit}");
    assert!(rows <= limit && entries <= limit, "{rows} rows, {entries} entries, limit {limit}");
}

#[test]
fn concurrent_logins_delete_different_expired_sessions() {
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 90)
        INSERT INTO sessions (digest, user_id, expires_at) SELECT 'expired' || i, 1, i FROM n;";
    // A login has to take long enough for the logins of a round to overlap.
    let variables = &[("password_memory_kib", "8192")];
    let server = Server::start(Setup { sql, variables, ..Setup::default() });
    let _upgraded = server.log_in("luoyun");
    let expired = || server.value::<i64>("SELECT COUNT(*) FROM sessions WHERE expires_at < 91");
    let _deletes_three = server.log_in("luoyun");
    assert_eq!(expired(), 87);
    at_once(8, |_| server.log_in("luoyun"));
    // 8 logins that delete the same three would leave 84.
    let left = expired();
    assert!((87 - 24..=87 - 16).contains(&left), "{left} are left");
}

#[test]
fn a_user_has_a_limited_number_of_sessions_and_the_oldest_ends() {
    let server = Server::with(&[("sessions_per_user", "10")]);
    let other = server.log_in("gallery");
    let keys: Vec<_> = (0..25).map(|_| server.log_in("luoyun")).collect();
    for (i, key) in keys.iter().enumerate() {
        assert_eq!(server.accepts(key), i >= 15, "the key of login {i}");
    }
    assert!(server.accepts(&other), "another user's session has ended");
    assert_eq!((rows(&server), entries(&server)), (11, 11));

    // Also with a wrong password before each login, and with simultaneous logins.
    for _ in 0..3 {
        assert_eq!(server.log_in_with("luoyun", "x")["error"], "auth_failed");
        let _ = server.log_in("luoyun");
    }
    log_in_concurrently(&server, 100);
    for _ in 0..20 {
        let _ = server.log_in("luoyun");
    }
    assert_eq!((rows(&server), entries(&server)), (11, 11));
}

#[test]
fn the_limit_holds_beside_a_backlog_of_expired_sessions() {
    for owner in [1, 2] {
        let sql = format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
             INSERT INTO sessions (digest, user_id, expires_at) SELECT 'old' || i, {owner}, i FROM n;"
        );
        let variables = &[("sessions_per_user", "10")];
        let server = Server::start(Setup { sql: &sql, variables, ..Setup::default() });
        let keys: Vec<_> = (0..26).map(|_| server.log_in("luoyun")).collect();
        for (i, key) in keys.iter().enumerate() {
            assert_eq!(server.accepts(key), i >= 16, "the key of login {i}");
        }
    }
}

#[test]
fn many_concurrent_logins_all_succeed() {
    let user = |i| insert_users(&[(&format!("user{i}"), ARGON2ID)]);
    let sql: String = (0..32).map(user).collect();
    let server = Server::start(Setup { sql: &sql, ..Setup::default() });
    for users in [1, 32] {
        for reply in at_once(32, |i| server.log_in_with(&format!("user{}", i % users), "password"))
        {
            let key = reply["session_key"].as_str().unwrap_or_else(|| panic!("{reply}"));
            assert!(server.accepts(key));
        }
    }
}

#[test]
fn acknowledged_logins_survive_a_kill_of_the_host() {
    let server = Server::process(&[]);
    let addr = server.addr();
    let log_in = move || {
        let reply = Client::try_connect(addr)?.try_post(LOGIN, &LUOYUN);
        Some(reply.ok()?.json()["session_key"].as_str()?.to_owned())
    };
    let work = move || from_fn(log_in).collect::<Vec<String>>();
    let workers: Vec<_> = (0..8).map(|_| thread::spawn(work)).collect();
    // Kill the host while logins are in progress.
    while rows(&server) < 50 {
        assert!(workers.iter().all(|worker| !worker.is_finished()), "a login failed");
    }
    let state = server.kill();
    let keys: Vec<String> = workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect();
    println!("{} keys", keys.len());
    assert!(keys.len() >= 20, "{} keys", keys.len());

    let server = Server::start_process(Setup::default(), state);
    for key in &keys {
        assert!(server.accepts(key));
    }
    for db in [server.database(), server.key_value()] {
        assert_eq!(value::<String>(&db, "PRAGMA integrity_check"), "ok");
    }

    // An incomplete session is a row without an entry, never an entry without a row. It is swept
    // after it expires.
    let unfinished = rows(&server) - entries(&server);
    assert!((0..=8).contains(&unfinished), "{unfinished} rows without an entry");
    server.sql("UPDATE sessions SET expires_at = 1");
    let before = rows(&server);
    for _ in 0..before {
        let _ = server.log_in("luoyun");
    }
    let expired = "SELECT COUNT(*) FROM sessions WHERE expires_at = 1";
    assert_eq!(server.value::<i64>(expired), 0);
    assert_eq!((rows(&server), entries(&server)), (before, before));
}
