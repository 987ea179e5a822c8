//! Prepares an empty database.

use luoyun_common::Error;
use luoyun_common::envelope::Context;
use spin_sdk::sqlite::{self, Connection};

/// The files that create what is missing. Each statement ends with a semicolon and an empty line.
const MIGRATIONS: [&str; 2] = [
    include_str!("../../../migrations/0001_cloud.sql"),
    include_str!("../../../migrations/0002_logins.sql"),
];

const USE_WRITE_AHEAD_LOG: &str = include_str!("../../../migrations/local.sql");

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
    let _ = db.execute(USE_WRITE_AHEAD_LOG, &[]);
    for statement in MIGRATIONS.into_iter().flat_map(statements) {
        db.execute(statement, &[]).context(OPERATION)?;
    }
    Ok(true)
}

/// The host runs one statement at a time.
fn statements(sql: &str) -> impl Iterator<Item = &str> {
    sql.split_inclusive(";\n\n").filter(|statement| statement.contains("CREATE"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_statement_of_the_migrations_is_found() {
        for sql in MIGRATIONS {
            let created = sql.lines().filter(|line| line.starts_with("CREATE")).count();
            assert_eq!(statements(sql).count(), created);
            for statement in statements(sql) {
                let begins = statement.lines().filter(|line| line.starts_with("CREATE")).count();
                assert_eq!(begins, 1, "{statement}");
                assert!(statement.trim_end().ends_with(';'), "{statement}");
            }
        }
    }
}
