//! Passwords: their stored forms, and the throttling of guesses.

use std::path::{Path, PathBuf};
use std::time::Instant;
use std::{fs, iter};

use api_tests::cases::auth_failed;
use api_tests::dataset::{ARGON2ID, SALTED, SHA1, WEAK, insert_users};
use api_tests::server::{at_once, wait_until};
use api_tests::{Admin, LIST, LOGIN, LOGOUT, Response, Server, Setup, read};
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

        assert_eq!(server.log_in_with(name, "password")["code"], 0, "{name}");
        let strong = stored(&server, name);
        assert!(strong.starts_with("$argon2id$v=19$m=8,t=2,p=1$"), "{name}: {strong}");

        assert_eq!(server.log_in_with(name, "password")["code"], 0, "{name}");
        assert_eq!(stored(&server, name), strong, "{name}: a strong hash was replaced");
    }
    // An upgrade leaves the sessions from before.
    let before = server.log_in("luoyun");
    server.sql(WEAK);
    let after = server.log_in("luoyun");
    assert!(stored(&server, "luoyun").starts_with("$argon2id$"));
    assert!(server.accepts(&before) && server.accepts(&after));
}

/// All files below `folder`, with their contents, of which bytes that are not UTF-8 are replaced.
fn files(folder: &Path) -> Vec<(PathBuf, String)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let contents = entries.map(|path| match fs::read(&path) {
        Ok(content) => vec![(path, String::from_utf8_lossy(&content).into_owned())],
        Err(_) => files(&path),
    });
    contents.flatten().collect()
}

/// Waits until SQLite has checkpointed the write-ahead log into the database, which it does when
/// the last connection closes.
fn wait_until_idle(server: &Server) {
    let log = server.state().join("sqlite_db.db-wal");
    wait_until("the end of the write-ahead log", || !log.exists());
}

#[test]
fn a_replaced_hash_is_in_no_file_once_the_server_is_idle_or_luoyun_admin_has_replaced_it() {
    // Enough to fill several pages of the file; each hash is unique.
    const USERS: usize = 120;
    let digest =
        |i: usize| base16ct::lower::encode_string(&Sha1::digest(format!("{i:04}password")));
    let user = |i| insert_users(&[(&format!("u{i}"), format!("sha1${i:04}${}", digest(i)))]);
    // luoyun-admin writes with secure_delete, too.
    let sql = format!("PRAGMA secure_delete = ON; {}", (0..USERS).map(user).collect::<String>());
    let server = Server::start(Setup { sql: &sql, ..Setup::default() });
    let assert_gone = |users: &[usize]| {
        for (path, content) in files(server.state()) {
            // Only the digest: a page may contain the salt without it.
            let kept = users.iter().find(|i| content.contains(&digest(**i)));
            let kept = kept.filter(|_| !path.ends_with("setup.sql"));
            assert_eq!(kept, None, "in {}", path.display());
        }
    };
    // In an order that updates each page several times.
    let mut replaced: Vec<_> = (0..USERS).map(|i| i * 37 % USERS).collect();
    let changed = replaced.split_off(USERS - 20);
    for i in &replaced {
        assert_eq!(server.log_in_with(&format!("u{i}"), "password")["code"], 0);
    }
    wait_until_idle(&server);
    assert_gone(&replaced);

    // Another connection keeps the write-ahead log.
    let db = server.database();
    db.query_row("SELECT count(*) FROM users", [], |_| Ok(())).unwrap();
    let admin = Admin::on(&server.state().join("sqlite_db.db"));
    for i in &changed {
        let name = format!("u{i}");
        let args = ["user", "passwd", &name, "--memory-kib", "8", "--passes", "1"];
        let args = if i % 2 == 0 { &args[..] } else { &["user", "remove", &name] };
        admin.done_with(args, b"another");
        let code = server.log_in_with(&name, "another")["code"].clone();
        assert_eq!(code, i32::from(i % 2 == 1), "{name}");
    }
    assert_gone(&changed);
}

/// Logs in with these header fields.
fn log_in_with(server: &Server, fields: &[&str], username: &str, password: &str) -> Response {
    let form = format!("username={username}&password={password}");
    server.connect().request("POST", LOGIN, fields, form.as_bytes())
}

/// Asserts that a login was refused because of a wait of `wait` seconds that began after `start`.
#[track_caller]
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

/// Runs the rows of a section of `throttling.txt`, which describes them, on a new server.
fn throttle(section: &str) {
    let (head, rows) = section.split_once('\n').unwrap();
    let (name, variables) = head.split_once(']').unwrap();
    let variables = variables.replace("\\n", "\n");
    let variables = variables.split(" | ").filter_map(|pair| pair.trim_start().split_once('='));
    let variables: Vec<_> = variables.collect();
    let server = Server::with(&variables);
    let (mut start, mut logged) = (Instant::now(), Vec::new());
    for row in rows.lines().filter(|row| !row.is_empty()) {
        let cells: Vec<_> = row.split(" | ").map(str::trim).collect();
        match cells[..] {
            ["sql", sql] => {
                server.sql(sql);
                start = Instant::now();
            }
            ["check", condition] => {
                assert!(server.value::<bool>(&format!("SELECT {condition}")), "{name}: {row}");
            }
            ["log", ref lines @ ..] => {
                logged.extend(lines.iter().map(|line| format!("endpoint=login {line}")));
                assert_eq!(server.logged("endpoint="), logged, "{name}: {row}");
            }
            [login, outcome, ref fields @ ..] => {
                let [times, user, password] =
                    login.split_whitespace().collect::<Vec<_>>().try_into().unwrap();
                for _ in 0..times.parse().unwrap() {
                    let response = log_in_with(&server, fields, user, password);
                    let reply = response.json();
                    println!("{name}: {row}: {reply}");
                    match outcome.parse() {
                        Ok(wait) => assert_throttled(&response, wait, start),
                        Err(_) => assert_eq!(reply["error"].as_str().unwrap_or("none"), outcome),
                    }
                }
            }
            _ => panic!("{row}"),
        }
    }
}

#[test]
fn every_row_is_throttled_as_the_documents_say() {
    let table = read("tests/it/throttling.txt");
    let sections: Vec<_> = table.split("\n[").skip(1).collect();
    assert!(at_once(sections.len(), |i| throttle(sections[i])).len() > 10);
}

#[test]
fn failures_that_have_expired_or_are_from_the_future_do_not_count_and_are_swept() {
    let future = "retry_at = retry_at + 315360000, forget_at = forget_at + 315360000";
    for change in ["forget_at = unixepoch(), retry_at = 0", future] {
        // One failure throttles.
        let server =
            Server::with(&[("client_address_header", "X-Real-IP"), ("login_failures", "1")]);
        let wrong = |address: usize, name: &str| {
            log_in_with(&server, &[&format!("X-Real-IP: 192.0.2.{address}")], name, "x")
        };
        for address in 0..20 {
            assert_eq!(wrong(address, "luoyun").json(), auth_failed());
        }
        server.sql(&format!("UPDATE login_failures SET {change}, failures = 100"));
        let old =
            || server.value::<i64>("SELECT count(*) FROM login_failures WHERE failures = 100");
        assert_eq!(old(), 40);
        let start = Instant::now();
        assert_eq!(wrong(0, "luoyun").json(), auth_failed(), "{change}");
        assert_throttled(&wrong(0, "luoyun"), 30, start);
        // Each login that inserts a row also checks some others.
        let mut names = 0..1000;
        while old() > 0 {
            let name = names.next().expect("the rows are not swept").to_string();
            assert_eq!(wrong(100, &name).json(), auth_failed());
            server.sql("DELETE FROM login_failures WHERE failures < 100");
        }
    }
}

const GUESSES: usize = 100;

/// Logs in at once with the user names and passwords that `guess` returns; returns how many were
/// answered with `auth_failed`, and how many were accepted. The others were refused.
fn guess(server: &Server, guess: impl Fn(usize) -> [String; 2] + Sync) -> (usize, usize) {
    let replies = at_once(GUESSES, |i| {
        let [username, password] = guess(i);
        // A slow machine may be busy: a client tries again.
        let mut replies = iter::repeat_with(|| server.log_in_with(&username, &password));
        replies.find(|reply| reply["error"] != "busy").unwrap()
    });
    let count = |error: &str| replies.iter().filter(|reply| reply["error"] == error).count();
    let accepted = replies.iter().filter(|reply| reply["code"] == 0).count();
    let (failed, refused) = (count("auth_failed"), count("too_many_attempts"));
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
    assert_throttled(&log_in_with(&server, &[], "luoyun", "luoyun"), 30, start);
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
            assert!(!content.contains(secret), "{} has {secret}", path.display());
        }
        let is_database = path.extension().is_some_and(|ending| ending == "db");
        assert!(is_database || !content.contains(&strong), "{} has the hash", path.display());
    }
    assert!(files.len() >= 3, "two stores and the output, not {}", files.len());
}
