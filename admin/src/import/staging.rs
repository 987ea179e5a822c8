//! The temporary tables that hold what the source has, made fit for the API's tables.
//!
//! What is in them is consistent: user names are unique, and an instance's owner and
//! node are there, or NULL.

use anyhow::Result;
use indicatif::ProgressBar;
use rusqlite::{Connection, params};

use crate::import::source::{Instance, Node, Source, User};
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

/// What was odd about the source's rows.
#[derive(Default)]
pub(crate) struct Notes(Vec<Note>);

struct Note {
    what: &'static str,
    count: usize,
    ids: Vec<i64>,
}

impl Notes {
    fn add(&mut self, what: &'static str, id: i64) {
        let at = self.0.iter().position(|note| note.what == what).unwrap_or_else(|| {
            self.0.push(Note { what, count: 0, ids: Vec::new() });
            self.0.len() - 1
        });
        let note = &mut self.0[at];
        note.count += 1;
        if note.ids.len() < IDS_SHOWN {
            note.ids.push(id);
        }
    }

    /// A line for each kind: how many rows, and the ids of the first.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|note| {
            format!("{}: {} {}", note.what, note.count, some_ids(note.count, &note.ids))
        })
    }
}

/// Copies `source` into temporary tables of `state`.
///
/// # Errors
/// If the source fails, or the disk is full.
pub(crate) fn fill(state: &State, source: &mut Source, progress: &ProgressBar) -> Result<Notes> {
    let mut notes = Notes::default();
    state.db.execute_batch(TABLES)?;
    progress.set_message("reading users");
    fill_users(state, source, progress, &mut notes)?;
    progress.set_message("reading nodes");
    fill_nodes(&state.db, source, progress, &mut notes)?;
    progress.set_message("reading instances");
    fill_instances(&state.db, source, progress, &mut notes)?;
    Ok(notes)
}

fn fill_users(
    state: &State,
    source: &mut Source,
    progress: &ProgressBar,
    notes: &mut Notes,
) -> Result<()> {
    let mut insert = state
        .db
        .prepare("INSERT OR IGNORE INTO temp.source_users VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
    source.users(|user| {
        progress.inc(1);
        let Some(username) = user.username.filter(|name| !name.is_empty()) else {
            notes.add("users left out, as they have no name", user.id);
            return Ok(());
        };
        let password = user.password.unwrap_or(NO_PASSWORD);
        let fingerprint = state.fingerprint(user.id, password);
        let is_locked = is_locked(&user, notes);
        let row = params![user.id, username, password, is_locked, user.last_login, fingerprint];
        if insert.execute(row)? == 0 {
            notes.add("users left out, as an earlier one has their name", user.id);
        } else if user.password.is_none() {
            notes.add("users who cannot log in, as they have no password", user.id);
        }
        Ok(())
    })
}

fn fill_nodes(
    db: &Connection,
    source: &mut Source,
    progress: &ProgressBar,
    notes: &mut Notes,
) -> Result<()> {
    let mut insert = db.prepare("INSERT INTO temp.source_nodes VALUES (?1, ?2, ?3)")?;
    source.nodes(|node| {
        progress.inc(1);
        if node.hostname.is_none() {
            notes.add("nodes without a name", node.id);
        }
        insert.execute(params![node.id, node.hostname, ip(&node, notes)])?;
        Ok(())
    })
}

fn fill_instances(
    db: &Connection,
    source: &mut Source,
    progress: &ProgressBar,
    notes: &mut Notes,
) -> Result<()> {
    let mut insert =
        db.prepare("INSERT INTO temp.source_instances VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    let mut is_user =
        db.prepare("SELECT EXISTS (SELECT 1 FROM temp.source_users WHERE id = ?1)")?;
    let mut is_node =
        db.prepare("SELECT EXISTS (SELECT 1 FROM temp.source_nodes WHERE id = ?1)")?;
    source.instances(|instance| {
        progress.inc(1);
        let id = instance.id;
        let (mut user_id, mut node_id) = (instance.user_id, instance.node_id);
        match user_id {
            None => notes.add("instances without an owner: nobody sees them", id),
            Some(owner) if !is_user.query_row([owner], |row| row.get(0))? => {
                user_id = None;
                notes.add("instances whose owner is not there: nobody sees them", id);
            }
            Some(_) => {}
        }
        match node_id {
            None => notes.add("instances without a node: they have no host", id),
            Some(node) if !is_node.query_row([node], |row| row.get(0))? => {
                node_id = None;
                notes.add("instances whose node is not there: they have no host", id);
            }
            Some(_) => {}
        }
        if instance.name.is_none() {
            notes.add("instances without a name", id);
        }
        insert.execute(params![
            id,
            user_id,
            node_id,
            instance.name.unwrap_or_default(),
            instance.summary,
            status(&instance, notes),
            vdi_port(&instance, notes),
        ])?;
        Ok(())
    })
}

fn is_locked(user: &User, notes: &mut Notes) -> bool {
    match user.is_locked {
        Some("true" | "t" | "1") => true,
        Some("false" | "f" | "0") => false,
        // The original asks only whether it is true.
        None => {
            notes.add("users not locked, as nothing says whether they are", user.id);
            false
        }
        Some(_) => {
            notes.add("users locked, as is_locked is neither true nor false", user.id);
            true
        }
    }
}

fn ip<'a>(node: &Node<'a>, notes: &mut Notes) -> Option<&'a str> {
    // The text of an inet has its netmask.
    let ip = node.ip.and_then(|ip| ip.split('/').next()).map(str::trim);
    let ip = ip.filter(|ip| !ip.is_empty());
    if ip.is_none() {
        notes.add("nodes without an IP address: their instances have no host", node.id);
    }
    ip
}

fn status(instance: &Instance, notes: &mut Notes) -> i64 {
    instance.status.and_then(|status| status.parse().ok()).unwrap_or_else(|| {
        notes.add("instances without a status: it is 0, unknown", instance.id);
        0
    })
}

fn vdi_port(instance: &Instance, notes: &mut Notes) -> Option<u16> {
    match instance.vdi_port.map(str::parse) {
        None | Some(Ok(0)) => None,
        Some(Ok(port)) => Some(port),
        Some(Err(_)) => {
            notes.add("instances without a port, as theirs is none (1 to 65535)", instance.id);
            None
        }
    }
}
