//! The design document's examples and the contract's error replies, on the demo data. These tests
//! hold for every server, including one at `BASE_URL`.

use std::process::Command;

use api_tests::admin::run;
use api_tests::cases::{self, reply};
use api_tests::{Server, root};

#[test]
fn every_row_is_answered_as_the_contract_says() {
    cases::run(&Server::demo(), &cases::section("demo data"));
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
        let mut python = Command::new("python3");
        python.arg(root().join("tests/clients").join(client)).args(arguments);
        let output = run(python.args(["--host", &server.addr().to_string()]), b"");
        let printed = serde_json::from_str(&output.stdout).map(cases::without_key);
        assert_eq!(printed.ok(), Some(reply(expected)), "{client}: {output:?}");
        assert_eq!(output.code, Some(code), "{client}");
    }
}
