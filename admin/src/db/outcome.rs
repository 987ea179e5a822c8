//! What a statement returns: rows or an error.

use anyhow::anyhow;
use serde_json::Value;

/// A row, as the values of its columns.
pub(crate) type Cells = Vec<Value>;

/// The error of a statement that failed with SQLite's `message`, with advice if `code`, the error
/// code of the server or the name of a `rusqlite::ErrorCode`, is known.
pub(super) fn failure(database: &str, code: &str, message: &str) -> anyhow::Error {
    let advice = match code {
        _ if message.contains("no such table") => {
            "It lacks tables of the API. Run each migrations/0….sql on it; for a file, the server \
             does so when it starts (make up DEMO=0)"
        }
        "SQLITE_BUSY" | "TRANSACTION_BUSY" | "DatabaseBusy" | "DatabaseLocked" => {
            "Another program is writing to it: try again later"
        }
        "TRANSACTION_TIMEOUT" => {
            "The server ended the transaction, as it took too long while others waited: try again \
             later"
        }
        "ReadOnly" | "PermissionDenied" | "CannotOpen" => {
            "This user has no permission to write the file, its -wal and -shm, or their folder: \
             run this as the server's user"
        }
        "SQLITE_CONSTRAINT" | "ConstraintViolation" => {
            "Another program has just changed it: try again"
        }
        "NotADatabase" => "It is not an SQLite database",
        "SystemIoFailure" => "The disk of its folder is full or defective",
        "SQLITE_FULL" | "DiskFull" => "The disk of its folder is full",
        _ => return anyhow!("{database}: {message}"),
    };
    anyhow!("{database}: {advice} ({message})")
}
