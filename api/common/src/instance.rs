//! The instances: virtual machines, and where their remote desktops are.

use spin_sdk::sqlite::Value;

use crate::envelope::Context;
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

/// One page of a user's list of instances.
#[derive(Debug)]
pub struct List {
    /// How many instances are on the page.
    pub count: i64,
    /// The page's instances, by id, as a JSON array.
    pub json: String,
    /// How many instances the whole list has.
    pub total: i64,
}

/// Which page of a list, in how large pages.
#[derive(Clone, Copy, Debug)]
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
        _ => Err(Error::Internal("find the instance: unexpected row".to_owned())),
    }
}

/// One page of the caller's instances that are not deleted, by id.
///
/// # Errors
/// `AuthRequired` where the caller is locked or gone; `Internal` where the
/// database fails.
pub fn list(caller: &Caller, page: Page) -> Result<List, Error> {
    let found = open_database()?
        .execute(
            LIST,
            &[
                Value::Integer(caller.user_id),
                Value::Integer(caller.session_epoch),
                Value::Integer(page.sepa),
                Value::Integer(page.offset()),
            ],
        )
        .context("list the instances")?;
    let row = found.rows.into_iter().next().ok_or(Error::AuthRequired)?;
    match <[Value; 3]>::try_from(row.values) {
        Ok([Value::Integer(total), Value::Integer(count), Value::Text(json)]) => {
            Ok(List { count, json, total })
        }
        _ => Err(Error::Internal("list the instances: unexpected row".to_owned())),
    }
}

/// One row: the total, how many are on the page, and the page as JSON: one text comes in
/// instead of eight values an instance. A user who is locked or gone gives no row.
///
/// A late page is not counted off from the first instance, but from `start`, where its
/// range of ids begins.
const LIST: &str = "
WITH start (id) AS (
    SELECT CASE WHEN ?4 < 4096 THEN 0 ELSE ifnull((
        SELECT max(id_range) FROM (
            SELECT id_range, sum(total) OVER (ORDER BY id_range) - total AS before
            FROM instance_counts WHERE user_id = ?1)
        WHERE before <= ?4), 0) << 12 END)
SELECT (SELECT ifnull(sum(total), 0) FROM instance_counts WHERE user_id = ?1),
       page.count, page.json
FROM users u, (
    SELECT count(*) AS count, json_group_array(json_object(
        'id', listed.id,
        'name', listed.name,
        'summary', listed.summary,
        'status', listed.status,
        'status_string', CASE listed.status
            WHEN 0 THEN 'unknown'
            WHEN 1 THEN 'new instance that hasn''t run once'
            WHEN 2 THEN 'instance is stopped'
            WHEN 3 THEN 'instance is started by hypervisor'
            WHEN 4 THEN 'osm in instance connected'
            WHEN 5 THEN 'application is running'
            WHEN 9 THEN 'instance is suspend'
            WHEN 245 THEN 'instance needs queryed'
            WHEN 255 THEN 'the instance disk does not exist'
            ELSE 'Unknown Status' END,
        'vdi_type', listed.vdi_type,
        'vdi_host', ifnull(n.ip, ''),
        'vdi_port', listed.vdi_port)) AS json
    FROM (
        SELECT id, status, vdi_type, vdi_port, name, summary, node_id FROM instances
        WHERE user_id = ?1 AND status <> 100 AND id >= (SELECT id FROM start)
        ORDER BY id LIMIT ?3 OFFSET ?4 - (
            SELECT ifnull(sum(total), 0) FROM instance_counts
            WHERE user_id = ?1 AND id_range < (SELECT id >> 12 FROM start))) listed
    LEFT JOIN nodes n ON n.id = listed.node_id) page
WHERE u.id = ?1 AND u.session_epoch = ?2 AND u.is_locked = 0";

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
