//! `POST /api/instance/baseinfo`: the host and port of an instance's remote desktop.

use luoyun_common::envelope::Context;
use luoyun_common::session::{self, Caller};
use luoyun_common::{Error, Params, Reply, db, is_active};
use serde::Serialize;
use spin_sdk::sqlite::Value;

/// No row if the caller is not active (see [`Caller`]); NULLs if the instance does not exist.
const FIND_INSTANCE: &str = concat!(
    "
SELECT i.user_id, i.name, i.vdi_type, i.vdi_port, n.ip
FROM users u
LEFT JOIN instances i ON i.id = ?3 AND i.status <> 100
LEFT JOIN nodes n ON n.id = i.node_id
WHERE ",
    is_active!()
);

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
    let caller = session::authenticate(params)?;
    let id = caller.require(instance_id(params))?;
    let (name, info) = find(&caller, id)?;
    Ok(Reply::new(format!("Information about {name}"), info))
}

fn instance_id(params: &Params) -> Result<i64, Error> {
    const NAME: &str = "instance_id";
    const EXPECTED: &str = "a whole number from 1 to 9223372036854775807";
    let id = params.number(NAME, EXPECTED, 1..=i64::MAX)?;
    id.ok_or(Error::InvalidParameter { name: NAME, expected: EXPECTED })
}

/// The name of the caller's instance `id`, and its remote desktop.
fn find(caller: &Caller, id: i64) -> Result<(String, BaseInfo), Error> {
    let [user, epoch] = caller.parameters();
    let values = [user, epoch, Value::Integer(id)];
    let found = db::open()?.execute(FIND_INSTANCE, &values).context("find the instance")?;
    let row = found.rows.into_iter().next().ok_or(Error::AuthRequired)?;
    match <[Value; 5]>::try_from(row.values) {
        Ok([_, Value::Null, ..]) => Err(Error::InstanceNotFound(id)),
        Ok([owner, Value::Text(name), Value::Integer(vdi_type), port, host]) => {
            if db::integer(&owner) != Some(caller.user_id) {
                return Err(Error::InstanceNotOwned(id));
            }
            let host = db::text(host).unwrap_or_default();
            Ok((name, BaseInfo { instance_id: id, vdi_type, host, port: db::integer(&port) }))
        }
        _ => Err(Error::Internal("find the instance: unexpected row".to_owned())),
    }
}

luoyun_common::endpoint!("instance/baseinfo", baseinfo);
