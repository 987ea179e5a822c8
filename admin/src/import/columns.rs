//! The columns that an import reads, converts, compares and writes. `columns.json` is their one
//! definition: all SQL statements about them are generated from it.

use anyhow::{Context, Result};
use luoyun_values::text::trim;
use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::ToSql;
use rustls::pki_types::ServerName;
use serde::Deserialize;

use crate::output::visible;

/// A table here, and the source's table that an import makes it equal to.
#[derive(Deserialize)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) source: String,
    /// The column that determines the order of writes: in the order of an index, a server writes
    /// 100,000 instances up to 3 times as fast.
    pub(crate) order: String,
    /// All columns that come from the source, except `id`.
    pub(crate) columns: Vec<Column>,
}

/// A column, which has the same name here and in the source. In SQL, `r` is a row as the source
/// has it, where all values are text except ids and times.
#[derive(Deserialize)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// SQL for the value here. A password is NULL if ours is kept; `!` matches no password.
    pub(crate) value: String,
    /// SQL for the value to write, from the value `w.NAME` and ours, `o.NAME`, if it is not the
    /// former.
    merged: Option<String>,
    /// The kinds of odd values: what is said of their rows, and an SQL condition, where `{value}`
    /// is the value here. "left out" is said of rows that are not imported, everything else of
    /// rows that are.
    pub(crate) notes: Vec<(String, String)>,
}

/// How a column is read.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// A whole number; 0 if the source has any other text.
    Id,
    Text,
    /// Unix time in seconds; that of the year 10000 if it is outside the years 1 to 9999.
    Time,
}

/// Longest user name, in bytes: with it and the longest password, a login's body is still below
/// its limit if each byte is percent-encoded (docs/contract.md).
pub(crate) const MAX_NAME_BYTES: usize = 4096;

/// The tables, in the order in which they refer to each other.
pub(crate) fn tables() -> Result<Vec<Table>> {
    serde_json::from_str(include_str!("columns.json")).context("columns.json")
}

impl Table {
    /// The names of all columns, with commas.
    pub(crate) fn all_columns(&self) -> String {
        let names = self.columns.iter().map(|column| format!(", {}", column.name));
        format!("id{}", names.collect::<String>())
    }

    /// The SQL statement that creates a temporary table with these columns.
    pub(crate) fn definition(&self, name: &str) -> String {
        let columns = self.all_columns().replacen("id", "id INTEGER PRIMARY KEY", 1);
        format!("CREATE TEMP TABLE {name} ({columns})")
    }
}

impl Column {
    /// SQL for the value to write, from `w`, the source's, and `o`, ours.
    pub(crate) fn to_write(&self) -> String {
        self.merged.clone().unwrap_or_else(|| format!("w.{}", self.name))
    }
}

/// Adds the functions to `db` that `columns.json` uses, except `fingerprint`.
pub(crate) fn add_functions(db: &Connection) -> rusqlite::Result<()> {
    add(db, "bare", |text| Some(trim(text).to_owned()))?;
    add(db, "flag", flag)?;
    add(db, "host", host)?;
    add(db, "number", |text| text.parse::<i64>().ok().filter(|number| number.to_string() == text))?;
    add(db, "is_known", |text| Some(luoyun_password::is_known(text)))?;
    add(db, "visible", |text| Some(visible(text)))
}

/// Adds `function`, which is NULL for NULL.
fn add<T: ToSql + 'static>(
    db: &Connection,
    name: &str,
    function: fn(&str) -> Option<T>,
) -> rusqlite::Result<()> {
    db.create_scalar_function(name, 1, FunctionFlags::SQLITE_DETERMINISTIC, move |arguments| {
        Ok(arguments.get_raw(0).as_str_or_null()?.and_then(function))
    })
}

/// Whether the text is true or false (PostgreSQL, "Boolean Type"); `None` if neither.
fn flag(text: &str) -> Option<bool> {
    let text = trim(text).to_lowercase();
    match text.as_str() {
        "1" | "on" | "y" | "ye" | "yes" | "t" | "tr" | "tru" | "true" => Some(true),
        "0" | "of" | "off" | "n" | "no" | "f" | "fa" | "fal" | "fals" | "false" => Some(false),
        _ => None,
    }
}

/// The IP address or host name in the text, without brackets and a netmask. `None` if it has
/// anything else.
fn host(text: &str) -> Option<String> {
    let text = trim(text);
    let text = match text.split_once('/') {
        Some((address, mask)) if mask.parse::<u8>().is_ok() => address,
        _ => text,
    };
    let text = text.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(text);
    ServerName::try_from(text).is_ok().then(|| text.to_owned())
}
