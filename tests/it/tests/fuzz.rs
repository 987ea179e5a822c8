//! Mutation fuzzing: every reply to a mutated form, query or content type follows the contract;
//! `framing.rs` has malformed HTTP. The seed is fixed; `FUZZ_REQUESTS` sets the number of requests
//! (`make fuzz`: 50,000).

use std::collections::BTreeMap;
use std::env;
use std::sync::LazyLock;

use api_tests::server::at_once;
use api_tests::{BASEINFO, LIST, LOGIN, LOGOUT, Response, Server, read};
use fastrand::Rng;
use serde_json::Value;

const SEED: u64 = 20_261_123;
const WORKERS: usize = 4;
const MEDIA_TYPE: &str = "application/x-www-form-urlencoded";

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

/// A random valid request: its path and its form.
fn valid(rng: &mut Rng, key: &str) -> (&'static str, String) {
    match rng.u8(..5) {
        0 => (LOGIN, "username=luoyun&password=luoyun".to_owned()),
        1 => (LOGIN, "username=nobody&password=x".to_owned()),
        2 => (BASEINFO, format!("session_key={key}&instance_id=2252")),
        3 => (LIST, format!("session_key={key}&sepa=2&p=1")),
        _ => (LOGOUT, format!("session_key={}", key.replace('0', "1"))),
    }
}

fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>) {
    let at = rng.usize(..=bytes.len());
    match rng.u8(..6) {
        0 if at < bytes.len() => bytes[at] ^= 1 << rng.u8(..8),
        1 if at < bytes.len() => _ = bytes.remove(at),
        2 => bytes.truncate(at),
        3 => bytes.extend_from_within(at..),
        4 if rng.u8(..20) == 0 => {
            // Within 64 KiB, even if it is doubled twice.
            let long = vec![rng.u8(..); rng.usize(..15_000)];
            bytes.splice(at..at, long);
        }
        _ => {
            let tokens: Vec<_> = TOKENS.split(|byte| *byte == b'|').collect();
            bytes.splice(at..at, tokens[rng.usize(..tokens.len())].iter().copied());
        }
    }
}

/// The bytes of `text` that a host accepts in a query, or in a header field.
fn accepted(text: &[u8], is_accepted: fn(u8) -> bool) -> String {
    text.iter().filter(|byte| is_accepted(**byte)).map(|byte| char::from(*byte)).collect()
}

fn is_expected(response: &Response) -> bool {
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
        let mut client = server.connect();
        for _ in 0..count / WORKERS {
            let (path, form) = valid(&mut rng, &key);
            let mut parts = [&form, &form, MEDIA_TYPE].map(|part: &str| part.as_bytes().to_vec());
            for _ in 0..rng.u8(..4) {
                // The body is mutated most often.
                let part = [0, 0, 0, 1, 1, 2][rng.usize(..6)];
                mutate(&mut rng, &mut parts[part]);
            }
            let [body, query, media_type] = &parts;
            let query =
                accepted(query, |byte| matches!(byte, b'!' | b'$'..=b';' | b'=' | b'?'..=b'~'));
            let media_type = accepted(media_type, |byte| matches!(byte, b' '..=b'~'));
            let field = format!("Content-Type: {media_type}");
            let target = format!("{path}?{query}");
            let response = client.request("POST", &target, &[&field], body);
            let body = String::from_utf8_lossy(body);
            assert!(is_expected(&response), "{response:?} to {target} {field} {body:?}");
        }
    });
    assert_ne!(server.log_in("luoyun"), key, "the server no longer issues keys");
}
