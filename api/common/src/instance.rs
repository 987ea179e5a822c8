//! The instances: virtual machines, and where their remote desktops are.

use anyhow::{Context, anyhow};
use serde::Serialize;
use spin_sdk::sqlite::{RowResult, Value};

use crate::session::Caller;
use crate::user::open_database;
use crate::{Error, Params};

/// Items a page, where the request does not say.
const DEFAULT_PAGE_SIZE: i64 = 10;

/// One instance's remote desktop.
#[derive(Debug)]
pub struct Desktop {
    /// The instance's name.
    pub name: String,
    /// The protocol: 1 is SPICE.
    pub vdi_type: i64,
    /// The IP address of the instance's node, `""` where it has none.
    pub host: String,
    /// The TCP port, `None` where none is assigned.
    pub port: Option<i64>,
}

/// An item of a user's list of instances.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the contract's section on the list says what each is")]
pub struct Item {
    pub id: i64,
    pub name: String,
    pub summary: Option<String>,
    pub status: i64,
    pub status_string: &'static str,
    pub vdi_type: i64,
    pub vdi_host: String,
    pub vdi_port: Option<i64>,
}

/// One page of a user's list of instances.
#[derive(Debug, Serialize)]
pub struct List {
    /// The page's instances, by id.
    pub list: Vec<Item>,
    /// How many instances the whole list has.
    pub total: i64,
    /// The page that was asked for.
    #[serde(flatten)]
    pub page: Page,
}

/// Which page of a list, in how large pages.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Page {
    /// Items a page, 1 to 1000.
    pub sepa: i64,
    /// The page, from 1.
    pub p: i64,
}

impl Page {
    /// The page that `sepa` and `p` ask for.
    ///
    /// # Errors
    /// `InvalidParameter` where one of them is malformed or out of its range.
    pub fn from_params(params: &Params) -> Result<Self, Error> {
        let sepa = params.number("sepa", "a whole number from 1 to 1000", 1..=1000)?;
        let p = params.number("p", "a whole number from 1 to 9223372036854775807", 1..=i64::MAX)?;
        Ok(Self { sepa: sepa.unwrap_or(DEFAULT_PAGE_SIZE), p: p.unwrap_or(1) })
    }

    /// How many instances come before this page.
    fn offset(self) -> i64 {
        self.sepa.saturating_mul(self.p - 1)
    }
}

/// The id that `instance_id` names.
///
/// # Errors
/// `InvalidParameter` where it is missing, malformed or not 1 or more.
pub fn id_from_params(params: &Params) -> Result<i64, Error> {
    const NAME: &str = "instance_id";
    const TAKES: &str = "a whole number from 1 to 9223372036854775807";
    params
        .number(NAME, TAKES, 1..=i64::MAX)?
        .ok_or(Error::InvalidParameter { name: NAME, takes: TAKES })
}

/// The remote desktop of the caller's instance `id`.
///
/// # Errors
/// `AuthRequired` where the caller is locked or gone; `InstanceNotFound`;
/// `InstanceNotOwned`; `Internal` where the database fails.
pub fn find(caller: &Caller, id: i64) -> Result<Desktop, Error> {
    // One query for all of it: a user who is locked or gone gives no row, and an
    // instance that is not there gives NULLs.
    let found = open_database()?
        .execute(
            "SELECT i.user_id, i.name, i.vdi_type, i.vdi_port, n.ip
             FROM users u
             LEFT JOIN instances i ON i.id = ?3 AND i.status <> 100
             LEFT JOIN nodes n ON n.id = i.node_id
             WHERE u.id = ?1 AND u.session_epoch = ?2 AND u.is_locked = 0",
            &[
                Value::Integer(caller.user_id),
                Value::Integer(caller.session_epoch),
                Value::Integer(id),
            ],
        )
        .context("find the instance")?;
    let row = found.rows.into_iter().next().ok_or(Error::AuthRequired)?;
    match <[Value; 5]>::try_from(row.values) {
        Ok([_, Value::Null, ..]) => Err(Error::InstanceNotFound(id)),
        Ok([owner, Value::Text(name), Value::Integer(vdi_type), port, host]) => {
            if !matches!(owner, Value::Integer(owner) if owner == caller.user_id) {
                return Err(Error::InstanceNotOwned(id));
            }
            Ok(Desktop {
                name,
                vdi_type,
                host: text(host).unwrap_or_default(),
                port: integer(&port),
            })
        }
        _ => Err(anyhow!("find the instance: unexpected row").into()),
    }
}

/// One page of the caller's instances that are not deleted, by id.
///
/// # Errors
/// `AuthRequired` where the caller is locked or gone; `Internal` where the
/// database fails.
pub fn list(caller: &Caller, page: Page) -> Result<List, Error> {
    // One query for all of it: first a row about the user, told from an instance's
    // by the NULL where that has its id, then the instances. A user who is locked or
    // gone gives no such row.
    let found = open_database()?
        .execute(
            "SELECT NULL,
                    (SELECT COUNT(*) FROM instances WHERE user_id = ?1 AND status <> 100),
                    NULL, NULL, NULL, NULL, NULL
             FROM users WHERE id = ?1 AND session_epoch = ?2 AND is_locked = 0
             UNION ALL
             SELECT * FROM (
                 SELECT i.id, i.status, i.vdi_type, i.vdi_port, i.name, i.summary, n.ip
                 FROM instances i LEFT JOIN nodes n ON n.id = i.node_id
                 WHERE i.user_id = ?1 AND i.status <> 100
                 ORDER BY i.id LIMIT ?3 OFFSET ?4)",
            &[
                Value::Integer(caller.user_id),
                Value::Integer(caller.session_epoch),
                Value::Integer(page.sepa),
                Value::Integer(page.offset()),
            ],
        )
        .context("list the instances")?;
    let mut rows = found.rows.into_iter();
    let total = match rows.next().as_ref().map(|row| row.values.as_slice()) {
        Some([Value::Null, Value::Integer(total), ..]) => *total,
        _ => return Err(Error::AuthRequired),
    };
    let list = rows.map(item).collect::<Result<_, _>>()?;
    Ok(List { list, total, page })
}

fn item(row: RowResult) -> Result<Item, Error> {
    match <[Value; 7]>::try_from(row.values) {
        Ok(
            [
                Value::Integer(id),
                Value::Integer(status),
                Value::Integer(vdi_type),
                port,
                Value::Text(name),
                summary,
                host,
            ],
        ) => Ok(Item {
            id,
            name,
            summary: text(summary),
            status,
            status_string: status_string(status),
            vdi_type,
            vdi_host: text(host).unwrap_or_default(),
            vdi_port: integer(&port),
        }),
        _ => Err(anyhow!("list the instances: unexpected row").into()),
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(integer) => Some(*integer),
        _ => None,
    }
}

/// What a status means, in the original's own words.
#[must_use]
pub fn status_string(status: i64) -> &'static str {
    match status {
        0 => "unknown",
        1 => "new instance that hasn't run once",
        2 => "instance is stopped",
        3 => "instance is started by hypervisor",
        4 => "osm in instance connected",
        5 => "application is running",
        9 => "instance is suspend",
        100 => "instance is deleted",
        245 => "instance needs queryed",
        255 => "the instance disk does not exist",
        _ => "Unknown Status",
    }
}
