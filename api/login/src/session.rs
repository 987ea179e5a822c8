//! Inserts sessions, and sweeps expired ones.

use std::array;

use luoyun_common::Error;
use luoyun_common::envelope::Context;
use luoyun_common::session::{Entry, Key, Sessions};
use spin_sdk::sqlite::{Connection, Value};

use crate::throttle::Throttle;

/// How long only the login that claimed expired sessions may delete them, in seconds: longer
/// than any login takes.
const CLAIM_SECONDS: i64 = 300;

/// Inserts nothing, and returns no row, while the pair or the network has to wait.
const INSERT_SESSION: &str = "
INSERT INTO sessions (digest, user_id, expires_at)
SELECT ?1, ?2, ?3
WHERE NOT EXISTS (SELECT 1 FROM login_failures WHERE key IN (?4, ?5) AND retry_at > ?6)
RETURNING 1";

/// Claims expired sessions by postponing their expiry, so that simultaneous logins delete
/// different ones. With three per login, no login makes more than ten storage calls.
const CLAIM_EXPIRED: &str = "
UPDATE sessions SET expires_at = ?2
WHERE digest IN (SELECT digest FROM sessions WHERE expires_at <= ?1 ORDER BY expires_at LIMIT 3)
RETURNING digest";

const DELETE_CLAIMED: &str = "DELETE FROM sessions WHERE digest IN (?1, ?2, ?3)";

/// Inserts the row of the session with `key`.
///
/// The row is written before the entry in the key-value store: a crash between the two leaves a
/// row, which expires. An entry without a row would never be deleted.
/// Fails as [`Throttle::check_again`].
pub(crate) fn insert(
    db: &Connection,
    key: &Key,
    entry: &Entry,
    throttle: &Throttle,
) -> Result<(), Error> {
    let [user_id, expires_at] = [entry.user_id, entry.expires_at].map(Value::Integer);
    let [pair, address, now] = throttle.parameters();
    let values = [Value::Text(key.digest.clone()), user_id, expires_at, pair, address, now];
    let inserted = db.execute(INSERT_SESSION, &values).context("insert the session's row")?;
    if inserted.rows.is_empty() { Err(throttle.refusal(db)?) } else { Ok(()) }
}

/// Deletes the three sessions that expired first from both stores.
///
/// The entries are deleted first: a crash before the rows are deleted leaves only rows, which a
/// later login sweeps.
/// Fails with `Internal` if a store fails.
pub(crate) fn sweep(db: &Connection, sessions: &Sessions, now: i64) -> Result<(), Error> {
    let claimed = db
        .execute(CLAIM_EXPIRED, &[now, now.saturating_add(CLAIM_SECONDS)].map(Value::Integer))
        .context("claim expired sessions")?;
    if claimed.rows.is_empty() {
        return Ok(());
    }
    let mut digests = claimed.rows.into_iter().flat_map(|row| row.values);
    let digests: [Value; 3] = array::from_fn(|_| digests.next().unwrap_or(Value::Null));
    for digest in &digests {
        if let Value::Text(digest) = digest {
            sessions.delete(digest)?;
        }
    }
    db.execute(DELETE_CLAIMED, &digests).context("delete the expired sessions' rows").map(drop)
}
