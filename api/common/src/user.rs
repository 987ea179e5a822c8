//! The users of the cloud.

use anyhow::{Context, anyhow};
use spin_sdk::sqlite::{Connection, Value};

use crate::Error;

/// A user, as a login needs one.
#[derive(Debug)]
pub struct User {
    /// The user's id.
    pub id: i64,
    /// What is stored of the password; see [`crate::password`].
    pub password: String,
    /// Whether the user may not log in.
    pub is_locked: bool,
}

/// Opens the database.
///
/// # Errors
/// `Internal` where the host refuses it.
pub fn open_database() -> Result<Connection, Error> {
    Ok(Connection::open_default().context("open the database")?)
}

/// The user called `username`, to the letter; `None` where there is none.
///
/// # Errors
/// `Internal` where the database fails.
pub fn find(db: &Connection, username: String) -> Result<Option<User>, Error> {
    let found = db
        .execute(
            "SELECT id, password, is_locked FROM users WHERE username = ?1",
            &[Value::Text(username)],
        )
        .context("find the user")?;
    let Some(row) = found.rows.into_iter().next() else {
        return Ok(None);
    };
    match <[Value; 3]>::try_from(row.values) {
        Ok([Value::Integer(id), Value::Text(password), Value::Integer(is_locked)]) => {
            Ok(Some(User { id, password, is_locked: is_locked != 0 }))
        }
        _ => Err(anyhow!("find the user: unexpected row").into()),
    }
}

/// Refuses a user who is locked or gone.
///
/// # Errors
/// `AuthRequired` for such a user; `Internal` where the database fails.
pub fn require_active(user_id: i64) -> Result<(), Error> {
    let active = open_database()?
        .execute("SELECT 1 FROM users WHERE id = ?1 AND is_locked = 0", &[Value::Integer(user_id)])
        .context("check the user")?;
    if active.rows.is_empty() {
        return Err(Error::AuthRequired);
    }
    Ok(())
}
