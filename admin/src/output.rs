//! What people read.

use std::ffi::OsString;
use std::io::{self, Write};

use anyhow::Result;
use tabwriter::TabWriter;

/// Writes the id of a new row to standard output.
pub(crate) fn write_id([(id,)]: [(i64,); 1]) -> Result<()> {
    Ok(writeln!(io::stdout(), "{id}")?)
}

/// Writes `lines`, whose cells have tabs between them, in columns.
pub(crate) fn write_table(out: impl Write, lines: &[String]) -> io::Result<()> {
    let mut table = TabWriter::new(out);
    lines.iter().try_for_each(|line| writeln!(table, "{line}"))?;
    table.flush()
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

/// A command line, for a shell.
pub(crate) fn shell(words: impl IntoIterator<Item = OsString>) -> String {
    let words = words.into_iter().map(|word| word.to_string_lossy().into_owned());
    shlex::try_join(words.collect::<Vec<_>>().iter().map(String::as_str)).unwrap_or_default()
}
