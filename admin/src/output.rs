//! What people read.

use std::env;
use std::io::{self, Write};

use anyhow::Result;
use unicode_width::UnicodeWidthStr;

/// Largest number of ids in a message.
const IDS_SHOWN: i64 = 5;

/// A query for the number of the rows of the query `rows`, and for the first of the ids that it
/// selects, with commas; NULL if there is no row.
pub(crate) fn count_sql(rows: &str) -> String {
    format!(
        "WITH found (id) AS MATERIALIZED ({rows})
         SELECT (SELECT count(*) FROM found), group_concat(ifnull(id, 'NULL'), ', ')
         FROM (SELECT id FROM found ORDER BY id LIMIT {IDS_SHOWN})"
    )
}

/// What [`count_sql`] found, for a message.
pub(crate) fn some_ids(count: i64, ids: &str) -> String {
    let more = if count > IDS_SHOWN { ", …" } else { "" };
    format!("(id {ids}{more})")
}

/// Writes the id of a new row to standard output.
pub(crate) fn write_id(id: &[(i64,)]) -> Result<()> {
    id.iter().try_for_each(|(id,)| Ok(writeln!(io::stdout(), "{id}")?))
}

/// Writes `lines`, of equally many cells, in columns. The first line has the headers.
pub(crate) fn write_table(out: &mut impl Write, lines: &[Vec<String>]) -> io::Result<()> {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |at: usize| lines.iter().map(|line| line[at].width()).max();
    let widths: Vec<_> = (0..columns).filter_map(width).collect();
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
    let words = env::args_os().map(|word| word.to_string_lossy().into_owned());
    let mut words: Vec<_> = words.collect();
    let at = words.iter().position(|word| word == command);
    words.insert(at.map_or(words.len(), |at| at + 1), option.to_owned());
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_default()
}
