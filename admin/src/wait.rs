//! The commands on the waits after failed logins.

use anyhow::{Result, bail};
use clap::Subcommand;
use luoyun_values::address::network;
use serde_json::json;

use crate::db::Database;
use crate::output;
use crate::rows::{self, Format};

/// List and clear the waits after failed logins: list, clear
#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the addresses whose logins have to wait, the longest wait first
    ///
    /// A longer wait than the longest one began while the clock was wrong, and does not hold.
    #[command(after_long_help = "Example:\n  luoyun-admin wait list")]
    List {
        /// The longest wait: the server's variable `login_longest_wait_seconds`
        #[arg(long, value_name = "SECONDS", default_value = "900")]
        #[arg(value_parser = clap::value_parser!(i64).range(1..=86_400))]
        longest_wait: i64,
        #[command(flatten)]
        format: Format,
    },
    /// Let an address, or all, log in again at once
    ///
    /// Of an IPv6 address, the prefix of 64 bits counts, as in the list.
    #[command(after_long_help = "Example:\n  luoyun-admin wait clear 192.0.2.1")]
    #[group(required = true, multiple = false)]
    Clear {
        /// The address
        address: Option<String>,
        /// Clear all waits
        #[arg(long)]
        all: bool,
    },
}

/// Runs a command on waits.
pub(crate) fn run(db: &Database, command: Command) -> Result<()> {
    match command {
        Command::List { longest_wait, format } => {
            let columns = "ADDRESS=address, FAILURES=failures, SECONDS=seconds";
            rows::list(db, include_str!("waits.sql"), &[json!(longest_wait)], columns, format)
        }
        Command::Clear { address, .. } => {
            // Also as `list` shows it, with its prefix.
            let address = address.map(|text| {
                network(text.trim().strip_suffix("/64").unwrap_or(&text)).unwrap_or(text)
            });
            let sql = "DELETE FROM login_failures WHERE ?1 IS NULL OR address = ?1 RETURNING key";
            let is_any = db.execute(sql, &[json!(address)])?;
            if let Some(address) = address.filter(|_| !is_any) {
                let address = output::visible(&address);
                let advice = "luoyun-admin wait list shows all waits.";
                bail!("There are no failed logins from {address}. {advice}");
            }
            Ok(())
        }
    }
}
