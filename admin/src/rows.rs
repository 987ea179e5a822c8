//! The rows of lists. They are deserialized from the columns of a query, in the order of their
//! fields.

use luoyun_status::status_string;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use crate::db::Database;
use crate::output::{Columns, IDS_SHOWN, Row, some_ids, write_list};

/// Rows that one query reads: a summary may have 4 KiB, and sqld limits its replies to 10 MB.
const PAGE_ROWS: usize = 1000;

#[derive(Serialize, Deserialize)]
pub(crate) struct User {
    id: i64,
    username: String,
    #[serde(deserialize_with = "flag")]
    is_locked: bool,
    /// ISO 8601, in UTC.
    last_login: Option<String>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Node {
    id: i64,
    hostname: Option<String>,
    ip: Option<String>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Instance {
    id: i64,
    owner: Option<String>,
    node: Option<String>,
    name: String,
    summary: Option<String>,
    status: i64,
    /// Derived from the status, which the query therefore selects twice.
    #[serde(deserialize_with = "status")]
    status_string: String,
    vdi_type: i64,
    vdi_host: Option<String>,
    vdi_port: Option<u16>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Wait {
    address: String,
    failures: i64,
    /// Until a login is accepted again.
    seconds: i64,
}

impl Row for Wait {
    const COLUMNS: Columns =
        &[("ADDRESS", &["address"]), ("FAILURES", &["failures"]), ("SECONDS", &["seconds"])];
}

impl Row for User {
    const COLUMNS: Columns = &[
        ("ID", &["id"]),
        ("LAST LOGIN", &["last_login"]),
        ("LOCKED", &["is_locked"]),
        ("USERNAME", &["username"]),
    ];
}

impl Row for Node {
    const COLUMNS: Columns = &[("ID", &["id"]), ("IP", &["ip"]), ("HOSTNAME", &["hostname"])];
}

impl Row for Instance {
    const COLUMNS: Columns = &[
        ("ID", &["id"]),
        ("OWNER", &["owner"]),
        ("NODE", &["node"]),
        ("HOST", &["vdi_host"]),
        ("PORT", &["vdi_port"]),
        ("STATUS", &["status", "status_string"]),
        ("NAME", &["name"]),
    ];
}

/// Writes a list of all rows of `sql`, which selects at most `?2` rows with an id above `?1`, by
/// ascending id, its first column. `values` are for `?3` and the following parameters.
pub(crate) fn list<R: Row>(
    db: &mut Database,
    sql: &str,
    values: &[Value],
    as_json: bool,
) -> anyhow::Result<()> {
    let (mut rows, mut last_id): (Vec<R>, _) = (Vec::new(), json!(i64::MIN));
    loop {
        let page = db.query(sql, &[&[last_id, json!(PAGE_ROWS)], values].concat())?;
        let is_last = page.len() < PAGE_ROWS;
        rows.extend(page);
        last_id = json!(rows.last())["id"].take();
        if is_last {
            return write_list(&rows, as_json);
        }
    }
}

/// Describes, for a message, how many instances that are not deleted match `condition`, with the
/// first ids; `None` if none does.
pub(crate) fn instances_where(
    db: &mut Database,
    condition: &str,
    values: &[Value],
) -> anyhow::Result<Option<String>> {
    let sql = format!(
        "SELECT id, count(*) OVER () FROM instances WHERE {condition} AND status <> 100
         ORDER BY id LIMIT {IDS_SHOWN}"
    );
    let found: Vec<(i64, i64)> = db.query(&sql, values)?;
    let Some(&(_, total)) = found.first() else { return Ok(None) };
    let ids = found.iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>().join(", ");
    let noun = if total == 1 { "instance" } else { "instances" };
    Ok(Some(format!("{total} {noun} {}", some_ids(total, &ids))))
}

fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    i64::deserialize(deserializer).map(|number| number != 0)
}

fn status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    i64::deserialize(deserializer).map(|number| status_string(number).to_owned())
}
