//! The tables, indexes and triggers: the files in `migrations`, compiled in.
//!
//! A database that lacks some of them is empty, or an earlier version's. [`complete`] adds what it
//! lacks, and changes nothing else: an earlier version may go on using it.

#![forbid(unsafe_code)]

use std::fmt::Display;

/// Sets WAL mode, for a local file only. A libSQL server rejects it.
pub const LOCAL: &str = include_str!("../../../migrations/local.sql");

/// Selects the name and the statement of each table, without SQLite's, libSQL's and replicators' own.
pub const FIND_TABLES: &str = "
SELECT name, sql FROM sqlite_schema
WHERE type = 'table'
  AND name NOT GLOB 'sqlite_*' AND name NOT GLOB 'libsql_*' AND name NOT GLOB '_*'";

/// The statements of the files, in the order in which to run them: each with the table that it creates,
/// or "", and the statements that add a column to this table.
const STATEMENTS: &[(&str, &str, &[&str])] = include!(concat!(env!("OUT_DIR"), "/statements.rs"));

/// Whether `error`, SQLite's message, says that the database lacks what a statement names.
#[must_use]
pub fn is_incomplete(error: &str) -> bool {
    let missing = ["no such table", "no such column", "has no column named", "no such index"];
    missing.iter().any(|missing| error.contains(missing))
}

/// Whether a database with `tables`, the result of [`FIND_TABLES`], is empty or the API's: not another
/// program's, or that of a version before 0.1.0.
pub fn is_ours(tables: &[(String, String)]) -> bool {
    tables.is_empty()
        || tables.iter().any(|(name, sql)| name == "users" && sql.contains("session_epoch"))
}

/// Adds what such a database lacks: calls `execute` with each statement. Several programs may do so at
/// once.
///
/// # Errors
/// The first one of `execute`, except that a column exists already.
pub fn complete<E: Display>(
    tables: &[(String, String)],
    mut execute: impl FnMut(&'static str) -> Result<(), E>,
) -> Result<(), E> {
    for (table, statement, columns) in STATEMENTS {
        execute(statement)?;
        let is_known = tables.iter().any(|(name, _)| name == table);
        for column in columns.iter().filter(|_| is_known) {
            match execute(column) {
                Err(error) if !error.to_string().contains("duplicate column name") => {
                    return Err(error);
                }
                _ => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use rusqlite::Connection;

    use super::*;

    /// A database of version 0.1.0, with rows in each table. A later version never changes this file.
    const RELEASED: &str = include_str!("../../../tests/it/0.1.0.sql");

    /// Adds what `db` lacks, as its programs do.
    fn complete(db: &Connection) -> Result<(), Box<dyn Error>> {
        let mut tables = db.prepare(FIND_TABLES)?;
        let tables = tables.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let tables = tables.collect::<Result<Vec<_>, _>>()?;
        is_ours(&tables).then_some(()).ok_or("another program's database")?;
        Ok(super::complete(&tables, |statement| db.execute_batch(statement))?)
    }

    fn lines(db: &Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
        db.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
    }

    /// What has to be equal in each database: the columns in any order, indexes and triggers.
    const SCHEMA: &str = r#"
        SELECT concat_ws(' ', t.name, c.name, c.type, c."notnull", c.dflt_value, c.pk)
        FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type = 'table'
        UNION ALL
        SELECT sql FROM sqlite_schema WHERE type IN ('index', 'trigger') AND sql IS NOT NULL
        ORDER BY 1"#;

    /// For example after a column was added that `ALTER TABLE` cannot add (its default must be a
    /// constant, or it may be NULL), or after the definition of an index was changed and its name
    /// was not.
    #[test]
    fn a_released_database_is_completed_without_loss() -> Result<(), Box<dyn Error>> {
        let [new, released] = [Connection::open_in_memory()?, Connection::open_in_memory()?];
        complete(&new)?;
        released.execute_batch(RELEASED)?;
        let rows = "SELECT concat_ws('|', id, username, password, session_epoch) FROM users
                    UNION ALL SELECT concat_ws('|', id, name, summary, vdi_port) FROM instances";
        let before = lines(&released, rows)?;
        assert!(before.len() >= 6);
        complete(&released)?;
        assert_eq!(lines(&released, SCHEMA)?, lines(&new, SCHEMA)?);
        assert_eq!(lines(&released, rows)?, before);
        Ok(())
    }

    #[test]
    fn what_an_earlier_version_lacks_is_added_and_other_databases_are_left()
    -> Result<(), Box<dyn Error>> {
        let new = Connection::open_in_memory()?;
        complete(&new)?;
        for lacks in [
            "DROP TRIGGER session_sets_last_login; ALTER TABLE users DROP COLUMN last_login",
            "DROP INDEX instances_of_user; ALTER TABLE instances DROP COLUMN summary",
            "ALTER TABLE login_failures DROP COLUMN address",
            "DROP TABLE login_failures; DROP TABLE nodes",
        ] {
            let db = Connection::open_in_memory()?;
            complete(&db)?;
            db.execute_batch(lacks)?;
            complete(&db)?;
            assert_eq!(lines(&db, SCHEMA)?, lines(&new, SCHEMA)?, "{lacks}");
        }
        for other in ["CREATE TABLE users (id)", "CREATE TABLE notes (session_epoch)"] {
            let db = Connection::open_in_memory()?;
            db.execute_batch(other)?;
            assert!(complete(&db).is_err(), "{other}");
        }
        Ok(())
    }
}
