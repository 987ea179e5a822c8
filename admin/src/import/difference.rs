//! Compares the source's rows with ours, and makes ours equal.

use std::env;
use std::iter::zip;

use anyhow::{Result, bail};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::db::{Database, each_page, is_without_reply};
use crate::import::NAMES;
use crate::output;
use crate::user::MAX_NAME_BYTES;

/// The version of the database: each import that writes to it, from any machine, changes it.
pub(crate) fn version(db: &Database) -> Result<i64> {
    let [(version,)] = db.query("SELECT user_version FROM pragma_user_version", &[])?;
    Ok(version)
}

/// Copies our rows into temporary tables of `staging`, which have the same names.
pub(crate) fn read_ours(db: &Database, staging: &Connection) -> Result<()> {
    for (ours, write) in zip(tables!("ours.sql"), tables!("write.sql")) {
        let query = |sql: &str, key| db.query(sql, &[json!(key)]);
        each_page(ours, query, |page| Ok(staging.execute(write, [page]).map(drop)?))?;
    }
    Ok(())
}

/// Converts the source's rows, and finds those that differ. Keeps their ids in temporary tables of
/// `staging`. Returns the report, the numbers of rows per table and a line for each kind of odd
/// values, and whether any row differs.
/// Fails if `staging` fails, or too many rows would be deleted and this is not allowed.
pub(crate) fn find(staging: &Connection, may_delete: bool) -> Result<(Vec<String>, bool)> {
    let mut report = vec!["\tINSERTED\tCHANGED\tDELETED\tEQUAL".to_owned()];
    let (mut is_any, mut many_deleted, mut all_notes) = (false, Vec::new(), Vec::new());
    for (name, compare) in zip(NAMES, tables!("compare.sql")) {
        let compare = compare.replace("{max_name_bytes}", &MAX_NAME_BYTES.to_string());
        staging.execute_batch(&compare)?;
        staging.query_row(&format!(include_str!("count.sql"), name = name), [], |row| {
            report.push(row.get(0)?);
            is_any |= row.get::<_, bool>(1)?;
            many_deleted.extend(row.get::<_, Option<String>>(2)?);
            Ok(())
        })?;
        let mut notes = staging.prepare(&format!(include_str!("notes.sql"), name = name))?;
        let notes = notes.query_map([compare], |row| row.get(0))?;
        all_notes.extend(notes.collect::<rusqlite::Result<Vec<_>>>()?);
    }
    if !may_delete && !many_deleted.is_empty() {
        bail!(
            "{} Is it the right source, and does it show all its rows? To allow it:\n  {}",
            many_deleted.join(" "),
            output::shell(env::args_os().chain(["--allow-deletions".into()]))
        );
    }
    report.extend(all_notes);
    Ok((report, is_any))
}

/// Makes the rows equal that [`find`] found to differ, in one transaction, and only if no other
/// import has written to the database since it had the version `old`. It then has `new`.
/// Fails if the database fails, or another import has written to it.
pub(crate) fn apply(db: &Database, staging: &Connection, old: i64, new: i64) -> Result<()> {
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

fn write(db: &Database, staging: &Connection, old: i64, new: i64) -> Result<()> {
    db.batch(|run| {
        run(include_str!("guard.sql"), &[json!(old)])?;
        run(&format!("PRAGMA user_version = {new}"), &[])?;
        let mut send = |rows: &str, sql: &str| {
            let query = |sql: &str, key| Ok([staging.query_row(sql, [key], |row| row.try_into())?]);
            each_page(rows, query, |page| run(sql, &[Value::String(page)]))
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
