//! `POST /api/instance/baseinfo`: the host and port of an instance's remote desktop.

use luoyun_common::session::Session;
use luoyun_common::{Error, Params, Reply, db};
use serde::Serialize;
use spin_sdk::sqlite::Value;

/// NULLs if the instance does not exist.
const COLUMNS: &str = "i.user_id = u.id, i.name, i.vdi_type, i.vdi_port, n.ip";

const JOINS: &str = "
LEFT JOIN instances i ON i.id = ?3 AND i.status <> 100
LEFT JOIN nodes n ON n.id = i.node_id";

#[derive(Serialize)]
struct BaseInfo {
    instance_id: i64,
    /// The protocol: 1 is SPICE.
    vdi_type: i64,
    /// The IP address of the instance's node, `""` if there is none.
    host: String,
    /// `None` if no port is assigned.
    port: Option<i64>,
}

fn baseinfo(params: &Params) -> Result<Reply<BaseInfo>, Error> {
    let session = Session::find(params)?;
    let id = session.require(instance_id(params))?;
    match session.query::<5>(COLUMNS, JOINS, &[id])? {
        [_, Value::Null, ..] => Err(Error::InstanceNotFound(id)),
        [Value::Integer(1), Value::Text(name), Value::Integer(vdi_type), port, host] => {
            let (port, host) = (db::integer(&port), db::text(host).unwrap_or_default());
            let info = BaseInfo { instance_id: id, vdi_type, host, port };
            Ok(Reply::new(format!("Information about {name}"), info))
        }
        [Value::Integer(0) | Value::Null, ..] => Err(Error::InstanceNotOwned(id)),
        _ => Err(db::unexpected_row()),
    }
}

fn instance_id(params: &Params) -> Result<i64, Error> {
    const NAME: &str = "instance_id";
    const EXPECTED: &str = "a whole number from 1 to 9223372036854775807";
    let id = params.number(NAME, EXPECTED, 1..=i64::MAX)?;
    id.ok_or(Error::InvalidParameter { name: NAME, expected: EXPECTED })
}

luoyun_common::endpoint!("instance/baseinfo", baseinfo);
