//! The database.

use std::cell::RefCell;
use std::rc::Rc;

use spin_sdk::sqlite::{Connection, Value};

use crate::Error;
use crate::envelope::Context;

thread_local! {
    static KEPT: RefCell<Option<Rc<Connection>>> = const { RefCell::new(None) };
}

/// The connection to the database. For WASI 0.3, the instance keeps it for its next requests, so a
/// transaction or a PRAGMA has to end with the request.
///
/// # Errors
/// `Internal` if the host cannot open it.
pub fn open() -> Result<Rc<Connection>, Error> {
    if let Some(connection) = KEPT.with_borrow(Clone::clone) {
        return Ok(connection);
    }
    let connection = Rc::new(Connection::open_default().context("open the database")?);
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
