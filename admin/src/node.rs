//! The commands on nodes.

use std::net::IpAddr;

use anyhow::{Result, bail};
use clap::Subcommand;
use serde_json::json;

use crate::db::Database;
use crate::output;
use crate::rows::{self, Existing, Format, NODE};

/// Manage nodes, the machines that instances run on: add, set, remove, list
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Add a node; prints the new id
    #[command(after_long_help = "Example:\n  luoyun-admin node add node1 --ip 10.0.0.2")]
    Add {
        /// Its hostname
        #[arg(value_parser = word)]
        hostname: String,
        /// Its IP address, where the remote desktops of its instances are
        #[arg(long)]
        ip: Option<IpAddr>,
    },
    /// Change the IP address of a node
    #[command(after_long_help = "Example:\n  luoyun-admin node set node1 --ip 10.0.0.3")]
    Set {
        #[command(flatten)]
        node: Existing,
        /// Its IP address, where the remote desktops of its instances are
        #[arg(long)]
        ip: IpAddr,
    },
    /// Remove a node
    #[command(after_long_help = "Example:\n  luoyun-admin node remove node1 --cascade")]
    Remove {
        #[command(flatten)]
        node: Existing,
        /// Leave its instances without a node
        #[arg(long)]
        cascade: bool,
    },
    /// List all nodes, by id
    #[command(after_long_help = "Example:\n  luoyun-admin node list")]
    List(Format),
}

/// Runs a command on nodes.
pub(crate) fn run(db: &Database, command: Command) -> Result<()> {
    match command {
        Command::Add { hostname, ip } => {
            let sql = "INSERT INTO nodes (hostname, ip) SELECT ?1, ?2
                       WHERE NOT EXISTS (SELECT 1 FROM nodes WHERE hostname = ?1) RETURNING id";
            let added: Vec<(i64,)> = db.query(sql, &[json!(hostname), json!(ip)])?;
            let [row] = added[..] else {
                let advice = "For another address: luoyun-admin node set.";
                bail!("There is a node {} already. {advice}", output::visible(&hostname));
            };
            output::write_id([row])
        }
        Command::Set { node, ip } => rows::set(db, NODE, &node, "ip", json!(ip)),
        Command::Remove { node, cascade } => {
            let advice = "--cascade leaves them without a node; luoyun-admin instance set ID \
                          --node HOSTNAME moves one.";
            let refusal = |instances: &str| format!("Node {node} still runs {instances}. {advice}");
            rows::remove(db, NODE, &node, cascade, refusal, "node_id = NULL")
        }
        Command::List(format) => {
            let line = "json_object('id', id, 'hostname', hostname, 'ip', ip)";
            let sql = format!("SELECT id AS key, {line} AS line FROM nodes");
            rows::list(db, &sql, &[], "ID=id, IP=ip, HOSTNAME=hostname", format)
        }
    }
}

fn word(text: &str) -> Result<String, &'static str> {
    let is_word = !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control());
    is_word.then(|| text.to_owned()).ok_or("a hostname must be one word, without white space")
}
