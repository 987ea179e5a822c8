//! The commands on nodes.

use anyhow::{Result, bail};
use serde_json::json;

use crate::args::{self, Hostname};
use crate::db::Database;
use crate::{output, rows};

/// Runs a command on nodes.
pub(crate) fn run(db: &mut Database, command: args::Node) -> Result<()> {
    match command {
        args::Node::Add { node: Hostname { hostname }, ip } => {
            let id = db.transaction(|db| {
                if !ids(db, &hostname)?.is_empty() {
                    bail!(
                        "There is a node {hostname} already. For another address: luoyun-admin \
                         node set."
                    );
                }
                let sql = "INSERT INTO nodes (hostname, ip) VALUES (?1, ?2) RETURNING id";
                db.query(sql, &[json!(hostname), json!(ip)])
            })?;
            output::write_id(&id)
        }
        args::Node::Set { node: Hostname { hostname }, ip } => db.transaction(|db| {
            let id = find(db, &hostname)?;
            db.execute("UPDATE nodes SET ip = ?2 WHERE id = ?1", &[json!(id), json!(ip)])
        }),
        args::Node::Remove { node: Hostname { hostname }, cascade } => db.transaction(|db| {
            let id = [json!(find(db, &hostname)?)];
            if !cascade && let Some(instances) = rows::instances_where(db, "node_id = ?1", &id)? {
                bail!(
                    "Node {hostname} still runs {instances}. --cascade leaves them without a \
                     node; luoyun-admin instance set ID --node HOSTNAME moves one."
                );
            }
            db.execute("UPDATE instances SET node_id = NULL WHERE node_id = ?1", &id)?;
            db.execute("DELETE FROM nodes WHERE id = ?1", &id)
        }),
        args::Node::List(format) => rows::list::<rows::Node>(
            db,
            "SELECT id, hostname, ip FROM nodes WHERE id > ?1 ORDER BY id LIMIT ?2",
            &[],
            format.json,
        ),
    }
}

/// The id of the only node with this `hostname`.
/// Fails if there is none or more than one, or the database fails.
pub(crate) fn find(db: &mut Database, hostname: &str) -> Result<i64> {
    match ids(db, hostname)?[..] {
        [] => bail!("There is no node {hostname}. luoyun-admin node list shows all."),
        [(id,)] => Ok(id),
        // Only an import adds nodes with equal hostnames.
        ref ids => bail!(
            "There are {} nodes called {hostname}: give each its own name, in the source of the \
             import.",
            ids.len()
        ),
    }
}

fn ids(db: &mut Database, hostname: &str) -> Result<Vec<(i64,)>> {
    db.query("SELECT id FROM nodes WHERE hostname = ?1", &[json!(hostname)])
}
