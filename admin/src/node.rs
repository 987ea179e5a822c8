//! The commands on nodes.

use anyhow::{Result, bail};
use serde_json::json;

use crate::args;
use crate::db::Database;
use crate::output;
use crate::rows::{self, NODE};

/// Runs a command on nodes.
pub(crate) fn run(db: &mut Database, command: args::Node) -> Result<()> {
    match command {
        args::Node::Add { hostname, ip } => {
            let id = db.transaction(|db| {
                let advice = "For another address: luoyun-admin node set.";
                rows::refuse_existing(db, NODE, &hostname, advice)?;
                let sql = "INSERT INTO nodes (hostname, ip) VALUES (?1, ?2) RETURNING id";
                db.query(sql, &[json!(hostname), json!(ip)])
            })?;
            output::write_id(&id)
        }
        args::Node::Set { node, ip } => db.transaction(|db| {
            let id = rows::find(db, NODE, &node)?;
            db.execute("UPDATE nodes SET ip = ?2 WHERE id = ?1", &[json!(id), json!(ip)])
        }),
        args::Node::Remove { node, cascade } => db.transaction(|db| {
            let id = rows::find(db, NODE, &node)?;
            if !cascade && let Some(instances) = rows::instances_with(db, "node_id", id)? {
                bail!(
                    "Node {node} still runs {instances}. --cascade leaves them without a \
                     node; luoyun-admin instance set ID --node HOSTNAME moves one."
                );
            }
            db.execute("UPDATE instances SET node_id = NULL WHERE node_id = ?1", &[json!(id)])?;
            db.execute("DELETE FROM nodes WHERE id = ?1", &[json!(id)])
        }),
        args::Node::List(format) => {
            let sql = "SELECT id, json_object('id', id, 'hostname', hostname, 'ip', ip)
                       FROM nodes WHERE id > ?1 ORDER BY id LIMIT ?2";
            rows::list(db, sql, &[], "ID=id, IP=ip, HOSTNAME=hostname", format.json)
        }
    }
}
