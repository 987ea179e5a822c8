//! The time.

use wasi::clocks::wall_clock;

/// The unix time, in seconds.
#[must_use]
pub fn now() -> i64 {
    // Not `SystemTime`: that goes through preview 1 and an adapter.
    i64::try_from(wall_clock::now().seconds).unwrap_or(i64::MAX)
}
