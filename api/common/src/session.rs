//! Session keys: issued, and looked up, in the key-value store.
//!
//! An entry is `session:` + the SHA-1 of the key in hex → `{user_id,
//! expires_at}` as JSON, so that who reads the store finds no usable key. The
//! table `sessions` in SQLite is the index of the same sessions by time and by
//! user, which a key-value store cannot give.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow};
use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};
use spin_sdk::key_value::Store;
use spin_sdk::sqlite::{Connection, Value};

use crate::{Error, Params, user, wire};

/// Bytes of randomness in a session key: 160 bits, 40 hex digits.
const KEY_BYTES: usize = 20;

/// Who sent a request: the user of a session that has not expired. That the
/// user still exists and is not locked is for the endpoint's own query to say.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// The user's id.
    pub user_id: i64,
}

#[derive(Deserialize, Serialize)]
struct Entry {
    user_id: i64,
    /// Unix time, in seconds.
    expires_at: i64,
}

/// Who sent the request with these `params`: the user of its `session_key`.
///
/// # Errors
/// `AuthRequired` where the key is missing, malformed, unknown or expired;
/// `Internal` where the key-value store fails.
pub fn authenticate(params: &Params) -> Result<Caller, Error> {
    let key =
        params.text("session_key").filter(|key| is_well_formed(key)).ok_or(Error::AuthRequired)?;
    let value = open_store()?
        .get(&entry_name(&digest(&key)))
        .context("get the session's entry")?
        .ok_or(Error::AuthRequired)?;
    let entry: Entry = serde_json::from_slice(&value).map_err(|cause| {
        wire::log(&format!("error=auth_required cause=\"corrupted session entry: {cause}\""));
        Error::AuthRequired
    })?;
    if entry.expires_at <= now()? {
        return Err(Error::AuthRequired);
    }
    Ok(Caller { user_id: entry.user_id })
}

impl Caller {
    /// `parameter`, where it is acceptable. Its refusal is told to an active
    /// user only: the contract checks the session before the parameters.
    ///
    /// # Errors
    /// The parameter's own refusal; `AuthRequired` where the caller is locked or
    /// gone; `Internal` where the database fails.
    pub fn require<T>(self, parameter: Result<T, Error>) -> Result<T, Error> {
        if parameter.is_err() {
            user::require_active(self.user_id)?;
        }
        parameter
    }
}

/// Starts a session of `user_id` that lives for the variable
/// `session_ttl_seconds`, and returns its key: 40 lower-case hex digits.
///
/// The row is written before the entry: a crash between the two leaves a row
/// that expires, and no entry that nothing would ever find again.
///
/// # Errors
/// `Internal` where the variable is no positive number of seconds, the host has
/// no randomness, or a store fails.
pub fn issue(db: &Connection, user_id: i64) -> Result<String, Error> {
    let mut random = [0; KEY_BYTES];
    getrandom::fill(&mut random).map_err(|cause| anyhow!("get random bytes: {cause}"))?;
    let key = base16ct::lower::encode_string(&random);
    let digest = digest(&key);
    let expires_at = now()?.saturating_add(ttl_seconds()?);

    db.execute(
        "INSERT INTO sessions (digest, user_id, expires_at) VALUES (?1, ?2, ?3)",
        &[Value::Text(digest.clone()), Value::Integer(user_id), Value::Integer(expires_at)],
    )
    .context("insert the session's row")?;

    let entry =
        serde_json::to_vec(&Entry { user_id, expires_at }).context("write the session's entry")?;
    open_store()?.set(&entry_name(&digest), &entry).context("set the session's entry")?;
    Ok(key)
}

fn open_store() -> Result<Store, Error> {
    Ok(Store::open_default().context("open the key-value store")?)
}

fn ttl_seconds() -> Result<i64, Error> {
    let value = spin_sdk::variables::get("session_ttl_seconds")
        .context("get the variable session_ttl_seconds")?;
    let seconds = value.parse().ok().filter(|&seconds: &i64| seconds > 0);
    Ok(seconds
        .context("the variable session_ttl_seconds must be a number of seconds, 1 or more")?)
}

fn now() -> Result<i64, Error> {
    let since_epoch =
        SystemTime::now().duration_since(UNIX_EPOCH).context("the host's clock is before 1970")?;
    Ok(i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX))
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
