//! The commands on users.

use anyhow::{Result, bail};
use serde_json::json;

use crate::args::{self, Existing};
use crate::db::Database;
use crate::output::visible;
use crate::{output, password, rows};

const KIND: (&str, &str, &str) = ("user", "users", "username");

/// Runs a command on users.
pub(crate) fn run(db: &mut Database, command: args::User) -> Result<()> {
    match command {
        args::User::Add(new) => {
            let username = &new.name;
            // Checked before the prompt, so that nobody types a password in vain.
            refuse_existing(db, username)?;
            let password = password::read_encoded(username, new.strength.strength())?;
            let id: Vec<_> = db.transaction(|db| {
                refuse_existing(db, username)?;
                let sql = "INSERT INTO users (username, password) VALUES (?1, ?2) RETURNING id";
                db.query(sql, &[json!(username), json!(password)])
            })?;
            output::write_id(&id)
        }
        args::User::Passwd { user, strength } => {
            let (id, username) = rows::find(db, KIND, &user)?;
            let username = username.unwrap_or_default();
            let password = password::read_encoded(&username, strength.strength())?;
            db.transaction(|db| {
                find(db, &Existing { name: None, id: Some(id) })?;
                let sql = "UPDATE users SET password = ?2 WHERE id = ?1";
                db.execute(sql, &[json!(id), json!(password)])
            })
        }
        args::User::Lock(user) => set_locked(db, &user, true),
        args::User::Unlock(user) => set_locked(db, &user, false),
        args::User::Remove { user, cascade } => remove(db, &user, cascade),
        args::User::List(format) => rows::list(
            db,
            "SELECT id, json_object('id', id, 'username', username,
                        'is_locked', json(iif(is_locked, 'true', 'false')), 'last_login',
                        strftime('%Y-%m-%dT%H:%M:%SZ', last_login, 'unixepoch'))
             FROM users WHERE id > ?1 ORDER BY id LIMIT ?2",
            &[],
            "ID=id, LAST LOGIN=last_login, LOCKED=is_locked, USERNAME=username",
            format.json,
        ),
    }
}

/// The id of `user`.
/// Fails if there is none, or the database fails.
pub(crate) fn find(db: &mut Database, user: &Existing) -> Result<i64> {
    Ok(rows::find(db, KIND, user)?.0)
}

fn refuse_existing(db: &mut Database, username: &str) -> Result<()> {
    let sql = "SELECT id FROM users WHERE username = ?1";
    if !db.query::<(i64,)>(sql, &[json!(username)])?.is_empty() {
        bail!(
            "There is a user {} already. For another password: luoyun-admin user passwd.",
            visible(username)
        );
    }
    Ok(())
}

fn set_locked(db: &mut Database, user: &Existing, is_locked: bool) -> Result<()> {
    db.transaction(|db| {
        let id = find(db, user)?;
        let sql = "UPDATE users SET is_locked = ?2 WHERE id = ?1";
        db.execute(sql, &[json!(id), json!(is_locked)])
    })
}

fn remove(db: &mut Database, user: &Existing, cascade: bool) -> Result<()> {
    db.transaction(|db| {
        let id = [json!(find(db, user)?)];
        if !cascade && let Some(instances) = rows::instances_where(db, "user_id = ?1", &id)? {
            bail!(
                "User {user} still owns {instances}. --cascade marks them as deleted; \
                 luoyun-admin instance set ID --owner NAME gives one to another user."
            );
        }
        // A new user may get this id, but must not get these instances.
        db.execute("UPDATE instances SET user_id = NULL, status = 100 WHERE user_id = ?1", &id)?;
        // This also ends the sessions, as their user no longer exists.
        db.execute("DELETE FROM users WHERE id = ?1", &id)
    })
}
