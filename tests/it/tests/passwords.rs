//! Passwords: their stored forms, and the throttling of guesses.

use std::fs;
use std::net::{Ipv6Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Instant;

use api_tests::cases::auth_failed;
use api_tests::dataset::{ARGON2ID, SALTED, SHA1, WEAK, insert_users};
use api_tests::server::{at_once, wait_until};
use api_tests::{Admin, LIST, LOGIN, LOGOUT, Response, Server, Setup};
use serde_json::json;
use sha1::{Digest, Sha1};

/// The password `password` in every stored form, created with Python's hashlib and argon2-cffi.
const STORED: [(&str, &str); 4] =
    [("sha1", SHA1), ("salted", SALTED), ("sha512", SHA512), ("argon2id", ARGON2ID)];

const SHA512: &str = "0123456789ab$292612794e8f7c991c169cd0703fb82edc4b6edbb4b6655e8f0f61789fe2fa5214cf79b57f40a82793d6ed4701ce9b25e708c1086d780990feddee22ab3817b0";

fn stored(server: &Server, username: &str) -> String {
    server.value(&format!("SELECT password FROM users WHERE username = '{username}'"))
}

#[test]
fn every_stored_form_is_accepted_and_upgraded() {
    let sql = insert_users(&STORED);
    let variables = &[("password_passes", "2")];
    let server = Server::start(Setup { sql: &sql, variables, ..Setup::default() });
    for (name, before) in STORED {
        assert_eq!(server.log_in_with(name, "passwort"), auth_failed(), "{name}");
        assert_eq!(stored(&server, name), before, "{name}");

        let first = server.log_in_with(name, "password");
        assert_eq!(first["code"], 0, "{name}: {first}");
        let strong = stored(&server, name);
        assert!(strong.starts_with("$argon2id$v=19$m=8,t=2,p=1$"), "{name}: {strong}");

        let second = server.log_in_with(name, "password");
        assert_eq!(stored(&server, name), strong, "{name}: a strong hash was replaced");
        for reply in [first, second] {
            assert!(server.accepts(reply["session_key"].as_str().unwrap()), "{name}");
        }
    }
}

#[test]
fn an_upgraded_password_leaves_the_sessions_from_before() {
    let server = Server::with(&[]);
    let before = server.log_in("luoyun");
    server.sql(WEAK);
    assert!(server.accepts(&before));
    let after = server.log_in("luoyun");
    assert!(stored(&server, "luoyun").starts_with("$argon2id$"));
    assert!(server.accepts(&before) && server.accepts(&after));
}

/// All files below `folder`, with their contents.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let contents = entries.map(|path| match fs::read(&path) {
        Ok(content) => vec![(path, content)],
        Err(_) => files(&path),
    });
    contents.flatten().collect()
}

fn contains(content: &[u8], secret: &str) -> bool {
    content.windows(secret.len()).any(|window| window == secret.as_bytes())
}

/// Waits until SQLite has checkpointed the write-ahead log into the database, which it does when
/// the last connection closes.
fn wait_until_idle(server: &Server) {
    let log = server.state().join("sqlite_db.db-wal");
    wait_until("the end of the write-ahead log", || !log.exists());
}

#[test]
fn a_replaced_hash_is_in_no_file_once_the_server_is_idle() {
    // Enough to fill several pages of the file; each hash is unique.
    const USERS: usize = 120;
    let digest =
        |i: usize| base16ct::lower::encode_string(&Sha1::digest(format!("{i:04}password")));
    let user = |i| insert_users(&[(&format!("u{i}"), format!("sha1${i:04}${}", digest(i)))]);
    // luoyun-admin writes with secure_delete, too.
    let sql = format!("PRAGMA secure_delete = ON; {}", (0..USERS).map(user).collect::<String>());
    let server = Server::start(Setup { sql: &sql, ..Setup::default() });
    // In an order that updates each page several times.
    let mut replaced: Vec<_> = (0..USERS).map(|i| i * 37 % USERS).collect();
    let changed = replaced.split_off(USERS - 20);
    for i in &replaced {
        assert_eq!(server.log_in_with(&format!("u{i}"), "password")["code"], 0);
    }
    // luoyun-admin replaces hashes, too.
    let admin = Admin::on(&server.state().join("sqlite_db.db"));
    for i in &changed {
        let name = format!("u{i}");
        let cheap = ["user", "passwd", &name, "--memory-kib", "8", "--passes", "1"];
        admin.done_with(&cheap, b"another");
    }

    wait_until_idle(&server);
    for (path, content) in files(server.state()) {
        if path.ends_with("setup.sql") {
            continue;
        }
        for i in 0..USERS {
            // Only the digest: a page may contain the salt without it.
            assert!(!contains(&content, &digest(i)), "{} has the hash of u{i}", path.display());
        }
    }
}

/// Logs in with these header fields, a line each.
fn log_in_with(server: &Server, fields: &str, username: &str, password: &str) -> Response {
    let form = format!("username={username}&password={password}");
    let fields: Vec<_> = fields.lines().collect();
    server.connect().request("POST", LOGIN, &fields, form.as_bytes())
}

/// Logs in with the client address that a proxy reports as `address`.
fn log_in_from(server: &Server, address: &str, username: &str, password: &str) -> Response {
    log_in_with(server, &format!("X-Real-IP: {address}"), username, password)
}

const BEHIND_A_PROXY: &[(&str, &str)] = &[("client_address_header", "X-Real-IP")];

/// Asserts that a login was refused because of a wait of `wait` seconds that began after `start`.
fn assert_throttled(response: &Response, wait: u64, start: Instant) {
    assert_eq!(response.status, 429, "{response:?}");
    let retry_after: u64 = response.header("retry-after").unwrap().parse().unwrap();
    // The server's clock counts whole seconds.
    let least = wait.saturating_sub(start.elapsed().as_secs() + 1).max(1);
    assert!((least..=wait).contains(&retry_after), "{retry_after} of {wait} seconds");
    let desc = format!("Too many wrong passwords. Try again in {retry_after} seconds.");
    let expected = json!({"code": 1, "desc": desc, "error": "too_many_attempts"});
    assert_eq!(response.json(), expected);
}

/// Asserts that `log_in` fails `count` times, and has to wait for 30 seconds then.
fn assert_throttled_after(count: usize, log_in: impl Fn() -> Response) {
    let start = Instant::now();
    for _ in 0..count {
        assert_eq!(log_in().json(), auth_failed());
    }
    assert_throttled(&log_in(), 30, start);
}

#[test]
fn guessing_is_throttled_for_the_pair_of_user_name_and_address() {
    let server = Server::with(BEHIND_A_PROXY);
    let log_in = |address, name| log_in_from(&server, address, name, name);
    let start = Instant::now();
    for name in ["luoyun", "nobody"] {
        assert_throttled_after(5, || log_in_from(&server, "192.0.2.1", name, "x"));
    }
    for address in ["192.0.2.1", "6.6.6.6, 192.0.2.1", "6.6.6.6\nX-Real-IP: 192.0.2.1"] {
        assert_throttled(&log_in(address, "luoyun"), 30, start);
    }
    for (address, name) in
        [("192.0.2.2", "luoyun"), ("6.6.6.6", "luoyun"), ("192.0.2.1", "gallery")]
    {
        assert_eq!(log_in(address, name).json()["code"], 0, "{address} {name}");
    }
}

#[test]
fn a_clients_headers_do_not_change_its_address() {
    let server = Server::with(&[]);
    let fields = "spin-client-addr: 192.0.2.9:1\nX-Real-IP: 192.0.2.9";
    let start = Instant::now();
    assert_throttled_after(5, || log_in_with(&server, fields, "luoyun", "x"));
    assert_throttled(&log_in_with(&server, "", "luoyun", "luoyun"), 30, start);
}

/// Ends all throttling waits, except those from the future.
fn end_waits(server: &Server) {
    let past = "retry_at BETWEEN 1 AND unixepoch() + 900";
    server.sql(&format!("UPDATE login_failures SET retry_at = unixepoch() WHERE {past}"));
}

#[test]
fn each_further_wrong_password_doubles_the_wait() {
    let server = Server::with(BEHIND_A_PROXY);
    let wrong = || log_in_from(&server, "192.0.2.1", "luoyun", "x");
    let mut start = Instant::now();
    for _ in 0..5 {
        assert_eq!(wrong().json(), auth_failed());
    }
    for wait in [30, 60, 120, 240, 480, 900, 900] {
        assert_throttled(&wrong(), wait, start);
        end_waits(&server);
        start = Instant::now();
        assert_eq!(wrong().json(), auth_failed(), "after a wait of {wait} seconds");
    }
}

/// The number of rows in `login_failures` for which `condition` holds.
fn failure_rows(server: &Server, condition: &str) -> i64 {
    server.value(&format!("SELECT count(*) FROM login_failures WHERE {condition}"))
}

/// Logs in until at most `limit` rows are left for which `condition` holds: each insert also checks
/// some other rows.
fn assert_swept(server: &Server, condition: &str, limit: i64) {
    let mut names = 0..1000;
    while failure_rows(server, condition) > limit {
        let name = names.next().expect("the rows are not swept").to_string();
        let _ = log_in_from(server, &format!("198.51.100.{}", name.len()), &name, "x");
        end_waits(server);
    }
}

#[test]
fn a_right_password_resets_the_failures_of_its_pair() {
    let server = Server::with(BEHIND_A_PROXY);
    for _ in 0..3 {
        for _ in 0..4 {
            assert_eq!(log_in_from(&server, "192.0.2.1", "luoyun", "x").json(), auth_failed());
        }
        assert_eq!(log_in_from(&server, "192.0.2.1", "luoyun", "luoyun").json()["code"], 0);
    }
    // Only the row of the address is left; it still counts all twelve failures.
    assert_eq!(failure_rows(&server, "true"), 1);
}

#[test]
fn failures_expire_and_are_swept() {
    const OLD: i64 = 40;
    let server = Server::with(BEHIND_A_PROXY);
    for i in 0..OLD / 2 {
        let _ = log_in_from(&server, &format!("192.0.2.{i}"), "luoyun", "x");
    }
    assert_eq!(failure_rows(&server, "true"), OLD);
    server.sql("UPDATE login_failures SET forget_at = unixepoch()");
    assert_throttled_after(5, || log_in_from(&server, "192.0.2.1", "luoyun", "x"));
    assert_swept(&server, "forget_at <= unixepoch()", OLD / 10);
}

#[test]
fn guessing_is_throttled_for_the_address_whatever_names_are_tried() {
    let variables = [BEHIND_A_PROXY, &[("login_address_failures", "3")]].concat();
    // Addresses of one network, and one of another network.
    for (addresses, other) in [
        (["192.0.2.1", "192.0.2.1", "192.0.2.1"], "192.0.2.2"),
        (["2001:db8:1:2::1", "2001:db8:1:2::2", "2001:db8:1:2:ffff::"], "2001:db8:1:3::1"),
    ] {
        let server = Server::with(&variables);
        let right = |address: &str| log_in_from(&server, address, "luoyun", "luoyun");
        let start = Instant::now();
        for (i, address) in addresses.into_iter().enumerate() {
            let wrong = log_in_from(&server, address, &format!("name{i}"), "x");
            assert_eq!(wrong.json(), auth_failed());
        }
        for address in addresses {
            assert_throttled(&right(address), 30, start);
            assert_throttled(&right(&format!("{other}, {address}")), 30, start);
        }
        assert_eq!(right(other).json()["code"], 0);

        // A right password does not reset the count of the address.
        end_waits(&server);
        let start = Instant::now();
        assert_eq!(right(addresses[0]).json()["code"], 0);
        assert_eq!(log_in_from(&server, addresses[1], "name9", "x").json(), auth_failed());
        assert_throttled(&right(addresses[2]), 60, start);
    }
}

#[test]
fn a_client_counts_as_one_in_every_notation_and_whatever_it_adds() {
    for (header, pairs) in [
        (
            "X-Real-IP",
            &[
                ("192.0.2.1:5678", "192.0.2.1"),
                ("::ffff:192.0.2.1", "192.0.2.1"),
                ("[::ffff:192.0.2.1]:443", "192.0.2.1"),
                ("[2001:db8::1]", "2001:db8::1"),
                ("[2001:db8::1]:443", "2001:db8::1"),
                ("2001:0DB8:0:0:0:0:0:1", "2001:db8::1"),
                ("[fe80::1%2]:443", "fe80::1"),
                ("64:ff9b::192.0.2.1", "192.0.2.1"),
                ("192.0.2.1:_port", "192.0.2.1"),
                ("6.6.6.6\nX-Real-IP: 192.0.2.1", "7.7.7.7\nX-Real-IP: 192.0.2.1"),
                // What is not an address counts as the connection's.
                ("unknown", "127.0.0.1"),
                ("192.0.2.1 6.6.6.6", "127.0.0.1"),
                ("", "127.0.0.1"),
            ][..],
        ),
        ("Forwarded", &[("for=192.0.2.1", "127.0.0.1"), ("for=192.0.2.2, 192.0.2.1", "192.0.2.1")]),
    ] {
        let name = header.to_lowercase();
        let server = Server::with(&[("client_address_header", &name), ("login_failures", "1")]);
        for (i, (one, other)) in pairs.iter().enumerate() {
            let log_in = |value| {
                log_in_with(&server, &format!("{header}: {value}"), &format!("name{i}"), "x")
            };
            let start = Instant::now();
            assert_eq!(log_in(one).json(), auth_failed(), "{one}");
            assert_throttled(&log_in(other), 30, start);
        }
        // Logged when the wait begins.
        let line =
            r#"client="127.0.0.1" malformed_address="for=192.0.2.1" failures=1 wait_seconds=30"#;
        assert_eq!(server.logged(line).len(), usize::from(header == "Forwarded"));
    }
}

/// One failure throttles.
const ONE_FAILURE: &[(&str, &str)] =
    &[("client_address_header", "X-Real-IP"), ("login_failures", "1")];

#[test]
fn failures_from_while_the_clock_was_wrong_do_not_make_a_client_wait() {
    let server = Server::with(ONE_FAILURE);
    let future = "UPDATE login_failures SET retry_at = retry_at + 315360000,
        forget_at = forget_at + 315360000";
    for _ in 0..2 {
        assert_throttled_after(1, || log_in_from(&server, "192.0.2.1", "luoyun", "x"));
        server.sql(future);
    }
    // Rows from the future are swept, too.
    assert_swept(&server, "retry_at > unixepoch() + 900", 0);
}

#[test]
fn another_sites_page_cannot_make_its_visitor_wait() {
    let server = Server::with(ONE_FAILURE);
    let refused = log_in_with(&server, "Sec-Fetch-Site: cross-site", "luoyun", "x");
    assert_eq!((refused.status, &refused.json()["error"]), (403, &json!("cross_site")));
    let _ = server.log_in("luoyun");
}

#[test]
fn a_client_that_connects_by_ipv6_counts_with_its_network() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        println!("not tested: this machine has no IPv6");
        return;
    }
    let setup = Setup { variables: &[("login_failures", "1")], ipv6: true, ..Setup::default() };
    let server = Server::start(setup);
    assert_throttled_after(1, || log_in_with(&server, "", "luoyun", "x"));
    assert_eq!(server.logged("client=\"::/64\"").len(), 1);
}

/// Another login of the pair may end a wait between the statement that finds it and the one that
/// looks up its end. Here, a trigger makes the first one find a wait.
#[test]
fn a_wait_that_is_over_at_once_is_refused_with_a_retry_after_a_second() {
    let server = Server::with(&[]);
    for (table, password) in [("login_failures", "x"), ("sessions", "luoyun")] {
        let trigger = "BEGIN SELECT RAISE(IGNORE); END";
        server.sql(&format!("CREATE TRIGGER ignores BEFORE INSERT ON {table} {trigger}"));
        let start = Instant::now();
        assert_throttled(&log_in_with(&server, "", "luoyun", password), 1, start);
        server.sql("DROP TRIGGER ignores");
    }
}

const GUESSES: usize = 100;

/// Logs in at once with the user names and passwords that `guess` returns; returns how many were
/// answered with `auth_failed`, and how many were accepted. The others were refused.
fn guess(server: &Server, guess: impl Fn(usize) -> [String; 2] + Sync) -> (usize, usize) {
    let replies = at_once(GUESSES, |i| {
        let [username, password] = guess(i);
        server.log_in_with(&username, &password)
    });
    let count = |error: &str| replies.iter().filter(|reply| reply["error"] == error).count();
    let accepted = replies.iter().filter(|reply| reply["code"] == 0).count();
    let (failed, refused) = (count("auth_failed"), count("too_many_attempts"));
    println!("{failed} failed, {accepted} accepted, {refused} refused");
    assert_eq!(failed + refused + accepted, GUESSES, "{replies:?}");
    (failed, accepted)
}

#[test]
fn concurrent_guesses_for_a_name_do_not_exceed_its_limit() {
    // A derivation with 4,096 KiB takes long enough for all guesses to overlap.
    for (memory, is_weak) in [("8", true), ("4096", true), ("4096", false)] {
        let server = Server::with(&[("password_memory_kib", memory)]);
        if !is_weak {
            let _upgraded = server.log_in("luoyun");
        }
        // One guess is right: it is accepted, or refused like the others.
        let password =
            |i: usize| if i == GUESSES / 2 { "luoyun".to_owned() } else { i.to_string() };
        let (failed, accepted) = guess(&server, |i| ["luoyun".to_owned(), password(i)]);
        // An accepted guess resets the count, which may have reached the limit meanwhile.
        let limit = if accepted == 0 { 5..=5 } else { 5..=10 };
        assert!(limit.contains(&failed), "{failed} answered, {accepted} accepted, {memory} KiB");
    }
}

#[test]
fn concurrent_guesses_for_many_names_do_not_exceed_the_limit_of_the_address() {
    let (server, start) = (Server::with(&[]), Instant::now());
    assert_eq!(guess(&server, |i| [format!("name{i}"), "x".to_owned()]), (50, 0));
    assert_throttled(&log_in_with(&server, "", "luoyun", "luoyun"), 30, start);
}

#[test]
fn the_limits_are_configurable_with_white_space_around_them() {
    let server = Server::with(&[
        ("login_failures", "2\n"),
        ("login_first_wait_seconds", " 100"),
        ("client_address_header", " X-Real-IP\r\n"),
    ]);
    let start = Instant::now();
    for _ in 0..2 {
        assert_eq!(log_in_from(&server, "192.0.2.1", "luoyun", "x").json(), auth_failed());
    }
    assert_throttled(&log_in_from(&server, "192.0.2.1", "luoyun", "luoyun"), 100, start);
    assert_eq!(log_in_from(&server, "192.0.2.2", "luoyun", "luoyun").json()["code"], 0);
}

#[test]
fn no_secret_is_in_any_file_or_log() {
    let server = Server::process(&[]);
    let (name, password, wrong) = ("ada", "Tr0ub4dor-and-3", "correct-horse-battery-staple");
    let weak = base16ct::lower::encode_string(&Sha1::digest(password));
    // Not in `Setup::sql`, which is in a file.
    server.sql(&format!("PRAGMA secure_delete = ON; {}", insert_users(&[(name, &weak)])));

    // People also type a password into the field of the name.
    for (username, password) in [(name, wrong), (wrong, name), (password, password)] {
        assert_eq!(server.log_in_with(username, password), auth_failed());
    }
    let mut secrets = vec![password.to_owned(), wrong.to_owned(), weak];
    for _ in 0..3 {
        let key = server.log_in_with(name, password)["session_key"].clone();
        secrets.push(key.as_str().expect("a session key").to_owned());
    }
    let [.., ended, key] = &secrets[..] else { unreachable!() };
    assert_eq!(server.post(LOGOUT, &[("session_key", ended)])["desc"], "Bye.");

    // What the components log: a failing store, and throttled logins.
    server.sql("ALTER TABLE users RENAME TO away");
    let reply = server.connect().post(LIST, &[("session_key", key)]);
    server.sql("ALTER TABLE away RENAME TO users");
    assert_eq!((reply.status, &reply.json()["error"]), (500, &json!("internal")));
    for (username, password) in [(name, wrong), (password, wrong)] {
        for _ in 0..6 {
            let _ = server.log_in_with(username, password);
        }
        assert_eq!(server.log_in_with(username, password)["error"], "too_many_attempts");
    }
    for (error, lines) in [("error=internal", 1), ("error=too_many_attempts", 2)] {
        assert_eq!(server.logged(error).len(), lines);
    }

    let strong = stored(&server, name);
    wait_until_idle(&server);
    let state = server.kill();
    let files = files(state.path());
    for (path, content) in &files {
        for secret in &secrets {
            assert!(!contains(content, secret), "{} has {secret}", path.display());
        }
        let is_database = path.extension().is_some_and(|ending| ending == "db");
        assert!(is_database || !contains(content, &strong), "{} has the hash", path.display());
    }
    assert!(files.len() >= 3, "two stores and the output, not {}", files.len());
}
