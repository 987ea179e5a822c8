//! The source of an import: the PostgreSQL database of a LuoYunCloud.

use std::borrow::Cow;
use std::iter;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use indicatif::ProgressBar;
use rusqlite::{Connection, ErrorCode, Statement};

use crate::import::psql::{self, Failure, Url};
use crate::import::tables::{TABLES, Table};

/// The settings and the transaction of a script.
const BEGIN: &str = include_str!("begin.sql");

/// A database of a LuoYunCloud. `limit` is how long it may send nothing.
pub(crate) struct Source {
    pub(crate) url: Url,
    pub(crate) limit: Duration,
}

/// A table whose rows arrive, the statement for them, and the id of the last one.
type Reading<'a> = (&'static Table, Statement<'a>, Option<i64>);

impl Source {
    /// Copies the tables into temporary tables of `to`, all in the same state. `progress` counts
    /// the rows.
    /// Fails if the source cannot be reached, does not answer in time, would hide rows or lacks a
    /// column that an import reads, or the disk is full.
    pub(crate) fn copy(&self, to: &Connection, progress: &ProgressBar) -> Result<()> {
        // A line without a tab is no row. psql prints it at once, unlike that of \echo.
        let read = TABLES.iter().map(|Table { source, read, .. }| {
            let count = format!("COPY (SELECT count(*) FROM {source}) TO STDOUT;");
            format!("COPY (SELECT '{source}') TO STDOUT;\n{count}\n{read}")
        });
        let script = BEGIN.to_owned() + &read.collect::<String>();
        let mut reading: Option<Reading> = None;
        let outcome = psql::run(&self.url, self.limit, &script, |line| {
            if line.contains(&b'\t') {
                let (table, insert, last_id) = reading.as_mut().context("unexpected row")?;
                *last_id = copy_row(line, table, insert, to)?;
                progress.inc(1);
                return Ok(());
            }
            let text = str::from_utf8(line)?;
            match TABLES.iter().find(|table| table.source == text) {
                None => progress.inc_length(text.parse()?),
                Some(table) => {
                    progress.set_message(format!("reading {text}"));
                    let parameters = "?, ".repeat(table.columns(to)?.len());
                    let insert = format!("INSERT INTO {text} VALUES ({parameters}?)");
                    reading = Some((table, to.prepare(&insert)?, None));
                }
            }
            Ok(())
        });
        let Some((table, _, last_id)) = reading else {
            let (_, message) = outcome.context("cannot connect to the source")?.unwrap_or_default();
            bail!("cannot connect to the source: {message}{}", advice(&message));
        };
        let outcome = outcome.and_then(|failure| match failure {
            Some(failure) => Err(self.explain(table, &table.columns(to)?, last_id, failure)),
            None => Ok(()),
        });
        outcome.with_context(|| format!("cannot read the source's {}", table.source))
    }

    /// The error of a query on `table`, with what to do.
    fn explain(
        &self,
        Table { source, .. }: &Table,
        columns: &[String],
        last_id: Option<i64>,
        (code, message): Failure,
    ) -> anyhow::Error {
        // PostgreSQL does not say which column fails: reads each alone.
        let mut found = None;
        let read = columns.iter().map(|column| {
            let read = format!("COPY (SELECT {column}, NULL FROM {source}) TO STDOUT;");
            format!("COPY (SELECT '{column}') TO STDOUT;\n{read}\n")
        });
        let script = BEGIN.to_owned() + &read.collect::<String>();
        let is_of_column = code.starts_with("22") || matches!(code.as_str(), "42703" | "42P01");
        let fails = is_of_column.then(|| {
            psql::run(&self.url, self.limit, &script, |line| {
                if !line.contains(&b'\t') {
                    found = Some(String::from_utf8_lossy(line).into_owned());
                }
                Ok(())
            })
        });
        let column = found.filter(|_| matches!(fails, Some(Ok(Some(_)))));
        match (code.as_str(), column) {
            ("42501", _) => anyhow!(
                "this user may not read all of it: grant it SELECT on the table and, if that has \
                 row-level security, BYPASSRLS: {message}"
            ),
            ("55P03", _) => anyhow!("another session has locked it: {message}"),
            ("42703" | "42P01", Some(column)) => anyhow!(
                "The source has no column {column} in a table {source} that this user may see: \
                 is it LuoYunCloud's database?"
            ),
            (_, column) => {
                let row = last_id.map_or_else(
                    || "at the first row".to_owned(),
                    |id| format!("after the row with id {id}"),
                );
                let column = column.map_or_else(String::new, |it| format!(", in the column {it}"));
                anyhow!("{row}{column}: {message}")
            }
        }
    }
}

/// Copies the row in `line`, values with tabs between them; returns its id.
fn copy_row(
    line: &[u8],
    table: &Table,
    insert: &mut Statement,
    to: &Connection,
) -> Result<Option<i64>> {
    let values: Vec<_> = line.split(|byte| *byte == b'\t').map(unescape).collect();
    let texts: Vec<_> =
        values.iter().map(|value| value.as_deref().map(String::from_utf8_lossy)).collect();
    let id = texts[0].as_deref().map(|text| whole(text).unwrap_or(0));
    if id.is_none_or(|id| id < 1) {
        let notes = "left out, as their id is not a number from 1 up";
        to.execute("INSERT INTO odd VALUES (?, ?, ?)", (table.name, id, notes))?;
        return Ok(id);
    }
    insert.raw_bind_parameter(1, id)?;
    for (at, text) in (2..).zip(&texts[1..]) {
        insert.raw_bind_parameter(at, text.as_deref())?;
    }
    let is_replaced = texts.iter().any(|text| matches!(text, Some(Cow::Owned(_))));
    insert.raw_bind_parameter(texts.len() + 1, is_replaced)?;
    match insert.raw_execute() {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            bail!("The id {} occurs twice: make it unique there.", id.unwrap_or_default())
        }
        result => Ok(result.map(|_| id)?),
    }
}

/// The value of a column, as COPY writes it; `None` for NULL.
fn unescape(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    if value == br"\N" || !value.contains(&b'\\') {
        return (value != br"\N").then_some(value.into());
    }
    let mut bytes = value.iter();
    let escaped = |byte| match byte {
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        other => other,
    };
    let next = || match bytes.next()? {
        b'\\' => bytes.next().map(|byte| escaped(*byte)),
        byte => Some(*byte),
    };
    Some(iter::from_fn(next).collect::<Vec<_>>().into())
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

/// The whole number in the text, which may be that of a type with decimals.
pub(crate) fn whole(text: &str) -> Option<i64> {
    let (number, decimals) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    number.parse().ok().filter(|_| number.len() <= 18 && decimals.bytes().all(|it| it == b'0'))
}
