//! Passwords: their stored forms, and the throttling of guesses.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, thread};

use api_tests::cases::auth_failed;
use api_tests::dataset::insert_users;
use api_tests::{Admin, Client, Response, Server, Setup};
use serde_json::{Value, json};
use sha1::{Digest, Sha1};

const LOGIN: &str = "/api/login";

/// The password `password` in every stored form, created with Python's hashlib and argon2-cffi.
const STORED: [(&str, &str); 4] = [
    ("sha1", "5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8"),
    ("salted", "sha1$salt$59b3e8d637cf97edbe2384cf59cb7453dfe30789"),
    (
        "sha512",
        "0123456789ab$292612794e8f7c991c169cd0703fb82edc4b6edbb4b6655e8f0f61789fe2fa5214cf79b57f40a82793d6ed4701ce9b25e708c1086d780990feddee22ab3817b0",
    ),
    (
        "argon2id",
        "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$8Tf44YakA6Z5zNBgblq13Nr+Q8FkCFWsjG4z6b1j7rM",
    ),
];

fn log_in(server: &Server, username: &str, password: &str) -> Value {
    server.connect().post(LOGIN, &[("username", username), ("password", password)]).json()
}

fn stored(server: &Server, username: &str) -> String {
    let sql = "SELECT password FROM users WHERE username = ?1";
    server.database().query_row(sql, [username], |row| row.get(0)).unwrap()
}

#[test]
fn every_stored_form_is_accepted_and_upgraded() {
    let sql = insert_users(&STORED);
    let variables = &[("password_passes", "2")];
    let server = Server::start(Setup { sql: &sql, variables, ..Setup::default() });
    for (name, before) in STORED {
        assert_eq!(log_in(&server, name, "passwort"), auth_failed(), "{name}");
        assert_eq!(stored(&server, name), before, "{name}");

        let first = log_in(&server, name, "password");
        assert_eq!(first["code"], 0, "{name}: {first}");
        let strong = stored(&server, name);
        assert!(strong.starts_with("$argon2id$v=19$m=8,t=2,p=1$"), "{name}: {strong}");

        let second = log_in(&server, name, "password");
        assert_eq!(stored(&server, name), strong, "{name}: a strong hash was replaced");
        for reply in [first, second] {
            assert!(server.accepts(reply["session_key"].as_str().unwrap()), "{name}");
        }
    }
}

#[test]
fn an_upgraded_password_leaves_the_sessions_from_before() {
    let sql = insert_users(&STORED[3..]);
    let server = Server::start(Setup { sql: &sql, ..Setup::default() });
    let before = log_in(&server, "argon2id", "password");
    // Sets the weak form again, and undoes the change of the epoch, which would end the session.
    let weak = "UPDATE users SET password = ?1, session_epoch = session_epoch - 1";
    let weak = format!("{weak} WHERE username = 'argon2id'");
    server.database().execute(&weak, [STORED[0].1]).unwrap();
    assert!(server.accepts(before["session_key"].as_str().unwrap()));
    let after = log_in(&server, "argon2id", "password");
    assert!(stored(&server, "argon2id").starts_with("$argon2id$"));
    assert!(server.accepts(before["session_key"].as_str().unwrap()));
    assert!(server.accepts(after["session_key"].as_str().unwrap()));
}

#[test]
fn a_malformed_stored_value_matches_no_password() {
    let malformed = [
        ("empty", ""),
        ("plain", "password"),
        ("short", "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD"),
        ("unsalted", "sha1$$"),
        (
            "too much memory",
            "$argon2id$v=19$m=262145,t=1,p=1$c29tZXNhbHQ$8Tf44YakA6Z5zNBgblq13Nr+Q8FkCFWsjG4z6b1j7rM",
        ),
        ("other", "pbkdf2_sha1$1$salt$DGDID5YfDnHzqbUkr2ASBi/gN6Y="),
    ];
    let sql = insert_users(&malformed);
    let server = Server::start(Setup { sql: &sql, ..Setup::default() });
    for (name, stored) in malformed {
        for password in ["", "password", stored] {
            assert_eq!(log_in(&server, name, password), auth_failed(), "{name} {password}");
        }
    }
}

/// All files below `folder`, with their contents.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                return files(&path);
            }
            let content = fs::read(&path).unwrap();
            vec![(path, content)]
        })
        .collect()
}

fn contains(content: &[u8], secret: &str) -> bool {
    content.windows(secret.len()).any(|window| window == secret.as_bytes())
}

/// Waits until SQLite has checkpointed the write-ahead log into the database, which it does when
/// the last connection closes.
fn wait_until_idle(server: &Server) {
    let log = server.state().join("sqlite_db.db-wal");
    let deadline = Instant::now() + Duration::from_secs(10);
    while log.exists() {
        assert!(Instant::now() < deadline, "the write-ahead log still exists");
        thread::yield_now();
    }
}

#[test]
fn a_replaced_hash_is_in_no_file_once_the_server_is_idle() {
    // Enough to fill several pages of the file; each hash is unique.
    const USERS: usize = 120;
    let salted = |i: usize| {
        let digest = Sha1::digest(format!("{i:04}password"));
        format!("sha1${i:04}${}", base16ct::lower::encode_string(&digest))
    };
    let insert =
        |i| format!("INSERT INTO users (username, password) VALUES ('u{i}', '{}');", salted(i));
    // luoyun-admin writes with secure_delete, too.
    let sql = format!("PRAGMA secure_delete = ON; {}", (0..USERS).map(insert).collect::<String>());
    let server = Server::start_process(
        Setup { sql: &sql, ..Setup::default() },
        tempfile::tempdir().unwrap(),
    );
    // In an order that updates each page several times.
    let mut replaced: Vec<_> = (0..USERS).map(|i| i * 37 % USERS).collect();
    let changed = replaced.split_off(USERS - 20);
    for i in &replaced {
        assert_eq!(log_in(&server, &format!("u{i}"), "password")["code"], 0);
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
            let hash = salted(i);
            let digest = hash.rsplit_once('$').unwrap().1;
            assert!(!contains(&content, digest), "{} has the hash of u{i}", path.display());
        }
    }
}

/// Logs in with the client address that a proxy reports as `address`.
fn log_in_from(server: &Server, address: &str, username: &str, password: &str) -> Response {
    let mut client: Client = server.connect();
    let form = format!("username={username}&password={password}");
    let address = format!("X-Real-IP: {address}");
    client.request("POST", LOGIN, &[&address], form.as_bytes())
}

const BEHIND_A_PROXY: &[(&str, &str)] = &[("client_address_header", "X-Real-IP")];

fn assert_throttled(response: &Response, wait: std::ops::RangeInclusive<u64>) {
    assert_eq!(response.status, 429);
    let retry_after: u64 = response.header("retry-after").unwrap().parse().unwrap();
    assert!(wait.contains(&retry_after), "{retry_after} seconds, not {wait:?}");
    let desc = format!("Too many wrong passwords. Try again in {retry_after} seconds.");
    let expected = json!({"code": 1, "desc": desc, "error": "too_many_attempts"});
    assert_eq!(response.json(), expected);
}

#[test]
fn guessing_is_throttled_for_the_pair_of_user_name_and_address() {
    let server = Server::start(Setup { variables: BEHIND_A_PROXY, ..Setup::default() });
    for name in ["luoyun", "nobody"] {
        for _ in 0..5 {
            assert_eq!(log_in_from(&server, "192.0.2.1", name, "x").json(), auth_failed());
        }
        assert_throttled(&log_in_from(&server, "192.0.2.1", name, "x"), 25..=30);
    }
    assert_throttled(&log_in_from(&server, "192.0.2.1", "luoyun", "luoyun"), 25..=30);
    assert_throttled(&log_in_from(&server, "6.6.6.6, 192.0.2.1", "luoyun", "luoyun"), 25..=30);
    assert_eq!(log_in_from(&server, "192.0.2.2", "luoyun", "luoyun").json()["code"], 0);
    assert_eq!(log_in_from(&server, "192.0.2.1", "gallery", "gallery").json()["code"], 0);
}

#[test]
fn a_clients_headers_do_not_change_its_address() {
    let server = Server::start(Setup::default());
    let fields = ["spin-client-addr: 192.0.2.9:1", "X-Real-IP: 192.0.2.9"];
    let body = b"username=luoyun&password=x";
    for _ in 0..5 {
        let response = server.connect().request("POST", LOGIN, &fields, body);
        assert_eq!(response.json(), auth_failed());
    }
    let form = [("username", "luoyun"), ("password", "luoyun")];
    assert_throttled(&server.connect().post(LOGIN, &form), 25..=30);
}

/// Ends all throttling waits.
fn end_waits(server: &Server) {
    let sql = "UPDATE login_failures SET retry_at = unixepoch() WHERE retry_at > 0";
    server.database().execute(sql, []).unwrap();
}

#[test]
fn each_further_wrong_password_doubles_the_wait() {
    let server = Server::start(Setup { variables: BEHIND_A_PROXY, ..Setup::default() });
    let wrong = || log_in_from(&server, "192.0.2.1", "luoyun", "x");
    for _ in 0..5 {
        assert_eq!(wrong().json(), auth_failed());
    }
    for wait in [30, 60, 120, 240, 480, 900, 900] {
        assert_throttled(&wrong(), wait - 5..=wait);
        end_waits(&server);
        assert_eq!(wrong().json(), auth_failed(), "after a wait of {wait} seconds");
    }
}

/// The number of rows in `login_failures`.
fn failure_rows(server: &Server) -> i64 {
    let sql = "SELECT count(*) FROM login_failures";
    server.database().query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_right_password_resets_the_failures_of_its_pair() {
    let server = Server::start(Setup { variables: BEHIND_A_PROXY, ..Setup::default() });
    for _ in 0..3 {
        for _ in 0..4 {
            assert_eq!(log_in_from(&server, "192.0.2.1", "luoyun", "x").json(), auth_failed());
        }
        assert_eq!(log_in_from(&server, "192.0.2.1", "luoyun", "luoyun").json()["code"], 0);
    }
    // Only the row of the address is left; it still counts all twelve failures.
    assert_eq!(failure_rows(&server), 1);
}

#[test]
fn failures_expire_and_are_swept() {
    const OLD: i64 = 40;
    let server = Server::start(Setup { variables: BEHIND_A_PROXY, ..Setup::default() });
    for i in 0..OLD / 2 {
        let _ = log_in_from(&server, &format!("192.0.2.{i}"), "luoyun", "x");
    }
    assert_eq!(failure_rows(&server), OLD);
    let old = "UPDATE login_failures SET forget_at = unixepoch()";
    server.database().execute(old, []).unwrap();

    for _ in 0..5 {
        assert_eq!(log_in_from(&server, "192.0.2.1", "luoyun", "x").json(), auth_failed());
    }
    assert_throttled(&log_in_from(&server, "192.0.2.1", "luoyun", "x"), 25..=30);

    // Each insert also checks some other rows, so old rows disappear as new ones are added.
    let left = || -> i64 {
        let sql = "SELECT count(*) FROM login_failures WHERE forget_at <= unixepoch()";
        server.database().query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let mut names = 0..1000;
    while left() > OLD / 10 {
        let name = names.next().expect("expired rows are not swept").to_string();
        let _ = log_in_from(&server, &format!("198.51.100.{}", name.len()), &name, "x");
        server.database().execute("UPDATE login_failures SET retry_at = 0", []).unwrap();
    }
}

#[test]
fn guessing_is_throttled_for_the_address_whatever_names_are_tried() {
    let variables = [BEHIND_A_PROXY, &[("login_address_failures", "3")]].concat();
    // Addresses of one network, and one of another network.
    for (addresses, other) in [
        (["192.0.2.1", "192.0.2.1", "192.0.2.1"], "192.0.2.2"),
        (["2001:db8:1:2::1", "2001:db8:1:2::2", "2001:db8:1:2:ffff::"], "2001:db8:1:3::1"),
    ] {
        let server = Server::start(Setup { variables: &variables, ..Setup::default() });
        for (i, address) in addresses.into_iter().enumerate() {
            let wrong = log_in_from(&server, address, &format!("name{i}"), "x");
            assert_eq!(wrong.json(), auth_failed());
        }
        for address in addresses {
            let forged = format!("{other}, {address}");
            assert_throttled(&log_in_from(&server, address, "luoyun", "luoyun"), 25..=30);
            assert_throttled(&log_in_from(&server, &forged, "luoyun", "luoyun"), 25..=30);
        }
        assert_eq!(log_in_from(&server, other, "luoyun", "luoyun").json()["code"], 0);

        // A right password does not reset the count of the address.
        end_waits(&server);
        assert_eq!(log_in_from(&server, addresses[0], "luoyun", "luoyun").json()["code"], 0);
        assert_eq!(log_in_from(&server, addresses[1], "name9", "x").json(), auth_failed());
        assert_throttled(&log_in_from(&server, addresses[2], "luoyun", "luoyun"), 55..=60);
    }
}

#[test]
fn fifty_wrong_passwords_throttle_an_address() {
    let server = Server::start(Setup::default());
    for i in 0..50 {
        assert_eq!(log_in(&server, &format!("name{i}"), "x"), auth_failed(), "{i}");
    }
    let form = [("username", "luoyun"), ("password", "luoyun")];
    assert_throttled(&server.connect().post(LOGIN, &form), 25..=30);
}

#[test]
fn concurrent_guesses_do_not_exceed_the_limit() {
    const GUESSES: usize = 100;
    let server = Server::start(Setup::default());
    let replies: Vec<Value> = thread::scope(|scope| {
        let guess = |i: usize| {
            let server = &server;
            // One guess is right: it is accepted, or throttled like the others.
            let password = if i == GUESSES / 2 { "luoyun".to_owned() } else { i.to_string() };
            move || log_in(server, "luoyun", &password)
        };
        let guesses: Vec<_> = (0..GUESSES).map(|i| scope.spawn(guess(i))).collect();
        guesses.into_iter().map(|guess| guess.join().unwrap()).collect()
    });
    let count = |error: &str| replies.iter().filter(|reply| reply["error"] == error).count();
    let accepted = replies.iter().filter(|reply| reply["code"] == 0).count();
    let (failed, refused) = (count("auth_failed"), count("too_many_attempts"));
    assert_eq!(failed + refused + accepted, GUESSES);
    // An accepted guess resets the count of the failures before it.
    let limit = if accepted == 0 { 5..=5 } else { 5..=9 };
    assert!(limit.contains(&failed), "{failed} guesses answered, {accepted} accepted");
}

#[test]
fn the_limits_are_configurable() {
    let variables = &[("login_failures", "2"), ("login_first_wait_seconds", "100")];
    let server = Server::start(Setup { variables, ..Setup::default() });
    for _ in 0..2 {
        assert_eq!(log_in(&server, "luoyun", "x"), auth_failed());
    }
    let form = [("username", "luoyun"), ("password", "luoyun")];
    assert_throttled(&server.connect().post(LOGIN, &form), 95..=100);
}

#[test]
fn no_secret_is_in_any_file_or_log() {
    let state = tempfile::tempdir().unwrap();
    let server = Server::start_process(Setup::default(), state);
    let wrong = "correct-horse-battery-staple";
    let mut secrets = vec![wrong.to_owned()];
    for (username, password) in [("luoyun", wrong), (wrong, "luoyun"), (wrong, wrong)] {
        assert_eq!(log_in(&server, username, password), auth_failed());
    }
    for _ in 0..3 {
        secrets.push(server.log_in("luoyun"));
    }
    let logout = [("session_key", secrets[1].as_str())];
    assert_eq!(server.connect().post("/api/logout", &logout).json()["desc"], "Bye.");
    // A failing store makes the component write to its log.
    server.database().execute_batch("DROP TABLE instances").unwrap();
    let form = [("session_key", secrets[2].as_str())];
    let reply = server.connect().post("/api/myun/instance", &form);
    assert_eq!((reply.status, &reply.json()["error"]), (500, &json!("internal")));

    // A throttled login is also logged.
    for _ in 0..6 {
        let _ = log_in(&server, wrong, wrong);
    }

    // The stored hash is in the database only, and the demo data's hash is in no file.
    let hash = stored(&server, "luoyun");
    wait_until_idle(&server);
    let state = server.kill();
    let files = files(state.path());
    for (path, content) in &files {
        for secret in &secrets {
            assert!(!contains(content, secret), "{} has {secret}", path.display());
        }
        let is_database = path.extension().is_some_and(|ending| ending == "db");
        assert!(is_database || !contains(content, &hash), "{} has the hash", path.display());
        let replaced = "5ce229cfdbc7804f86696e7240ba64f86e67d821";
        assert!(!contains(content, replaced), "{} has the replaced hash", path.display());
    }
    assert!(files.len() >= 3, "two stores and the output, not {}", files.len());
}
