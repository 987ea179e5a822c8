//! The commands on instances.

use anyhow::Result;
use luoyun_status::{DELETED, STATUSES, status_string};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension};
use serde::Serialize;

use crate::args::{self, InstanceChange, NewInstance};
use crate::output::{self, Row, or_dash};
use crate::statement::{Statement, optional_integer, optional_text};
use crate::target::Target;
use crate::{node, user};

#[derive(Serialize)]
struct Instance {
    id: i64,
    owner: Option<String>,
    node: Option<String>,
    name: String,
    summary: Option<String>,
    status: i64,
    status_string: &'static str,
    vdi_type: i64,
    vdi_host: Option<String>,
    vdi_port: Option<u16>,
}

impl Row for Instance {
    const HEADS: &'static [&'static str] =
        &["ID", "OWNER", "NODE", "HOST", "PORT", "STATUS", "NAME"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            or_dash(self.owner.as_ref()),
            or_dash(self.node.as_ref()),
            or_dash(self.vdi_host.as_ref()),
            or_dash(self.vdi_port.as_ref()),
            format!("{} {}", self.status, self.status_string),
            self.name.clone(),
        ]
    }
}

/// Carries out a command on instances.
///
/// # Errors
/// Where it is refused, or the database fails.
pub(crate) fn run(target: &Target, command: args::Instance) -> Result<()> {
    match command {
        args::Instance::Add(new) => add(target, new),
        args::Instance::Set { id, change } => set(target, id, change),
        args::Instance::Remove { id } => {
            let statement = Statement::new(
                "UPDATE instances SET status = ?2 WHERE id = ?1 AND status <> ?2",
                vec![Value::Integer(id), Value::Integer(DELETED)],
            );
            target.change(&statement, |db| missing(db, id))
        }
        args::Instance::List { owner, all, format } => {
            let chosen = Statement::new(
                "SELECT i.id, u.username, n.hostname, i.name, i.summary, i.status, i.vdi_type,
                        n.ip, i.vdi_port
                 FROM instances i
                 LEFT JOIN users u ON u.id = i.user_id
                 LEFT JOIN nodes n ON n.id = i.node_id
                 WHERE (?1 IS NULL OR u.username = ?1) AND (?2 OR i.status <> ?3)
                 ORDER BY i.id",
                vec![
                    optional_text(owner.clone()),
                    Value::Integer(all.into()),
                    Value::Integer(DELETED),
                ],
            );
            if let (Some(db), Some(owner)) = (target.database(), &owner)
                && let Some(reason) = user::is_missing(db, owner)?
            {
                anyhow::bail!(reason);
            }
            let instances = target.query(&chosen, |row| {
                let status = row.get(5)?;
                Ok(Instance {
                    id: row.get(0)?,
                    owner: row.get(1)?,
                    node: row.get(2)?,
                    name: row.get(3)?,
                    summary: row.get(4)?,
                    status,
                    status_string: status_string(status),
                    vdi_type: row.get(6)?,
                    vdi_host: row.get(7)?,
                    vdi_port: row.get(8)?,
                })
            })?;
            instances.map_or(Ok(()), |instances| output::write_list(&instances, &format))
        }
    }
}

/// The status that a number or a word stands for.
///
/// # Errors
/// Where it is neither.
pub(crate) fn status_number(text: &str) -> Result<i64, String> {
    let known = STATUSES.iter().find(|status| status.word == text).map(|status| status.number);
    let number = text.parse().ok().filter(|number| *number >= 0);
    known.or(number).ok_or_else(|| {
        let words: Vec<_> = STATUSES.iter().map(|status| status.word).collect();
        format!("a status is a number, or one of {}", words.join(", "))
    })
}

fn add(target: &Target, new: NewInstance) -> Result<()> {
    let statement = Statement::new(
        "INSERT INTO instances
             (id, user_id, node_id, name, summary, status, vdi_type, vdi_port)
         SELECT ?1, u.id, (SELECT id FROM nodes WHERE hostname = ?3), ?4, ?5, ?6, ?7, ?8
         FROM users u
         WHERE u.username = ?2
           AND (?3 IS NULL OR (SELECT count(*) FROM nodes WHERE hostname = ?3) = 1)",
        vec![
            optional_integer(new.id),
            Value::Text(new.owner.clone()),
            optional_text(new.node.clone()),
            Value::Text(new.name),
            optional_text(new.summary),
            Value::Integer(new.status),
            Value::Integer(new.vdi_type),
            optional_integer(new.vdi_port),
        ],
    );
    target.insert(&statement, |db| {
        if let Some(reason) = unknown(db, Some(&new.owner), new.node.as_deref())? {
            return Ok(reason);
        }
        let id = or_dash(new.id.as_ref());
        Ok(format!("There is an instance {id} already, perhaps a deleted one (--all lists them)."))
    })
}

/// The assignments of an `UPDATE`, and what has to be true for them.
struct Changes {
    values: Vec<Value>,
    assignments: Vec<String>,
    conditions: Vec<String>,
}

impl Changes {
    /// The number of a new value.
    fn value(&mut self, value: Value) -> usize {
        self.values.push(value);
        self.values.len()
    }

    fn assign(&mut self, column: &str, value: Value) {
        let at = self.value(value);
        self.assignments.push(format!("{column} = ?{at}"));
    }

    /// Assigns the id of the one row of `table` whose `key` is `value`.
    fn assign_id(&mut self, column: &str, table: &str, key: &str, value: String) {
        let at = self.value(Value::Text(value));
        self.assignments.push(format!("{column} = (SELECT id FROM {table} WHERE {key} = ?{at})"));
        self.conditions.push(format!("(SELECT count(*) FROM {table} WHERE {key} = ?{at}) = 1"));
    }
}

fn set(target: &Target, id: i64, new: InstanceChange) -> Result<()> {
    let mut changes = Changes {
        values: vec![Value::Integer(id)],
        assignments: Vec::new(),
        conditions: vec!["id = ?1".to_owned()],
    };
    let (owner, node) = (new.owner.clone(), new.node.clone());
    if let Some(owner) = new.owner {
        changes.assign_id("user_id", "users", "username", owner);
    }
    if let Some(node) = new.node {
        changes.assign_id("node_id", "nodes", "hostname", node);
    }
    let given = [
        ("user_id", new.no_owner.then_some(Value::Null)),
        ("node_id", new.no_node.then_some(Value::Null)),
        ("name", new.name.map(Value::Text)),
        ("summary", new.summary.map(Value::Text)),
        ("summary", new.no_summary.then_some(Value::Null)),
        ("status", new.status.map(Value::Integer)),
        ("vdi_type", new.vdi_type.map(Value::Integer)),
        ("vdi_port", new.vdi_port.map(|port| Value::Integer(port.into()))),
        ("vdi_port", new.no_vdi_port.then_some(Value::Null)),
    ];
    for (column, value) in given {
        if let Some(value) = value {
            changes.assign(column, value);
        }
    }
    let sql = format!(
        "UPDATE instances SET {} WHERE {}",
        changes.assignments.join(", "),
        changes.conditions.join(" AND ")
    );
    target.change(&Statement::new(sql, changes.values), |db| {
        match unknown(db, owner.as_deref(), node.as_deref())? {
            Some(reason) => Ok(reason),
            None => missing(db, id),
        }
    })
}

/// Why `owner` and `node` do not name one row each; `None` where they do.
fn unknown(
    db: &Connection,
    owner: Option<&str>,
    node: Option<&str>,
) -> rusqlite::Result<Option<String>> {
    if let Some(owner) = owner
        && let Some(reason) = user::is_missing(db, owner)?
    {
        return Ok(Some(reason));
    }
    node.map_or(Ok(None), |node| node::is_not_one(db, node))
}

fn missing(db: &Connection, id: i64) -> rusqlite::Result<String> {
    let sql = "SELECT 1 FROM instances WHERE id = ?1";
    let is_there = db.query_row(sql, [id], |_| Ok(())).optional()?.is_some();
    Ok(if is_there {
        format!("The instance {id} is deleted already.")
    } else {
        format!("There is no instance {id}. luoyun-admin instance list --all shows all.")
    })
}
