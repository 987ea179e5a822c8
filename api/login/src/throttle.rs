//! Counts failed logins, and makes clients wait.
//!
//! Failures are counted for the pair of a user name and a client's address, and for the address
//! alone. The statements that count a failure and insert a session each check for a wait, and
//! SQLite serializes them. So of any number of simultaneous guesses, no more are answered than
//! the limits allow.

use luoyun_common::db::{self, Database};
use luoyun_common::envelope::Context;
use luoyun_common::{Error, wire};
use sha1::{Digest, Sha1};
use spin_sdk::sqlite::Value;

use crate::client::Client;
use crate::settings::Limits;

/// Number of rows that a failed login checks when it adds a row.
const SWEEP_ROWS: i64 = 8;

/// The rows of the pair (?1) or the address (?2) that make a login wait at the time ?3. A wait that
/// is longer than the longest one (?4) began while the clock was wrong, and does not count.
macro_rules! waits {
    () => {
        "FROM login_failures WHERE key IN (?1, ?2) AND retry_at > ?3 AND retry_at <= ?3 + ?4"
    };
}
pub(crate) use waits;

/// Counts a failure for the pair and the address, unless one of them has to wait already. Returns
/// the number of failures and the end of the wait for each. A row that is older than the window
/// (?7), or from the future, does not count.
const COUNT_FAILURE: &str = concat!(
    "
INSERT OR REPLACE INTO login_failures (key, failures, retry_at, forget_at, address)
SELECT key, failures, retry_at, CASE WHEN retry_at > 0 THEN retry_at + ?7 ELSE forget_at END, ?9
FROM (SELECT key, failures, forget_at,
             CASE WHEN failures >= allowed
                  THEN ?3 + min(?4, ?8 << min(failures - allowed, 30)) ELSE 0 END AS retry_at
      FROM (SELECT counted.key, counted.allowed, ifnull(known.failures, 0) + 1 AS failures,
                   ifnull(known.forget_at, ?3 + ?7) AS forget_at
            FROM (SELECT ?1 AS key, ?5 AS allowed UNION ALL SELECT ?2, ?6) AS counted
            LEFT JOIN login_failures AS known ON known.key = counted.key
                  AND known.forget_at > ?3 AND known.forget_at <= ?3 + ?4 + ?7))
WHERE NOT EXISTS (SELECT 1 ",
    waits!(),
    ")
RETURNING key, failures, retry_at"
);

const FIND_WAIT: &str = concat!("SELECT max(retry_at) ", waits!());

const FORGET_PAIR: &str = "DELETE FROM login_failures WHERE key = ?1";

/// Deletes rows that no longer count, and rows from the future. Starts at a random row. The keys
/// are random too, so each row is checked sooner or later without an index on `forget_at`.
const SWEEP: &str = "
DELETE FROM login_failures
WHERE key IN (SELECT key FROM login_failures WHERE key >= (SELECT random()) ORDER BY key LIMIT ?1)
  AND (forget_at <= ?2 OR forget_at > ?3)";

/// One attempt to log in, and what it is counted for.
pub(crate) struct Throttle<'a> {
    client: &'a Client,
    limits: &'a Limits,
    /// Key of the pair of user name and address.
    pair: i64,
    /// Key of the address alone.
    address: i64,
    /// The time of the attempt, in Unix time (seconds).
    pub(crate) now: i64,
}

impl<'a> Throttle<'a> {
    /// For an attempt of `client` to log in as `username` at the Unix time `now`, in seconds.
    pub(crate) fn new(username: &str, client: &'a Client, limits: &'a Limits, now: i64) -> Self {
        let address = Sha1::new_with_prefix(&client.address);
        let pair = address.clone().chain_update([0]).chain_update(username);
        Self { client, limits, pair: key(pair), address: key(address), now }
    }

    /// The parameters of [`waits!`].
    pub(crate) fn parameters(&self) -> [Value; 4] {
        [self.pair, self.address, self.now, self.limits.longest_wait.into()].map(Value::Integer)
    }

    /// Fails with `TooManyAttempts` if a statement has found a wait that ends at `retry_at` (Unix
    /// time, in seconds).
    pub(crate) fn check(&self, retry_at: Option<i64>) -> Result<(), Error> {
        retry_at.map_or(Ok(()), |retry_at| Err(self.too_many_attempts(retry_at)))
    }

    /// Fails with `TooManyAttempts` if a wait has begun since the user was looked up; `Internal`
    /// if the database fails.
    pub(crate) fn check_again(&self, db: &Database) -> Result<(), Error> {
        self.check(self.find_wait(db)?)
    }

    /// The refusal of an attempt for which a statement has found a wait. The wait may be over
    /// by now: another login of the pair deletes it.
    /// Fails with `Internal` if the database fails.
    pub(crate) fn refusal(&self, db: &Database) -> Result<Error, Error> {
        Ok(self.too_many_attempts(self.find_wait(db)?.unwrap_or_default()))
    }

    fn find_wait(&self, db: &Database) -> Result<Option<i64>, Error> {
        let found = db.execute(FIND_WAIT, &self.parameters()).context("find the wait")?;
        Ok(found.rows.first().and_then(|row| db::integer(row.values.first()?)))
    }

    fn too_many_attempts(&self, retry_at: i64) -> Error {
        Error::TooManyAttempts { retry_after: (retry_at - self.now).max(1) }
    }

    /// Counts the attempt as failed, and logs each wait that begins or grows with it. Returns
    /// whether the table has grown, so that it has to be swept.
    /// Fails as [`Self::check_again`].
    pub(crate) fn count_failure(&self, db: &Database) -> Result<bool, Error> {
        let [pair, address, now, longest_wait] = self.parameters();
        let Limits { failures, address_failures, window, first_wait, .. } = *self.limits;
        let [failures, address_failures, window, first_wait] =
            [failures, address_failures, window, first_wait]
                .map(|limit| Value::Integer(limit.into()));
        let text = Value::Text(self.client.address.clone());
        let values = [
            pair,
            address,
            now,
            longest_wait,
            failures,
            address_failures,
            window,
            first_wait,
            text,
        ];
        let counted = db.execute(COUNT_FAILURE, &values).context("count a failed login")?;
        if counted.rows.is_empty() {
            return Err(self.refusal(db)?);
        }
        let mut has_grown = false;
        for row in &counted.rows {
            if let [Value::Integer(key), Value::Integer(failures), Value::Integer(retry_at)] =
                row.values[..]
            {
                has_grown |= failures == 1;
                if retry_at > 0 {
                    self.log_wait(key == self.pair, failures, retry_at - self.now);
                }
            }
        }
        Ok(has_grown)
    }

    fn log_wait(&self, is_pair: bool, failures: i64, seconds: i64) {
        let limit = if is_pair { "login_failures" } else { "login_address_failures" };
        let Client { address, malformed } = self.client;
        let malformed = malformed
            .as_ref()
            .map(|text| format!(" malformed_address={text:?}"))
            .unwrap_or_default();
        wire::log(&format!(
            "endpoint=login error=too_many_attempts limit={limit} client={address:?}{malformed} \
             failures={failures} wait_seconds={seconds}"
        ));
    }

    /// Deletes a few rows that no longer count.
    /// Fails with `Internal` if the database fails.
    pub(crate) fn sweep(&self, db: &Database) -> Result<(), Error> {
        let Limits { longest_wait, window, .. } = *self.limits;
        let latest = self.now.saturating_add(longest_wait.into()).saturating_add(window.into());
        let values = [SWEEP_ROWS, self.now, latest].map(Value::Integer);
        db.execute(SWEEP, &values).context("sweep the failed logins").map(drop)
    }

    /// Deletes the failures of the pair. The failures of the address stay.
    /// Fails with `Internal` if the database fails.
    pub(crate) fn forget(&self, db: &Database) -> Result<(), Error> {
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
