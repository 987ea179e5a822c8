//! `POST /api/myun/instance`: the caller's instances, one page per request.

use luoyun_common::session::Session;
use luoyun_common::{Error, Params, Reply, db};
use luoyun_values::status::status_string;
use serde::Serialize;
use serde_json::value::RawValue;
use spin_sdk::sqlite::Value;

/// The number of the caller's instances, and a page of them in one text, as the host copies each
/// value into the component by itself: a line for each instance, with its status, and its fields as two
/// JSON objects, between which `status_string` belongs. NULL if the page is empty. (SQLite joins texts
/// in the order in which it reads their rows. sqld rejects an ORDER BY within `group_concat`.)
const COLUMNS: &str = "
(SELECT count(*) FROM instances WHERE user_id = u.id AND status <> 100) total,
(SELECT group_concat(
     page.status
     || json_object('id', page.id, 'name', page.name, 'summary', page.summary, 'status', page.status)
     || char(9)
     || json_object('vdi_type', page.vdi_type, 'vdi_host', ifnull(n.ip, ''), 'vdi_port', page.vdi_port),
     char(10))
 FROM (SELECT id, name, summary, status, vdi_type, node_id, vdi_port FROM instances
       WHERE user_id = u.id AND status <> 100
       ORDER BY id LIMIT ?3 OFFSET ?4) page
 LEFT JOIN nodes n ON n.id = page.node_id) list";

/// Instances per page if the request has no `sepa`.
const DEFAULT_PAGE_SIZE: i64 = 10;

#[derive(Serialize)]
struct Page {
    list: Box<RawValue>,
    /// The number of the caller's instances on all pages.
    total: i64,
    sepa: i64,
    p: i64,
}

fn list(params: &Params) -> Result<Reply<Page>, Error> {
    let session = Session::find(params)?;
    let (sepa, p) = session.require(page_from(params))?;
    let values = [sepa, sepa.saturating_mul(p - 1)];
    let (total, lines) = match session.query(COLUMNS, "", &values)? {
        [Value::Integer(total), lines] => (total, db::text(lines).unwrap_or_default()),
        _ => return Err(db::unexpected_row()),
    };
    let (count, list) = list_from(&lines).ok_or_else(db::unexpected_row)?;
    Ok(Reply::new(format!("List {count} instances"), Page { list, total, sepa, p }))
}

/// `sepa`, the number of instances per page, and `p`, the page number, from 1.
fn page_from(params: &Params) -> Result<(i64, i64), Error> {
    let sepa = params.number("sepa", "a whole number from 1 to 1000", 1..=1000)?;
    let p = params.number("p", "a whole number from 1 to 9223372036854775807", 1..=i64::MAX)?;
    Ok((sepa.unwrap_or(DEFAULT_PAGE_SIZE), p.unwrap_or(1)))
}

/// The number of instances in `lines`, and their JSON array, with each `status_string`.
fn list_from(lines: &str) -> Option<(usize, Box<RawValue>)> {
    let mut list = String::with_capacity(2 * lines.len() + 2);
    let mut count = 0;
    for line in lines.lines() {
        // JSON escapes each tab and line break of a name.
        let (before, after) = line.split_once('\t')?;
        let (status, before) = before.strip_suffix('}')?.split_once('{')?;
        let after = after.strip_prefix('{')?;
        let string = status_string(status.parse().ok()?);
        // No `status_string` has a character that JSON escapes.
        let start = if count == 0 { "[{" } else { ",{" };
        list.extend([start, before, ",\"status_string\":\"", string, "\",", after]);
        count += 1;
    }
    list.push_str(if count == 0 { "[]" } else { "]" });
    Some((count, RawValue::from_string(list).ok()?))
}

luoyun_common::endpoint!("myun/instance", list);
