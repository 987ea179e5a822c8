//! Lists: a table for people, or JSON.

use std::env;
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

/// Escapes characters that a terminal does not show or that control it, such as line breaks,
/// zero-width characters and bidirectional marks: a name may contain any.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        // Rust escapes a combining character only at the start of a text.
        let is_hidden = !(c.is_ascii_graphic() || c == ' ')
            && String::from_iter(['-', c]).escape_debug().count() > 2;
        if is_hidden { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

/// The command line of this process with `option` after `command`, for a shell.
pub(crate) fn repeated_with(command: &str, option: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=+./:,@%".contains(&byte);
    let words = env::args_os().map(|word| {
        let word = word.to_string_lossy();
        let is_plain = !word.is_empty() && word.bytes().all(is_plain);
        let quoted = format!("'{}'", word.replace('\'', r"'\''"));
        let shown = if is_plain { word.clone().into_owned() } else { quoted };
        if word == command { format!("{shown} {option}") } else { shown }
    });
    words.collect::<Vec<_>>().join(" ")
}
