//! Lists: a table for people, or JSON.

use std::io::{self, BufWriter, Write};

use anyhow::Result;
use serde::Serialize;
use serde::de::DeserializeOwned;
use unicode_width::UnicodeWidthStr;

/// A row of a list; as JSON it has its fields.
pub(crate) trait Row: Serialize + DeserializeOwned {
    /// The heads of the table's columns.
    const HEADS: &'static [&'static str];

    /// The row's cells, one a head.
    fn cells(&self) -> Vec<String>;
}

/// Writes `rows` to standard output, as JSON or as a table.
pub(crate) fn write_list<R: Row>(rows: &[R], as_json: bool) -> Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    if as_json {
        serde_json::to_writer_pretty(&mut out, rows).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        let heads = R::HEADS.iter().map(|&head| head.to_owned()).collect();
        let mut lines = vec![heads];
        for row in rows {
            lines.push(row.cells().iter().map(|cell| visible(cell)).collect());
        }
        write_table(&mut out, &lines)?;
    }
    Ok(out.flush()?)
}

/// Ids that a message names.
pub(crate) const IDS_SHOWN: usize = 5;

/// The first `ids` of `count`, for a message.
pub(crate) fn some_ids(count: usize, ids: &[i64]) -> String {
    let more = if count > ids.len() { ", …" } else { "" };
    let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
    format!("(id {}{more})", ids.join(", "))
}

/// Writes the id of a new row to standard output.
pub(crate) fn write_id(id: &[(i64,)]) -> Result<()> {
    id.iter().try_for_each(|(id,)| Ok(writeln!(io::stdout(), "{id}")?))
}

/// The cell of something that may be missing.
pub(crate) fn or_dash<T: ToString>(value: Option<&T>) -> String {
    value.map_or_else(|| "-".to_owned(), ToString::to_string)
}

/// Writes `lines`, the first with the heads, in columns.
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

/// Control characters are shown escaped: a name may hold any, and some control a terminal.
fn visible(cell: &str) -> String {
    let escape = |c: char| if c.is_control() { c.escape_default().collect() } else { c.into() };
    cell.chars().map(escape).collect::<Vec<String>>().concat()
}
