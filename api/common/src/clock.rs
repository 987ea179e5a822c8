//! Clocks, and sleep.

use std::time::Duration;

use wasi::clocks::{monotonic_clock, wall_clock};
use wasi::io::poll::Pollable;

/// The current Unix time, in seconds.
#[must_use]
pub fn now() -> i64 {
    // Not `SystemTime`: it goes through WASI preview 1 and an adapter.
    i64::try_from(wall_clock::now().seconds).unwrap_or(i64::MAX)
}

/// The time of the monotonic clock, for measuring durations.
#[must_use]
pub fn monotonic() -> Duration {
    Duration::from_nanos(monotonic_clock::now())
}

/// Becomes ready after `time`.
#[must_use]
pub fn after(time: Duration) -> Pollable {
    monotonic_clock::subscribe_duration(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

/// Waits for `time`. Meanwhile, the host's threads serve other requests.
pub fn sleep(time: Duration) {
    after(time).block();
}
