//! The commands on users.

use anyhow::{Result, bail};
use serde_json::json;

use crate::args::{self, Existing};
use crate::db::Database;
use crate::rows::{self, USER};
use crate::{output, password};

/// Runs a command on users.
pub(crate) fn run(db: &mut Database, command: args::User) -> Result<()> {
    match command {
        args::User::Add { name, strength } => {
            let advice = "For another password: luoyun-admin user passwd.";
            // Checked before the prompt, so that nobody types a password in vain.
            rows::refuse_existing(db, USER, &name, advice)?;
            let password = password::read_encoded(&name, strength.strength())?;
            let id: Vec<_> = db.transaction(|db| {
                rows::refuse_existing(db, USER, &name, advice)?;
                let sql = "INSERT INTO users (username, password) VALUES (?1, ?2) RETURNING id";
                db.query(sql, &[json!(name), json!(password)])
            })?;
            output::write_id(&id)
        }
        args::User::Passwd { user, strength } => {
            let (id, username) = rows::find_named(db, USER, &user)?;
            let username = username.unwrap_or_default();
            let password = password::read_encoded(&username, strength.strength())?;
            db.transaction(|db| {
                rows::find(db, USER, &Existing::with_id(id))?;
                let sql = "UPDATE users SET password = ?2 WHERE id = ?1";
                db.execute(sql, &[json!(id), json!(password)])
            })
        }
        args::User::Lock(user) => set_locked(db, &user, true),
        args::User::Unlock(user) => set_locked(db, &user, false),
        args::User::Remove { user, cascade } => db.transaction(|db| {
            let id = rows::find(db, USER, &user)?;
            if !cascade && let Some(instances) = rows::instances_with(db, "user_id", id)? {
                bail!(
                    "User {user} still owns {instances}. --cascade marks them as deleted; \
                     luoyun-admin instance set ID --owner NAME gives one to another user."
                );
            }
            // A new user may get this id, but must not get these instances.
            let sql = "UPDATE instances SET user_id = NULL, status = 100 WHERE user_id = ?1";
            db.execute(sql, &[json!(id)])?;
            // This also ends the sessions, as their user no longer exists.
            db.execute("DELETE FROM users WHERE id = ?1", &[json!(id)])
        }),
        args::User::List(format) => {
            let columns = "ID=id, LAST LOGIN=last_login, LOCKED=is_locked, USERNAME=username";
            rows::list(db, include_str!("users.sql"), &[], columns, format.json)
        }
    }
}

fn set_locked(db: &mut Database, user: &Existing, is_locked: bool) -> Result<()> {
    db.transaction(|db| {
        let id = rows::find(db, USER, user)?;
        let sql = "UPDATE users SET is_locked = ?2 WHERE id = ?1";
        db.execute(sql, &[json!(id), json!(is_locked)])
    })
}
