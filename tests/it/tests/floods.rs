//! Clients that want more than their share: slow bodies, and logins without end. They run alone, as
//! they measure time and memory: `make test` starts them after the others.

use std::time::{Duration, Instant};

use api_tests::server::{at_once, memory, raise_descriptor_limit, repeat_beside};
use api_tests::{Client, LOGIN, Server, example};
use serde_json::Value;

/// The default strength of passwords, behind a proxy.
const DEFAULTS: &[(&str, &str)] = &[
    ("password_memory_kib", "19456"),
    ("password_passes", "2"),
    ("client_address_header", "X-Real-IP"),
];

fn start() -> Server {
    raise_descriptor_limit();
    Server::process(DEFAULTS)
}

fn without_body(server: &Server) -> Client {
    let mut client = server.connect();
    client.send(b"POST /api/logout HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n");
    client
}

#[test]
fn a_body_has_ten_seconds_to_arrive_whatever_its_pace() {
    let server = start();
    let start = Instant::now();
    let mut slow = without_body(&server);
    // A byte each time that no reply has come within half a second.
    let response = loop {
        match slow.receive_within(Duration::from_millis(500)) {
            Some(response) => break response,
            None => slow.send(b"a"),
        }
        assert!(start.elapsed() < Duration::from_secs(15), "no reply");
    };
    assert_eq!((response.status, response.json()), (408, example("RequestTimeout")));
    assert!(start.elapsed() > Duration::from_secs(9), "refused after {:?}", start.elapsed());
}

/// Each keeps one of the host's 1,000 instances.
#[test]
fn a_thousand_slow_bodies_keep_nobody_out_for_longer_than_their_time() {
    let server = start();
    let key = server.log_in("luoyun");
    let mut slow: Vec<_> = (0..1000).map(|_| without_body(&server)).collect();
    let start = Instant::now();
    while !server.try_accepts(&key) {
        assert!(start.elapsed() < Duration::from_secs(15), "nobody is answered");
    }
    // The host refuses those that came when it had no instance left.
    let timeouts = slow.iter_mut().map(|client| client.receive(false).status);
    let timeouts = timeouts.filter(|status| *status == 408).count();
    assert!(timeouts >= 900, "{timeouts} requests timed out");
}

/// Calls `log_in` with each of 600 numbers at once, and `read` meanwhile; returns the replies'
/// `error`s. Asserts what this costs the server, a process group that grows by at most `max_mib`, and
/// the reader, who waits for at most a second, or more only on a machine that is as much slower at a
/// single login, `once`.
pub(crate) fn flood(
    (server, max_mib): (u32, u64),
    once: impl Fn(),
    read: impl Fn() + Sync,
    log_in: impl Fn(usize) -> Value + Sync,
) -> Vec<String> {
    let time = |call: &dyn Fn()| {
        let start = Instant::now();
        call();
        start.elapsed()
    };
    let bound = Duration::from_secs(1).max(12 * time(&once));
    let before = memory(server, "VmRSS");
    let logins = || at_once(600, |i| log_in(i)["error"].as_str().unwrap().to_owned());
    let (waits, errors) = repeat_beside(1, |_| || time(&read), logins);
    let longest = waits.into_iter().max().unwrap();
    let added = (memory(server, "VmHWM") - before) / 1024;
    println!("{added} MiB more, the reader waited {longest:?}");
    assert!(added <= max_mib, "{added} MiB more");
    assert!(longest <= bound, "a reader waited {longest:?} of {bound:?}");
    errors
}

#[test]
fn logins_at_once_from_many_addresses_wait_for_a_thread_or_are_refused() {
    let server = start();
    let key = server.log_in("luoyun");
    let busy = example("Busy");
    let log_in = |i| {
        let field = format!("X-Real-IP: 198.51.{}.{}", i / 250, i % 250);
        let body = format!("username=name{i}&password=x");
        let response = server.connect().request("POST", LOGIN, &[&field], body.as_bytes());
        let reply = response.json();
        if response.status == 503 {
            assert_eq!((&reply, response.header("retry-after")), (&busy, Some("1")));
        }
        reply
    };
    let log_in_once = || assert!(server.accepts(&server.log_in("luoyun")));
    let read = || assert!(server.accepts(&key));
    let errors = flood((server.process_id(), 1024), log_in_once, read, log_in);
    log_in_once();
    let [failed, busy] =
        ["auth_failed", "busy"].map(|error| errors.iter().filter(|known| *known == error).count());
    assert_eq!(failed + busy, 600);
    assert!(failed >= 20 && busy >= 20, "{failed} answered, {busy} refused");
}
