//! Sessions: login, logout, expiry and revocation, and the rows and entries in the stores.

use api_tests::cases::auth_required;
use api_tests::server::{at_once, repeat_beside, value, wait_until};
use api_tests::{Admin, BASEINFO, Client, LIST, LOGIN, LOGOUT, LUOYUN, Server, Setup};

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

/// Another user with the same id and name.
const SAME_ID: &str = "DELETE FROM users WHERE id = 1; INSERT INTO users (id, username, password)
    VALUES (1, 'luoyun', '5ce229cfdbc7804f86696e7240ba64f86e67d821')";

#[test]
fn only_a_change_of_password_lock_epoch_or_person_ends_the_users_sessions_and_no_others() {
    // SQL, or commands of luoyun-admin.
    for (is_end, change) in [
        (true, "user passwd luoyun --memory-kib 8 --passes 1"),
        (true, "user lock luoyun"),
        (true, "user lock luoyun; user unlock luoyun"),
        (true, "user remove luoyun --cascade"),
        (true, "UPDATE users SET session_epoch = session_epoch + 1 WHERE id = 1"),
        (true, SAME_ID),
        (false, "UPDATE users SET username = 'a', is_locked = 0, password = password WHERE id = 1"),
    ] {
        let server = Server::with(&[]);
        let (key, other) = (server.log_in("luoyun"), server.log_in("gallery"));
        let admin = Admin::on(&server.state().join("sqlite_db.db"));
        for command in change.split("; ") {
            match command.strip_prefix("user ") {
                Some(_) => drop(admin.done_with(&command.split(' ').collect::<Vec<_>>(), b"new")),
                None => server.sql(command),
            }
        }
        if is_end {
            assert_refused(&server, &key);
        }
        assert_eq!(server.accepts(&key), !is_end, "{change}");
        assert!(server.accepts(&other), "{change}");
    }
}

#[test]
fn a_session_ends_when_it_expires() {
    let server = Server::with(&[("session_ttl_seconds", "3600")]);
    let key = server.log_in("luoyun");
    let lifetime = server.value::<i64>("SELECT expires_at - unixepoch() FROM sessions");
    assert!((3540..=3600).contains(&lifetime), "{lifetime} seconds");
    let expire_in = |seconds: i64| {
        let entry = format!("id || ' ' || (unixepoch() + {seconds}) || ' ' || session_epoch");
        let entry: String = server.value(&format!("SELECT {entry} FROM users WHERE id = 1"));
        let sql = "UPDATE spin_key_value SET value = CAST(?1 AS BLOB)";
        assert_eq!(server.key_value().execute(sql, [entry]).unwrap(), 1);
    };
    expire_in(0);
    assert_refused(&server, &key);
    expire_in(600);
    assert!(server.accepts(&key));
}

#[test]
fn a_login_sets_last_login_and_a_logout_ends_that_session_and_leaves_nothing_of_it() {
    let server = Server::with(&[]);
    let (key, other) = (server.log_in("luoyun"), server.log_in("luoyun"));
    let last_login = "SELECT COUNT(*) FROM users WHERE id = 1 AND last_login > unixepoch() - 60";
    assert_eq!(server.value::<i64>(last_login), 1);

    assert_eq!(server.post(LOGOUT, &[("session_key", &key)])["code"], 0);
    assert_refused(&server, &key);
    assert!(server.accepts(&other));
    assert_eq!((rows(&server), entries(&server)), (1, 1));
}

/// SQL that inserts `count` expired sessions of the user with the id `owner`.
fn expired(count: usize, owner: usize) -> String {
    format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
         INSERT INTO sessions (digest, user_id, expires_at) SELECT 'old' || i, {owner}, i FROM n;"
    )
}

#[test]
fn logins_delete_expired_sessions_from_both_stores() {
    let server = Server::start(Setup { sql: &expired(9, 1), ..Setup::default() });
    let _upgraded = server.log_in("luoyun");
    let db = server.key_value();
    let path = server.state().join("sqlite_db.db");
    db.execute("ATTACH ?1 AS db", [path.to_str()]).unwrap();
    let entries_of_old = "INSERT INTO spin_key_value
        SELECT 'default', 'session:' || digest, '1 1 1' FROM db.sessions WHERE expires_at < 10";
    assert_eq!(db.execute(entries_of_old, []).unwrap(), 9);
    drop(db);
    for left in [8, 6, 4] {
        let _ = server.log_in("luoyun");
        assert_eq!((rows(&server), entries(&server)), (left, left));
    }
}

#[test]
fn a_user_has_a_limited_number_of_sessions_beside_any_expired_ones_and_the_oldest_ends() {
    for sql in [String::new(), expired(200, 1), expired(200, 2)] {
        let variables = &[("sessions_per_user", "10")];
        let server = Server::start(Setup { sql: &sql, variables, ..Setup::default() });
        let other = server.log_in("gallery");
        let keys: Vec<_> = (0..26).map(|_| server.log_in("luoyun")).collect();
        for (i, key) in keys.iter().enumerate() {
            assert_eq!(server.accepts(key), i >= 16, "the key of login {i}");
        }
        assert!(server.accepts(&other), "another user's session has ended");

        // Also with a wrong password before each login, and with simultaneous logins.
        for _ in 0..3 {
            assert_eq!(server.log_in_with("luoyun", "x")["error"], "auth_failed");
            let _ = server.log_in("luoyun");
        }
        // More at a time than a user may have: a row may be the oldest before its entry is set.
        at_once(50, |_| server.log_in("luoyun"));
        for _ in 0..25 {
            let _ = server.log_in("luoyun");
        }
        let live = "SELECT COUNT(*) FROM sessions WHERE expires_at > 200";
        assert_eq!((server.value::<i64>(live), entries(&server)), (11, 11));
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
    let kill = || {
        wait_until("logins", || rows(&server) >= 50);
        server.kill()
    };
    let (keys, state) = repeat_beside(8, |_| log_in, kill);
    let keys: Vec<String> = keys.into_iter().flatten().collect();
    assert!(keys.len() >= 20, "{} keys", keys.len());

    let server = Server::start_process(Setup::default(), state);
    for key in &keys {
        assert!(server.accepts(key));
    }
    // An incomplete session is a row without an entry, never an entry without a row.
    let unfinished = rows(&server) - entries(&server);
    assert!((0..=8).contains(&unfinished), "{unfinished} rows without an entry");
}
