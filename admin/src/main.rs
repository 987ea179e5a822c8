//! `luoyun-admin`: users, nodes and instances of the LuoYunCloud API, for its operators.

#![forbid(unsafe_code)]
#![allow(clippy::doc_markdown, reason = "--help prints the comments on arguments: plain text")]

mod completions;
mod db;
mod import;
mod instance;
mod node;
mod output;
mod owner;
mod password;
mod prompt;
mod rows;
mod user;
mod wait;

use std::io::ErrorKind::BrokenPipe;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};

use crate::db::Database;

/// Users, nodes and instances of the LuoYunCloud API
///
/// Users log in. Instances are their virtual machines. A node is a machine that
/// instances run on; their remote desktops are at its IP address.
///
/// A command may change the database while the API is running: the next request
/// sees the change.
///
/// Examples:
///   Add a first user, with a virtual machine:
///     luoyun-admin user add ada
///     luoyun-admin node add node1 --ip 10.0.0.2
///     luoyun-admin instance add --owner ada --node node1 --name gallery
///
///   Use a libSQL server:
///     export LIBSQL_TOKEN=$(cat token)
///     luoyun-admin user list --db https://luoyun-ada.turso.io
///
///   Import all data of a LuoYunCloud:
///     luoyun-admin import postgres://luoyun@db.example/luoyun
///
/// Exit codes:
///   0  done
///   1  refused or failed; standard error says why, and what to do
///   2  invalid command line
#[derive(Parser)]
#[command(name = "luoyun-admin", version, verbatim_doc_comment, max_term_width = 80)]
struct Args {
    /// The database: a file, or the URL of a libSQL server (Turso, sqld)
    ///
    /// Spin keeps the file in its state folder and creates it at its first start (make up
    /// DEMO=0). The server's token is read from the environment variable `LIBSQL_TOKEN`. A
    /// server without TLS (`http://`) has to be on this machine.
    #[arg(long, global = true, value_name = "FILE|URL", default_value = ".spin/sqlite_db.db")]
    db: String,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[command(subcommand)]
    User(user::Command),
    #[command(subcommand)]
    Node(node::Command),
    #[command(subcommand)]
    Instance(instance::Command),
    #[command(subcommand)]
    Wait(wait::Command),
    Import(import::Import),
    Completions(completions::Completions),
}

fn main() -> ExitCode {
    let Err(error) = run(Args::parse()) else { return ExitCode::SUCCESS };
    match error.downcast::<clap::Error>() {
        Ok(error) => error.format(&mut Args::command()).exit(),
        // The reader closed the pipe.
        Err(e) if e.downcast_ref().map(io::Error::kind) == Some(BrokenPipe) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "luoyun-admin: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<()> {
    let open = || Database::open(&args.db);
    match args.command {
        Command::User(command) => user::run(&open()?, command),
        Command::Node(command) => node::run(&open()?, command),
        Command::Instance(command) => instance::run(&open()?, command),
        Command::Wait(command) => wait::run(&open()?, command),
        Command::Import(command) => import::run(open, command),
        Command::Completions(command) => completions::run(Args::command(), &command),
    }
}
