//! `completions`: a script that completes command lines in a shell.

use std::io::{self, Write};

use anyhow::Result;
use clap::{Args, Command};
use clap_complete::Shell;

/// Print a completion script for a shell
///
/// Example:
///   cd ~/.local/share/bash-completion/completions
///   luoyun-admin completions bash > luoyun-admin
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

/// Writes the script for `program` to standard output.
pub(crate) fn run(mut program: Command, command: &Completions) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(command.shell, &mut program, "luoyun-admin", &mut script);
    // In bash, the state of a name with a hyphen has two spellings (clap-rs/clap#6421).
    let script = String::from_utf8(script)?.replace("luoyun__subcmd__admin", "luoyun__admin");
    Ok(io::stdout().write_all(script.as_bytes())?)
}
