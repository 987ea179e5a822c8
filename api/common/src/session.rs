//! Session keys, and their entries in the key-value store.
//!
//! An entry is `session:` + the SHA-1 of the key in hex → `USER_ID EXPIRES_AT EPOCH`, so the
//! store reveals no usable key. The table `sessions` is the expiry index of the same sessions.

use sha1::{Digest, Sha1};
use spin_sdk::key_value::Store;
use spin_sdk::sqlite::Value;

use crate::envelope::Context;
use crate::kept::Kept;
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
    /// Opens the key-value store.
    ///
    /// # Errors
    /// `Internal` if the host cannot open it.
    pub fn open() -> Result<Self, Error> {
        Store::open_default().map(Self).context("open the key-value store")
    }

    fn get(&self, digest: &str) -> Result<Option<Vec<u8>>, Error> {
        self.0.get(&name(digest)).context("get the session's entry")
    }

    /// Sets the entry of the session whose key has this digest.
    ///
    /// # Errors
    /// `Internal` if the store fails.
    pub fn set(&self, digest: &str, entry: &Entry) -> Result<(), Error> {
        self.0.set(&name(digest), entry.to_text().as_bytes()).context("set the session's entry")
    }

    /// Whether the session whose key has this digest has an entry.
    ///
    /// # Errors
    /// `Internal` if the store fails.
    pub fn has(&self, digest: &str) -> Result<bool, Error> {
        self.get(digest).map(|entry| entry.is_some())
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

thread_local! {
    static KEPT: Kept<Sessions> = const { Kept::new(Sessions::open) };
}

/// The session of a request, which has not expired. Its user may have been locked, removed or given
/// another password since: each [`Self::query`] checks that.
pub struct Session {
    digest: String,
    entry: Entry,
}

impl Session {
    /// The session that the `session_key` in `params` names.
    ///
    /// # Errors
    /// `AuthRequired` if the key is missing, malformed, unknown or expired; `SessionCorrupted` if
    /// its entry is unreadable; `Internal` if the key-value store fails.
    pub fn find(params: &Params) -> Result<Self, Error> {
        let digest = Key::from_params(params).ok_or(Error::AuthRequired)?.digest;
        let found = KEPT.with(|kept| kept.call(|sessions| sessions.get(&digest)))?;
        let entry = found.ok_or(Error::AuthRequired)?;
        let entry = Entry::parse(&entry).ok_or(Error::SessionCorrupted)?;
        if entry.expires_at <= clock::now() {
            return Err(Error::AuthRequired);
        }
        Ok(Self { digest, entry })
    }

    /// Selects `columns` of the session's user `u` and of tables that `joins` adds by LEFT JOINs.
    /// Their parameters are `values`, from ?3.
    ///
    /// # Errors
    /// `AuthRequired` if the user is gone or locked, or the user's sessions were ended; `Internal`
    /// if the database fails.
    pub fn query<const N: usize>(
        &self,
        columns: &'static str,
        joins: &'static str,
        values: &[i64],
    ) -> Result<[Value; N], Error> {
        let sql = format!(
            "SELECT {columns} FROM users u {joins} \
             WHERE u.id = ?1 AND u.session_epoch = ?2 AND u.is_locked = 0"
        );
        let values = [&[self.entry.user_id, self.entry.epoch], values].concat();
        let values: Vec<_> = values.into_iter().map(Value::Integer).collect();
        let row = db::run("query the database", &sql, &values)?.ok_or(Error::AuthRequired)?;
        row.try_into().map_err(|_| db::unexpected_row())
    }

    /// The value of a parsed parameter. The contract checks the session before the parameters, so
    /// only an active user may get the parameter's refusal.
    ///
    /// # Errors
    /// The parameter's refusal, or as [`Self::query`].
    pub fn require<T>(&self, parameter: Result<T, Error>) -> Result<T, Error> {
        if parameter.is_err() {
            self.check_user()?;
        }
        parameter
    }

    fn check_user(&self) -> Result<(), Error> {
        self.query::<1>("1", "", &[]).map(drop)
    }

    /// Ends the session: deletes its entry. Returns the digest of its key, for the row.
    ///
    /// # Errors
    /// As [`Self::query`], or `Internal` if the key-value store fails.
    pub fn end(self) -> Result<String, Error> {
        self.check_user()?;
        KEPT.with(|kept| kept.call(|sessions| sessions.delete(&self.digest)))?;
        Ok(self.digest)
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
