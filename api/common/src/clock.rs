//! The time.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;

use crate::Error;

/// The unix time, in seconds.
///
/// # Errors
/// `Internal` where the host's clock is before 1970.
pub fn now() -> Result<i64, Error> {
    let since_epoch =
        SystemTime::now().duration_since(UNIX_EPOCH).context("the host's clock is before 1970")?;
    Ok(i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX))
}
