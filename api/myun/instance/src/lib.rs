//! `POST /api/myun/instance`: the caller's instances, one page per request.

use luoyun_common::envelope::Context;
use luoyun_common::session::{self, Caller};
use luoyun_common::{Error, Params, Reply, db, is_active};
use luoyun_values::status::status_string;
use serde::Serialize;
use spin_sdk::sqlite::{RowResult, Value};

/// One row per instance of the page, each with the total. No row if the caller is not active
/// (see [`Caller`]); one row with NULLs if the page is empty.
const LIST_INSTANCES: &str = concat!(
    "
SELECT (SELECT count(*) FROM instances WHERE user_id = ?1 AND status <> 100),
       page.id, page.name, page.summary, page.status, page.vdi_type, n.ip, page.vdi_port
FROM users u
LEFT JOIN (SELECT id, name, summary, status, vdi_type, node_id, vdi_port FROM instances
           WHERE user_id = ?1 AND status <> 100
           ORDER BY id LIMIT ?3 OFFSET ?4) page
LEFT JOIN nodes n ON n.id = page.node_id
WHERE ",
    is_active!(),
    "
ORDER BY page.id"
);

/// Instances per page if the request has no `sepa`.
const DEFAULT_PAGE_SIZE: i64 = 10;

#[derive(Serialize)]
struct Page {
    list: Vec<Item>,
    /// The number of the caller's instances on all pages.
    total: i64,
    sepa: i64,
    p: i64,
}

#[derive(Serialize)]
struct Item {
    id: i64,
    name: String,
    summary: Option<String>,
    status: i64,
    status_string: &'static str,
    /// The protocol of the remote desktop: 1 is SPICE.
    vdi_type: i64,
    /// The IP address of the instance's node, `""` if there is none.
    vdi_host: String,
    /// `None` if no port is assigned.
    vdi_port: Option<i64>,
}

fn list(params: &Params) -> Result<Reply<Page>, Error> {
    let caller = session::authenticate(params)?;
    let (sepa, p) = caller.require(page_from(params))?;
    let (total, list) = find(&caller, sepa, p)?;
    Ok(Reply::new(format!("List {} instances", list.len()), Page { list, total, sepa, p }))
}

/// `sepa`, the number of instances per page, and `p`, the page number, from 1.
fn page_from(params: &Params) -> Result<(i64, i64), Error> {
    let sepa = params.number("sepa", "a whole number from 1 to 1000", 1..=1000)?;
    let p = params.number("p", "a whole number from 1 to 9223372036854775807", 1..=i64::MAX)?;
    Ok((sepa.unwrap_or(DEFAULT_PAGE_SIZE), p.unwrap_or(1)))
}

/// The number of the caller's instances, and the instances of one page.
fn find(caller: &Caller, sepa: i64, p: i64) -> Result<(i64, Vec<Item>), Error> {
    let offset = sepa.saturating_mul(p - 1);
    let [user, epoch] = caller.parameters();
    let values = [user, epoch, Value::Integer(sepa), Value::Integer(offset)];
    let found = db::open()?.execute(LIST_INSTANCES, &values).context("list the instances")?;
    let total = match found.rows.first().map(|row| row.values.as_slice()) {
        None => return Err(Error::AuthRequired),
        Some([Value::Integer(total), Value::Null, ..]) => return Ok((*total, Vec::new())),
        Some([Value::Integer(total), ..]) => *total,
        Some(_) => return Err(unexpected_row()),
    };
    let items: Option<Vec<Item>> = found.rows.into_iter().map(item).collect();
    Ok((total, items.ok_or_else(unexpected_row)?))
}

fn item(row: RowResult) -> Option<Item> {
    let [_, id, name, summary, status, vdi_type, vdi_host, vdi_port] =
        <[Value; 8]>::try_from(row.values).ok()?;
    let status = db::integer(&status)?;
    Some(Item {
        id: db::integer(&id)?,
        name: db::text(name)?,
        summary: db::text(summary),
        status,
        status_string: status_string(status),
        vdi_type: db::integer(&vdi_type)?,
        vdi_host: db::text(vdi_host).unwrap_or_default(),
        vdi_port: db::integer(&vdi_port),
    })
}

fn unexpected_row() -> Error {
    Error::Internal("list the instances: unexpected row".to_owned())
}

luoyun_common::endpoint!("myun/instance", list);
