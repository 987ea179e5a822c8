//! `import`: makes the database equal to that of a LuoYunCloud.
//!
//! What the source has is first copied into temporary tables, which nobody else sees
//! and nobody waits for; only then is it compared and, in one transaction, taken over.
//!
//! - [`source`]: the connection to PostgreSQL, and what is read from it
//! - [`pgpass`]: the file with passwords for it
//! - [`tls`]: whom the connection trusts
//! - [`key`]: the key of the fingerprints of its passwords
//! - [`staging`]: the temporary tables, and what was odd about the rows
//! - [`difference`]: what differs, counted, and what makes it equal

mod difference;
mod key;
mod pgpass;
mod source;
mod staging;
mod tls;

use std::io::{self, Write};
use std::path::Path;

use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::import::difference::Difference;
use crate::import::key::Key;
use crate::import::source::Source;
use crate::import::staging::Notes;
use crate::{args, output, target, usage_error};

/// KiB of the database that a transaction may change before it writes to the file:
/// from then on, a server would have to wait for the transaction's end. 100,000 new
/// instances are about 10 MiB.
const CACHE_KIB: i64 = 48 * 1024;

/// Imports into the database file `path`.
///
/// # Errors
/// Where the source or the database cannot be read or written, another import is under
/// way, or a table would be emptied. The database is then as before.
pub(crate) fn run(path: &Path, command: args::Import) -> Result<()> {
    let config = source::parse(&command.url)?;
    let is_from_environment = std::env::var("LUOYUN_SOURCE").is_ok_and(|url| url == command.url);
    if config.get_password().is_some() && !is_from_environment {
        usage_error(
            "a password in the URL can be read by every user of this machine: put it into \
             PGPASSWORD or ~/.pgpass, or the whole URL into LUOYUN_SOURCE",
        );
    }
    let mut db = target::open_database(path)?;
    // With foreign keys, each user that vanishes would be looked for in all instances.
    // What is taken over is consistent: see `staging`.
    db.pragma_update(None, "foreign_keys", false)?;
    db.pragma_update(None, "temp_store", "FILE")?;
    db.pragma_update(None, "cache_size", -CACHE_KIB)?;

    let key = command.key.unwrap_or_else(|| path.with_extension("import-key"));
    let key = if command.dry_run { Key::look(&key) } else { Key::open(&key) }?;
    // After the key, which is a lock: what a later import has read is newer.
    let mut source = Source::connect(config, command.ca.as_deref())?;

    let progress = progress_bar(source.count()?, command.quiet);
    let notes = staging::fill(&mut db, &mut source, &key, &progress)?;
    drop(source);

    progress.set_message("comparing");
    let found = difference::find(&db)?;
    if !command.allow_empty
        && let Some(table) = found.emptied()
    {
        bail!(
            "The source has no {table}, and this database has some. Is it the right source? \
             --allow-empty deletes them."
        );
    }
    if !command.dry_run && found.is_any() {
        progress.set_message("writing");
        difference::apply(&mut db)?;
    }
    progress.finish_and_clear();
    if !command.quiet {
        report(&found, &notes, command.dry_run)?;
    }
    Ok(())
}

fn progress_bar(rows: u64, is_quiet: bool) -> ProgressBar {
    let target = if is_quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(Some(rows), target);
    match ProgressStyle::with_template("{msg:17} {wide_bar} {pos}/{len} rows") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn report(found: &Difference, notes: &Notes, is_dry_run: bool) -> Result<()> {
    let mut out = io::stdout().lock();
    if is_dry_run {
        writeln!(out, "Nothing was changed (--dry-run). An import would have counted:")?;
    }
    output::write_table(&mut out, &found.table())?;
    for note in notes.lines() {
        writeln!(out, "{note}")?;
    }
    Ok(())
}
