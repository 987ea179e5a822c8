//! `import`: makes the database equal to that of a LuoYunCloud.
//!
//! An import copies both databases into its own temporary tables, compares them there, and writes
//! only the rows that differ, in one transaction.

mod difference;
mod pgpass;
mod source;
mod staging;
mod state;
mod tls;

use std::io::{self, Write};

use anyhow::{Context, Result, bail};
use clap::CommandFactory;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::db::{Database, Location};
use crate::import::difference::Difference;
use crate::import::state::State;
use crate::{args, output};

/// Imports into the database at `location`.
/// Fails if the source or the database cannot be read or written, another import is running, or
/// a table would be emptied. The database is then as before.
pub(crate) fn run(location: &Location, command: args::Import) -> Result<()> {
    let config = source::parse(&command.url)?;
    let is_from_environment = std::env::var("LUOYUN_SOURCE").is_ok_and(|url| url == command.url);
    if config.get_password().is_some() && !is_from_environment {
        let message = "every user of this machine can read a password in the URL: put it into \
                       PGPASSWORD or ~/.pgpass, or the whole URL into LUOYUN_SOURCE";
        args::Args::command().error(clap::error::ErrorKind::ArgumentConflict, message).exit();
    }
    let progress = progress_bar(command.quiet);
    let mut db = Database::open(location)?;
    let path = command.state.map_or_else(|| state::default_path(location), Ok)?;
    let state = State::open(&path, command.dry_run)?;
    // In this order, an import that sees a newer version has also read newer rows of the source.
    let mut version = difference::version(&mut db)?;
    let is_known = state.recall(version)?;
    difference::read_ours(&mut db, &state.db)?;
    source::copy(config, command.ca.as_deref(), &state.db, &progress)?;
    let notes = staging::convert(&state.db).context("cannot convert the source's rows")?;

    progress.set_message("comparing");
    let found = difference::find(&state.db)?;
    if !command.allow_empty
        && let Some(table) = found.emptied()
    {
        bail!(
            "The source has no {table}, and this database has some. Is it the right source? \
             --allow-empty deletes them."
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

fn progress_bar(is_quiet: bool) -> ProgressBar {
    let target = if is_quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(None, target).with_message("reading ours");
    match ProgressStyle::with_template("{msg:18} {wide_bar} {pos}/{len} rows") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
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
