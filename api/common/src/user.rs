//! The users of the cloud.

use spin_sdk::sqlite::{Connection, Value};

use crate::envelope::Context;
use crate::session::Caller;
use crate::{Error, password, random};

/// A user, as a login needs one.
pub struct User {
    /// The user's id.
    pub id: i64,
    /// What is stored of the password; see [`crate::password`].
    pub password: String,
    /// Whether the user may not log in.
    pub is_locked: bool,
    /// Moves on when the user's sessions are to end.
    pub session_epoch: i64,
}

impl User {
    /// Stores `password`, which is the user's, in the strong form.
    ///
    /// # Errors
    /// `Internal` where the database fails.
    pub fn upgrade(&self, db: &Connection, password: &[u8], iterations: u32) -> Result<(), Error> {
        let salt = random::hex(password::SALT_BYTES);
        let strong = password::encode(password, &salt, iterations);
        // The trigger on a change of the password puts back the 1 that is taken off
        // here: the password stays the same, and so do the user's sessions. Where
        // somebody changed it in the meantime, nothing happens.
        db.execute(
            "UPDATE users SET password = ?3, session_epoch = session_epoch - 1
             WHERE id = ?1 AND password = ?2",
            &[Value::Integer(self.id), Value::Text(self.password.clone()), Value::Text(strong)],
        )
        .context("store the password better")?;
        Ok(())
    }
}

/// Opens the database.
///
/// # Errors
/// `Internal` where the host refuses it.
pub fn open_database() -> Result<Connection, Error> {
    Connection::open_default().context("open the database")
}

/// Refuses a caller who is locked or gone, or whose sessions were ended.
///
/// # Errors
/// `AuthRequired` for such a caller; `Internal` where the database fails.
pub fn require_active(db: &Connection, caller: &Caller) -> Result<(), Error> {
    let active = db
        .execute(
            "SELECT 1 FROM users WHERE id = ?1 AND session_epoch = ?2 AND is_locked = 0",
            &[Value::Integer(caller.user_id), Value::Integer(caller.session_epoch)],
        )
        .context("check the user")?;
    if active.rows.is_empty() {
        return Err(Error::AuthRequired);
    }
    Ok(())
}
