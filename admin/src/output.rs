//! What people read.

use std::env;
use std::io::{self, Write};

use anyhow::Result;
use unicode_width::UnicodeWidthStr;

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
    let words = env::args_os().map(|word| word.to_string_lossy().into_owned());
    let words = words.flat_map(|word| {
        let is_command = word == command;
        [Some(word), is_command.then(|| option.to_owned())].into_iter().flatten()
    });
    let words: Vec<_> = words.collect();
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_default()
}
