//! The user who logs in.

use luoyun_common::db::{self, Database};
use luoyun_common::envelope::Context;
use luoyun_common::{Error, random};
use luoyun_password::{SALT_BYTES, Strength};
use spin_sdk::sqlite::Value;

use crate::throttle::{Throttle, waits};

/// Returns one row: the user (NULLs if there is none), the end of the wait of the pair or the
/// address, whether the pair has failures, whether there are expired sessions, and whether the user
/// has as many others as a user may have (?6).
const FIND_USER: &str = concat!(
    "
SELECT u.id, u.password, u.is_locked, u.session_epoch, u.last_login IS NULL,
       (SELECT max(retry_at) ",
    waits!(),
    "),
       EXISTS (SELECT 1 FROM login_failures WHERE key = ?1),
       EXISTS (SELECT 1 FROM sessions WHERE expires_at <= ?3),
       EXISTS (SELECT 1 FROM sessions INDEXED BY sessions_of_user_by_expiry
               WHERE user_id = u.id AND expires_at > ?3 LIMIT 1 OFFSET ?6 - 1)
FROM (SELECT 1)
LEFT JOIN users u ON u.username = ?5"
);

/// Subtracts the 1 that the trigger `user_change_ends_sessions` adds: the password stays the
/// same, so the user's sessions must not end. Does nothing if the password has been changed
/// since [`FIND_USER`].
const UPGRADE_PASSWORD: &str = "
UPDATE users SET password = ?3, session_epoch = session_epoch - 1
WHERE id = ?1 AND password = ?2";

/// A user.
pub(crate) struct User {
    pub(crate) id: i64,
    /// The stored password.
    pub(crate) password: String,
    pub(crate) is_locked: bool,
    pub(crate) epoch: i64,
    /// Whether the user has never logged in.
    pub(crate) is_new: bool,
}

/// The result of looking up a user.
pub(crate) struct Found {
    /// `None` if no user has the name.
    pub(crate) user: Option<User>,
    /// Whether there are failures of the pair, which a successful login deletes.
    pub(crate) has_failures: bool,
    /// Whether there are expired sessions.
    pub(crate) has_expired: bool,
    /// Whether one more session of the user is one too many.
    pub(crate) has_surplus: bool,
}

/// Looks up a user by name. Takes one query, whether or not the name exists.
/// Fails with `TooManyAttempts` while the client has to wait; `Internal` if the database fails.
pub(crate) fn find(
    db: &Database,
    username: &str,
    throttle: &Throttle,
    max_sessions: u32,
) -> Result<Found, Error> {
    let [pair, address, now, longest_wait] = throttle.parameters();
    let username = Value::Text(username.to_owned());
    let values = [pair, address, now, longest_wait, username, Value::Integer(max_sessions.into())];
    let found = db.execute(FIND_USER, &values).context("find the user")?;
    let row = found.rows.into_iter().next().map(|row| <[Value; 9]>::try_from(row.values));
    let Some(Ok([id, password, is_locked, epoch, is_new, retry_at, rest @ ..])) = row else {
        return Err(Error::Internal("find the user: unexpected row".to_owned()));
    };
    throttle.check(db::integer(&retry_at))?;
    let user = match (id, password, is_locked, epoch) {
        (
            Value::Integer(id),
            Value::Text(password),
            Value::Integer(is_locked),
            Value::Integer(epoch),
        ) => Some(User {
            id,
            password,
            is_locked: is_locked != 0,
            epoch,
            is_new: matches!(is_new, Value::Integer(1)),
        }),
        _ => None,
    };
    let [has_failures, has_expired, has_surplus] =
        rest.map(|value| matches!(value, Value::Integer(1)));
    Ok(Found { user, has_failures, has_expired, has_surplus })
}

/// Makes SQLite overwrite the content that this connection deletes or moves. Otherwise, weakly
/// stored passwords would stay readable in the free space of the file.
///
/// The error of a libSQL server is ignored: it rejects the statement and manages its own files.
pub(crate) fn overwrite_deleted(db: &Database) {
    let _ = db.execute("PRAGMA secure_delete = ON", &[]);
}

/// The form in which `password` is stored at `strength`.
/// Fails with `Internal` if the derivation fails.
pub(crate) fn encode(password: &[u8], strength: Strength) -> Result<String, Error> {
    let salt = random::bytes(SALT_BYTES);
    luoyun_password::encode(password, &salt, strength).context("encode the password")
}

/// Replaces the stored form of the user's password by `strong`, a form of the same password.
/// Fails with `Internal` if the database fails.
pub(crate) fn upgrade_password(db: &Database, user: User, strong: String) -> Result<(), Error> {
    let values = [Value::Integer(user.id), Value::Text(user.password), Value::Text(strong)];
    db.execute(UPGRADE_PASSWORD, &values).context("upgrade the password").map(drop)
}
