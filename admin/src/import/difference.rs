//! Compares the source's rows with ours, and makes ours equal.

use anyhow::{Context, Result, bail};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::db::{Database, is_without_reply};
use crate::import::tables::{MAX_NAME_BYTES, TABLES, Table};

/// The first elements of the arrays in `?1`: the ids.
const IDS: &str = "SELECT value ->> 0 FROM json_each(?1)";

/// What an import would do, and what is odd in the source.
#[derive(Default)]
pub(crate) struct Difference {
    /// The numbers of rows per table, as the lines of a table, the first with the headers.
    pub(crate) counts: Vec<Vec<String>>,
    /// Whether any row differs.
    pub(crate) is_any: bool,
    /// Descriptions of tables of which too many rows would be deleted.
    pub(crate) many_deleted: Vec<String>,
    /// A line for each kind of odd values.
    pub(crate) notes: Vec<String>,
}

/// The version of the database: each import that writes to it, from any machine, changes it.
pub(crate) fn version(db: &mut Database) -> Result<i64> {
    let version = db.query("SELECT user_version FROM pragma_user_version", &[])?;
    version.first().map(|(version,)| *version).context("the database has no user_version")
}

/// Copies our rows into temporary tables of `staging`, which have the same names.
pub(crate) fn read_ours(db: &mut Database, staging: &Connection) -> Result<()> {
    for Table { ours, write, .. } in &TABLES {
        let page = page(ours);
        let mut insert = staging.prepare(write)?;
        let read = |key: i64| {
            let found = db.query(&page, &[json!(key)])?;
            found.into_iter().next().context("an aggregate without a row")
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
    found.counts.push(["", "INSERTED", "CHANGED", "DELETED", "EQUAL"].map(str::to_owned).into());
    for Table { name, compare, .. } in &TABLES {
        let compare = compare.replace("{max_name_bytes}", &MAX_NAME_BYTES.to_string());
        staging.execute_batch(&compare)?;
        staging.query_row(&format!(include_str!("count.sql"), name = name), [], |row| {
            found.counts.push((0..5).map(|at| row.get(at)).collect::<Result<_, _>>()?);
            found.is_any |= row.get::<_, bool>(5)?;
            found.many_deleted.extend(row.get::<_, Option<String>>(6)?);
            Ok(())
        })?;
        let mut notes = staging.prepare(&format!(include_str!("notes.sql"), name = name))?;
        for note in notes.query_map([compare], |row| row.get(0))? {
            found.notes.push(note?);
        }
    }
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
        // Stops the batch if the version has changed, by violating NOT NULL.
        let guard = "INSERT INTO users (username, password)
                     SELECT NULL, NULL FROM pragma_user_version WHERE user_version <> ?1";
        run(guard, &[json!(old)])?;
        run(&format!("PRAGMA user_version = {new}"), &[])?;
        let mut send = |rows: &str, sql: &str| {
            let mut page = staging.prepare(&page(rows))?;
            let read = |key: i64| Ok(page.query_row([key], |row| row.try_into())?);
            each_page(read, |rows| run(sql, &[Value::String(rows)]))
        };
        // Two users may have swapped names, but names have to be unique after each statement.
        let name = "'import ' || hex(randomblob(16))";
        let rename = format!("UPDATE users SET username = {name} WHERE id IN ({IDS})");
        send("SELECT * FROM users_to_rename", &rename)?;
        // If names move from row to row, this order keeps them unique.
        for Table { name, write, .. } in &TABLES {
            let delete = format!("DELETE FROM {name} WHERE id IN ({IDS})");
            send(&format!("SELECT * FROM {name}_to_delete"), &delete)?;
            send(&format!("SELECT * FROM {name}_to_write"), write)?;
        }
        for (column, owners) in [("user_id", "users"), ("node_id", "nodes")] {
            // For instances that were added since the comparison.
            let is_missing = format!("{column} NOT IN (SELECT id FROM {owners})");
            run(&format!("UPDATE instances SET {column} = NULL WHERE {is_missing}"), &[])?;
        }
        Ok(())
    })
}
