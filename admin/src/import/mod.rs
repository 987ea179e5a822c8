//! `import`: makes the database equal to that of a LuoYunCloud.
//!
//! An import copies both databases into its own temporary tables, compares them there, and writes
//! only the rows that differ, in one transaction.

/// A file of each table, in the order in which they refer to each other.
macro_rules! tables {
    ($file:literal) => {
        [
            include_str!(concat!("users/", $file)),
            include_str!(concat!("nodes/", $file)),
            include_str!(concat!("instances/", $file)),
        ]
    };
}

mod difference;
mod source;
mod state;

use std::env;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use clap::error::ErrorKind::ArgumentConflict;
use rusqlite::ErrorCode;

use crate::db::Database;
use crate::output;

/// The tables here, and those of the source.
const NAMES: [&str; 3] = ["users", "nodes", "instances"];
const SOURCES: [&str; 3] = ["auth_user", "node", "instance"];

/// Make the database equal to that of a LuoYunCloud
///
/// Reads the tables `auth_user`, `node` and `instance` of a PostgreSQL database,
/// and makes users, nodes and instances here equal to them, ids included. ROWS
/// THAT ARE NOT IN THE SOURCE ARE DELETED HERE, also those added with
/// luoyun-admin. Try --dry-run first.
///
/// It may run while the API is in use, every minute if you like. Equal rows are
/// not written; if all rows are equal, nothing is. All changes are one
/// transaction: however the import ends, the database is either unchanged or
/// equal to the source.
///
/// Columns that are not simply copied (docs/import.md has them all):
///   password    Copied only if it has changed in the source since the last import,
///               as a login may have stored it in a stronger form here, or `user
///               passwd` may have set another one. A copied password ends the
///               user's sessions. See --state
///   is_locked   As in the source: `user lock` here lasts until the next import.
///               NULL means not locked, as in LuoYunCloud
///   last_login  The later of the two. A time without a time zone is read as UTC
///   vdi_type    Not in the source: 1 (SPICE) for a new instance, else unchanged
///   odd values  Converted or left out. The import prints the number of rows of
///               each kind, with the first ids
///
/// The connection:
///   psql makes it (package postgresql-client). URL, environment (PGHOST, PGUSER,
///   PGSSLMODE, …), ~/.pgpass and service files mean what they mean there, except
///   that connections to another machine use TLS and check the server's
///   certificate by default; sslmode=disable turns that off. Put no password
///   into a URL on the command line, which every user of the machine can read:
///   put it into PGPASSWORD or ~/.pgpass, or the whole URL into LUOYUN_SOURCE.
///
/// Examples:
///   Show what an import would change:
///     luoyun-admin import --dry-run postgres://luoyun@db.example/luoyun
///
///   Connect through the Unix socket, as the user of the operating system:
///     luoyun-admin import postgres:///luoyun
///
///   Import every minute with cron, which mails errors:
///     * * * * * cd /srv/api && luoyun-admin import --quiet postgres:///luoyun
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Import {
    /// The source: postgres://USER@HOST:PORT/DATABASE?PARAMETER=VALUE
    #[arg(env = "LUOYUN_SOURCE", hide_env_values = true)]
    pub(crate) url: String,
    /// Print the counts, but change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print nothing but errors
    #[arg(long)]
    pub(crate) quiet: bool,
    /// Allow it to delete all rows of a table, or more than a tenth and more than ten
    #[arg(long)]
    pub(crate) allow_deletions: bool,
    /// End if the source sends nothing for so long
    #[arg(long, value_name = "SECONDS", default_value = "60",
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) timeout: u64,
    /// Trust only the certificate authorities in this PEM file (sslrootcert)
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// The state file, with digests of the source's passwords, to detect changed ones
    ///
    /// The first import creates it, readable only by its owner. Keep it as secret as the
    /// source. The next import copies all passwords again if it is missing, after a restore
    /// of the database, and after an import with another state file: always import from the
    /// same machine [default: the database file with .import after its name; for a server, in
    /// ~/.local/state/luoyun-admin]
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,
}

/// Imports into the database that `open` opens.
/// Fails if the source or the database cannot be read or written, another import is running, or
/// too many rows would be deleted. The database is then as before.
pub(crate) fn run(open: impl FnOnce() -> Result<Database>, command: Import) -> Result<()> {
    let source = source::parse(&command).context(
        "The source is not a PostgreSQL URL: it must be postgres://USER@HOST:PORT/DATABASE, with \
         parameters as ?sslmode=verify-full if needed, and other characters as %XX. (An \
         sslpassword has to be in a service file.)",
    )?;
    let is_from_environment = env::var("LUOYUN_SOURCE").is_ok_and(|url| url == command.url);
    if source.password.is_some() && !is_from_environment {
        let message = "every user of this machine can read a password in the URL: put it into \
                       PGPASSWORD or ~/.pgpass, or the whole URL into LUOYUN_SOURCE";
        bail!(clap::Error::raw(ArgumentConflict, message));
    }
    let db = open()?;
    let path = command.state.clone().map_or_else(|| state::default_path(&db), Ok)?;
    let state = &state::open(&path, command.dry_run)?;
    // In this order, an import that sees a newer version has also read newer rows of the source.
    let mut version = difference::version(&db)?;
    let is_known = state::recall(state, version)?;
    let compare = || {
        state.execute_batch(include_str!("staging.sql"))?;
        difference::read_ours(&db, state)?;
        source::copy(&source, state)?;
        difference::find(state, command.allow_deletions)
    };
    let (report, is_any) = compare().map_err(explain_full_disk)?;
    if !command.dry_run {
        if is_any || !is_known {
            let next = state::announce(state)?;
            difference::apply(&db, state, version, next)?;
            version = next;
        }
        // Last: if this fails, the next import copies a changed password once more.
        state::save(state, version)?;
    }
    if command.quiet {
        return Ok(());
    }
    if command.dry_run {
        writeln!(io::stdout(), "Nothing was changed (--dry-run). An import would have counted:")?;
    }
    Ok(output::write_table(io::stdout(), &report)?)
}

/// Names the folder of the temporary tables if its disk is full.
fn explain_full_disk(error: anyhow::Error) -> anyhow::Error {
    let code = error.downcast_ref().and_then(rusqlite::Error::sqlite_error_code);
    if code != Some(ErrorCode::DiskFull) {
        return error;
    }
    let folder = env::var("SQLITE_TMPDIR").or(env::var("TMPDIR")).unwrap_or("/var/tmp".into());
    let advice = "SQLITE_TMPDIR names another folder for temporary files";
    error.context(format!("The disk of {folder} is full: {advice}"))
}
