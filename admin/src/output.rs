//! Lists: a table for people, or JSON.

use std::io::{self, BufWriter, Write};

use anyhow::Result;
use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use crate::args::Format;

/// A row of a list; as JSON it has its fields.
pub(crate) trait Row: Serialize {
    /// The heads of the table's columns.
    const HEADS: &'static [&'static str];

    /// The row's cells, one a head.
    fn cells(&self) -> Vec<String>;
}

/// Writes `rows` to standard output.
///
/// # Errors
/// Where that fails.
pub(crate) fn write_list<R: Row>(rows: &[R], format: &Format) -> Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    if format.json {
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

/// The cell of something that may be missing.
pub(crate) fn or_dash<T: ToString>(value: Option<&T>) -> String {
    value.map_or_else(|| "-".to_owned(), ToString::to_string)
}

/// Writes `lines`, the first with the heads, in columns.
///
/// # Errors
/// Where that fails.
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

/// A name can hold anything; what controls a terminal is shown, not sent.
fn visible(cell: &str) -> String {
    let escape = |c: char| if c.is_control() { c.escape_default().collect() } else { c.into() };
    cell.chars().map(escape).collect::<Vec<String>>().concat()
}
