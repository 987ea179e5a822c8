//! Runs `luoyun-admin`.

use std::borrow::BorrowMut;
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

use crate::server::built;

/// `luoyun-admin` with a database.
pub struct Admin {
    db: OsString,
    token: Option<String>,
    /// `XDG_STATE_HOME`.
    state: TempDir,
}

/// The result of a run.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code; `None` if a signal ended the process.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Admin {
    /// On the database file `db`.
    pub fn on(db: &Path) -> Self {
        Self { db: db.into(), token: None, state: TempDir::new().unwrap() }
    }

    /// On the libSQL server at `url`, with `token`.
    pub fn at(url: &str, token: Option<&str>) -> Self {
        let state = TempDir::new().unwrap();
        Self { db: url.into(), token: token.map(str::to_owned), state }
    }

    /// Opens the database file.
    pub fn database(&self) -> Connection {
        Connection::open(&self.db).unwrap()
    }

    /// `XDG_STATE_HOME`: the folder with the state files of imports.
    pub fn state(&self) -> &Path {
        self.state.path()
    }

    /// The command with `args`, for a caller that needs control over how it runs.
    pub fn command(&self, args: &[impl AsRef<OsStr>]) -> Command {
        let mut command = Command::new(built("luoyun-admin"));
        command.args(args).arg("--db").arg(&self.db);
        command.env_remove("LIBSQL_TOKEN").envs(self.token.iter().map(|it| ("LIBSQL_TOKEN", it)));
        command.env("XDG_STATE_HOME", self.state.path());
        command
    }

    /// Runs the command with `args` and `input` on its standard input.
    pub fn run_with(&self, args: &[impl AsRef<OsStr>], input: &[u8]) -> Outcome {
        run(self.command(args), input)
    }

    /// Runs the command with `args`.
    pub fn run(&self, args: &[impl AsRef<OsStr>]) -> Outcome {
        self.run_with(args, b"")
    }

    /// Runs the command with `args` and `input` on its standard input; returns its standard output.
    pub fn done_with(&self, args: &[impl AsRef<OsStr>], input: &[u8]) -> String {
        let command = self.command(args);
        let text = format!("{command:?}");
        let outcome = run(command, input);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{text}");
        outcome.stdout
    }

    /// Runs the command with `args`; returns its standard output.
    pub fn done(&self, args: &[impl AsRef<OsStr>]) -> String {
        self.done_with(args, b"")
    }

    /// Runs the command with `args` and `--json`; returns its standard output, parsed.
    pub fn list(&self, args: &[impl AsRef<OsStr>]) -> Value {
        let args: Vec<_> = args.iter().map(AsRef::as_ref).chain(["--json".as_ref()]).collect();
        serde_json::from_str(&self.done(&args)).unwrap()
    }
}

/// Runs `command`, with `input` on its standard input.
pub fn run(mut command: impl BorrowMut<Command>, input: &[u8]) -> Outcome {
    let command = command.borrow_mut();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    // A command that rejects its arguments exits without reading its input.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap().into()
}
