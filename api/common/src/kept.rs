//! Handles to stores that an instance keeps for its next requests (WASI 0.3).

use std::cell::Cell;
use std::time::Duration;

use crate::{Error, clock};

/// The time for which a handle is used: shorter than the 10 seconds after which a libSQL server
/// closes a connection without statements. A database file that was replaced is seen after it, too.
const MAX_AGE: Duration = Duration::from_secs(5);

/// A handle to a store, with the time at which it was opened.
pub(crate) struct Kept<T> {
    open: fn() -> Result<T, Error>,
    handle: Cell<Option<(T, Duration)>>,
}

impl<T> Kept<T> {
    pub(crate) const fn new(open: fn() -> Result<T, Error>) -> Self {
        Self { open, handle: Cell::new(None) }
    }

    /// Calls the store. A call that fails on a kept handle is made once more, on a new one, as the
    /// server may have restarted meanwhile. So `call` has to be idempotent.
    ///
    /// # Errors
    /// As `open` and `call`; then no handle is kept.
    pub(crate) fn call<R>(&self, call: impl Fn(&T) -> Result<R, Error>) -> Result<R, Error> {
        let now = clock::monotonic();
        if let Some((handle, opened)) = self.handle.take()
            && now.saturating_sub(opened) < MAX_AGE
        {
            match call(&handle) {
                Err(Error::Internal(cause)) if !is_locked(&cause) => {}
                outcome => {
                    self.handle.set(Some((handle, opened)));
                    return outcome;
                }
            }
        }
        let handle = (self.open)()?;
        let result = call(&handle)?;
        self.handle.set(Some((handle, now)));
        Ok(result)
    }
}

/// Whether another connection locks the database. SQLite has waited for it, and a new connection
/// would wait once more.
fn is_locked(cause: &str) -> bool {
    cause.contains("database is locked")
}
