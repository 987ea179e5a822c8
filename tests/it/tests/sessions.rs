//! Sessions: login, logout, expiry and revocation, and the rows and entries in the stores.

use std::iter::{from_fn, repeat_with};
use std::thread;

use api_tests::cases::auth_required;
use api_tests::server::{at_once, wait_until};
use api_tests::{BASEINFO, Client, LIST, LOGIN, LOGOUT, Server, Setup};

fn server() -> Server {
    Server::start(Setup::default())
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
    let sql = "SELECT count(*) FROM spin_key_value";
    server.key_value().query_row(sql, [], |row| row.get(0)).unwrap()
}

const LUOYUN: [(&str, &str); 2] = [("username", "luoyun"), ("password", "luoyun")];

#[test]
fn logging_out_ends_one_session_and_leaves_nothing_of_it() {
    let server = server();
    let (key, other) = (server.log_in("luoyun"), server.log_in("luoyun"));
    let _ = server.post(LOGOUT, &[("session_key", &key)]);
    assert!(server.accepts(&other));
    assert_eq!((rows(&server), entries(&server)), (1, 1));
}

#[test]
fn a_change_of_the_user_by_sql_ends_its_sessions_and_no_others() {
    for change in [
        "UPDATE users SET password = 'x' WHERE id = 1",
        "UPDATE users SET is_locked = 1 WHERE id = 1",
        "UPDATE users SET is_locked = 1 WHERE id = 1; UPDATE users SET is_locked = 0 WHERE id = 1",
        "UPDATE users SET session_epoch = session_epoch + 1 WHERE id = 1",
        "DELETE FROM users WHERE id = 1",
        "DELETE FROM users WHERE id = 1; INSERT INTO users (id, username, password)
         VALUES (1, 'luoyun', '5ce229cfdbc7804f86696e7240ba64f86e67d821')",
    ] {
        let server = server();
        let (key, other) = (server.log_in("luoyun"), server.log_in("gallery"));
        server.sql(change);
        assert_refused(&server, &key);
        assert!(server.accepts(&other), "{change}");
    }
}

#[test]
fn another_change_of_the_user_leaves_its_sessions() {
    let server = server();
    let key = server.log_in("luoyun");
    let change = "UPDATE users SET username = 'lin', is_locked = 0, password = password";
    server.sql(&format!("{change} WHERE id = 1"));
    assert!(server.accepts(&key));
}

#[test]
fn a_session_ends_when_it_expires() {
    let server = server();
    let key = server.log_in("luoyun");
    let expire_in = |seconds: i64| {
        // The entry is `USER_ID EXPIRES_AT EPOCH`.
        let sql = "SELECT CAST(value AS TEXT) FROM spin_key_value";
        let entry: String = server.key_value().query_row(sql, [], |row| row.get(0)).unwrap();
        let [user, _, epoch] = entry.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{entry}");
        };
        let expires_at = server.value::<i64>("SELECT unixepoch()") + seconds;
        let sql = "UPDATE spin_key_value SET value = CAST(?1 AS BLOB)";
        server.key_value().execute(sql, [format!("{user} {expires_at} {epoch}")]).unwrap();
    };
    expire_in(0);
    assert_refused(&server, &key);
    expire_in(600);
    assert!(server.accepts(&key));
}

#[test]
fn session_ttl_seconds_sets_the_lifetime_of_a_session() {
    let thirty_days = 30 * 24 * 60 * 60;
    let hour = [("session_ttl_seconds", "3600")];
    for (variables, expected) in [(&[][..], thirty_days), (&hour[..], 3600)] {
        let server = Server::start(Setup { variables, ..Setup::default() });
        let _ = server.log_in("luoyun");
        let sql = "SELECT expires_at - unixepoch() FROM sessions";
        let lifetime = server.value::<i64>(sql);
        assert!((expected - 60..=expected).contains(&lifetime), "{lifetime} seconds");
    }
}

#[test]
fn a_login_sets_last_login_and_no_store_contains_its_key() {
    let server = server();
    let key = server.log_in("luoyun");
    let last_login = "SELECT COUNT(*) FROM users WHERE id = 1 AND last_login > unixepoch() - 60";
    assert_eq!(server.value::<i64>(last_login), 1);

    let text = |db: rusqlite::Connection, sql: &str| -> String {
        db.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let row = text(server.database(), "SELECT digest FROM sessions");
    let entry = "SELECT key || CAST(value AS TEXT) FROM spin_key_value";
    let entry = text(server.key_value(), entry);
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
    let variables = &[("session_ttl_seconds", "1"), ("sessions_per_user", "10000")];
    let server = Server::start(Setup { variables, ..Setup::default() });
    let first = log_in_concurrently(&server, 2000);
    let last = first.last().unwrap();
    wait_until("the last key expires", || !server.accepts(last));
    log_in_concurrently(&server, 500);

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
    let variables = &[("sessions_per_user", "10")];
    let server = Server::start(Setup { variables, ..Setup::default() });
    let other = server.log_in("gallery");
    let keys: Vec<_> = (0..25).map(|_| server.log_in("luoyun")).collect();
    for (i, key) in keys.iter().enumerate() {
        assert_eq!(server.accepts(key), i >= 15, "the key of login {i}");
    }
    assert!(server.accepts(&other), "another user's session has ended");
    assert_eq!((rows(&server), entries(&server)), (11, 11));

    // Also with a wrong password before each login, and with simultaneous logins.
    for _ in 0..3 {
        let wrong = [("username", "luoyun"), ("password", "x")];
        assert_eq!(server.post(LOGIN, &wrong)["error"], "auth_failed");
        let _ = server.log_in("luoyun");
    }
    log_in_concurrently(&server, 100);
    for _ in 0..20 {
        let _ = server.log_in("luoyun");
    }
    assert_eq!((rows(&server), entries(&server)), (11, 11));
}

#[test]
fn many_concurrent_logins_all_succeed() {
    let users = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 31)
        INSERT INTO users (username, password)
        SELECT 'user' || i, '$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$8Tf44YakA6Z5zNBgblq13Nr+Q8FkCFWsjG4z6b1j7rM' FROM n;";
    let server = Server::start(Setup { sql: users, ..Setup::default() });
    for same_user in [true, false] {
        let replies = at_once(32, |i| {
            let name = format!("user{}", if same_user { 0 } else { i });
            server.post(LOGIN, &[("username", &name), ("password", "password")])
        });
        for reply in replies {
            let key = reply["session_key"].as_str().unwrap_or_else(|| panic!("{reply}"));
            assert!(server.accepts(key));
        }
    }
}

#[test]
fn acknowledged_logins_survive_a_kill_of_the_host() {
    let setup = Setup::default();
    let server = Server::start_process(setup, tempfile::tempdir().unwrap());
    let addr = server.addr();
    let workers: Vec<_> = (0..8)
        .map(|_| {
            thread::spawn(move || {
                let log_in = || {
                    let reply = Client::try_connect(addr)?.try_post(LOGIN, &LUOYUN);
                    Some(reply.ok()?.json()["session_key"].as_str()?.to_owned())
                };
                from_fn(log_in).collect::<Vec<String>>()
            })
        })
        .collect();
    // Kill the host while logins are in progress.
    while rows(&server) < 50 {
        assert!(workers.iter().all(|worker| !worker.is_finished()), "a login failed");
    }
    let state = server.kill();
    let keys: Vec<String> = workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect();
    println!("{} keys", keys.len());
    assert!(keys.len() >= 20, "{} keys", keys.len());

    let server = Server::start_process(setup, state);
    for key in &keys {
        assert!(server.accepts(key));
    }
    for db in [server.database(), server.key_value()] {
        let checked: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(checked, "ok");
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
