//! `import`: makes the database equal to that of a LuoYunCloud.
//!
//! An import copies both databases into its own temporary tables, compares them there, and writes
//! only the rows that differ, in one transaction.

mod columns;
mod connection;
mod difference;
mod pgpass;
mod source;
mod staging;
mod state;
mod tls;

use std::env;
use std::io::{self, Write};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::CommandFactory;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rusqlite::ErrorCode;

use crate::db::{Database, Location};
pub(crate) use crate::import::columns::{MAX_NAME_BYTES, bare};
use crate::import::difference::Difference;
use crate::import::state::State;
use crate::{args, output};

/// Imports into the database at `location`.
/// Fails if the source or the database cannot be read or written, another import is running, or
/// too many rows would be deleted. The database is then as before.
pub(crate) fn run(location: &Location, command: args::Import) -> Result<()> {
    let parameters = connection::parse(&command.url)?;
    let is_from_environment = env::var("LUOYUN_SOURCE").is_ok_and(|url| url == command.url);
    if parameters.contains_key("password") && !is_from_environment {
        let message = "every user of this machine can read a password in the URL: put it into \
                       PGPASSWORD or ~/.pgpass, or the whole URL into LUOYUN_SOURCE";
        args::Args::command().error(clap::error::ErrorKind::ArgumentConflict, message).exit();
    }
    let source = connection::configure(parameters, command.ca.as_deref())?;
    let progress = progress_bar(command.quiet);
    let mut db = Database::open(location)?;
    let path = command.state.map_or_else(|| state::default_path(location), Ok)?;
    let state = State::open(&path, command.dry_run)?;
    // In this order, an import that sees a newer version has also read newer rows of the source.
    let mut version = difference::version(&mut db)?;
    let is_known = state.recall(version)?;
    let compare = || {
        difference::read_ours(&mut db, &state.db)?;
        let limit = Duration::from_secs(command.timeout);
        source::copy(source, limit, &state.db, &progress)?;
        let notes = staging::convert(&state.db).context("cannot convert the source's rows")?;
        progress.set_message("comparing");
        anyhow::Ok((difference::find(&state.db)?, notes))
    };
    let (found, notes) = compare().map_err(explain_full_disk)?;
    if !command.allow_deletions
        && let Some(many) = found.many_deleted()
    {
        bail!(
            "{many} Is it the right source, and does it show all its rows? To allow it:\n  {}",
            output::repeated_with("import", "--allow-deletions")
        );
    }
    if !command.dry_run {
        if found.is_any() || !is_known {
            progress.set_message("writing");
            let next = state.announce()?;
            difference::apply(&mut db, &state.db, version, next)?;
            version = next;
        }
        // Last: if this fails, the next import copies a changed password once more.
        state.save(version)?;
    }
    progress.finish_and_clear();
    if !command.quiet {
        report(&found, &notes, command.dry_run)?;
    }
    Ok(())
}

/// Names the folder of the temporary tables if its disk is full.
fn explain_full_disk(error: anyhow::Error) -> anyhow::Error {
    let code = error.downcast_ref().and_then(rusqlite::Error::sqlite_error_code);
    if code != Some(ErrorCode::DiskFull) {
        return error;
    }
    let folder = env::var("SQLITE_TMPDIR").or_else(|_| env::var("TMPDIR"));
    error.context(format!(
        "The disk of {} is full: SQLITE_TMPDIR names another folder for temporary files",
        folder.as_deref().unwrap_or("/var/tmp")
    ))
}

fn progress_bar(is_quiet: bool) -> ProgressBar {
    let target = if is_quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let style = ProgressStyle::with_template("{msg:18} {wide_bar} {pos}/{len} rows");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(None, target).with_message("reading ours").with_style(style)
}

fn report(found: &Difference, notes: &[String], is_dry_run: bool) -> Result<()> {
    let mut out = io::stdout().lock();
    if is_dry_run {
        writeln!(out, "Nothing was changed (--dry-run). An import would have counted:")?;
    }
    output::write_table(&mut out, &found.table())?;
    for note in notes {
        writeln!(out, "{note}")?;
    }
    Ok(())
}
