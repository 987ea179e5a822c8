//! `luoyun-admin`: users, nodes and instances of the LuoYunCloud API, for its operators.
//!
//! - [`args`]: the command line, and its help
//! - [`target`]: what a command changes, a database file or SQL on standard output
//! - [`statement`]: an SQL statement, to be run or to be printed
//! - [`user`], [`node`], [`instance`]: the commands on each
//! - [`import`]: makes the database equal to that of a LuoYunCloud
//! - [`password`]: a password from a person or a pipe
//! - [`output`]: lists, for people and as JSON

#![forbid(unsafe_code)]

mod args;
mod import;
mod instance;
mod node;
mod output;
mod password;
mod statement;
mod target;
mod user;

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, Parser};

use crate::args::{Args, Command};
use crate::target::Target;

fn main() -> ExitCode {
    let args = Args::parse();
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        // Who reads our output has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "luoyun-admin: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<()> {
    let sql = args.sql;
    let target = || Target::open(&args.db, sql);
    match args.command {
        Command::User { command } => user::run(&target()?, command),
        Command::Node { command } => node::run(&target()?, command),
        Command::Instance { command } => instance::run(&target()?, command),
        Command::Import(_) if sql => usage_error(
            "import compares with what is in the database: it takes --db, and not --sql",
        ),
        Command::Import(command) => import::run(&args.db, command),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "luoyun-admin", &mut script);
            Ok(io::stdout().write_all(&script)?)
        }
    }
}

/// Ends the program as a wrong command line does.
fn usage_error(message: &str) -> ! {
    Args::command().error(clap::error::ErrorKind::ArgumentConflict, message).exit()
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let is_broken = |error: &io::Error| error.kind() == ErrorKind::BrokenPipe;
    error.downcast_ref::<io::Error>().is_some_and(is_broken)
}
