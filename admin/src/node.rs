//! The commands on nodes.

use anyhow::{Result, bail};
use serde_json::json;

use crate::args::{self, Existing};
use crate::db::Database;
use crate::output::visible;
use crate::{output, rows};

/// Runs a command on nodes.
pub(crate) fn run(db: &mut Database, command: args::Node) -> Result<()> {
    match command {
        args::Node::Add { hostname, ip } => {
            let id = db.transaction(|db| {
                let sql = "SELECT id FROM nodes WHERE hostname = ?1";
                if !db.query::<(i64,)>(sql, &[json!(hostname)])?.is_empty() {
                    let node = visible(&hostname);
                    bail!(
                        "There is a node {node} already. For another address: luoyun-admin node set."
                    );
                }
                let sql = "INSERT INTO nodes (hostname, ip) VALUES (?1, ?2) RETURNING id";
                db.query(sql, &[json!(hostname), json!(ip)])
            })?;
            output::write_id(&id)
        }
        args::Node::Set { node, ip } => db.transaction(|db| {
            let id = find(db, &node)?;
            db.execute("UPDATE nodes SET ip = ?2 WHERE id = ?1", &[json!(id), json!(ip)])
        }),
        args::Node::Remove { node, cascade } => db.transaction(|db| {
            let id = [json!(find(db, &node)?)];
            if !cascade && let Some(instances) = rows::instances_where(db, "node_id = ?1", &id)? {
                bail!(
                    "Node {node} still runs {instances}. --cascade leaves them without a \
                     node; luoyun-admin instance set ID --node HOSTNAME moves one."
                );
            }
            db.execute("UPDATE instances SET node_id = NULL WHERE node_id = ?1", &id)?;
            db.execute("DELETE FROM nodes WHERE id = ?1", &id)
        }),
        args::Node::List(format) => rows::list(
            db,
            "SELECT id, json_object('id', id, 'hostname', hostname, 'ip', ip)
             FROM nodes WHERE id > ?1 ORDER BY id LIMIT ?2",
            &[],
            "ID=id, IP=ip, HOSTNAME=hostname",
            format.json,
        ),
    }
}

/// The id of `node`.
/// Fails if there is none or its name is that of another one too, or the database fails.
pub(crate) fn find(db: &mut Database, node: &Existing) -> Result<i64> {
    let kind = ("node", "nodes", "hostname");
    Ok(rows::find(db, kind, node)?.0)
}
