//! Compares the source's rows with ours, and makes ours equal.

use std::iter::zip;

use anyhow::{Result, bail};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::db::{Database, is_without_reply};
use crate::import::NAMES;
use crate::user::MAX_NAME_BYTES;

/// What an import would do, and what is odd in the source.
#[derive(Default)]
pub(crate) struct Difference {
    /// The numbers of rows per table, with tabs between them, after the headers; then a line for each
    /// kind of odd values.
    pub(crate) report: Vec<String>,
    /// Whether any row differs.
    pub(crate) is_any: bool,
    /// Descriptions of tables of which too many rows would be deleted.
    pub(crate) many_deleted: Vec<String>,
}

/// The version of the database: each import that writes to it, from any machine, changes it.
pub(crate) fn version(db: &mut Database) -> Result<i64> {
    let [(version,)] = db.query("SELECT user_version FROM pragma_user_version", &[])?;
    Ok(version)
}

/// Copies our rows into temporary tables of `staging`, which have the same names.
pub(crate) fn read_ours(db: &mut Database, staging: &Connection) -> Result<()> {
    for (ours, write) in zip(tables!("ours.sql"), tables!("write.sql")) {
        let page = page(ours);
        let mut insert = staging.prepare(write)?;
        let read = |key: i64| {
            let [page] = db.query(&page, &[json!(key)])?;
            Ok(page)
        };
        each_page(read, |rows| Ok(insert.execute([rows]).map(drop)?))?;
    }
    Ok(())
}

/// A query for the next of `rows`, a query for keys and JSON: those whose key is above `?1`.
/// Selects their largest key, and an array of them. At most 2000 rows, and 2,000,000 bytes without
/// the last one: sqld 0.24 limits a text to 5 MB.
fn page(rows: &str) -> String {
    format!(include_str!("page.sql"), rows = rows)
}

/// Passes each page to `take`. `read` returns the page after a key, with its last key.
fn each_page(
    mut read: impl FnMut(i64) -> Result<(Option<i64>, String)>,
    mut take: impl FnMut(String) -> Result<()>,
) -> Result<()> {
    let mut last_key = i64::MIN;
    while let (Some(key), rows) = read(last_key)? {
        take(rows)?;
        last_key = key;
    }
    Ok(())
}

/// Converts the source's rows, and finds those that differ. Keeps their ids in temporary tables of
/// `staging`.
pub(crate) fn find(staging: &Connection) -> rusqlite::Result<Difference> {
    let mut found = Difference::default();
    let mut all_notes = Vec::new();
    found.report.push("\tINSERTED\tCHANGED\tDELETED\tEQUAL".to_owned());
    for (name, compare) in zip(NAMES, tables!("compare.sql")) {
        let compare = compare.replace("{max_name_bytes}", &MAX_NAME_BYTES.to_string());
        staging.execute_batch(&compare)?;
        staging.query_row(&format!(include_str!("count.sql"), name = name), [], |row| {
            found.report.push(row.get(0)?);
            found.is_any |= row.get::<_, bool>(1)?;
            found.many_deleted.extend(row.get::<_, Option<String>>(2)?);
            Ok(())
        })?;
        let mut notes = staging.prepare(&format!(include_str!("notes.sql"), name = name))?;
        for note in notes.query_map([compare], |row| row.get(0))? {
            all_notes.push(note?);
        }
    }
    found.report.extend(all_notes);
    Ok(found)
}

/// Makes the rows equal that [`find`] found to differ, in one transaction, and only if no other
/// import has written to the database since it had the version `old`. It then has `new`.
/// Fails if the database fails, or another import has written to it.
pub(crate) fn apply(db: &mut Database, staging: &Connection, old: i64, new: i64) -> Result<()> {
    let Err(error) = write(db, staging, old, new) else { return Ok(()) };
    match version(db) {
        Ok(found) if found == new => Ok(()),
        Ok(found) if found != old => {
            bail!("Another import has written in the meantime: nothing was imported. Try again.")
        }
        _ if is_without_reply(&error) => {
            Err(error.context("it is unknown whether all was imported or nothing: import again"))
        }
        _ => Err(error.context("nothing was imported")),
    }
}

fn write(db: &mut Database, staging: &Connection, old: i64, new: i64) -> Result<()> {
    db.batch(|run| {
        run(include_str!("guard.sql"), &[json!(old)])?;
        run(&format!("PRAGMA user_version = {new}"), &[])?;
        let mut send = |rows: &str, sql: &str| {
            let mut page = staging.prepare(&page(rows))?;
            let read = |key: i64| Ok(page.query_row([key], |row| row.try_into())?);
            each_page(read, |rows| run(sql, &[Value::String(rows)]))
        };
        send("SELECT * FROM users_to_rename", include_str!("users/rename.sql"))?;
        // If names move from row to row, this order keeps them unique.
        for (name, write) in zip(NAMES, tables!("write.sql")) {
            let delete = format!(include_str!("delete.sql"), name = name);
            send(&format!("SELECT * FROM {name}_to_delete"), &delete)?;
            send(&format!("SELECT * FROM {name}_to_write"), write)?;
        }
        run(include_str!("instances/detach.sql"), &[])
    })
}
