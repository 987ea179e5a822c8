//! The database.

use spin_sdk::sqlite::{Connection, Value};

use crate::Error;
use crate::envelope::Context;
use crate::kept::Kept;

thread_local! {
    static KEPT: Kept<Connection> = const { Kept::new(open) };
}

/// Opens a connection to the database.
///
/// # Errors
/// `Internal` if the host cannot open it.
pub fn open() -> Result<Connection, Error> {
    Connection::open_default().context("open the database")
}

/// Runs a statement on the connection that the instance keeps; returns the first row. The statement
/// may run twice, so it has to be idempotent. `operation` names it in the log.
///
/// # Errors
/// `Internal` if the database fails.
pub fn run(operation: &str, sql: &str, values: &[Value]) -> Result<Option<Vec<Value>>, Error> {
    let result = KEPT.with(|kept| kept.call(|db| db.execute(sql, values).context(operation)))?;
    Ok(result.rows.into_iter().next().map(|row| row.values))
}

/// The error of a row that the tables exclude.
#[must_use]
pub fn unexpected_row() -> Error {
    Error::Internal("query the database: unexpected row".to_owned())
}

/// The value of a nullable text column; `None` for NULL and any other type.
#[must_use]
pub fn text(value: Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

/// The value of a nullable integer column; `None` for NULL and any other type.
#[must_use]
pub fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(integer) => Some(*integer),
        _ => None,
    }
}
