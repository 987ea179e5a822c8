//! The variables for logins. Each login checks all of them, so an invalid one shows at once.

use luoyun_common::{Error, settings};
use luoyun_password::{MEMORY_KIB, PASSES, Strength};

/// A day, in seconds.
const DAY: u32 = 24 * 60 * 60;

/// The settings of an operator for logins.
pub(crate) struct Settings {
    /// Lifetime of a session, in seconds.
    pub(crate) session_ttl: u32,
    /// Largest number of sessions of a user.
    pub(crate) max_sessions: u32,
    /// Cost parameters for stored passwords.
    pub(crate) strength: Strength,
    pub(crate) throttle: Limits,
}

/// After how many failed logins a client has to wait, and for how long.
pub(crate) struct Limits {
    /// Failures for one user name from one address after which a wait begins.
    pub(crate) failures: u32,
    /// Failures from one address, for any names, after which a wait begins.
    pub(crate) address_failures: u32,
    /// The time within which failures are counted, in seconds.
    pub(crate) window: u32,
    /// The first wait, in seconds; each further failure doubles it.
    pub(crate) first_wait: u32,
    /// The longest wait, in seconds.
    pub(crate) longest_wait: u32,
}

impl Settings {
    /// Reads the variables.
    /// Fails with `Internal` if one is out of its range.
    pub(crate) fn read() -> Result<Self, Error> {
        Ok(Self {
            session_ttl: settings::number("session_ttl_seconds", 1..=3650 * DAY)?,
            max_sessions: settings::number("sessions_per_user", 1..=1_000_000)?,
            strength: Strength {
                memory_kib: settings::number("password_memory_kib", MEMORY_KIB)?,
                passes: settings::number("password_passes", PASSES)?,
            },
            throttle: Limits {
                failures: settings::number("login_failures", 1..=1_000_000)?,
                address_failures: settings::number("login_address_failures", 1..=1_000_000)?,
                window: settings::number("login_window_seconds", 1..=DAY)?,
                first_wait: settings::number("login_first_wait_seconds", 1..=DAY)?,
                longest_wait: settings::number("login_longest_wait_seconds", 1..=DAY)?,
            },
        })
    }
}
