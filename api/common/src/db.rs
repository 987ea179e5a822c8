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
    keep(&KEPT, || Connection::open_default().context("open the database"))
}

/// Closes the connection after the current request.
pub(crate) fn forget() {
    KEPT.take();
}

/// The `kept` handle, or a new one. For WASI 0.2, an instance has only one request, and nothing is
/// kept beyond its use.
pub(crate) fn keep<T>(
    kept: &'static std::thread::LocalKey<RefCell<Option<Rc<T>>>>,
    open: impl FnOnce() -> Result<T, Error>,
) -> Result<Rc<T>, Error> {
    if let Some(handle) = kept.with_borrow(Clone::clone) {
        return Ok(handle);
    }
    let handle = Rc::new(open()?);
    if cfg!(feature = "wasi03") {
        kept.set(Some(handle.clone()));
    }
    Ok(handle)
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
