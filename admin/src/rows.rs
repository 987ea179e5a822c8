//! The rows of lists. They are deserialized from the columns of a query, in the order of their
//! fields.

use luoyun_status::status_string;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use crate::db::Database;
use crate::output::{IDS_SHOWN, Row, or_dash, some_ids, write_list};

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

impl Row for User {
    const HEADERS: &'static [&'static str] = &["ID", "LAST LOGIN", "LOCKED", "USERNAME"];

    fn cells(&self) -> Vec<String> {
        let locked = if self.is_locked { "locked" } else { "-" };
        let last_login = or_dash(self.last_login.as_ref());
        vec![self.id.to_string(), last_login, locked.to_owned(), self.username.clone()]
    }
}

impl Row for Node {
    const HEADERS: &'static [&'static str] = &["ID", "IP", "HOSTNAME"];

    fn cells(&self) -> Vec<String> {
        vec![self.id.to_string(), or_dash(self.ip.as_ref()), or_dash(self.hostname.as_ref())]
    }
}

impl Row for Instance {
    const HEADERS: &'static [&'static str] =
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
    let found: Vec<(i64, usize)> = db.query(
        &format!(
            "SELECT id, count(*) OVER () FROM instances WHERE {condition} AND status <> 100
             ORDER BY id LIMIT {IDS_SHOWN}"
        ),
        values,
    )?;
    Ok(found.first().map(|&(_, count)| {
        let ids: Vec<_> = found.iter().map(|(id, _)| *id).collect();
        let noun = if count == 1 { "instance" } else { "instances" };
        format!("{count} {noun} {}", some_ids(count, &ids))
    }))
}

fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    i64::deserialize(deserializer).map(|number| number != 0)
}

fn status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    i64::deserialize(deserializer).map(|number| status_string(number).to_owned())
}
