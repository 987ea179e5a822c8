//! Session keys: issued, looked up and revoked, in the key-value store.
//!
//! An entry is `session:` + the SHA-1 of the key in hex → `{user_id, expires_at,
//! epoch}` as JSON, so that who reads the store finds no usable key. The table
//! `sessions` in SQLite is the index of the same sessions by time, which a key-value
//! store cannot give.

use std::array;

use sha1::{Digest, Sha1};
use spin_sdk::key_value::Store;
use spin_sdk::sqlite::{Connection, Value};

use crate::envelope::Context;
use crate::user::User;
use crate::{Error, Params, clock, random, settings, user, wire};

/// Bytes of randomness in a session key: 160 bits, 40 hex digits.
const KEY_BYTES: usize = 20;

/// How long a claim on expired sessions holds, in seconds: longer than any login takes.
const CLAIM_SECONDS: i64 = 300;

/// Who sent a request: the user of a session that has not expired. That the user
/// still exists, is not locked, and has not ended the session, is for the
/// endpoint's own query to say.
pub struct Caller {
    /// The user's id.
    pub user_id: i64,
    /// The user's `session_epoch` when the session began.
    pub session_epoch: i64,
    store: Store,
    digest: String,
}

#[derive(Debug, Eq, PartialEq)]
struct Entry {
    user_id: i64,
    /// Unix time, in seconds.
    expires_at: i64,
    epoch: i64,
}

impl Entry {
    fn to_json(&self) -> String {
        let Self { user_id, expires_at, epoch } = self;
        format!(r#"{{"user_id":{user_id},"expires_at":{expires_at},"epoch":{epoch}}}"#)
    }

    /// Reads what [`Self::to_json`] writes, and no other JSON: a parser of all of JSON
    /// is a fifth of a module.
    fn parse(json: &[u8]) -> Option<Self> {
        let mut rest = json;
        let mut number = |before: &[u8]| {
            let digits = rest.strip_prefix(before)?;
            let end = digits.iter().position(|byte| matches!(byte, b',' | b'}'))?;
            rest = &digits[end..];
            str::from_utf8(&digits[..end]).ok()?.parse().ok()
        };
        let entry = Self {
            user_id: number(br#"{"user_id":"#)?,
            expires_at: number(br#","expires_at":"#)?,
            epoch: number(br#","epoch":"#)?,
        };
        (rest == b"}").then_some(entry)
    }
}

/// Who sent the request with these `params`: the user of its `session_key`.
///
/// # Errors
/// `AuthRequired` where the key is missing, malformed, unknown or expired;
/// `Internal` where the key-value store fails.
pub fn authenticate(params: &Params) -> Result<Caller, Error> {
    let key =
        params.text("session_key").filter(|key| is_well_formed(key)).ok_or(Error::AuthRequired)?;
    let digest = digest(&key);
    let store = open_store()?;
    let value = store
        .get(&entry_name(&digest))
        .context("get the session's entry")?
        .ok_or(Error::AuthRequired)?;
    let entry = Entry::parse(&value).ok_or_else(|| {
        wire::log("error=auth_required cause=\"corrupted session entry\"");
        Error::AuthRequired
    })?;
    if entry.expires_at <= clock::now() {
        return Err(Error::AuthRequired);
    }
    Ok(Caller { user_id: entry.user_id, session_epoch: entry.epoch, store, digest })
}

impl Caller {
    /// `parameter`, where it is acceptable. Its refusal is told to an active user
    /// only: the contract checks the session before the parameters.
    ///
    /// # Errors
    /// The parameter's own refusal; `AuthRequired` where the caller is locked or
    /// gone; `Internal` where the database fails.
    pub fn require<T>(&self, parameter: Result<T, Error>) -> Result<T, Error> {
        if parameter.is_err() {
            user::require_active(&user::open_database()?, self)?;
        }
        parameter
    }

    /// Ends the caller's session. The entry goes before the row: a crash between
    /// the two leaves a row, which a login sweeps.
    ///
    /// # Errors
    /// `AuthRequired` where the caller is locked or gone; `Internal` where a store
    /// fails.
    pub fn log_out(self) -> Result<(), Error> {
        let db = user::open_database()?;
        user::require_active(&db, &self)?;
        self.store.delete(&entry_name(&self.digest)).context("delete the session's entry")?;
        db.execute("DELETE FROM sessions WHERE digest = ?1", &[Value::Text(self.digest)])
            .context("delete the session's row")?;
        Ok(())
    }
}

/// Starts a session of `user` that lives for the variable `session_ttl_seconds`;
/// returns its key, 40 lower-case hex digits, and the store that it is in.
///
/// The row is written before the entry: a crash between the two leaves a row that
/// expires, and no entry that nothing would ever find again.
///
/// # Errors
/// `Internal` where the variable is no number of seconds, or a store fails.
pub fn issue(db: &Connection, user: &User) -> Result<(String, Store), Error> {
    let key = random::hex(KEY_BYTES);
    let digest = digest(&key);
    let [ttl] = settings::numbers("session_ttl_seconds")?;
    let expires_at = clock::now().saturating_add(ttl);

    db.execute(
        "INSERT INTO sessions (digest, user_id, expires_at) VALUES (?1, ?2, ?3)",
        &[Value::Text(digest.clone()), Value::Integer(user.id), Value::Integer(expires_at)],
    )
    .context("insert the session's row")?;

    let entry = Entry { user_id: user.id, expires_at, epoch: user.session_epoch };
    let store = open_store()?;
    store
        .set(&entry_name(&digest), entry.to_json().as_bytes())
        .context("set the session's entry")?;
    Ok((key, store))
}

/// Deletes the three oldest expired sessions from both stores. With three, no login
/// makes more than ten storage calls.
///
/// They are claimed first, by a row that expires once more in a while: of many logins
/// at once, each deletes others. The entries go before the rows: a crash between leaves
/// rows, which a later login sweeps.
///
/// # Errors
/// `Internal` where a store fails.
pub fn sweep(db: &Connection, store: &Store) -> Result<(), Error> {
    let now = clock::now();
    let claimed = db
        .execute(
            "UPDATE sessions SET expires_at = ?2 WHERE digest IN (
                 SELECT digest FROM sessions WHERE expires_at <= ?1
                 ORDER BY expires_at LIMIT 3)
             RETURNING digest",
            &[Value::Integer(now), Value::Integer(now.saturating_add(CLAIM_SECONDS))],
        )
        .context("claim expired sessions")?;
    if claimed.rows.is_empty() {
        return Ok(());
    }
    let mut digests = claimed.rows.into_iter().flat_map(|row| row.values);
    let digests: [Value; 3] = array::from_fn(|_| digests.next().unwrap_or(Value::Null));
    for digest in &digests {
        if let Value::Text(digest) = digest {
            store.delete(&entry_name(digest)).context("delete an expired session's entry")?;
        }
    }
    db.execute("DELETE FROM sessions WHERE digest IN (?1, ?2, ?3)", &digests)
        .context("delete the expired sessions' rows")?;
    Ok(())
}

fn open_store() -> Result<Store, Error> {
    Store::open_default().context("open the key-value store")
}

fn is_well_formed(key: &str) -> bool {
    key.len() == 2 * KEY_BYTES && key.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn digest(key: &str) -> String {
    base16ct::lower::encode_string(&Sha1::digest(key))
}

fn entry_name(digest: &str) -> String {
    ["session:", digest].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_as_it_was_written_and_nothing_else_is() {
        let entry = Entry { user_id: 1, expires_at: 1_795_000_000, epoch: i64::MIN };
        let json = entry.to_json();
        assert_eq!(Entry::parse(json.as_bytes()), Some(entry));
        for cut in 0..json.len() {
            assert_eq!(Entry::parse(&json.as_bytes()[..cut]), None, "{cut}");
        }
        for corrupted in [
            r#"{"user_id":1,"expires_at":2,"epoch":3,"more":4}"#,
            r#"{"user_id":1,"expires_at":2,"epoch":3x}"#,
            r#"{"user_id":1,"expires_at":99999999999999999999,"epoch":3}"#,
            r#"{"expires_at":2,"user_id":1,"epoch":3}"#,
        ] {
            assert_eq!(Entry::parse(corrupted.as_bytes()), None, "{corrupted}");
        }
        assert_eq!(Entry::parse(b"\xff"), None);
    }
}
