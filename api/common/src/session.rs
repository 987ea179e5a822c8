//! Session keys, and their entries in the key-value store.
//!
//! An entry is `session:` + the SHA-1 of the key in hex → `USER_ID EXPIRES_AT EPOCH`, so the
//! store reveals no usable key. The table `sessions` is the expiry index of the same sessions.

use sha1::{Digest, Sha1};
use spin_sdk::key_value::Store;
use spin_sdk::sqlite::Value;

use crate::db::Database;
use crate::envelope::Context;
use crate::{Error, Params, clock, db, random};

/// Length of a session key, in bytes (160 bits, 40 hex digits).
const KEY_BYTES: usize = 20;

/// A session key.
pub struct Key {
    /// The key itself, 40 lower-case hex digits. Only its user may get it.
    pub text: String,
    /// The SHA-1 of `text`, in hex. The stores hold only this.
    pub digest: String,
}

impl Key {
    /// A new random key.
    #[must_use]
    pub fn generate() -> Self {
        Self::from_text(base16ct::lower::encode_string(&random::bytes(KEY_BYTES)))
    }

    fn from_text(text: String) -> Self {
        let digest = base16ct::lower::encode_string(&Sha1::digest(&text));
        Self { text, digest }
    }

    fn from_params(params: &Params) -> Option<Self> {
        let text = params.text("session_key")?;
        let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (is_hex && text.len() == 2 * KEY_BYTES).then(|| Self::from_text(text))
    }
}

/// The entry of a session in the key-value store.
#[derive(Debug, Eq, PartialEq)]
pub struct Entry {
    /// The user's id.
    pub user_id: i64,
    /// When the session expires, in Unix time (seconds).
    pub expires_at: i64,
    /// The user's `session_epoch` at login.
    pub epoch: i64,
}

impl Entry {
    fn to_text(&self) -> String {
        let Self { user_id, expires_at, epoch } = self;
        format!("{user_id} {expires_at} {epoch}")
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let mut numbers = str::from_utf8(text).ok()?.split(' ').map(|number| number.parse().ok());
        let entry = Self {
            user_id: numbers.next()??,
            expires_at: numbers.next()??,
            epoch: numbers.next()??,
        };
        numbers.next().is_none().then_some(entry)
    }
}

/// The sessions in the key-value store.
pub struct Sessions(Store);

impl Sessions {
    /// Opens the key-value store: each request does, for WASI 0.3 too, as Spin then notices that it
    /// has lost Redis, and waits for it.
    ///
    /// # Errors
    /// `Internal` if the host cannot open it.
    pub fn open() -> Result<Self, Error> {
        Store::open_default().map(Self).context("open the key-value store")
    }

    /// Sets the entry of the session whose key has this digest.
    ///
    /// # Errors
    /// `Internal` if the store fails.
    pub fn set(&self, digest: &str, entry: &Entry) -> Result<(), Error> {
        self.0.set(&name(digest), entry.to_text().as_bytes()).context("set the session's entry")
    }

    /// Deletes the entry of the session whose key has this digest.
    ///
    /// # Errors
    /// `Internal` if the store fails.
    pub fn delete(&self, digest: &str) -> Result<(), Error> {
        self.0.delete(&name(digest)).context("delete the session's entry")
    }
}

fn name(digest: &str) -> String {
    format!("session:{digest}")
}

/// The SQL condition that the caller is active: the user `u` exists and is not locked, and the
/// user's sessions were not ended. Its parameters, ?1 and ?2, are [`Caller::parameters`].
#[macro_export]
macro_rules! is_active {
    () => {
        "u.id = ?1 AND u.session_epoch = ?2 AND u.is_locked = 0"
    };
}

/// The user of a session that has not expired. The endpoint's query has to check [`is_active!`].
pub struct Caller {
    /// The user's id.
    pub user_id: i64,
    /// The user's `session_epoch` at login.
    pub epoch: i64,
    /// The store that holds the session.
    pub sessions: Sessions,
    /// The digest of the session's key.
    pub digest: String,
}

/// The caller of a request, by the `session_key` in its `params`.
///
/// # Errors
/// `AuthRequired` if the key is missing, malformed, unknown or expired; `SessionCorrupted` if
/// its entry is unreadable; `Internal` if the key-value store fails.
pub fn authenticate(params: &Params) -> Result<Caller, Error> {
    let digest = Key::from_params(params).ok_or(Error::AuthRequired)?.digest;
    let sessions = Sessions::open()?;
    let found = sessions.0.get(&name(&digest)).context("get the session's entry")?;
    let entry = Entry::parse(&found.ok_or(Error::AuthRequired)?).ok_or(Error::SessionCorrupted)?;
    if entry.expires_at <= clock::now() {
        return Err(Error::AuthRequired);
    }
    Ok(Caller { user_id: entry.user_id, epoch: entry.epoch, sessions, digest })
}

impl Caller {
    /// The parameters of [`is_active!`].
    #[must_use]
    pub fn parameters(&self) -> [Value; 2] {
        [self.user_id, self.epoch].map(Value::Integer)
    }

    /// The value of a parsed parameter. The contract checks the session before the parameters,
    /// so only an active user may get the parameter's refusal.
    ///
    /// # Errors
    /// The parameter's refusal; `AuthRequired` and `Internal` as in [`Self::require_active`].
    pub fn require<T>(&self, parameter: Result<T, Error>) -> Result<T, Error> {
        if parameter.is_err() {
            self.require_active(&*db::open()?)?;
        }
        parameter
    }

    /// Checks that the caller exists, is not locked, and that the sessions were not ended.
    ///
    /// # Errors
    /// `AuthRequired` if not; `Internal` if the database fails.
    pub fn require_active(&self, db: &Database) -> Result<(), Error> {
        const FIND_ACTIVE: &str = concat!("SELECT 1 FROM users u WHERE ", is_active!());
        let active = db.execute(FIND_ACTIVE, &self.parameters()).context("check the user")?;
        if active.rows.is_empty() { Err(Error::AuthRequired) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_as_it_was_written_and_nothing_else_is() {
        let entry = Entry { user_id: 1, expires_at: 1_795_000_000, epoch: i64::MIN };
        assert_eq!(Entry::parse(entry.to_text().as_bytes()), Some(entry));
        for corrupted in [
            "",
            "1",
            "1 2",
            "1 2 ",
            "1 2 3 ",
            "1 2 3 4",
            "1  2 3",
            "1 2 3x",
            "1 99999999999999999999 3",
        ] {
            assert_eq!(Entry::parse(corrupted.as_bytes()), None, "{corrupted:?}");
        }
        assert_eq!(Entry::parse(b"\xff"), None);
    }
}
