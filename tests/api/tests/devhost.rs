//! What devhost measures and Spin does not show: storage calls, the size of the
//! modules, and latency beside a component that does nothing.

// A test that cannot go on panics.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::time::{Duration, Instant};

use api_tests::server::{Server, demo_sql, root};
use api_tests::{Client, Response};
use devhost::Options;

const BASEINFO: &str = "/api/instance/baseinfo";
const LIST: &str = "/api/myun/instance";

fn server() -> Server {
    Server::devhost(Options { sqlite: demo_sql(), ..Options::for_test(root().join("spin.toml")) })
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

#[test]
fn a_login_opens_each_store_once() {
    let server = server();
    let login = calls(&server, "/api/login", &[("username", "luoyun"), ("password", "luoyun")]);
    let expected = [
        ("connection.execute", 2),
        ("connection.open", 1),
        ("store.open", 1),
        ("store.set", 1),
        ("variables.get", 1),
    ];
    assert_eq!(login, expected);
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

#[test]
fn no_module_is_larger_than_300_kilobytes() {
    for module in ["login", "instance_baseinfo", "myun_instance"] {
        let path = root().join(format!("target/wasm32-wasip1/release/{module}.wasm"));
        let size = fs::metadata(path).unwrap().len();
        println!("{module}: {size} bytes");
        assert!(size <= 300_000, "{module}: {size} bytes");
    }
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

fn timed(client: &mut Client, path: &str, form: &[(&str, &str)]) -> (Response, Duration) {
    let start = Instant::now();
    let response = client.post(path, form);
    (response, start.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[test]
fn baseinfo_takes_at_most_four_times_as_long_as_a_component_that_does_nothing() {
    let (server, components) = (server(), components());
    let key = server.log_in("luoyun");
    let form = [("session_key", key.as_str()), ("instance_id", "2252")];
    let (mut baseinfo, mut empty) = (server.connect(), components.connect());

    let (mut baseinfo_times, mut empty_times) = (Vec::new(), Vec::new());
    for _ in 0..400 {
        let (response, time) = timed(&mut baseinfo, BASEINFO, &form);
        assert_eq!(response.json()["code"], 0);
        baseinfo_times.push(time);
        let (response, time) = timed(&mut empty, "/empty", &form);
        assert_eq!(response.json()["code"], 0);
        empty_times.push(time);
    }
    let (baseinfo, empty) = (median(baseinfo_times), median(empty_times));
    let ratio = baseinfo.as_secs_f64() / empty.as_secs_f64();
    println!("baseinfo {baseinfo:?}, empty {empty:?}, ratio {ratio:.2}");
    assert!(ratio <= 4.0, "{ratio:.2} times");
}
