//! Lists: a table for people, or JSON.

use std::io::{self, BufWriter, Write};

use anyhow::Result;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use unicode_width::UnicodeWidthStr;

/// The columns of a table: the header of each, and the fields of a row that it shows.
pub(crate) type Columns = &'static [(&'static str, &'static [&'static str])];

/// A row of a list. In JSON, it is an object with its fields.
pub(crate) trait Row: Serialize + DeserializeOwned {
    /// The columns of the table for people.
    const COLUMNS: Columns;
}

/// Writes `rows` to standard output, as JSON or as a table.
pub(crate) fn write_list<R: Row>(rows: &[R], as_json: bool) -> Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    if as_json {
        serde_json::to_writer_pretty(&mut out, rows).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        let mut lines = vec![R::COLUMNS.iter().map(|(header, _)| (*header).to_owned()).collect()];
        for row in rows {
            let row = serde_json::to_value(row)?;
            let cell = |fields: &[&str]| {
                fields.iter().map(|field| cell(&row[field])).collect::<Vec<_>>().join(" ")
            };
            lines.push(R::COLUMNS.iter().map(|(_, fields)| cell(fields)).collect());
        }
        write_table(&mut out, &lines)?;
    }
    Ok(out.flush()?)
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null | Value::Bool(false) => "-".to_owned(),
        // The only flag of a row.
        Value::Bool(true) => "locked".to_owned(),
        Value::String(text) => visible(text),
        other => other.to_string(),
    }
}

/// Largest number of ids in a message.
pub(crate) const IDS_SHOWN: i64 = 5;

/// The first `ids`, a list with commas, of `count` ids in all, for a message.
pub(crate) fn some_ids(count: i64, ids: &str) -> String {
    let more = if count > IDS_SHOWN { ", …" } else { "" };
    format!("(id {ids}{more})")
}

/// Writes the id of a new row to standard output.
pub(crate) fn write_id(id: &[(i64,)]) -> Result<()> {
    id.iter().try_for_each(|(id,)| Ok(writeln!(io::stdout(), "{id}")?))
}

/// Writes `lines` in columns. The first line has the headers.
pub(crate) fn write_table(out: &mut impl Write, lines: &[Vec<String>]) -> io::Result<()> {
    let mut widths = Vec::new();
    for line in lines {
        widths.resize(widths.len().max(line.len()), 0);
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.width().max(*width);
        }
    }
    for line in lines {
        let mut padding = 0;
        for (width, cell) in widths.iter().zip(line) {
            write!(out, "{:padding$}{cell}", "")?;
            padding = width - cell.width() + 2;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// Escapes control characters: a name may contain any, and some control a terminal.
pub(crate) fn visible(cell: &str) -> String {
    let escape = |c: char| if c.is_control() { c.escape_default().collect() } else { c.into() };
    cell.chars().map(escape).collect::<Vec<String>>().concat()
}
