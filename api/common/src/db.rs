//! The database.

use spin_sdk::sqlite::{self, Connection, QueryResult, Value};

use crate::envelope::Context;
use crate::kept::Kept;
use crate::{Error, schema};

thread_local! {
    static KEPT: Kept<Database> = const { Kept::new(open) };
}

/// A connection to the database.
pub struct Database(Connection);

impl Database {
    /// Runs the statement `sql`, with `values` for its `?1`, `?2`, …; returns its rows. If it names
    /// something that an earlier version's database lacks, that is added first.
    ///
    /// # Errors
    /// If the database fails.
    pub fn execute(&self, sql: &str, values: &[Value]) -> Result<QueryResult, sqlite::Error> {
        match self.0.execute(sql, values) {
            Err(error) if schema::complete(&self.0, &error)? => self.0.execute(sql, values),
            result => result,
        }
    }
}

/// Opens a connection to the database.
///
/// # Errors
/// `Internal` if the host cannot open it.
pub fn open() -> Result<Database, Error> {
    Connection::open_default().map(Database).context("open the database")
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
