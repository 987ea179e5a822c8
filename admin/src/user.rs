//! The commands on users.

use anyhow::{Result, bail};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension};
use serde::Serialize;

use crate::args;
use crate::output::{self, Row, or_dash};
use crate::password;
use crate::statement::Statement;
use luoyun_password::Strength;

use crate::target::{Target, explain};

#[derive(Serialize)]
struct User {
    id: i64,
    username: String,
    is_locked: bool,
    /// ISO 8601, in UTC.
    last_login: Option<String>,
}

impl Row for User {
    const HEADS: &'static [&'static str] = &["ID", "LAST LOGIN", "LOCKED", "USERNAME"];

    fn cells(&self) -> Vec<String> {
        let locked = if self.is_locked { "locked" } else { "-" };
        let last_login = or_dash(self.last_login.as_ref());
        vec![self.id.to_string(), last_login, locked.to_owned(), self.username.clone()]
    }
}

/// Carries out a command on users.
///
/// # Errors
/// Where it is refused, or the database fails.
pub(crate) fn run(target: &Target, command: args::User) -> Result<()> {
    match command {
        args::User::Add { username, strength } => add(target, username, strength.into()),
        args::User::Passwd { username, strength } => {
            set_password(target, username, strength.into())
        }
        args::User::Lock { username } => set_locked(target, username, true),
        args::User::Unlock { username } => set_locked(target, username, false),
        args::User::List { format } => {
            let all = Statement::new(
                "SELECT id, username, is_locked,
                        strftime('%Y-%m-%dT%H:%M:%SZ', last_login, 'unixepoch')
                 FROM users ORDER BY id",
                Vec::new(),
            );
            let users = target.query(&all, |row| {
                Ok(User {
                    id: row.get(0)?,
                    username: row.get(1)?,
                    is_locked: row.get(2)?,
                    last_login: row.get(3)?,
                })
            })?;
            users.map_or(Ok(()), |users| output::write_list(&users, &format))
        }
    }
}

/// Why there can be no such user; `None` where there is one.
///
/// # Errors
/// Where the database fails.
pub(crate) fn is_missing(db: &Connection, username: &str) -> rusqlite::Result<Option<String>> {
    let found = db
        .query_row("SELECT 1 FROM users WHERE username = ?1", [username], |_| Ok(()))
        .optional()?;
    let advice = || format!("There is no user {username}. luoyun-admin user list shows all.");
    Ok(found.is_none().then(advice))
}

fn missing(db: &Connection, username: &str) -> rusqlite::Result<String> {
    Ok(is_missing(db, username)?.unwrap_or_else(|| format!("The user {username} is unchanged.")))
}

fn exists(username: &str) -> String {
    format!("There is a user {username} already. For another password: luoyun-admin user passwd.")
}

fn add(target: &Target, username: String, strength: Strength) -> Result<()> {
    // Before anybody types a password for nothing.
    if let Some(db) = target.database()
        && is_missing(db, &username).map_err(explain)?.is_none()
    {
        bail!(exists(&username));
    }
    let password = password::read_encoded(&username, strength)?;
    let taken = exists(&username);
    let statement = Statement::new(
        "INSERT INTO users (username, password) VALUES (?1, ?2)",
        vec![Value::Text(username), Value::Text(password)],
    );
    target.insert(&statement, |_| Ok(taken))
}

fn set_password(target: &Target, username: String, strength: Strength) -> Result<()> {
    if let Some(db) = target.database()
        && let Some(reason) = is_missing(db, &username).map_err(explain)?
    {
        bail!(reason);
    }
    let password = password::read_encoded(&username, strength)?;
    let statement = Statement::new(
        "UPDATE users SET password = ?2 WHERE username = ?1",
        vec![Value::Text(username.clone()), Value::Text(password)],
    );
    target.change(&statement, |db| missing(db, &username))
}

fn set_locked(target: &Target, username: String, is_locked: bool) -> Result<()> {
    let statement = Statement::new(
        "UPDATE users SET is_locked = ?2 WHERE username = ?1",
        vec![Value::Text(username.clone()), Value::Integer(is_locked.into())],
    );
    target.change(&statement, |db| missing(db, &username))
}
