//! Passwords: the forms in which they are stored, and who keeps guessing.

use std::fs;

use api_tests::cases::auth_failed;
use api_tests::{Client, Response, Server, Setup};
use serde_json::{Value, json};

const LOGIN: &str = "/api/login";

/// The password `password` in every form; salts and digests made with Python's
/// hashlib.
const STORED: [(&str, &str); 4] = [
    ("sha1", "5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8"),
    ("salted", "sha1$salt$59b3e8d637cf97edbe2384cf59cb7453dfe30789"),
    (
        "sha512",
        "0123456789ab$292612794e8f7c991c169cd0703fb82edc4b6edbb4b6655e8f0f61789fe2fa5214cf79b57f40a82793d6ed4701ce9b25e708c1086d780990feddee22ab3817b0",
    ),
    ("pbkdf2", "pbkdf2_sha1$1$salt$DGDID5YfDnHzqbUkr2ASBi/gN6Y="),
];

fn add_users(stored: &[(&str, &str)]) -> String {
    let insert = |(name, stored): &(&str, &str)| {
        format!("INSERT INTO users (username, password) VALUES ('{name}', '{stored}');")
    };
    stored.iter().map(insert).collect()
}

fn log_in(server: &Server, username: &str, password: &str) -> Value {
    server.connect().post(LOGIN, &[("username", username), ("password", password)]).json()
}

fn stored(server: &Server, username: &str) -> String {
    let sql = "SELECT password FROM users WHERE username = ?1";
    server.database().query_row(sql, [username], |row| row.get(0)).unwrap()
}

#[test]
fn every_stored_form_is_accepted_and_replaced_by_the_strong_one() {
    let sql = add_users(&STORED);
    let variables = &[("password_iterations", "2")];
    let server = Server::start(Setup { sql: &sql, variables, ..Setup::default() });
    for (name, before) in STORED {
        assert_eq!(log_in(&server, name, "passwort"), auth_failed(), "{name}");
        assert_eq!(stored(&server, name), before, "{name}");

        let first = log_in(&server, name, "password");
        assert_eq!(first["code"], 0, "{name}: {first}");
        let strong = stored(&server, name);
        assert!(strong.starts_with("pbkdf2_sha1$2$"), "{name}: {strong}");

        let second = log_in(&server, name, "password");
        assert_eq!(stored(&server, name), strong, "{name}: it is strong already");
        for reply in [first, second] {
            assert!(server.accepts(reply["session_key"].as_str().unwrap()), "{name}");
        }
    }
}

#[test]
fn a_better_stored_password_leaves_the_sessions_from_before() {
    let sql = add_users(&STORED[3..]);
    let server = Server::start(Setup { sql: &sql, ..Setup::default() });
    let before = log_in(&server, "pbkdf2", "password");
    // As weak as before, in the way that leaves the sessions.
    let weak = "UPDATE users SET password = ?1, session_epoch = session_epoch - 1";
    let weak = format!("{weak} WHERE username = 'pbkdf2'");
    server.database().execute(&weak, [STORED[0].1]).unwrap();
    assert!(server.accepts(before["session_key"].as_str().unwrap()));
    let after = log_in(&server, "pbkdf2", "password");
    assert!(stored(&server, "pbkdf2").starts_with("pbkdf2_sha1$1$"));
    assert!(server.accepts(before["session_key"].as_str().unwrap()));
    assert!(server.accepts(after["session_key"].as_str().unwrap()));
}

#[test]
fn a_malformed_stored_value_refuses_everybody() {
    let malformed = [
        ("empty", ""),
        ("plain", "password"),
        ("upper", "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD"),
        ("unsalted", "sha1$$"),
        ("endless", "pbkdf2_sha1$4294967295$salt$DGDID5YfDnHzqbUkr2ASBi/gN6Y="),
        ("other", "pbkdf2_sha256$1$salt$DGDID5YfDnHzqbUkr2ASBi/gN6Y="),
    ];
    let sql = add_users(&malformed);
    let server = Server::start(Setup { sql: &sql, ..Setup::default() });
    for (name, stored) in malformed {
        for password in ["", "password", stored] {
            assert_eq!(log_in(&server, name, password), auth_failed(), "{name} {password}");
        }
    }
}

/// A try from `address`, as a proxy tells it.
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
fn the_address_is_the_connections_whatever_a_client_says() {
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

/// Lets the waits of all pairs be over.
fn end_waits(server: &Server) {
    let sql = "UPDATE login_attempts SET retry_at = unixepoch() WHERE retry_at > 0";
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

#[test]
fn a_right_password_clears_the_wrong_ones() {
    let server = Server::start(Setup { variables: BEHIND_A_PROXY, ..Setup::default() });
    for _ in 0..3 {
        for _ in 0..4 {
            assert_eq!(log_in_from(&server, "192.0.2.1", "luoyun", "x").json(), auth_failed());
        }
        assert_eq!(log_in_from(&server, "192.0.2.1", "luoyun", "luoyun").json()["code"], 0);
    }
    let left: i64 = server
        .database()
        .query_row("SELECT COUNT(*) FROM login_attempts", [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, 0);
}

#[test]
fn wrong_passwords_are_forgotten_and_swept() {
    let server = Server::start(Setup { variables: BEHIND_A_PROXY, ..Setup::default() });
    for i in 0..4 {
        assert_eq!(log_in_from(&server, "192.0.2.1", "luoyun", "x").json(), auth_failed());
        let _ = log_in_from(&server, &format!("192.0.2.{}", 10 + i), "luoyun", "x");
    }
    let old = "UPDATE login_attempts SET forget_at = unixepoch()";
    server.database().execute(old, []).unwrap();
    for _ in 0..5 {
        assert_eq!(log_in_from(&server, "192.0.2.1", "luoyun", "x").json(), auth_failed());
    }
    assert_throttled(&log_in_from(&server, "192.0.2.1", "luoyun", "x"), 25..=30);
    let left: i64 = server
        .database()
        .query_row("SELECT COUNT(*) FROM login_attempts", [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, 1, "only the pair that has to wait");
}

#[test]
fn the_limits_are_the_operators() {
    let variables = &[("login_failures", "2"), ("login_first_wait_seconds", "100")];
    let server = Server::start(Setup { variables, ..Setup::default() });
    for _ in 0..2 {
        assert_eq!(log_in(&server, "luoyun", "x"), auth_failed());
    }
    let form = [("username", "luoyun"), ("password", "luoyun")];
    assert_throttled(&server.connect().post(LOGIN, &form), 95..=100);
}

#[test]
fn no_secret_is_left_anywhere() {
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
    // A store that fails is what makes a component write to its log.
    server.database().execute_batch("DROP TABLE instances").unwrap();
    let form = [("session_key", secrets[2].as_str())];
    let reply = server.connect().post("/api/myun/instance", &form);
    assert_eq!((reply.status, &reply.json()["error"]), (500, &json!("internal")));

    // A stored hash has its place in the database, and nowhere else.
    let hash = stored(&server, "luoyun");
    let state = server.kill();
    let mut files = vec![state.path().to_owned()];
    let mut read = 0;
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let content = fs::read(&path).unwrap();
        let has =
            |secret: &str| content.windows(secret.len()).any(|window| window == secret.as_bytes());
        for secret in &secrets {
            assert!(!has(secret), "{} has {secret}", path.display());
        }
        if path.extension().is_none_or(|ending| ending != "db") {
            assert!(!has(&hash), "{} has the stored hash", path.display());
        }
        read += 1;
    }
    assert!(read >= 3, "two stores and the output, not {read} files");
}
