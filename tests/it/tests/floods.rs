//! Clients that want more than their share: slow bodies, and logins without end. They run alone, as
//! they measure time and memory: `make test` starts them after the others.

use std::time::{Duration, Instant};

use api_tests::server::{
    at_once, memory, raise_descriptor_limit, repeat_beside, timed, wait_until,
};
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
    let response = (0..30).find_map(|_| {
        slow.receive_within(Duration::from_millis(500)).or_else(|| {
            slow.send(b"a");
            None
        })
    });
    let response = response.expect("a reply");
    assert_eq!((response.status, response.json()), (408, example("RequestTimeout")));
    assert!(start.elapsed() > Duration::from_secs(9), "refused after {:?}", start.elapsed());
}

/// Each keeps one of the host's 1,000 instances.
#[test]
fn a_thousand_slow_bodies_keep_nobody_out_for_longer_than_their_time() {
    let server = start();
    let key = server.log_in("luoyun");
    let mut slow: Vec<_> = (0..1000).map(|_| without_body(&server)).collect();
    // The host refuses those that came when it had no instance left.
    let late = slow.iter_mut().map(|it| it.receive(false)).filter(|it| it.status == 408).count();
    assert!(late >= 900, "{late} requests timed out");
    wait_until("an instance", || server.try_accepts(&key));
}

/// Calls `log_in` with each of 600 numbers at once, and `read` meanwhile; returns the replies'
/// `error`s. Asserts what this costs the server, a process group that grows by at most `max_mib`, and
/// the reader, compared with the median login: nine of ten reads take at most a fifth of its time, and
/// all take less.
pub(crate) fn flood(
    (server, max_mib): (u32, u64),
    read: impl Fn() + Sync,
    log_in: impl Fn(usize) -> Value + Sync,
) -> Vec<String> {
    let before = memory(server, "VmRSS");
    let log_in = |i| timed(|| log_in(i)["error"].as_str().unwrap().to_owned());
    let (mut reads, logins) = repeat_beside(1, |_| || timed(&read).0, || at_once(600, log_in));
    let (mut times, errors): (Vec<_>, Vec<_>) = logins.into_iter().unzip();
    reads.sort_unstable();
    times.sort_unstable();
    let (most, all) = (reads[reads.len() * 9 / 10], reads[reads.len() - 1]);
    let median = times[times.len() / 2];
    let added = (memory(server, "VmHWM") - before) / 1024;
    println!("{added} MiB more; reads took {most:?} to {all:?}, a login {median:?}");
    assert!(added <= max_mib, "{added} MiB more");
    assert!(
        most < median / 5 && all < median,
        "reads took {most:?} to {all:?}, a login {median:?}"
    );
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
    let read = || assert!(server.accepts(&key));
    let errors = flood((server.process_id(), 1024), read, log_in);
    assert!(server.accepts(&server.log_in("luoyun")));
    let [failed, busy] =
        ["auth_failed", "busy"].map(|error| errors.iter().filter(|known| *known == error).count());
    assert_eq!(failed + busy, 600);
    // More than began at once, on any machine.
    assert!(failed >= 8 && busy >= 8, "{failed} answered, {busy} refused");
}
