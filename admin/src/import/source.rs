//! The source of an import: the PostgreSQL database of a LuoYunCloud.

use std::borrow::Cow;
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow, bail};
use indicatif::ProgressBar;
use rusqlite::{Connection, OptionalExtension, Statement};

use crate::import::psql::{self, Failure, Url};
use crate::import::tables::{TABLES, Table};
use crate::output::visible;

/// Copies the tables of the database at `url` into temporary tables of `to`, all in the same state.
/// `progress` counts the rows.
/// Fails if the source cannot be reached, sends nothing for `limit`, would hide rows or lacks a
/// column that an import reads, or the disk is full.
pub(crate) fn copy(
    url: &Url,
    limit: Duration,
    to: &Connection,
    progress: &ProgressBar,
) -> Result<()> {
    let script: String = TABLES.iter().map(|table| table.read).collect();
    let mut reading: Option<(&str, Statement)> = None;
    let outcome = psql::run(url, limit, &script, |line| {
        let text = String::from_utf8_lossy(line);
        match &mut reading {
            Some((_, stage)) if line.contains(&b'\t') => {
                // The escapes of COPY are those of JSON5, except NULL.
                let row = text.replace('"', "\\\"").replace('\t', "\",\"");
                let row = format!("[\"{row}\"]").replace("\"\\N\"", "null");
                stage.execute((row, matches!(text, Cow::Owned(_))))?;
                progress.inc(1);
            }
            _ => {
                let table = TABLES.iter().find(|table| table.source == text);
                let table = table.context("unexpected output of psql")?;
                progress.set_message(format!("reading {text}"));
                reading = Some((table.source, to.prepare(table.stage)?));
            }
        }
        Ok(())
    });
    let Some((source, _)) = reading else {
        let (_, message) = outcome.context("cannot connect to the source")?.unwrap_or_default();
        bail!("cannot connect to the source: {message}{}", advice(&message));
    };
    let outcome = match outcome {
        Ok(Some(failure)) => explain(url, limit, to, source, failure).and_then(Err),
        other => other.map(drop),
    };
    outcome.with_context(|| format!("cannot read the source's {source}"))?;
    for Table { name, source, .. } in &TABLES {
        to.execute_batch(&format!(include_str!("ids.sql"), name = name, source = source))?;
        let twice = format!("SELECT id FROM {source} GROUP BY id HAVING count(*) > 1");
        if let Some(id) = to.query_row(&twice, [], |row| row.get::<_, i64>(0)).optional()? {
            bail!(
                "cannot read the source's {source}: The id {id} occurs twice: make it unique there."
            );
        }
    }
    Ok(())
}

/// The error of a query on the table `source`, with what to do.
fn explain(
    url: &Url,
    limit: Duration,
    to: &Connection,
    source: &str,
    (code, message): Failure,
) -> Result<Error> {
    // PostgreSQL does not say which column fails: reads each alone.
    let mut column = None;
    if code.starts_with("22") || matches!(&*code, "42703" | "42P01") {
        let script: String =
            to.query_row(include_str!("columns.sql"), [source], |row| row.get(0))?;
        let read = psql::run(url, limit, &script, |line| {
            if !line.contains(&b'\t') {
                column = Some(String::from_utf8_lossy(line).into_owned());
            }
            Ok(())
        });
        column = column.filter(|_| matches!(read, Ok(Some(_))));
    }
    Ok(match (&*code, column) {
        ("42501", _) => anyhow!(
            "this user may not read all of it: grant it SELECT on the table and, if that has \
             row-level security, BYPASSRLS: {message}"
        ),
        ("55P03", _) => anyhow!("another session has locked it: {message}"),
        ("42703" | "42P01", Some(column)) => anyhow!(
            "The source has no column {column} in a table {source} that this user may see: is it \
             LuoYunCloud's database?"
        ),
        (_, column) => {
            let last = format!("SELECT 'after the row with id ' || id FROM {source}");
            let last: Result<String, _> =
                to.query_row(&(last + " ORDER BY rowid DESC"), [], |row| row.get(0));
            let place = last.map_or_else(|_| "at the first row".to_owned(), |it| visible(&it));
            let column = column.map_or_else(String::new, |it| format!(", in the column {it}"));
            anyhow!("{place}{column}: {message}")
        }
    })
}

/// What to do if libpq says `message` of a connection.
fn advice(message: &str) -> &'static str {
    let known = [
        ("certificate verify failed", " (--ca FILE names the authority that signed it)"),
        ("root certificate file", " (install ca-certificates, or name a PEM file with --ca FILE)"),
        ("does not match host name", " (?sslmode=verify-ca checks only who signed it)"),
        ("SSL was required", " (?sslmode=disable: all is readable, the password too)"),
        ("no password supplied", " (PGPASSWORD, ~/.pgpass, or LUOYUN_SOURCE for the whole URL)"),
    ];
    known.iter().find(|(cause, _)| message.contains(cause)).map_or("", |(_, advice)| advice)
}
