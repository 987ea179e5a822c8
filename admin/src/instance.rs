//! The commands on instances.

use anyhow::{Context, Result, bail};
use luoyun_status::{DELETED, STATUSES, status_string};
use serde_json::{Value, json};

use crate::args::{self, Existing, InstanceChange, NewInstance};
use crate::db::Database;
use crate::{node, output, rows, user};

/// Runs a command on instances.
pub(crate) fn run(db: &mut Database, command: args::Instance) -> Result<()> {
    match command {
        args::Instance::Add(new) => add(db, new),
        args::Instance::Set { id, change } => set(db, id, change),
        args::Instance::Remove { id } => db.transaction(|db| {
            if status(db, id)?.with_context(|| missing(id))? == DELETED {
                bail!("The instance {id} is deleted already.");
            }
            update(db, id, &[("status", json!(DELETED))])
        }),
        args::Instance::List { owner, all, format } => {
            let owner = owner.map(|owner| user::find(db, &owner.into())).transpose()?;
            let strings = STATUSES
                .iter()
                .map(|it| format!("WHEN {} THEN '{}' ", it.number, it.string.replace('\'', "''")));
            let sql = format!(
                "SELECT i.id, json_object('id', i.id, 'owner', u.username, 'node', n.hostname,
                     'name', i.name, 'summary', i.summary, 'status', i.status, 'status_string',
                     CASE i.status {}ELSE '{}' END,
                     'vdi_type', i.vdi_type, 'vdi_host', n.ip, 'vdi_port', i.vdi_port)
                 FROM instances i
                 LEFT JOIN users u ON u.id = i.user_id
                 LEFT JOIN nodes n ON n.id = i.node_id
                 WHERE i.id > ?1 AND (?3 IS NULL OR i.user_id = ?3) AND (?4 OR i.status <> 100)
                 ORDER BY i.id LIMIT ?2",
                strings.collect::<String>(),
                status_string(-1)
            );
            let columns = "ID=id, OWNER=owner, NODE=node, HOST=vdi_host, PORT=vdi_port, \
                           STATUS=status+status_string, NAME=name";
            rows::list(db, &sql, &[json!(owner), json!(all)], columns, format.json)
        }
    }
}

fn add(db: &mut Database, new: NewInstance) -> Result<()> {
    let id = db.transaction(|db| {
        let owner = user::find(db, &new.owner.into())?;
        let node = Existing::given(new.node, new.node_id);
        let node = node.map(|node| node::find(db, &node)).transpose()?;
        if let Some(id) = new.id
            && status(db, id)?.is_some()
        {
            bail!("There is an instance {id} already, perhaps a deleted one (--all lists them).");
        }
        let sql = "INSERT INTO instances
                       (id, user_id, node_id, name, summary, status, vdi_type, vdi_port)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) RETURNING id";
        let NewInstance { id, name, summary, status, vdi_type, vdi_port, .. } = new;
        let values = json!([id, owner, node, name, summary, status, vdi_type, vdi_port]);
        db.query(sql, values.as_array().map_or(&[], Vec::as_slice))
    })?;
    output::write_id(&id)
}

fn set(db: &mut Database, id: i64, new: InstanceChange) -> Result<()> {
    db.transaction(|db| {
        status(db, id)?.with_context(|| missing(id))?;
        let owner = new.owner.map(|owner| user::find(db, &owner.into())).transpose()?;
        let node = Existing::given(new.node, new.node_id);
        let node = node.map(|node| node::find(db, &node)).transpose()?;
        let null = |given: bool| given.then_some(Value::Null);
        let given = [
            ("user_id", owner.map(Value::from).or(null(new.no_owner))),
            ("node_id", node.map(Value::from).or(null(new.no_node))),
            ("name", new.name.map(Value::from)),
            ("summary", new.summary.map(Value::from).or(null(new.no_summary))),
            ("status", new.status.map(Value::from)),
            ("vdi_type", new.vdi_type.map(Value::from)),
            ("vdi_port", new.vdi_port.map(Value::from).or(null(new.no_vdi_port))),
        ];
        let given = given.into_iter().filter_map(|(column, value)| Some((column, value?)));
        update(db, id, &given.collect::<Vec<_>>())
    })
}

fn update(db: &mut Database, id: i64, columns: &[(&str, Value)]) -> Result<()> {
    let assignments = columns.iter().zip(2..).map(|((column, _), at)| format!("{column} = ?{at}"));
    let assignments = assignments.collect::<Vec<_>>().join(", ");
    let mut values = vec![json!(id)];
    values.extend(columns.iter().map(|(_, value)| value.clone()));
    db.execute(&format!("UPDATE instances SET {assignments} WHERE id = ?1"), &values)
}

/// The status of the instance `id`, if it exists.
fn status(db: &mut Database, id: i64) -> Result<Option<i64>> {
    let found = db.query("SELECT status FROM instances WHERE id = ?1", &[json!(id)])?;
    Ok(found.first().map(|(status,)| *status))
}

fn missing(id: i64) -> String {
    format!("There is no instance {id}. luoyun-admin instance list --all shows all.")
}
