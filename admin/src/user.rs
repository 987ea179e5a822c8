//! The commands on users.

use anyhow::{Result, bail};
use clap::Subcommand;
use luoyun_values::text::trim;
use serde_json::json;

use crate::db::Database;
use crate::password::StrengthOptions;
use crate::rows::{self, Existing, Format, USER};
use crate::{output, password};

/// Longest user name, in bytes: with it and the longest password, a login's body is still below
/// its limit if each byte is percent-encoded (docs/contract.md).
pub(crate) const MAX_NAME_BYTES: usize = 4096;

/// Manage users: add, passwd, lock, unlock, remove, list
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Add a user; prints the new id
    ///
    /// The password is read from the terminal, twice and without echo, or from standard
    /// input, as one line. It is stored in the same form as by a login.
    #[command(after_long_help = "Example:\n  pass show ada | luoyun-admin user add ada")]
    Add {
        /// The user's name
        #[arg(value_parser = username)]
        name: String,
        #[command(flatten)]
        strength: StrengthOptions,
    },
    /// Change a user's password, and end the user's sessions
    ///
    /// The password is read as by `user add`.
    #[command(after_long_help = "Example:\n  luoyun-admin user passwd ada")]
    Passwd {
        #[command(flatten)]
        user: Existing,
        #[command(flatten)]
        strength: StrengthOptions,
    },
    /// Lock a user, and end the user's sessions
    ///
    /// A locked user cannot log in. Lock imported users in the source: an import undoes
    /// this.
    #[command(after_long_help = "Example:\n  luoyun-admin user lock ada")]
    Lock(Existing),
    /// Unlock a user
    #[command(after_long_help = "Example:\n  luoyun-admin user unlock ada")]
    Unlock(Existing),
    /// Remove a user, and end the user's sessions
    ///
    /// Remove imported users in the source: an import adds them again.
    #[command(after_long_help = "Example:\n  luoyun-admin user remove ada --cascade")]
    Remove {
        #[command(flatten)]
        user: Existing,
        /// Mark the user's instances as deleted
        #[arg(long)]
        cascade: bool,
    },
    /// List all users, by id
    ///
    /// The list has the time of the last login, in UTC.
    #[command(after_long_help = "Example:\n  luoyun-admin user list --json | jq -r .[].username")]
    List(Format),
}

/// Runs a command on users.
pub(crate) fn run(db: &Database, command: Command) -> Result<()> {
    match command {
        Command::Add { name, strength } => {
            // Before the prompt, so that nobody types a password in vain.
            let sql = "SELECT id FROM users WHERE username = ?1";
            if db.execute(sql, &[json!(name)])? {
                let advice = "For another password: luoyun-admin user passwd.";
                bail!("There is a user {} already. {advice}", output::visible(&name));
            }
            let password = password::read_encoded(&name, strength)?;
            let sql = "INSERT INTO users (username, password) VALUES (?1, ?2) RETURNING id";
            output::write_id(db.query(sql, &[json!(name), json!(password)])?)
        }
        Command::Passwd { user, strength } => {
            let (id, username) = rows::find(db, USER, &user)?;
            let password = password::read_encoded(&username.unwrap_or_default(), strength)?;
            // By id, as another user may have got the name meanwhile.
            let user = Existing { name: None, id: Some(id) };
            rows::set(db, USER, &user, "password", json!(password))
        }
        Command::Lock(user) => rows::set(db, USER, &user, "is_locked", json!(true)),
        Command::Unlock(user) => rows::set(db, USER, &user, "is_locked", json!(false)),
        Command::Remove { user, cascade } => {
            let advice = "--cascade marks them as deleted; luoyun-admin instance set ID --owner \
                          NAME gives one to another user.";
            let refusal = |instances: &str| format!("User {user} still owns {instances}. {advice}");
            // A new user may get this id, but must not get these instances. The sessions end too,
            // as their user no longer exists.
            let detach = "user_id = NULL, status = 100";
            rows::remove(db, USER, &user, cascade, refusal, detach)
        }
        Command::List(format) => {
            let columns = "ID=id, LAST LOGIN=last_login, LOCKED=is_locked, USERNAME=username";
            rows::list(db, include_str!("users.sql"), &[], columns, format)
        }
    }
}

/// Rejects user names that cannot log in: a login drops white space and control characters
/// around the name (docs/contract.md).
fn username(text: &str) -> Result<String, String> {
    if text.len() > MAX_NAME_BYTES {
        return Err(format!("a user name must not be longer than {MAX_NAME_BYTES} bytes"));
    }
    let is_bare = !text.is_empty() && trim(text) == text && !text.contains(char::is_control);
    let reason = "a user name must not be empty, start or end with white space, or contain \
                  control characters";
    is_bare.then(|| text.to_owned()).ok_or_else(|| reason.to_owned())
}
