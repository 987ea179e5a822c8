//! The `devhost` command's error messages.

use std::process::Command;

use api_tests::root;
use api_tests::server::{built, errors_of};
use tempfile::TempDir;

/// Runs devhost with a state folder in `folder` and these arguments, which must fail; returns its
/// standard error.
fn errors(folder: &TempDir, from: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(built("devhost"));
    command.args(["--listen", "127.0.0.1:0", "--from", from]).args(arguments);
    errors_of(command.arg("--state-dir").arg(folder.path().join("state")))
}

#[test]
fn invalid_arguments_are_named_in_the_error() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = root().join("tests/components/spin.toml").display().to_string();
    let manifest = manifest.as_str();
    for (from, arguments, message) in [
        ("no-such.toml", &[][..], "no-such.toml"),
        (manifest, &["--variable", "a=b"], "--variable a"),
        (manifest, &["--variable", "a"], "= is missing"),
        (manifest, &["--sqlite", "@no-such.sql"], "no-such.sql"),
        (manifest, &["--sqlite", "SELEC 1"], "syntax error"),
        // Spin runs only the first of several statements, without an error.
        (manifest, &["--sqlite", "PRAGMA a; PRAGMA b"], "Multiple statements"),
    ] {
        let errors = errors(&folder, from, arguments);
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
    let second_route = "[[trigger.http]]\nroute = '/x'\ncomponent = 'x'";
    for (text, message) in [
        (MINIMAL.to_owned(), "x.wasm: is it built?"),
        (format!("{MINIMAL}files = ['a']"), "files"),
        (format!("{MINIMAL}key_value_stores = ['cache']"), "cache"),
        (format!("{MINIMAL}allowed_outbound_hosts = ['*://*:*']"), "allowed_outbound_hosts"),
        (MINIMAL.replace("trigger.http", "trigger.redis"), "redis"),
        (MINIMAL.replace("version = 2", "version = 1"), "not 2"),
        (MINIMAL.replace("component = \"x\"", "component = \"y\""), "names the component y"),
        (MINIMAL.replace("component = \"x\"", ""), "either a component or a static_response"),
        (format!("{MINIMAL}{second_route}"), "/x is declared twice"),
        (format!("{MINIMAL}variables = {{ a = '{{{{ unset }}}}' }}"), "unset has no value"),
        (format!("{MINIMAL}variables = {{ a = '{{{{ other }}}}' }}"), "no variable other"),
        (format!("{MINIMAL}variables = {{ a = '{{{{ set' }}"), "lacks a }}"),
        ("spin_manifest_version".to_owned(), "TOML"),
    ] {
        std::fs::write(&manifest, &text).unwrap();
        let errors = errors(&folder, manifest.to_str().unwrap(), &[]);
        assert!(errors.contains(message), "{message}: {errors}");
    }
}
