//! Inserts sessions, and deletes those that have expired or are too many.

use luoyun_common::Error;
use luoyun_common::db::Database;
use luoyun_common::envelope::Context;
use luoyun_common::session::{Entry, Key, Sessions};
use spin_sdk::sqlite::Value;

use crate::throttle::{Throttle, waits};

/// The time, in seconds, after which a login that has inserted its row has set its entry, or never will.
const LONGEST_LOGIN: i64 = 60;

/// Inserts nothing, and returns no row, while the pair or the address has to wait.
const INSERT_SESSION: &str = concat!(
    "
INSERT INTO sessions (digest, user_id, expires_at)
SELECT ?5, ?6, ?7
WHERE NOT EXISTS (SELECT 1 ",
    waits!(),
    ")
RETURNING 1"
);

/// Three sessions, and whether each is new (?4): first of the user's (?1) oldest beyond the number (?2)
/// that a user may have, then of all users' expired ones (?3 is the time). At random, so that
/// simultaneous logins delete different ones: each adds one session and deletes three.
const FIND_ENDED: &str = "
SELECT digest, is_new FROM (
    SELECT * FROM (SELECT digest, expires_at > ?4 AS is_new, 0 AS is_expired
                   FROM sessions INDEXED BY sessions_of_user_by_expiry
                   WHERE user_id = ?1 AND expires_at > ?3 ORDER BY rowid DESC LIMIT 64 OFFSET ?2)
    UNION ALL
    SELECT * FROM (SELECT digest, 0, 1 FROM sessions
                   WHERE expires_at <= ?3 ORDER BY expires_at LIMIT 64))
ORDER BY is_expired, random() LIMIT 3";

const DELETE_ENDED: &str = "DELETE FROM sessions WHERE digest IN (?1, ?2, ?3)";

/// Inserts the row of the session with `key`.
///
/// The row is written before the entry in the key-value store: a crash between the two leaves a
/// row, which expires. An entry without a row would never be deleted.
/// Fails as [`Throttle::check_again`].
pub(crate) fn insert(
    db: &Database,
    key: &Key,
    entry: &Entry,
    throttle: &Throttle,
) -> Result<(), Error> {
    let [user_id, expires_at] = [entry.user_id, entry.expires_at].map(Value::Integer);
    let [pair, address, now, longest_wait] = throttle.parameters();
    let digest = Value::Text(key.digest.clone());
    let values = [pair, address, now, longest_wait, digest, user_id, expires_at];
    let inserted = db.execute(INSERT_SESSION, &values).context("insert the session's row")?;
    if inserted.rows.is_empty() { Err(throttle.refusal(db)?) } else { Ok(()) }
}

/// Deletes three sessions from both stores: the oldest of the user with the new session `entry` beyond
/// `max_sessions`, and expired ones.
///
/// The entries are deleted first: a crash before the rows are deleted leaves only rows, which a
/// later login deletes. A new row without an entry stays: its login, one of many at once, may be
/// about to set the entry, which nothing would delete then.
/// Fails with `Internal` if a store fails.
pub(crate) fn delete_ended(
    db: &Database,
    sessions: &Sessions,
    entry: &Entry,
    max_sessions: u32,
    now: i64,
) -> Result<(), Error> {
    let new = entry.expires_at - LONGEST_LOGIN;
    let values = [entry.user_id, max_sessions.into(), now, new].map(Value::Integer);
    let ended = db.execute(FIND_ENDED, &values).context("find ended sessions")?;
    let mut digests = [const { Value::Null }; 3];
    for (row, deleted) in ended.rows.into_iter().zip(&mut digests) {
        if let Ok([Value::Text(digest), is_new]) = <[Value; 2]>::try_from(row.values)
            && (matches!(is_new, Value::Integer(0)) || sessions.has(&digest)?)
        {
            sessions.delete(&digest)?;
            *deleted = Value::Text(digest);
        }
    }
    if digests.iter().all(|digest| matches!(digest, Value::Null)) {
        return Ok(());
    }
    db.execute(DELETE_ENDED, &digests).context("delete the ended sessions' rows").map(drop)
}
