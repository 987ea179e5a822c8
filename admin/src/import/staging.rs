//! Copies the source's rows into temporary tables, converted to those of the API.
//!
//! The copies are consistent: user names are unique, and the owner and the node of an instance
//! exist or are NULL.

use anyhow::Result;
use rusqlite::{Connection, Statement, params};

use crate::import::source::Source;
use crate::import::state::State;
use crate::output::{IDS_SHOWN, some_ids};

/// A stored value that no password matches.
const NO_PASSWORD: &str = "!";

const TABLES: &str = "
    CREATE TEMP TABLE source_users (
        id INTEGER PRIMARY KEY, username TEXT NOT NULL UNIQUE, password TEXT NOT NULL,
        is_locked INTEGER NOT NULL, last_login INTEGER, fingerprint BLOB NOT NULL
    );
    CREATE TEMP TABLE source_nodes (id INTEGER PRIMARY KEY, hostname TEXT, ip TEXT);
    CREATE TEMP TABLE source_instances (
        id INTEGER PRIMARY KEY, user_id INTEGER, node_id INTEGER, name TEXT NOT NULL,
        summary TEXT, status INTEGER NOT NULL, vdi_port INTEGER
    );";

/// Odd values in the source's rows: each kind with its count and its first ids.
#[derive(Default)]
pub(crate) struct Notes(Vec<(&'static str, usize, Vec<i64>)>);

impl Notes {
    fn add(&mut self, what: &'static str, id: i64) {
        let at = self.0.iter().position(|(known, ..)| *known == what).unwrap_or_else(|| {
            self.0.push((what, 0, Vec::new()));
            self.0.len() - 1
        });
        let (_, count, ids) = &mut self.0[at];
        *count += 1;
        if *count <= IDS_SHOWN {
            ids.push(id);
        }
    }

    /// One line per kind: the number of rows, and the first ids.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        let line = |(what, count, ids): &(_, _, Vec<_>)| {
            format!("{what}: {count} {}", some_ids(*count, ids))
        };
        self.0.iter().map(line)
    }
}

/// Copies `source` into temporary tables of `state`. Returns the odd values.
/// Fails if the source fails, or the disk is full.
pub(crate) fn fill(state: &State, source: &mut Source) -> Result<Notes> {
    let mut notes = Notes::default();
    state.db.execute_batch(TABLES)?;
    fill_users(state, source, &mut notes)?;
    fill_nodes(&state.db, source, &mut notes)?;
    fill_instances(&state.db, source, &mut notes)?;
    Ok(notes)
}

fn fill_users(state: &State, source: &mut Source, notes: &mut Notes) -> Result<()> {
    let mut insert = state
        .db
        .prepare("INSERT OR IGNORE INTO temp.source_users VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    source.users(|row| {
        let (id, username): (i64, Option<&str>) = (row.try_get(0)?, row.try_get(1)?);
        let Some(username) = username.filter(|name| !name.is_empty()) else {
            notes.add("users left out, as they have no name", id);
            return Ok(());
        };
        let stored: Option<&str> = row.try_get(2)?;
        let password = stored.unwrap_or(NO_PASSWORD);
        let fingerprint = state.fingerprint(id, password);
        let is_locked = is_locked(row.try_get(3)?, id, notes);
        let last_login: Option<i64> = row.try_get(4)?;
        if insert.execute(params![id, username, password, is_locked, last_login, fingerprint])? == 0
        {
            notes.add("users left out, as an earlier one has their name", id);
        } else if stored.is_none() {
            notes.add("users who cannot log in, as they have no password", id);
        }
        Ok(())
    })
}

fn fill_nodes(db: &Connection, source: &mut Source, notes: &mut Notes) -> Result<()> {
    let mut insert = db.prepare("INSERT INTO temp.source_nodes VALUES (?1, ?2, ?3)")?;
    source.nodes(|row| {
        let (id, hostname): (i64, Option<&str>) = (row.try_get(0)?, row.try_get(1)?);
        if hostname.is_none() {
            notes.add("nodes without a name", id);
        }
        // An inet as text may end with its netmask.
        let ip = row.try_get::<_, Option<&str>>(2)?.and_then(|ip| ip.split('/').next());
        let ip = ip.map(str::trim).filter(|ip| !ip.is_empty());
        if ip.is_none() {
            notes.add("nodes without an IP address: their instances have no host", id);
        }
        insert.execute(params![id, hostname, ip])?;
        Ok(())
    })
}

fn fill_instances(db: &Connection, source: &mut Source, notes: &mut Notes) -> Result<()> {
    let mut insert =
        db.prepare("INSERT INTO temp.source_instances VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    let exists =
        |table| db.prepare(&format!("SELECT EXISTS (SELECT 1 FROM temp.{table} WHERE id = ?1)"));
    let (mut is_user, mut is_node) = (exists("source_users")?, exists("source_nodes")?);
    source.instances(|row| {
        let id: i64 = row.try_get(0)?;
        let mut existing = |at, exists: &mut Statement, without, missing| -> Result<Option<i64>> {
            let Some(other): Option<i64> = row.try_get(at)? else {
                notes.add(without, id);
                return Ok(None);
            };
            if exists.query_row([other], |row| row.get(0))? {
                return Ok(Some(other));
            }
            notes.add(missing, id);
            Ok(None)
        };
        let user_id = existing(
            1,
            &mut is_user,
            "instances without an owner: nobody sees them",
            "instances whose owner does not exist: nobody sees them",
        )?;
        let node_id = existing(
            2,
            &mut is_node,
            "instances without a node: they have no host",
            "instances whose node does not exist: they have no host",
        )?;
        let (name, summary): (Option<&str>, Option<&str>) = (row.try_get(3)?, row.try_get(4)?);
        if name.is_none() {
            notes.add("instances without a name", id);
        }
        let status: Option<&str> = row.try_get(5)?;
        let status = status.and_then(|status| status.parse::<i64>().ok()).unwrap_or_else(|| {
            notes.add("instances without a status: it is 0, unknown", id);
            0
        });
        let vdi_port = vdi_port(row.try_get(6)?, id, notes);
        let name = name.unwrap_or_default();
        insert.execute(params![id, user_id, node_id, name, summary, status, vdi_port])?;
        Ok(())
    })
}

fn is_locked(value: Option<&str>, id: i64, notes: &mut Notes) -> bool {
    match value {
        Some("true" | "t" | "1") => true,
        Some("false" | "f" | "0") => false,
        // LuoYunCloud only checks whether it is true.
        None => {
            notes.add("users not locked, as is_locked is NULL", id);
            false
        }
        Some(_) => {
            notes.add("users locked, as is_locked is neither true nor false", id);
            true
        }
    }
}

fn vdi_port(value: Option<&str>, id: i64, notes: &mut Notes) -> Option<u16> {
    match value.map(str::parse) {
        None | Some(Ok(0)) => None,
        Some(Ok(port)) => Some(port),
        Some(Err(_)) => {
            notes.add("instances without a port, as theirs is not from 1 to 65535", id);
            None
        }
    }
}
