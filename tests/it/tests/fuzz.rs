//! Mutation fuzzing: every reply to a mutated valid request follows the contract. The seed is
//! fixed; `FUZZ_REQUESTS` sets the number of requests (`make fuzz`: 50,000).

use std::collections::BTreeMap;
use std::env;
use std::sync::LazyLock;

use api_tests::client::exchange;
use api_tests::server::at_once;
use api_tests::{BASEINFO, LIST, LOGIN, LOGOUT, Response, Server, read};
use fastrand::Rng;
use serde_json::Value;

const SEED: u64 = 20_261_123;
const WORKERS: usize = 4;

/// Tokens that mutations insert, with `|` between them: each has a meaning to one of the parsers.
const TOKENS: &[u8] =
    b"%|%00|%ff|%zz|&|=|+|-|\0|\xff|\xc3\xa9|0|7|9223372036854775808|'|\"|<|\r\n|\n|\
    \x20|?|#|;|,|/|session_key=|username|application/json";

/// Each `error` of the contract's table with its HTTP status, without `internal`.
static REFUSALS: LazyLock<BTreeMap<String, u16>> = LazyLock::new(|| {
    let rows = read("docs/contract.md");
    let rows = rows.lines().filter_map(|line| {
        let mut cells = line.split(" | ");
        let word = cells.next()?.strip_prefix("| `")?.strip_suffix('`')?;
        Some((word.to_owned(), cells.next()?.parse().ok()?))
    });
    rows.filter(|(word, _)| word != "internal").collect()
});

/// A random valid request, in parts: method, path, header fields, body.
fn valid(rng: &mut Rng, key: &str) -> [Vec<u8>; 4] {
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let (path, body) = match rng.u8(..5) {
        0 => (LOGIN, "username=luoyun&password=luoyun".to_owned()),
        1 => (LOGIN, "username=nobody&password=x".to_owned()),
        2 => (BASEINFO, format!("session_key={key}&instance_id=2252")),
        3 => (LIST, format!("session_key={key}&sepa=2&p=1")),
        _ => (LOGOUT, format!("session_key={}", key.replace('0', "1"))),
    };
    [b"POST".to_vec(), path.into(), form.into(), body.into_bytes()]
}

fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>) {
    let at = rng.usize(..=bytes.len());
    match rng.u8(..6) {
        0 if at < bytes.len() => bytes[at] ^= 1 << rng.u8(..8),
        1 if at < bytes.len() => _ = bytes.remove(at),
        2 => bytes.truncate(at),
        3 => bytes.extend_from_within(at..),
        4 if rng.u8(..20) == 0 => {
            let long = vec![rng.u8(..); rng.usize(..100_000)];
            bytes.splice(at..at, long);
        }
        _ => {
            let tokens: Vec<_> = TOKENS.split(|byte| *byte == b'|').collect();
            bytes.splice(at..at, tokens[rng.usize(..tokens.len())].iter().copied());
        }
    }
}

/// A mutated request, and whether it is still well-formed HTTP. If it is not, the host may reject
/// it without calling a component.
fn request(rng: &mut Rng, key: &str) -> (Vec<u8>, bool) {
    let mut parts = valid(rng, key);
    for _ in 0..rng.u8(..4) {
        // The body is mutated most often.
        let part = [0, 1, 1, 2, 2, 3, 3, 3, 3][rng.usize(..9)];
        mutate(rng, &mut parts[part]);
    }
    let [method, path, fields, body] = parts;
    let version = b" HTTP/1.1\r\nHost: fuzz\r\nConnection: close\r\n";
    let mut head = [&method[..], b" ", &path, version, &fields].concat();
    // `framing.rs` has chunks, and lengths that do not fit.
    head.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
    let mut parsed = [httparse::EMPTY_HEADER; 16];
    let mut parsed = httparse::Request::new(&mut parsed);
    // The host may reject a very long head, and Spin 4.0 a path that is not ASCII.
    let is_path =
        |path: &str| path.is_ascii() && path.starts_with('/') && path.parse::<http::Uri>().is_ok();
    let is_well_formed = head.len() < 32_768
        && matches!(parsed.parse(&head), Ok(httparse::Status::Complete(end)) if end == head.len())
        && parsed.path.is_some_and(is_path)
        && parsed.headers.iter().all(|field| str::from_utf8(field.value).is_ok());
    ([head, body].concat(), is_well_formed)
}

/// Whether the contract, or a host's treatment of a malformed request, has this response.
fn is_expected(response: &Response, is_well_formed: bool) -> bool {
    // Spin answers 500 to a header field that is not UTF-8.
    if !is_well_formed && response.body.is_empty() {
        return [400, 414, 431, 500].contains(&response.status);
    }
    // No mutation makes a HEAD request, so every reply has a body.
    let reply: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    let status = match (&reply["code"], reply["error"].as_str()) {
        (code, None) if *code == 0 => Some(&200),
        (code, Some(error)) if *code == 1 => REFUSALS.get(error),
        _ => None,
    };
    response.header("content-type") == Some("application/json")
        && status == Some(&response.status)
        && reply["desc"].is_string()
}

#[test]
fn every_reply_to_a_mutated_request_follows_the_contract() {
    let count = env::var("FUZZ_REQUESTS").map_or(1500, |count| count.parse().unwrap());
    // With the default limits, throttling would answer most logins.
    let limits = ["login_failures", "login_address_failures"].map(|name| (name, "1000000"));
    let server = Server::with(&limits);
    let key = server.log_in("luoyun");
    at_once(WORKERS, |worker| {
        let mut rng = Rng::with_seed(SEED + worker as u64);
        for _ in 0..count / WORKERS {
            let (request, is_well_formed) = request(&mut rng, &key);
            let response = exchange(server.addr(), &request, is_well_formed);
            let is_expected =
                response.as_ref().map_or(!is_well_formed, |it| is_expected(it, is_well_formed));
            assert!(is_expected, "{response:?} to {:?}", String::from_utf8_lossy(&request));
        }
    });
    assert_ne!(server.log_in("luoyun"), key, "the server no longer issues keys");
}
