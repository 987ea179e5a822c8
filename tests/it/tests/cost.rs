//! What a request costs, as devhost measures it and Spin does not: storage calls, writes and
//! fuel.

use std::fs;

use api_tests::server::root;
use api_tests::{Server, Setup};
use devhost::Options;

const LOGIN: &str = "/api/login";
const LUOYUN: [(&str, &str); 2] = [("username", "luoyun"), ("password", "luoyun")];
const BASEINFO: &str = "/api/instance/baseinfo";
const LIST: &str = "/api/myun/instance";

fn server() -> Server {
    Server::start(Setup::default())
}

fn components() -> Server {
    Server::devhost(Options::for_test(root().join("tests/components/spin.toml")))
}

/// The storage calls of the next request that is measured, in the order of names.
fn calls(server: &Server, path: &str, form: &[(&str, &str)]) -> Vec<(&'static str, u32)> {
    let _ = server.connect().post(path, form);
    let measured = server.measured();
    println!("{path}: {} units of fuel", measured.fuel);
    measured.calls.into_iter().collect()
}

#[test]
fn an_authenticated_read_makes_four_storage_calls() {
    let server = server();
    let key = server.log_in("luoyun");
    let _login = server.measured();

    let four =
        [("connection.execute", 1), ("connection.open", 1), ("store.get", 1), ("store.open", 1)];
    let key = ("session_key", key.as_str());
    assert_eq!(calls(&server, BASEINFO, &[key, ("instance_id", "2252")]), four);
    assert_eq!(calls(&server, BASEINFO, &[key, ("instance_id", "5")]), four);
    assert_eq!(calls(&server, LIST, &[key]), four);
    assert_eq!(calls(&server, LIST, &[key, ("p", "99")]), four);
    assert_eq!(calls(&server, LIST, &[]), []);
}

/// How often a SQLite file was written to: the change counter in its header (SQLite,
/// "Database File Format", 1.3.7).
fn writes(server: &Server, file: &str) -> u32 {
    let header = fs::read(server.state().join(file)).unwrap();
    u32::from_be_bytes(header[24..28].try_into().unwrap())
}

#[test]
fn a_login_makes_five_storage_calls_and_one_write_in_each_store() {
    let server = server();
    let _upgraded = server.log_in("luoyun");
    let _login = server.measured();

    let files = ["sqlite_db.db", "sqlite_key_value.db"];
    let before = files.map(|file| writes(&server, file));
    let login = calls(&server, LOGIN, &LUOYUN);
    let expected = [
        ("connection.execute", 2),
        ("connection.open", 1),
        ("store.open", 1),
        ("store.set", 1),
        ("variables.get", 3),
    ];
    assert_eq!(login, expected);
    assert_eq!(files.map(|file| writes(&server, file)), before.map(|count| count + 1));
}

#[test]
fn no_login_makes_more_than_ten_storage_calls() {
    let server = server();
    let storage = || {
        let calls = calls(&server, LOGIN, &LUOYUN);
        let storage = calls.iter().filter(|(name, _)| *name != "variables.get");
        storage.map(|(_, count)| count).sum::<u32>()
    };
    let _upgrade = storage();
    for _ in 0..20 {
        let _ = storage();
    }
    server.database().execute("UPDATE sessions SET expires_at = 1", []).unwrap();
    assert_eq!(storage(), 10, "with three sessions to sweep");

    // And a password to store better, and a wrong one to forget.
    let weak = "UPDATE users SET password = '5ce229cfdbc7804f86696e7240ba64f86e67d821'";
    server.database().execute(weak, []).unwrap();
    let _wrong = calls(&server, LOGIN, &[("username", "luoyun"), ("password", "x")]);
    assert_eq!(storage(), 7);
    assert_eq!(storage(), 10, "the sweep goes on at the next login");
}

#[test]
fn an_unknown_user_costs_what_a_wrong_password_costs() {
    let sql = "INSERT INTO users (username, password) VALUES
        ('sha1', '5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8'),
        ('pbkdf2', 'pbkdf2_sha1$1000$salt$DGDID5YfDnHzqbUkr2ASBi/gN6Y='),
        ('weaker', 'pbkdf2_sha1$500$salt$DGDID5YfDnHzqbUkr2ASBi/gN6Y='),
        ('broken', 'x');";
    let variables = &[("password_iterations", "1000")];
    let server = Server::start(Setup { sql, variables, ..Setup::default() });
    let fuel = |username: &str| {
        let form = [("username", username), ("password", "wrong")];
        let reply = server.connect().post(LOGIN, &form).json();
        assert_eq!(reply["error"], "auth_failed");
        let fuel = server.measured().fuel;
        println!("{username}: {fuel} units of fuel");
        u32::try_from(fuel).unwrap()
    };
    let unknown = f64::from(fuel("nobody"));
    for username in ["sha1", "pbkdf2", "weaker", "broken"] {
        let ratio = f64::from(fuel(username)) / unknown;
        assert!((ratio - 1.0).abs() <= 0.02, "{username}: {ratio:.4}");
    }
}

#[test]
fn a_throttled_try_derives_nothing() {
    let variables = &[("password_iterations", "10000")];
    let server = Server::start(Setup { variables, ..Setup::default() });
    let fuel = || {
        let _ = server.connect().post(LOGIN, &[("username", "nobody"), ("password", "x")]);
        server.measured().fuel
    };
    let tries: Vec<u64> = (0..6).map(|_| fuel()).collect();
    assert!(tries[5] * 20 < tries[4], "{tries:?}");
}

#[test]
fn a_store_that_the_manifest_does_not_grant_is_denied() {
    let server = components();
    let key = "0123456789abcdef0123456789abcdef01234567";
    let reply = server.connect().post("/no-store", &[("session_key", key)]);
    assert_eq!((reply.status, &reply.json()["error"]), (500, &"internal".into()));
    assert_eq!(server.measured().calls["store.open"], 1);

    let form = [("username", "luoyun"), ("password", "luoyun")];
    let reply = server.connect().post("/no-database", &form);
    assert_eq!((reply.status, &reply.json()["error"]), (500, &"internal".into()));
    assert_eq!(server.measured().calls["connection.open"], 1);
}

/// Head and body in two segments would stall each reply by up to 40 ms, on a
/// connection that is kept alive.
#[test]
fn every_reply_arrives_in_one_segment() {
    let server = server();
    let key = server.log_in("luoyun");
    let mut client = server.connect();
    let requests: [(&str, &[(&str, &str)]); 4] = [
        ("/api/login", &[("username", "luoyun"), ("password", "luoyun")]),
        ("/api/login", &[]),
        (BASEINFO, &[("session_key", &key), ("instance_id", "2252")]),
        (LIST, &[("session_key", &key)]),
    ];
    // Often: whether a reply in two parts is also two segments is a race.
    for (path, form) in requests.into_iter().cycle().take(400) {
        let response = client.post(path, form);
        assert_eq!(response.reads, 1, "{path} {response:?}");
    }
}
