//! devhost as a command: what it prints, what it refuses, and how it ends.

// A test that cannot go on panics.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

fn manifest() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../components/spin.toml")
}

fn devhost(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_devhost"));
    command.args(["--listen", "127.0.0.1:0"]).args(arguments);
    command
}

/// A devhost that serves, and its output, which has to stay open.
fn serving(state: &Path) -> (Child, BufReader<ChildStdout>) {
    let mut child = devhost(&["--quiet"])
        .arg("--from")
        .arg(manifest())
        .arg("--state-dir")
        .arg(state)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut printed = BufReader::new(child.stdout.take().unwrap());
    printed.read_line(&mut line).unwrap();
    assert!(line.starts_with("Serving http://127.0.0.1:"), "{line}");
    (child, printed)
}

#[test]
fn a_signal_ends_it_within_a_second() {
    for signal in ["-INT", "-TERM"] {
        let state = tempfile::tempdir().unwrap();
        let (mut child, _output) = serving(state.path());
        let sent = Instant::now();
        let id = child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        assert!(child.wait().unwrap().success(), "{signal}");
        assert!(sent.elapsed() < Duration::from_secs(1), "{signal}");
        assert!(state.path().join("sqlite_key_value.db").exists());
    }
}

#[test]
fn what_it_cannot_do_is_said() {
    let from = manifest();
    let from = from.to_str().unwrap();
    let state = tempfile::tempdir().unwrap();
    let state = state.path().to_str().unwrap();
    for (arguments, said) in [
        (vec!["--from", "no-such.toml"], "no-such.toml"),
        (vec!["--from", from, "--state-dir", state, "--variable", "a=b"], "--variable a"),
        (vec!["--from", from, "--state-dir", state, "--variable", "a"], "= is missing"),
        (vec!["--from", from, "--state-dir", state, "--sqlite", "@no-such.sql"], "no-such.sql"),
        (vec!["--from", from, "--state-dir", state, "--sqlite", "SELEC 1"], "syntax error"),
        // Spin would run the first of them and not say so.
        (
            vec!["--from", from, "--state-dir", state, "--sqlite", "PRAGMA a; PRAGMA b"],
            "Multiple statements",
        ),
    ] {
        let output = devhost(&arguments).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(errors.contains(said), "{arguments:?}: {errors}");
    }
}
