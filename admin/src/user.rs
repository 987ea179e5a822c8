//! The commands on users.

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::args;
use crate::db::Database;
use crate::{output, password, rows};

/// Runs a command on users.
pub(crate) fn run(db: &mut Database, command: args::User) -> Result<()> {
    match command {
        args::User::Add(new) => {
            let username = &new.user.username;
            // Checked before the prompt, so that nobody types a password in vain.
            refuse_existing(db, username)?;
            let password = password::read_encoded(username, new.strength())?;
            let id: Vec<_> = db.transaction(|db| {
                refuse_existing(db, username)?;
                let sql = "INSERT INTO users (username, password) VALUES (?1, ?2) RETURNING id";
                db.query(sql, &[json!(username), json!(password)])
            })?;
            output::write_id(&id)
        }
        args::User::Passwd(new) => {
            let username = &new.user.username;
            find(db, username)?;
            let password = password::read_encoded(username, new.strength())?;
            db.transaction(|db| {
                let id = find(db, username)?;
                let sql = "UPDATE users SET password = ?2 WHERE id = ?1";
                db.execute(sql, &[json!(id), json!(password)])
            })
        }
        args::User::Lock(user) => set_locked(db, &user.username, true),
        args::User::Unlock(user) => set_locked(db, &user.username, false),
        args::User::Remove { user, cascade } => remove(db, &user.username, cascade),
        args::User::List(format) => rows::list::<rows::User>(
            db,
            "SELECT id, username, is_locked,
                    strftime('%Y-%m-%dT%H:%M:%SZ', last_login, 'unixepoch')
             FROM users WHERE id > ?1 ORDER BY id LIMIT ?2",
            &[],
            format.json,
        ),
    }
}

/// The id of the user `username`.
/// Fails if there is none, or the database fails.
pub(crate) fn find(db: &mut Database, username: &str) -> Result<i64> {
    id(db, username)?
        .with_context(|| format!("There is no user {username}. luoyun-admin user list shows all."))
}

fn id(db: &mut Database, username: &str) -> Result<Option<i64>> {
    let ids = db.query("SELECT id FROM users WHERE username = ?1", &[json!(username)])?;
    Ok(ids.first().map(|(id,)| *id))
}

fn refuse_existing(db: &mut Database, username: &str) -> Result<()> {
    if id(db, username)?.is_some() {
        bail!(
            "There is a user {username} already. For another password: luoyun-admin user passwd."
        );
    }
    Ok(())
}

fn set_locked(db: &mut Database, username: &str, is_locked: bool) -> Result<()> {
    db.transaction(|db| {
        let id = find(db, username)?;
        let sql = "UPDATE users SET is_locked = ?2 WHERE id = ?1";
        db.execute(sql, &[json!(id), json!(is_locked)])
    })
}

fn remove(db: &mut Database, username: &str, cascade: bool) -> Result<()> {
    db.transaction(|db| {
        let id = [json!(find(db, username)?)];
        if !cascade && let Some(instances) = rows::instances_where(db, "user_id = ?1", &id)? {
            bail!(
                "User {username} still owns {instances}. --cascade marks them as deleted; \
                 luoyun-admin instance set ID --owner NAME gives one to another user."
            );
        }
        // A new user may get this id, but must not get these instances.
        db.execute("UPDATE instances SET user_id = NULL, status = 100 WHERE user_id = ?1", &id)?;
        // This also ends the sessions, as their user no longer exists.
        db.execute("DELETE FROM users WHERE id = ?1", &id)
    })
}
