//! The design document's examples and the contract's error replies, on the demo data. These tests
//! hold for every server, including one at `BASE_URL`.

use std::process::Command;

use api_tests::admin::run;
use api_tests::cases::{self, auth_required, reply};
use api_tests::{BASEINFO, LIST, LOGOUT, Server, root};
use serde_json::{Value, json};

#[test]
fn every_row_is_answered_as_the_contract_says() {
    cases::run(&Server::demo(), &cases::section("demo data"));
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
    let output = run(smoke.env("BASE_URL", format!("http://{}", server.addr())), b"");
    let printed = output.stdout;
    assert_eq!(output.code, Some(0), "{printed}");
    assert!(printed.contains("All checks passed."), "{printed}");
}

/// Runs a client of the design document; returns its output, parsed as JSON, and its exit code.
fn python(server: &Server, client: &str, arguments: &[&str]) -> (Value, Option<i32>) {
    let mut python = Command::new("python3");
    python.arg(root().join("tests/clients").join(client)).args(arguments);
    let output = run(python.args(["--host", &server.addr().to_string()]), b"");
    let printed = serde_json::from_str(&output.stdout);
    (printed.unwrap_or_else(|_| panic!("{client}: {output:?}")), output.code)
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
