//! `luoyun-admin`: users, nodes and instances of the LuoYunCloud API, for its operators.

#![forbid(unsafe_code)]

mod args;
mod db;
mod import;
mod instance;
mod node;
mod output;
mod password;
mod rows;
mod user;
mod wait;

use std::io::ErrorKind::BrokenPipe;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use crate::args::{Args, Command};
use crate::db::Database;

fn main() -> ExitCode {
    let args = Args::parse();
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        // The reader closed the pipe.
        Err(e) if e.downcast_ref().map(io::Error::kind) == Some(BrokenPipe) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "luoyun-admin: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<()> {
    // Not parsed by clap, whose error would quote a misplaced token.
    let location = args.db.parse().unwrap_or_else(|reason: String| {
        let message = format!("invalid --db: {reason}");
        Args::command().error(ErrorKind::ValueValidation, message).exit()
    });
    let open = || Database::open(&location);
    match args.command {
        Command::User(command) => user::run(&mut open()?, command),
        Command::Node(command) => node::run(&mut open()?, command),
        Command::Instance(command) => instance::run(&mut open()?, command),
        Command::Wait(command) => wait::run(&mut open()?, command),
        Command::Import(command) => import::run(&location, command),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "luoyun-admin", &mut script);
            // In bash, the state of a name with a hyphen has two spellings (clap-rs/clap#6421).
            let script = String::from_utf8(script)?;
            let script = script.replace("luoyun__subcmd__admin", "luoyun__admin");
            Ok(io::stdout().write_all(script.as_bytes())?)
        }
    }
}
