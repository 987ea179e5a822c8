//! Lists: a table for people, or JSON.

use std::io::{self, BufWriter, Write};

use anyhow::Result;
use serde::Serialize;
use serde::de::DeserializeOwned;
use unicode_width::UnicodeWidthStr;

/// A row of a list. In JSON, it is an object with its fields.
pub(crate) trait Row: Serialize + DeserializeOwned {
    /// The headers of the table's columns.
    const HEADERS: &'static [&'static str];

    /// The row's cells, one per header.
    fn cells(&self) -> Vec<String>;
}

/// Writes `rows` to standard output, as JSON or as a table.
pub(crate) fn write_list<R: Row>(rows: &[R], as_json: bool) -> Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    if as_json {
        serde_json::to_writer_pretty(&mut out, rows).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        let headers = R::HEADERS.iter().map(|&header| header.to_owned()).collect();
        let mut lines = vec![headers];
        for row in rows {
            lines.push(row.cells().iter().map(|cell| visible(cell)).collect());
        }
        write_table(&mut out, &lines)?;
    }
    Ok(out.flush()?)
}

/// Largest number of ids in a message.
pub(crate) const IDS_SHOWN: usize = 5;

/// The first `ids` of `count` ids in all, for a message.
pub(crate) fn some_ids(count: usize, ids: &[i64]) -> String {
    let more = if count > ids.len() { ", …" } else { "" };
    let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
    format!("(id {}{more})", ids.join(", "))
}

/// Writes the id of a new row to standard output.
pub(crate) fn write_id(id: &[(i64,)]) -> Result<()> {
    id.iter().try_for_each(|(id,)| Ok(writeln!(io::stdout(), "{id}")?))
}

/// The cell of an optional value.
pub(crate) fn or_dash<T: ToString>(value: Option<&T>) -> String {
    value.map_or_else(|| "-".to_owned(), ToString::to_string)
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
