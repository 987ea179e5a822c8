//! The design document's examples and the contract's error replies, on the demo data. These tests
//! hold for every server, including one at `BASE_URL`.

use std::process::Command;

use api_tests::cases::{self, auth_required, case, reply};
use api_tests::server::run;
use api_tests::{BASEINFO, LIST, LOGOUT, Server, root};
use serde_json::{Value, json};

#[test]
fn every_row_is_answered_as_the_contract_says() {
    cases::run(&Server::demo(), &cases::section("demo data"));
}

/// Malformed numbers, or out of range, form-encoded. The last ones are full-width and Arabic digits,
/// not UTF-8, and a broken escape.
const INVALID_NUMBERS: &str = "0 00 -0 -1 -9223372036854775808 9223372036854775808 \
    18446744073709551616 18446744073709551617 340282366920938463463374607431768211457 7.0 7. 7,0 1e3 \
    0x10 0o7 1_0 %2B%2B7 %2B 7%2B %2B-7 7+7 7%007 %EF%BC%97 %D9%A7 7%ff 7%";

/// Forms of the number 2, form-encoded: the last ones have spaces around them, control characters,
/// no-break and ideographic spaces.
const TWO: &str = "2 %32 %2B2 000002 000000000000000000002 ++2++ +%2B2 %00%1f2%7f%0d%0a %C2%A02%C2%A0 \
    %E3%80%802%E3%80%80";

#[test]
fn every_number_is_parsed_as_the_contract_says() {
    let mut rows = Vec::new();
    let mut row = |number: &str, path: &str, parameters: &str, reply: &str| {
        rows.push(case(&format!("{number} | {path} | session_key=$KEY&{parameters} | {reply}")));
    };
    for number in INVALID_NUMBERS.split(' ').chain([&*"9".repeat(5000)]) {
        row(number, BASEINFO, &format!("instance_id={number}"), "$BAD_ID");
        row(number, LIST, &format!("sepa={number}"), "$BAD_SEPA");
        row(number, LIST, &format!("p={number}"), "$BAD_P");
    }
    let no_instance =
        r#"{"code":1,"desc":"Instance 2 does not exist","error":"instance_not_found"}"#;
    for two in TWO.split(' ') {
        row(two, LIST, &format!("sepa={two}&p={two}"), r#"{$ONE,"sepa":2,"p":2}"#);
        row(two, BASEINFO, &format!("instance_id={two}"), no_instance);
    }
    for p in [1_i64 << 31, 1 << 32, 1 << 53] {
        let reply = format!(r#"{{$NIL,"sepa":10,"p":{p}}}"#);
        row("a page past the end", LIST, &format!("p={p}"), &reply);
    }
    cases::run(&Server::demo(), &rows);
}

#[test]
fn each_login_gives_a_key_that_ends_with_its_logout() {
    let server = Server::demo();
    let (key, other) = (server.log_in("luoyun"), server.log_in("luoyun"));
    assert!(server.accepts(&key) && server.accepts(&other));
    let form = [("session_key", key.as_str())];
    assert_eq!(server.post(LOGOUT, &form), json!({"code": 0, "desc": "Bye."}));
    for path in [LOGOUT, LIST, BASEINFO] {
        assert_eq!(server.post(path, &form), auth_required(), "{path}");
    }
    assert!(server.accepts(&other));
}

#[test]
fn the_smoke_test_passes() {
    let server = Server::demo();
    let mut smoke = Command::new(root().join("tests/smoke.sh"));
    let output = run(smoke.env("BASE_URL", server.base_url()), b"");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}");
    assert!(printed.contains("All checks passed."), "{printed}");
}

/// Runs a client of the design document; returns its output, parsed as JSON, and its exit code.
fn python(server: &Server, client: &str, arguments: &[&str]) -> (Value, Option<i32>) {
    let mut python = Command::new("python3");
    python.arg(root().join("tests/clients").join(client)).args(arguments);
    let output = run(python.args(["--host", server.base_url().trim_start_matches("http://")]), b"");
    let errors = String::from_utf8_lossy(&output.stderr);
    let printed = serde_json::from_slice(&output.stdout);
    (printed.unwrap_or_else(|_| panic!("{client}: {errors}")), output.status.code())
}

#[test]
fn the_python_clients_print_the_documented_replies() {
    let server = Server::demo();
    for (client, arguments, expected, code) in [
        ("t_post.py", &[][..], "$WELCOME", 0),
        ("t_post.py", &["--user", "luoyun", "--password", "wrong"], "$AUTH_FAILED", 1),
        ("get_instance_info.py", &["2252"], "$DESKTOP", 0),
        ("get_instance_info.py", &["5"], "$OWNED_BY_ANOTHER", 1),
        ("get_my_instances.py", &["--sepa", "2", "--page", "1"], r#"{$TWO,"sepa":2,"p":1}"#, 0),
        ("get_my_instances.py", &[], r#"{$ALL,"sepa":10,"p":1}"#, 0),
    ] {
        let (printed, exit_code) = python(&server, client, arguments);
        let found = (cases::without_key(printed), exit_code);
        assert_eq!(found, (reply(expected), Some(code)), "{client}");
    }
}
