//! The database.

use spin_sdk::sqlite::{Connection, Value};

use crate::Error;
use crate::envelope::Context;

/// Opens the database.
///
/// # Errors
/// `Internal` where the host refuses it.
pub fn open() -> Result<Connection, Error> {
    Connection::open_default().context("open the database")
}

/// A nullable text column; `None` for any other value.
#[must_use]
pub fn text(value: Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

/// A nullable integer column; `None` for any other value.
#[must_use]
pub fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(integer) => Some(*integer),
        _ => None,
    }
}
