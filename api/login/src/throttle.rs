//! Counts failed logins, and makes clients wait.
//!
//! Failures are counted for the pair of a user name and a client's network, and for the network
//! alone. The statements that count a failure and insert a session each check for a wait, and
//! SQLite serializes them. So of any number of simultaneous guesses, no more are answered than
//! the limits allow.

use luoyun_common::envelope::Context;
use luoyun_common::{Error, db, wire};
use sha1::{Digest, Sha1};
use spin_sdk::sqlite::{Connection, Value};

use crate::settings::Limits;

/// Number of rows that a failed login checks for expiry when it adds a row.
const SWEEP_ROWS: i64 = 8;

/// Counts a failure for the pair (?1) and the network (?2), unless one of them has to wait
/// already. Returns the number of failures and the end of the wait for each.
const COUNT_FAILURE: &str = "
INSERT OR REPLACE INTO login_failures (key, failures, retry_at, forget_at)
SELECT key, failures, retry_at, CASE WHEN retry_at > 0 THEN retry_at + ?6 ELSE forget_at END
FROM (SELECT key, failures, forget_at,
             CASE WHEN failures >= allowed
                  THEN ?3 + min(?8, ?7 << min(failures - allowed, 30)) ELSE 0 END AS retry_at
      FROM (SELECT counted.key, counted.allowed, ifnull(known.failures, 0) + 1 AS failures,
                   ifnull(known.forget_at, ?3 + ?6) AS forget_at
            FROM (SELECT ?1 AS key, ?4 AS allowed UNION ALL SELECT ?2, ?5) AS counted
            LEFT JOIN login_failures AS known
                   ON known.key = counted.key AND known.forget_at > ?3))
WHERE NOT EXISTS (SELECT 1 FROM login_failures WHERE key IN (?1, ?2) AND retry_at > ?3)
RETURNING key, failures, retry_at";

const FIND_WAIT: &str = "SELECT max(retry_at) FROM login_failures WHERE key IN (?1, ?2)";

const FORGET_PAIR: &str = "DELETE FROM login_failures WHERE key = ?1";

/// Starts at a random row. The keys are random too, so each row is checked sooner or later
/// without an index on `forget_at`.
const SWEEP: &str = "
DELETE FROM login_failures
WHERE key IN (SELECT key FROM login_failures WHERE key >= (SELECT random()) ORDER BY key LIMIT ?1)
  AND forget_at <= ?2";

/// The keys for which a failure of one login attempt is counted.
pub(crate) struct Throttle<'a> {
    /// The client's network.
    network: &'a str,
    /// Key of the pair of user name and network.
    pair: i64,
    /// Key of the network alone.
    address: i64,
    /// The time of the attempt, in Unix time (seconds).
    pub(crate) now: i64,
}

impl<'a> Throttle<'a> {
    /// For an attempt to log in as `username` from `network` at the Unix time `now`, in seconds.
    pub(crate) fn new(username: &str, network: &'a str, now: i64) -> Self {
        let address = Sha1::new_with_prefix(network);
        let pair = address.clone().chain_update([0]).chain_update(username);
        Self { network, pair: key(pair), address: key(address), now }
    }

    /// The pair, the network and the time, as parameters of a statement.
    pub(crate) fn parameters(&self) -> [Value; 3] {
        [self.pair, self.address, self.now].map(Value::Integer)
    }

    /// Fails with `TooManyAttempts` if `retry_at` (Unix time, in seconds) is in the future.
    pub(crate) fn check(&self, retry_at: Option<i64>) -> Result<(), Error> {
        match retry_at {
            Some(retry_at) if retry_at > self.now => Err(self.too_many_attempts(retry_at)),
            _ => Ok(()),
        }
    }

    /// Fails with `TooManyAttempts` if a wait has begun since the user was looked up; `Internal`
    /// if the database fails.
    pub(crate) fn check_again(&self, db: &Connection) -> Result<(), Error> {
        self.check(self.find_wait(db)?)
    }

    /// The refusal of an attempt for which a statement has found a wait. The wait may be over
    /// by now: another login of the pair deletes it.
    /// Fails with `Internal` if the database fails.
    pub(crate) fn refusal(&self, db: &Connection) -> Result<Error, Error> {
        Ok(self.too_many_attempts(self.find_wait(db)?.unwrap_or_default()))
    }

    fn find_wait(&self, db: &Connection) -> Result<Option<i64>, Error> {
        let found = db
            .execute(FIND_WAIT, &[self.pair, self.address].map(Value::Integer))
            .context("find the wait")?;
        Ok(found.rows.first().and_then(|row| db::integer(row.values.first()?)))
    }

    fn too_many_attempts(&self, retry_at: i64) -> Error {
        Error::TooManyAttempts { retry_after: (retry_at - self.now).max(1) }
    }

    /// Counts the attempt as failed, and logs each wait that begins or grows with it.
    /// Fails as [`Self::check_again`].
    pub(crate) fn count_failure(&self, db: &Connection, limits: &Limits) -> Result<(), Error> {
        let values = [
            self.pair,
            self.address,
            self.now,
            limits.failures.into(),
            limits.address_failures.into(),
            limits.window.into(),
            limits.first_wait.into(),
            limits.longest_wait.into(),
        ]
        .map(Value::Integer);
        let counted = db.execute(COUNT_FAILURE, &values).context("count a failed login")?;
        if counted.rows.is_empty() {
            return Err(self.refusal(db)?);
        }
        let mut is_new = false;
        for row in &counted.rows {
            if let [Value::Integer(key), Value::Integer(failures), Value::Integer(retry_at)] =
                row.values[..]
            {
                is_new |= failures == 1;
                if retry_at > 0 {
                    self.log_wait(key == self.pair, failures, retry_at - self.now);
                }
            }
        }
        // The table grows only with a new row, so only then it has to be swept.
        if is_new {
            let values = [SWEEP_ROWS, self.now].map(Value::Integer);
            db.execute(SWEEP, &values).context("sweep the failed logins")?;
        }
        Ok(())
    }

    fn log_wait(&self, is_pair: bool, failures: i64, seconds: i64) {
        let limit = if is_pair { "login_failures" } else { "login_address_failures" };
        let client = self.network;
        wire::log(&format!(
            "endpoint=login error=too_many_attempts limit={limit} client={client:?} \
             failures={failures} wait_seconds={seconds}"
        ));
    }

    /// Deletes the failures of the pair. The failures of the network stay.
    /// Fails with `Internal` if the database fails.
    pub(crate) fn forget(&self, db: &Connection) -> Result<(), Error> {
        let forgotten = db.execute(FORGET_PAIR, &[Value::Integer(self.pair)]);
        forgotten.context("forget the failed logins").map(drop)
    }
}

/// The first 64 bits of a digest.
fn key(digest: Sha1) -> i64 {
    let mut first = [0; 8];
    first.copy_from_slice(&digest.finalize()[..8]);
    i64::from_be_bytes(first)
}
