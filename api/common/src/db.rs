//! The database.

use std::cell::RefCell;
use std::rc::Rc;

use spin_sdk::sqlite::{self, Connection, QueryResult, Value};

use crate::envelope::Context;
use crate::{Error, schema};

thread_local! {
    static KEPT: RefCell<Option<Rc<Database>>> = const { RefCell::new(None) };
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

/// The connection to the database. For WASI 0.3, the instance keeps it for its next requests, so a
/// transaction or a PRAGMA has to end with the request.
///
/// # Errors
/// `Internal` if the host cannot open it.
pub fn open() -> Result<Rc<Database>, Error> {
    if let Some(connection) = KEPT.with_borrow(Clone::clone) {
        return Ok(connection);
    }
    let connection = Connection::open_default().context("open the database")?;
    let connection = Rc::new(Database(connection));
    if cfg!(feature = "wasi03") {
        KEPT.set(Some(connection.clone()));
    }
    Ok(connection)
}

/// Closes the connection after the current request.
pub(crate) fn forget() {
    KEPT.take();
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
