//! The `devhost` command's error messages.

use std::path::PathBuf;
use std::process::Command;

use api_tests::server::{built, errors_of, root};

fn manifest() -> PathBuf {
    root().join("tests/components/spin.toml")
}

fn devhost(arguments: &[&str]) -> Command {
    let mut command = Command::new(built("devhost"));
    command.args(["--listen", "127.0.0.1:0"]).args(arguments);
    command
}

#[test]
fn invalid_arguments_are_named_in_the_error() {
    let from = manifest();
    let from = from.to_str().unwrap();
    let state = tempfile::tempdir().unwrap();
    let state = state.path().to_str().unwrap();
    for (arguments, message) in [
        (vec!["--from", "no-such.toml"], "no-such.toml"),
        (vec!["--from", from, "--state-dir", state, "--variable", "a=b"], "--variable a"),
        (vec!["--from", from, "--state-dir", state, "--variable", "a"], "= is missing"),
        (vec!["--from", from, "--state-dir", state, "--sqlite", "@no-such.sql"], "no-such.sql"),
        (vec!["--from", from, "--state-dir", state, "--sqlite", "SELEC 1"], "syntax error"),
        // Spin runs only the first of several statements, without an error.
        (
            vec!["--from", from, "--state-dir", state, "--sqlite", "PRAGMA a; PRAGMA b"],
            "Multiple statements",
        ),
    ] {
        let errors = errors_of(&mut devhost(&arguments));
        assert!(errors.contains(message), "{arguments:?}: {errors}");
    }
}

const MINIMAL: &str = r#"
spin_manifest_version = 2
[application]
name = "a"
[variables]
set = { default = "60" }
unset = {}
[[trigger.http]]
route = "/x"
component = "x"
[component.x]
source = "x.wasm"
"#;

#[test]
fn unsupported_manifests_are_errors_that_name_the_cause() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join("spin.toml");
    for (text, message) in [
        (MINIMAL.to_owned(), "x.wasm: is it built?"),
        (format!("{MINIMAL}files = ['a']"), "files"),
        (format!("{MINIMAL}key_value_stores = ['cache']"), "cache"),
        (format!("{MINIMAL}allowed_outbound_hosts = ['*://*:*']"), "allowed_outbound_hosts"),
        (MINIMAL.replace("trigger.http", "trigger.redis"), "redis"),
        (MINIMAL.replace("version = 2", "version = 1"), "not 2"),
        (MINIMAL.replace("component = \"x\"", "component = \"y\""), "names the component y"),
        (MINIMAL.replace("component = \"x\"", ""), "either a component or a static_response"),
        (
            format!("{MINIMAL}[[trigger.http]]\nroute = '/x'\ncomponent = 'x'"),
            "/x is declared twice",
        ),
        (format!("{MINIMAL}variables = {{ a = '{{{{ unset }}}}' }}"), "unset has no value"),
        (format!("{MINIMAL}variables = {{ a = '{{{{ other }}}}' }}"), "no variable other"),
        (format!("{MINIMAL}variables = {{ a = '{{{{ set' }}"), "lacks a }}"),
        ("spin_manifest_version".to_owned(), "TOML"),
    ] {
        std::fs::write(&manifest, &text).unwrap();
        let mut command = devhost(&["--from"]);
        command.arg(&manifest).arg("--state-dir").arg(folder.path().join("state"));
        let errors = errors_of(&mut command);
        assert!(errors.contains(message), "{message}: {errors}");
    }
}
