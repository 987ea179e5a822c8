//! One machine: the API as `luoyun-api.service` starts it, behind HAProxy, and clients that keep
//! it busy.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use api_tests::server::{Process, timed, wait_until};
use api_tests::{Client, LIST, LOGIN, Response, Server};

use super::has_spin;
use super::servers::Site;
use crate::floods::flood;
use crate::framing::{chunked, head};

/// Time of an ordinary request that did not wait for other clients: they have 10 seconds.
const SHORT: Duration = Duration::from_secs(1);

/// Two clients. Each address of 127.0.0.0/8 is one.
const READER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 4);
const ATTACKER: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 0);

struct Machine {
    site: Site,
    api: Process,
    tls: SocketAddr,
    front: SocketAddr,
    _proxy: Process,
    /// The reader's session.
    key: String,
}

impl Machine {
    /// Starts Spin, or else devhost, by the command `run`, such as `prlimit`.
    fn start(run: &str) -> Self {
        let mut site = Site::new();
        site.set("SPIN_VARIABLE_CLIENT_ADDRESS_HEADER", "X-Real-IP");
        let host = if has_spin() { "spin up" } else { "devhost" };
        // devhost does not read variables from the environment.
        let variable = "--variable client_address_header=X-Real-IP";
        let (api, address) = site.start_unit(&format!("{run} {host} {variable}"));
        Server::at(address).log_in_with("nobody", "");
        site.run("sqlite3 state-*/sqlite_db.db <migrations/demo.sql");
        site.set("SPIN_1", address);
        let (proxy, tls, front) = site.start_http_proxy();
        let key = Server::at(front).log_in("luoyun");
        Self { site, api, tls, front, _proxy: proxy, key }
    }

    fn client(&self, source: Ipv4Addr) -> Client {
        Client::connect_from(source, self.front)
    }

    /// Logs in; the password is the user name.
    fn log_in(&self, source: Ipv4Addr, username: &str) -> Response {
        self.client(source).post(LOGIN, &[("username", username), ("password", username)])
    }

    /// Requests the reader's list on a new connection, which must succeed, beside what `beside`
    /// says; returns the time that it took.
    #[track_caller]
    fn read(&self, beside: &str) -> Duration {
        let form = [("session_key", self.key.as_str())];
        let (took, response) = timed(|| self.client(READER).post(LIST, &form));
        assert_eq!(response.status, 200, "beside {beside}: {response:?}");
        took
    }

    /// Asserts that a read is short while the last of the other clients still `waits`.
    #[track_caller]
    fn assert_reads_soon(&self, beside: &str, waits: impl FnOnce() -> bool) {
        wait_until(beside, || self.read(beside) < SHORT);
        assert!(waits(), "a read was short only after {beside}");
    }
}

/// Asserts that the proxy gave `response`, in the contract's form.
#[track_caller]
fn assert_refused(response: &Response, status: u16, error: &str, retry_after: Option<&str>) {
    assert_eq!((response.status, response.json()["error"].as_str()), (status, Some(error)));
    assert_eq!(response.header("cache-control"), Some("no-store"), "{response:?}");
    assert_eq!(response.header("retry-after"), retry_after, "{response:?}");
}

#[test]
#[ignore = "needs HAProxy: make test-deploy"]
fn slow_and_silent_clients_hold_up_nobody() {
    let machine = Machine::start("prlimit --nofile=1024");
    let connect = |_| TcpStream::connect(machine.tls).unwrap();
    let silent: Vec<_> = (0..2_000).map(connect).collect();
    silent[1_999].set_nonblocking(true).unwrap();
    machine.assert_reads_soon("2,000 silent connections", || silent[1_999].peek(&mut [0]).is_err());
    let slow = |length: usize, sent: usize| {
        let mut client = machine.client(ATTACKER);
        let head = "POST /api/logout HTTP/1.1\r\nHost: x\r\nContent-Length: ";
        client.send(format!("{head}{length}\r\n\r\n{}", "a".repeat(sent)).as_bytes());
        client
    };
    let mut bodies: Vec<_> = (0..1_050).flat_map(|_| [slow(9, 0), slow(60_000, 20_000)]).collect();
    let waits = || bodies[2_099].receive_within(Duration::from_millis(1)).is_none();
    machine.assert_reads_soon("2,100 slow bodies", waits);
    for body in bodies.iter_mut().rev().take(2) {
        assert_refused(&body.receive(false), 408, "request_timeout", None);
    }
    // Responses of 4 MB that their clients do not read.
    machine.site.run(
        "sqlite3 state-*/sqlite_db.db \"INSERT INTO instances (user_id, name, summary)
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
             SELECT users.id, 'long', printf('%.4000c', 'a') FROM n, users
             WHERE username = 'luoyun'\"",
    );
    let list = format!("/api/myun/instance?session_key={}&sepa=1000", machine.key);
    let mut unread: Vec<_> = (0..150).map(|_| machine.client(ATTACKER)).collect();
    for client in &mut unread {
        client.send(format!("POST {list} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
    }
    wait_until("a short read", || machine.read("slow readers") < SHORT);
    drop(silent);
}

#[test]
#[ignore = "needs HAProxy: make test-deploy"]
fn a_flood_of_logins_takes_little_memory_and_holds_up_nobody() {
    for addresses in [1, 600] {
        let machine = Machine::start("");
        let honest = || assert_eq!(machine.log_in(READER, "luoyun").status, 200);
        let log_in = |number: usize| {
            // Of an address with many requests, and one with few, the latter comes first.
            if (number, addresses) == (599, 1) {
                honest();
            }
            let [.., high, low] = (number % addresses).to_be_bytes();
            let name = format!("unknown-{number}");
            machine.log_in(Ipv4Addr::new(127, 0, 1 + high, low), &name).json()
        };
        let read = || {
            machine.read("a flood");
        };
        let errors = flood((machine.api.id(), 300), read, log_in);
        let kinds = BTreeSet::from_iter(errors);
        println!("from {addresses} addresses: {kinds:?}");
        let expected = ["auth_failed", "too_many_attempts", "busy"].map(str::to_owned).into();
        assert!(kinds.is_subset(&expected) && kinds.len() > 1, "{kinds:?}");
    }
}

#[test]
#[ignore = "needs HAProxy: make test-deploy"]
fn the_proxy_passes_whole_requests_and_refuses_others_as_the_contract_says() {
    let mut machine = Machine::start("");
    let login = "username=luoyun&password=luoyun";
    let padded = |length: usize, more: usize| {
        let fields = format!("Content-Length: {length}\r\nX-Field: {}\r\n", "a".repeat(more));
        format!("{}{login}&{}", head(&fields), "a".repeat(length - login.len() - 1))
    };
    let another_path = padded(99, 0).replace("/api/login", "//api/login/");
    let with = |fields: &str| padded(99, 0).replace("X-Field", &format!("{fields}\r\nX-Field"));
    let line = |line: &str| format!("{line} HTTP/1.1\r\nHost: x\r\nCookie: ä\r\n\r\n");
    let welcome = "Welcome to LYC.";
    for (name, request, status, found) in [
        ("the largest request", padded(64 << 10, 16_000), 200, welcome),
        ("a body that is too large", padded((64 << 10) + 1, 0), 413, "body_too_large"),
        ("many chunks", chunked(login, 9) + "0\r\n\r\n", 200, welcome),
        ("too many", chunked(&"a".repeat(99_000), 99_000), 413, "body_too_large"),
        ("no host", padded(99, 0).replace("Host", "X-Host"), 200, welcome),
        ("another form of the path", another_path, 200, welcome),
        ("long header fields", padded(99, 17_000), 400, "invalid_parameter"),
        ("other fields in Latin-1", with("Cookie: ä\r\nUser-Agent: ä\r\nX-A: ä"), 200, welcome),
        ("a content type in Latin-1", with("Content-Type: text/ä"), 415, "unsupported_media_type"),
        ("a content encoding", with("Content-Encoding: gzip"), 415, "unsupported_media_type"),
        ("another site's page", with("Sec-Fetch-Site: cross-site"), 403, "cross_site"),
        ("the console", line("GET /"), 200, "<!doctype html>"),
        ("the console's tag", line("GET /").replace("Cookie", "If-None-Match: *\r\nA"), 304, ""),
        ("an absolute URI", padded(99, 0).replace(" /", " http://x/"), 200, welcome),
        ("CONNECT", line("CONNECT x:443"), 405, "method_not_allowed"),
        ("TRACE", line("TRACE /api/login"), 405, "method_not_allowed"),
        ("no path", line("GET x"), 400, ""),
        ("an asterisk", line("OPTIONS *"), 400, ""),
    ] {
        let mut client = machine.client(READER);
        let latin_1: Vec<_> = request.chars().map(|c| u8::try_from(c).unwrap()).collect();
        client.send(&latin_1);
        let response = client.receive(false);
        assert_eq!(response.status, status, "{name}: {response:?}");
        assert!(String::from_utf8_lossy(&response.body).contains(found), "{name}: {response:?}");
    }

    // Failures count for the client's address, whatever it claims.
    for guess in 0..=5 {
        let reply = machine.site.run(&format!(
            "curl --silent --show-error --cacert authority.pem --header 'X-Real-IP: 10.0.0.{guess}' \
             https://localhost:{}/api/login -d username=gallery -d password=x",
            machine.tls.port()
        ));
        let error = if guess < 5 { "auth_failed" } else { "too_many_attempts" };
        assert!(reply.contains(error), "{guess}: {reply}");
    }

    // An address that logs in too fast has to wait, and no other one. (These do not cost much.)
    let mut fast = machine.client(ATTACKER);
    let replies: Vec<_> = (0..=600).map(|_| fast.post(LOGIN, &[])).collect();
    assert!(replies[..600].iter().all(|reply| reply.status == 200));
    assert_refused(&replies[600], 429, "too_many_attempts", Some("10"));
    assert_eq!(fast.post("/api/logout", &[]).status, 200);
    assert_eq!(machine.log_in(READER, "luoyun").status, 200);

    machine.api.kill();
    assert_refused(&machine.log_in(READER, "luoyun"), 503, "busy", Some("1"));
}
