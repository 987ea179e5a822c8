//! Completes the database: the statement that first names a missing table, column or index fails, and
//! then these are added. So nobody has to prepare a new database or an earlier version's, and no
//! other request pays for it.

use spin_sdk::sqlite::{Connection, Error, Value};

/// Adds what `db` lacks, if `error`, of a statement, says that something is missing. Several requests
/// may do so at once. Returns whether the statement has to be repeated: not in another program's
/// database.
/// Fails if a statement fails.
pub(crate) fn complete(db: &Connection, error: &Error) -> Result<bool, Error> {
    if !luoyun_schema::is_incomplete(&error.to_string()) {
        return Ok(false);
    }
    let found = db.execute(luoyun_schema::FIND_TABLES, &[])?;
    let tables =
        found.rows.into_iter().filter_map(|row| match <[Value; 2]>::try_from(row.values) {
            Ok([Value::Text(name), Value::Text(sql)]) => Some((name, sql)),
            _ => None,
        });
    let tables: Vec<_> = tables.collect();
    if !luoyun_schema::is_ours(&tables) {
        return Ok(false);
    }
    // A libSQL server rejects this statement, and needs none.
    let _ = db.execute(luoyun_schema::LOCAL, &[]);
    luoyun_schema::complete(&tables, |statement| db.execute(statement, &[]).map(drop))?;
    Ok(true)
}
