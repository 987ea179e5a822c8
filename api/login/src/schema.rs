//! Prepares an empty database.

use luoyun_common::Error;
use luoyun_common::envelope::Context;
use spin_sdk::sqlite::{self, Connection};

/// Returns a row if the database has a table that no migration creates and that is not SQLite's or
/// libSQL's own: an older version's, or another program's.
const FIND_OTHER_TABLE: &str = "
SELECT 1 FROM sqlite_schema
WHERE type = 'table' AND name NOT IN ('users', 'nodes', 'instances', 'sessions', 'login_failures')
  AND name NOT GLOB 'sqlite_*' AND name NOT GLOB 'libsql_*' AND name NOT GLOB '_*'
LIMIT 1";

/// Creates the tables, indexes and triggers that are missing, if `error`, of a statement that reads
/// the table that is created last, says that one is. Several logins may do so at once. Returns
/// whether the statement has to be repeated.
/// Fails with `Internal` if a statement fails.
pub(crate) fn create_if_missing(db: &Connection, error: &sqlite::Error) -> Result<bool, Error> {
    const OPERATION: &str = "create the tables";
    if !error.to_string().contains("no such table")
        || !db.execute(FIND_OTHER_TABLE, &[]).context(OPERATION)?.rows.is_empty()
    {
        return Ok(false);
    }
    // A libSQL server rejects this statement, and needs none.
    let _ = db.execute(luoyun_schema::LOCAL, &[]);
    for statement in luoyun_schema::statements() {
        db.execute(statement, &[]).context(OPERATION)?;
    }
    Ok(true)
}
