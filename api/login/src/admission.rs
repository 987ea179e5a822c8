//! Admits derivations: a login derives only when the host has a thread for it.
//!
//! A derivation occupies a thread of the host until it ends, and its memory (`password_memory_kib`)
//! stays with the login until the login ends. Without admission, simultaneous logins would make
//! every other request wait for all of them, and would all keep that memory.

use std::time::Duration;

use luoyun_common::{Error, clock, random};
use luoyun_password::Strength;

/// Derivations of fewer blocks of Argon2 need no admission: they take less than a millisecond.
const MIN_BLOCKS: u32 = 400;

/// A sleep that shows whether the host's threads are busy, by how late it ends. Timers of the host
/// have a resolution of 1 ms, so it usually takes that long.
const PROBE: Duration = Duration::from_micros(100);

/// A probe that ends later than this has waited for a thread.
const BUSY_DELAY: Duration = Duration::from_millis(10);

/// A login that has waited for a time accepts a delay of this part of it: many readers delay each
/// other by 10 to 20 ms, and must not keep logins out.
const DELAY_PART: u32 = 100;

/// Longest accepted delay: about the time of a derivation.
const MAX_DELAY: Duration = Duration::from_millis(40);

/// Shortest pause between two probes.
const MIN_PAUSE: Duration = Duration::from_millis(50);

/// A login that has not been admitted after this time is refused.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// The admission of one login's derivation.
pub(crate) struct Admission {
    is_required: bool,
    start: Duration,
}

impl Admission {
    /// For a login that begins now, with a derivation of `strength`.
    pub(crate) fn new(strength: Strength) -> Self {
        Self { is_required: strength.work() >= MIN_BLOCKS, start: clock::monotonic() }
    }

    /// Waits until a thread is free. Pauses for random times, so that the logins that wait do not
    /// all return at once. While it waits, a login has to have no memory and no file open.
    /// Fails with `Busy` if none is free in time.
    pub(crate) fn wait(&self) -> Result<(), Error> {
        while clock::monotonic().saturating_sub(self.start) <= MAX_WAIT {
            if self.is_free() {
                return Ok(());
            }
            let random = u32::from(random::bytes(1)[0]);
            clock::sleep(MIN_PAUSE + Duration::from_millis(2) * random);
        }
        Err(Error::Busy)
    }

    /// Whether a thread is free now. The derivation has to follow at once: other logins ask, too.
    pub(crate) fn is_free(&self) -> bool {
        if !self.is_required {
            return true;
        }
        let start = clock::monotonic();
        clock::sleep(PROBE);
        let delay = clock::monotonic().saturating_sub(start + PROBE);
        delay <= (BUSY_DELAY + start.saturating_sub(self.start) / DELAY_PART).min(MAX_DELAY)
    }
}
