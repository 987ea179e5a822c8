//! Relative latency: ratios between two alternating requests, with the stores in memory, so that
//! disk latency does not add noise. `make test` runs this module alone, after the others, because
//! concurrent tests would distort it.

use std::time::{Duration, Instant};

use api_tests::server::root;
use api_tests::{Client, Response, Server, Setup};
use devhost::Options;

const LOGIN: &str = "/api/login";
const LUOYUN: [(&str, &str); 2] = [("username", "luoyun"), ("password", "luoyun")];
const BASEINFO: &str = "/api/instance/baseinfo";

fn timed(client: &mut Client, path: &str, form: &[(&str, &str)]) -> (Response, Duration) {
    let start = Instant::now();
    let response = client.post(path, form);
    (response, start.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// A request to measure: the server, the path and the form.
type Measure<'a> = (&'a Server, &'a str, &'a [(&'a str, &'a str)]);

/// The ratio of the median latencies of `one` and `other`, with the requests alternating: the
/// lowest of ten rounds, because background load on this machine only adds to it.
fn latency_ratio(one: Measure, other: Measure) -> f64 {
    let mut clients = [one.0.connect(), other.0.connect()];
    let mut round = || {
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..40 {
            for (side, (_, path, form)) in [one, other].into_iter().enumerate() {
                let (response, time) = timed(&mut clients[side], path, form);
                assert_eq!(response.json()["code"], 0);
                times[side].push(time);
            }
        }
        let [one, other] = times.map(median);
        println!("{one:?} and {other:?}");
        one.as_secs_f64() / other.as_secs_f64()
    };
    std::iter::repeat_with(&mut round).take(10).fold(f64::INFINITY, f64::min)
}

#[test]
fn baseinfo_takes_at_most_four_times_as_long_as_a_component_that_does_nothing() {
    let (server, components) = (
        Server::start(Setup { in_memory: true, ..Setup::default() }),
        Server::devhost(Options::for_test(root().join("tests/components/spin.toml"))),
    );
    let key = server.log_in("luoyun");
    let form = [("session_key", key.as_str()), ("instance_id", "2252")];
    let ratio = latency_ratio((&server, BASEINFO, &form), (&components, "/empty", &form));
    println!("ratio {ratio:.2}");
    assert!(ratio <= 4.0, "{ratio:.2} times");
}

#[test]
fn a_login_takes_at_most_three_times_as_long_as_baseinfo() {
    let server = Server::start(Setup { in_memory: true, ..Setup::default() });
    let key = server.log_in("luoyun");
    let form = [("session_key", key.as_str()), ("instance_id", "2252")];
    let ratio = latency_ratio((&server, LOGIN, &LUOYUN), (&server, BASEINFO, &form));
    println!("ratio {ratio:.2}");
    assert!(ratio <= 3.0, "{ratio:.2} times");
}
