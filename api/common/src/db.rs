//! The database.

use spin_sdk::sqlite::{Connection, Value};

use crate::Error;
use crate::envelope::Context;

/// Opens the database.
///
/// # Errors
/// `Internal` if the host cannot open it.
pub fn open() -> Result<Connection, Error> {
    Connection::open_default().context("open the database")
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
