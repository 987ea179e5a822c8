//! The database: an SQLite file, or a libSQL server.

mod file;
mod location;
mod server;

use anyhow::{Result, anyhow};
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::file::File;
pub(crate) use self::location::{Location, is_this_machine};
use self::server::Server;
pub(crate) use self::server::is_without_reply;

/// A row, as the values of its columns.
type Cells = Vec<Value>;

/// A connection to a database.
pub(crate) enum Database {
    File(File),
    Server(Server),
}

impl Database {
    /// Opens a database that has the API's tables.
    /// Fails if a file is missing or cannot be opened. Only the first statement connects to a
    /// server.
    pub(crate) fn open(location: &Location) -> Result<Self> {
        Ok(match location {
            Location::File(path) => Self::File(File::open(path)?),
            Location::Server(url) => Self::Server(Server::new(url)?),
        })
    }

    /// Runs the statement `sql` with `values` for its `?1`, `?2`, …; returns its rows, each
    /// deserialized from the values of its columns.
    /// Fails if the database fails, with advice.
    pub(crate) fn query<T: DeserializeOwned>(
        &mut self,
        sql: &str,
        values: &[Value],
    ) -> Result<Vec<T>> {
        let rows = match self {
            Self::File(file) => file.query(sql, values),
            Self::Server(server) => server.query(sql, values),
        }?;
        let rows = rows.into_iter().map(|cells| serde_json::from_value(Value::Array(cells)));
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Runs the statement `sql`, which returns no rows.
    pub(crate) fn execute(&mut self, sql: &str, values: &[Value]) -> Result<()> {
        self.query::<Cells>(sql, values).map(drop)
    }

    /// Runs `work` in a transaction, which is rolled back if `work` fails.
    /// Fails with the error of `work` or of the database.
    pub(crate) fn transaction<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        self.execute("BEGIN IMMEDIATE", &[])?;
        let result = work(self).and_then(|value| self.execute("COMMIT", &[]).map(|()| value));
        if result.is_err() {
            // The first error is the one to report.
            let _ = self.execute("ROLLBACK", &[]);
        } else if let Self::File(file) = self {
            file.checkpoint();
        }
        result
    }

    /// Runs the statements that `work` passes to its argument in one transaction, without foreign
    /// keys: with them, SQLite would search all instances for each deleted user.
    ///
    /// A server gets all statements in one request, so that it holds its lock only while it
    /// works, and never for a client that was killed.
    /// Fails with the error of `work` or of the database; the database is then unchanged.
    pub(crate) fn batch(
        &mut self,
        work: impl FnOnce(&mut dyn FnMut(&str, &[Value]) -> Result<()>) -> Result<()>,
    ) -> Result<()> {
        match self {
            Self::File(file) => {
                file.query("PRAGMA foreign_keys = OFF", &[])?;
                self.transaction(|db| work(&mut |sql, values| db.execute(sql, values)))
            }
            Self::Server(server) => server.batch(work),
        }
    }
}

/// The error of a statement that failed with SQLite's `message`, with advice if `code`, the error
/// code of the server or the name of a `rusqlite::ErrorCode`, is known.
fn failure(database: &str, code: &str, message: &str) -> anyhow::Error {
    let advice = match code {
        _ if luoyun_schema::is_incomplete(message) => {
            "It lacks tables or columns of the API: the next login adds them, also one with a wrong \
             password"
        }
        "SQLITE_BUSY" | "TRANSACTION_BUSY" | "DatabaseBusy" | "DatabaseLocked" => {
            "Another program is writing to it: try again later"
        }
        "TRANSACTION_TIMEOUT" => {
            "The server ended the transaction, as it took too long while others waited: try again \
             later"
        }
        "ReadOnlyFileSystem" => {
            "Its file system is read-only: make it writable, or copy the file to a folder that is"
        }
        "ReadOnly" | "PermissionDenied" | "CannotOpen" => {
            "This user has no permission to write the file, its -wal and -shm, or their folder: \
             run this as the server's user"
        }
        "SQLITE_CONSTRAINT" | "ConstraintViolation" => {
            "Another program has just changed it: try again"
        }
        "NotADatabase" => "It is not an SQLite database",
        "DatabaseCorrupt" => "It is damaged: restore a backup (docs/operations.md)",
        "SystemIoFailure" => "The disk of its folder is full or defective",
        "SQLITE_FULL" | "DiskFull" => "The disk of its folder is full",
        _ => return anyhow!("{database}: {message}"),
    };
    anyhow!("{database}: {advice} ({message})")
}
