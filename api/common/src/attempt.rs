//! A try to log in, and how many wrong ones came before it.

use sha1::{Digest, Sha1};
use spin_sdk::sqlite::{Connection, Value};

use crate::envelope::Context;
use crate::user::User;
use crate::{Error, clock, settings};

/// Forgotten rows that one wrong password deletes.
const SWEPT: i64 = 8;

/// A try to log in as a user name from a client address that is not throttled.
pub struct Attempt<'a> {
    db: &'a Connection,
    /// The SHA-1 of address and user name, in hex.
    pair: String,
    /// Unix time, in seconds.
    now: i64,
    /// The user of that name, where there is one.
    pub user: Option<User>,
    /// Whether wrong passwords are counted against the pair.
    is_counted: bool,
    /// Whether there are expired sessions to sweep.
    pub is_sweep_due: bool,
}

impl<'a> Attempt<'a> {
    /// Begins a try: with one query, whether the name exists or not.
    ///
    /// # Errors
    /// `TooManyAttempts` while the pair has to wait; `Internal` where the database
    /// fails.
    pub fn begin(db: &'a Connection, username: String, address: &str) -> Result<Self, Error> {
        let now = clock::now();
        let pair = Sha1::new_with_prefix(address).chain_update([0]).chain_update(&username);
        let pair = base16ct::lower::encode_string(&pair.finalize());
        let found = db
            .execute(
                "SELECT u.id, u.password, u.is_locked, u.session_epoch, a.retry_at,
                        EXISTS (SELECT 1 FROM sessions WHERE expires_at <= ?3)
                 FROM (SELECT 1)
                 LEFT JOIN users u ON u.username = ?1
                 LEFT JOIN login_attempts a ON a.pair = ?2",
                &[Value::Text(username), Value::Text(pair.clone()), Value::Integer(now)],
            )
            .context("find the user")?;
        let row = found.rows.into_iter().next().map(|row| <[Value; 6]>::try_from(row.values));
        let Some(Ok([id, password, is_locked, epoch, retry_at, expired])) = row else {
            return Err(Error::Internal("find the user: unexpected row".to_owned()));
        };

        let is_counted = match retry_at {
            Value::Integer(retry_at) if retry_at > now => {
                return Err(Error::TooManyAttempts { retry_after: retry_at - now });
            }
            counted => matches!(counted, Value::Integer(_)),
        };
        let user = match (id, password, is_locked, epoch) {
            (
                Value::Integer(id),
                Value::Text(password),
                Value::Integer(is_locked),
                Value::Integer(session_epoch),
            ) => Some(User { id, password, is_locked: is_locked != 0, session_epoch }),
            _ => None,
        };
        Ok(Self {
            db,
            pair,
            now,
            user,
            is_counted,
            is_sweep_due: matches!(expired, Value::Integer(1)),
        })
    }

    /// Counts a wrong password, and returns the refusal.
    ///
    /// The variable `login_limits` says after how many of them within how many
    /// seconds the pair has to wait, for how many seconds first, and at most; each
    /// further one doubles the wait.
    #[must_use]
    pub fn refuse(self) -> Error {
        match self.count_failure() {
            Ok(()) => Error::AuthFailed,
            Err(error) => error,
        }
    }

    fn count_failure(&self) -> Result<(), Error> {
        let [failures, window, first_wait, longest_wait] = settings::numbers("login_limits")?;
        // One statement: of two wrong passwords at once, both are counted.
        self.db
            .execute(
                "INSERT OR REPLACE INTO login_attempts (pair, failures, retry_at, forget_at)
                 SELECT ?1, failures, retry_at,
                        CASE WHEN retry_at > 0 THEN retry_at + ?4 ELSE forget_at END
                 FROM (SELECT failures, forget_at,
                              CASE WHEN failures >= ?3
                                   THEN ?2 + min(?6, ?5 << min(failures - ?3, 30))
                                   ELSE 0 END AS retry_at
                       FROM (SELECT ifnull(max(failures), 0) + 1 AS failures,
                                    ifnull(max(forget_at), ?2 + ?4) AS forget_at
                             FROM login_attempts WHERE pair = ?1 AND forget_at > ?2))",
                &[
                    Value::Text(self.pair.clone()),
                    Value::Integer(self.now),
                    Value::Integer(failures),
                    Value::Integer(window),
                    Value::Integer(first_wait),
                    Value::Integer(longest_wait),
                ],
            )
            .context("count a wrong password")?;
        self.db
            .execute(
                "DELETE FROM login_attempts WHERE pair IN (
                     SELECT pair FROM login_attempts WHERE forget_at <= ?1
                     ORDER BY forget_at LIMIT ?2)",
                &[Value::Integer(self.now), Value::Integer(SWEPT)],
            )
            .context("sweep the login attempts")?;
        Ok(())
    }

    /// Forgets the pair's wrong passwords, where there are any; returns whether
    /// there were.
    ///
    /// # Errors
    /// `Internal` where the database fails.
    pub fn forgive(&self) -> Result<bool, Error> {
        if self.is_counted {
            self.db
                .execute(
                    "DELETE FROM login_attempts WHERE pair = ?1",
                    &[Value::Text(self.pair.clone())],
                )
                .context("forget the wrong passwords")?;
        }
        Ok(self.is_counted)
    }
}
