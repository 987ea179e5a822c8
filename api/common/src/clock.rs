//! Clocks, and sleep.

use std::time::Duration;

use wasi::clocks::{monotonic_clock, wall_clock};

/// The current Unix time, in seconds.
#[must_use]
pub fn now() -> i64 {
    // Not `SystemTime`: it goes through WASI preview 1 and an adapter.
    i64::try_from(wall_clock::now().seconds).unwrap_or(i64::MAX)
}

/// A point in time on the monotonic clock, for measuring durations.
#[derive(Clone, Copy)]
pub struct Instant(u64);

impl Instant {
    /// The current instant.
    #[must_use]
    pub fn now() -> Self {
        Self(monotonic_clock::now())
    }

    /// The time since this instant.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        Duration::from_nanos(monotonic_clock::now().saturating_sub(self.0))
    }
}

/// Waits for `time`. Meanwhile, the host's threads serve other requests.
pub fn sleep(time: Duration) {
    let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    monotonic_clock::subscribe_duration(nanoseconds).block();
}
