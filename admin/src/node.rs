//! The commands on nodes.

use anyhow::Result;
use rusqlite::Connection;
use rusqlite::types::Value;
use serde::Serialize;

use crate::args;
use crate::output::{self, Row, or_dash};
use crate::statement::{Statement, optional_text};
use crate::target::Target;

#[derive(Serialize)]
struct Node {
    id: i64,
    hostname: Option<String>,
    ip: Option<String>,
}

impl Row for Node {
    const HEADS: &'static [&'static str] = &["ID", "IP", "HOSTNAME"];

    fn cells(&self) -> Vec<String> {
        vec![self.id.to_string(), or_dash(self.ip.as_ref()), or_dash(self.hostname.as_ref())]
    }
}

/// Carries out a command on nodes.
///
/// # Errors
/// Where it is refused, or the database fails.
pub(crate) fn run(target: &Target, command: args::Node) -> Result<()> {
    match command {
        args::Node::Add { hostname, ip } => {
            let taken = format!(
                "There is a node {hostname} already. For another address: luoyun-admin node set."
            );
            let statement = Statement::new(
                "INSERT INTO nodes (hostname, ip)
                 SELECT ?1, ?2 WHERE NOT EXISTS (SELECT 1 FROM nodes WHERE hostname = ?1)",
                vec![Value::Text(hostname), optional_text(ip.map(|ip| ip.to_string()))],
            );
            target.insert(&statement, |_| Ok(taken))
        }
        args::Node::Set { hostname, ip } => {
            let statement = Statement::new(
                "UPDATE nodes SET ip = ?2
                 WHERE hostname = ?1 AND (SELECT count(*) FROM nodes WHERE hostname = ?1) = 1",
                vec![Value::Text(hostname.clone()), Value::Text(ip.to_string())],
            );
            target.change(&statement, |db| {
                let reason = is_not_one(db, &hostname)?;
                Ok(reason.unwrap_or_else(|| format!("The node {hostname} is unchanged.")))
            })
        }
        args::Node::List { format } => {
            let all = Statement::new("SELECT id, hostname, ip FROM nodes ORDER BY id", Vec::new());
            let nodes = target.query(&all, |row| {
                Ok(Node { id: row.get(0)?, hostname: row.get(1)?, ip: row.get(2)? })
            })?;
            nodes.map_or(Ok(()), |nodes| output::write_list(&nodes, &format))
        }
    }
}

/// Why `hostname` does not name one node; `None` where it does.
///
/// # Errors
/// Where the database fails.
pub(crate) fn is_not_one(db: &Connection, hostname: &str) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT count(*) FROM nodes WHERE hostname = ?1";
    Ok(match db.query_row(sql, [hostname], |row| row.get(0))? {
        0 => Some(format!("There is no node {hostname}. luoyun-admin node list shows all.")),
        1 => None,
        // Only an import brings that about.
        count => Some(format!(
            "There are {count} nodes called {hostname}: give them names of their own, at the \
             source of the import."
        )),
    })
}
