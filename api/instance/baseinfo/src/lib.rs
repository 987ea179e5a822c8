//! `POST /api/instance/baseinfo`: where an instance's remote desktop is.

use luoyun_common::{Error, Params, Reply, instance, serve, session};
use serde::Serialize;
use spin_sdk::http::{IncomingRequest, ResponseOutparam};
use spin_sdk::http_component;

#[derive(Serialize)]
struct BaseInfo {
    instance_id: i64,
    vdi_type: i64,
    host: String,
    port: Option<i64>,
}

fn baseinfo(params: &Params) -> Result<Reply<BaseInfo>, Error> {
    let caller = session::authenticate(params)?;
    let instance_id = caller.require(instance::id_from_params(params))?;
    let desktop = instance::find(&caller, instance_id)?;
    Ok(Reply::new(
        format!("Information about {}", desktop.name),
        BaseInfo {
            instance_id,
            vdi_type: desktop.vdi_type,
            host: desktop.host,
            port: desktop.port,
        },
    ))
}

#[http_component]
fn handle(request: IncomingRequest, response_out: ResponseOutparam) {
    serve("instance/baseinfo", request, response_out, baseinfo);
}
