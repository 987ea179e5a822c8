//! What a command changes: a database file, or nothing, as it prints SQL.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::statement::Statement;

/// How long a command waits for the server, or for another command, to end its
/// write.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the statements of a command go.
pub(crate) enum Target {
    /// They are run on a database file.
    Database(Connection),
    /// They are printed.
    Sql,
}

impl Target {
    /// The database file `path`, or SQL.
    ///
    /// # Errors
    /// As [`open_database`] does.
    pub(crate) fn open(path: &Path, sql: bool) -> Result<Self> {
        if sql { Ok(Self::Sql) } else { open_database(path).map(Self::Database) }
    }

    /// The database, where there is one.
    pub(crate) fn database(&self) -> Option<&Connection> {
        match self {
            Self::Database(db) => Some(db),
            Self::Sql => None,
        }
    }

    /// Runs or prints a statement that changes something.
    ///
    /// # Errors
    /// Where it changed nothing, or a constraint forbade it: with the reason that
    /// `reason` finds. Where the database fails.
    pub(crate) fn change(
        &self,
        statement: &Statement,
        reason: impl FnOnce(&Connection) -> rusqlite::Result<String>,
    ) -> Result<()> {
        let Self::Database(db) = self else {
            return Ok(writeln!(io::stdout(), "{}", statement.to_sql())?);
        };
        match statement.execute(db) {
            Ok(changed) if changed > 0 => Ok(()),
            Err(error) if error.sqlite_error_code() != Some(ErrorCode::ConstraintViolation) => {
                Err(explain(error))
            }
            Ok(_) | Err(_) => bail!(reason(db).map_err(explain)?),
        }
    }

    /// Runs or prints a statement that inserts a row, and prints the new row's id.
    ///
    /// # Errors
    /// As [`Self::change`] does.
    pub(crate) fn insert(
        &self,
        statement: &Statement,
        reason: impl FnOnce(&Connection) -> rusqlite::Result<String>,
    ) -> Result<()> {
        self.change(statement, reason)?;
        if let Self::Database(db) = self {
            writeln!(io::stdout(), "{}", db.last_insert_rowid())?;
        }
        Ok(())
    }

    /// The rows of a query; `None` where the query was printed instead.
    ///
    /// # Errors
    /// Where the database fails.
    pub(crate) fn query<T>(
        &self,
        statement: &Statement,
        read: impl FnMut(&rusqlite::Row) -> rusqlite::Result<T>,
    ) -> Result<Option<Vec<T>>> {
        match self {
            Self::Database(db) => Ok(Some(statement.query(db, read).map_err(explain)?)),
            Self::Sql => {
                writeln!(io::stdout(), "{}", statement.to_sql())?;
                Ok(None)
            }
        }
    }
}

/// Opens the database file `path`, which has to be there, with the API's tables.
///
/// # Errors
/// Where it is not, with what to do.
pub(crate) fn open_database(path: &Path) -> Result<Connection> {
    let shown = path.display();
    if !path.exists() {
        bail!(
            "There is no database at {shown}. A server makes it when it first starts (make up \
             DEMO=0); --db FILE names another one."
        );
    }
    // Without SQLITE_OPEN_CREATE: a wrong name makes no empty database.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)
        .with_context(|| format!("cannot open the database {shown}"))?;
    db.busy_timeout(PATIENCE)?;
    let tables: i64 = db
        .query_row(
            "SELECT count(*) FROM sqlite_schema WHERE type = 'table'
             AND name IN ('users', 'nodes', 'instances', 'imported_passwords')",
            [],
            |row| row.get(0),
        )
        .map_err(|error| explain(error).context(format!("cannot read the database {shown}")))?;
    if tables != 4 {
        bail!(
            "{shown} lacks tables of the API. Run each migrations/0….sql on it: a start of the \
             server does (make up DEMO=0), or: sqlite3 {shown} < migrations/0001_initial.sql, …"
        );
    }
    Ok(db)
}

/// The failure of a statement, with what to do where somebody can do something.
pub(crate) fn explain(error: rusqlite::Error) -> anyhow::Error {
    let advice = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => format!(
            "Another program has been writing to the database for {} seconds. Try again later.",
            PATIENCE.as_secs()
        ),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            "This user may not write the database or its folder. Run this as the server's user."
                .to_owned()
        }
        Some(ErrorCode::NotADatabase) => "This is no SQLite database.".to_owned(),
        Some(ErrorCode::DiskFull) => "The disk is full.".to_owned(),
        _ => return anyhow!(error),
    };
    anyhow!("{advice} ({error})")
}
