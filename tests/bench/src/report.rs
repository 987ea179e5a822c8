//! Tables, as Markdown on standard output.

use std::time::Duration;

/// Prints a table: the first column left-aligned, the others right-aligned.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) {
    println!("| {} |", headings.join(" | "));
    println!("| --- |{}", " ---: |".repeat(headings.len() - 1));
    for row in rows {
        println!("| {} |", row.join(" | "));
    }
    println!();
}

/// A duration in milliseconds.
pub(crate) fn milliseconds(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}

/// `one` divided by `other`.
pub(crate) fn ratio(one: Duration, other: Duration) -> String {
    format!("{:.2}", one.as_secs_f64() / other.as_secs_f64())
}
