//! Two endpoints as one writes them by the SDK's examples: a request read whole, a
//! `Response` returned. They answer as ours do to a good request.

use std::collections::HashMap;

use anyhow::Context;
use luoyun_common::instance;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use sha1::{Digest, Sha1};
use spin_sdk::http::{IntoResponse, Request, Response};
use spin_sdk::http_component;
use spin_sdk::key_value::Store;
use spin_sdk::sqlite::{Connection, Value};

#[derive(Deserialize)]
struct Entry {
    user_id: i64,
    epoch: i64,
}

#[http_component]
async fn handle(request: Request) -> anyhow::Result<impl IntoResponse> {
    let params: HashMap<String, String> =
        form_urlencoded::parse(request.body()).into_owned().collect();
    let key = params.get("session_key").context("session_key is missing")?;
    let digest = base16ct::lower::encode_string(&Sha1::digest(key));
    let entry =
        Store::open_default()?.get(&format!("session:{digest}"))?.context("no such session")?;
    let entry: Entry = serde_json::from_slice(&entry)?;

    let reply = match request.path() {
        "/ordinary/baseinfo" => baseinfo(&entry, params["instance_id"].parse()?)?,
        _ => list(&entry)?,
    };
    Ok(Response::builder()
        .status(200)
        .header("content-type", "application/json")
        .body(serde_json::to_vec(&reply)?)
        .build())
}

fn query(sql: &str, entry: &Entry, values: &[i64]) -> anyhow::Result<Vec<Value>> {
    let values: Vec<_> =
        [&[entry.user_id, entry.epoch], values].concat().into_iter().map(Value::Integer).collect();
    let found = Connection::open_default()?.execute(sql, &values)?;
    Ok(found.rows.into_iter().next().context("the user is locked")?.values)
}

fn baseinfo(entry: &Entry, id: i64) -> anyhow::Result<Json> {
    let row = query(instance::FIND, entry, &[id])?;
    let [_, Value::Text(name), Value::Integer(vdi_type), port, host] = row.as_slice() else {
        anyhow::bail!("unexpected row");
    };
    let port = if let Value::Integer(port) = port { Some(port) } else { None };
    let host = if let Value::Text(host) = host { host } else { "" };
    Ok(json!({
        "code": 0,
        "desc": format!("Information about {name}"),
        "instance_id": id,
        "vdi_type": vdi_type,
        "host": host,
        "port": port,
    }))
}

fn list(entry: &Entry) -> anyhow::Result<Json> {
    let row = query(instance::LIST, entry, &[10, 0])?;
    let [Value::Integer(total), Value::Integer(count), Value::Text(list)] = row.as_slice() else {
        anyhow::bail!("unexpected row");
    };
    let list: Json = serde_json::from_str(list)?;
    let desc = format!("List {count} instances");
    Ok(json!({"code": 0, "desc": desc, "list": list, "total": total, "sepa": 10, "p": 1}))
}
