//! The commands on instances.

use anyhow::{Context, Result, bail};
use luoyun_status::{DELETED, STATUSES, status_string};
use serde_json::{Value, json};

use crate::args::{self, Properties, Removed};
use crate::db::Database;
use crate::output;
use crate::rows::{self, NODE, USER};

/// Runs a command on instances.
pub(crate) fn run(db: &mut Database, command: args::Instance) -> Result<()> {
    match command {
        args::Instance::Add { properties, id } => add(db, id, properties),
        args::Instance::Set { id, properties, removed } => db.transaction(|db| {
            status(db, id)?.with_context(|| missing(id))?;
            let (columns, mut values) = given(db, properties, &removed)?;
            values.push(json!(id));
            let assignments = columns.join(" = ?, ");
            db.execute(&format!("UPDATE instances SET {assignments} = ? WHERE id = ?"), &values)
        }),
        args::Instance::Remove { id } => db.transaction(|db| {
            if status(db, id)?.with_context(|| missing(id))? == DELETED {
                bail!("The instance {id} is deleted already.");
            }
            let sql = "UPDATE instances SET status = ?2 WHERE id = ?1";
            db.execute(sql, &[json!(id), json!(DELETED)])
        }),
        args::Instance::List { owner, all, format } => {
            let owner = owner.map(|owner| rows::find(db, USER, &owner)).transpose()?;
            let strings = STATUSES
                .iter()
                .map(|it| format!("WHEN {} THEN '{}' ", it.number, it.string.replace('\'', "''")));
            let (strings, other) = (strings.collect::<String>(), status_string(-1));
            let sql = format!(include_str!("instances.sql"), strings = strings, other = other);
            let columns = "ID=id, OWNER=owner, NODE=node, HOST=vdi_host, PORT=vdi_port, \
                           STATUS=status+status_string, NAME=name";
            rows::list(db, &sql, &[json!(owner), json!(all)], columns, format.json)
        }
    }
}

fn add(db: &mut Database, id: Option<i64>, new: Properties) -> Result<()> {
    let id = db.transaction(|db| {
        let (columns, mut values) = given(db, new, &Removed::default())?;
        if let Some(id) = id
            && status(db, id)?.is_some()
        {
            bail!("There is an instance {id} already, perhaps a deleted one (--all lists them).");
        }
        let (columns, parameters) = (columns.join(", "), "?, ".repeat(values.len()));
        values.push(json!(id));
        let sql = format!("INSERT INTO instances ({columns}, id) VALUES ({parameters}?)");
        db.query(&(sql + " RETURNING id"), &values)
    })?;
    output::write_id(&id)
}

/// The columns with a new value, and these values.
/// Fails if the owner or the node does not exist.
fn given(
    db: &mut Database,
    new: Properties,
    removed: &Removed,
) -> Result<(Vec<&'static str>, Vec<Value>)> {
    let owner = new.owner.map(|owner| rows::find(db, USER, &owner)).transpose()?;
    let node = new.node.or(new.node_id).map(|node| rows::find(db, NODE, &node)).transpose()?;
    let null = |given: bool| given.then_some(Value::Null);
    let given = [
        ("user_id", owner.map(Value::from).or(null(removed.no_owner))),
        ("node_id", node.map(Value::from).or(null(removed.no_node))),
        ("name", new.name.map(Value::from)),
        ("summary", new.summary.map(Value::from).or(null(removed.no_summary))),
        ("status", new.status.map(Value::from)),
        ("vdi_type", new.vdi_type.map(Value::from)),
        ("vdi_port", new.vdi_port.map(Value::from).or(null(removed.no_vdi_port))),
    ];
    Ok(given.into_iter().filter_map(|(column, value)| Some((column, value?))).unzip())
}

/// The status of the instance `id`, if it exists.
fn status(db: &mut Database, id: i64) -> Result<Option<i64>> {
    let found = db.query("SELECT status FROM instances WHERE id = ?1", &[json!(id)])?;
    Ok(found.first().map(|(status,)| *status))
}

fn missing(id: i64) -> String {
    format!("There is no instance {id}. luoyun-admin instance list --all shows all.")
}
