//! `POST /api/logout`: the end of a session.

use luoyun_common::{Error, Params, Reply, serve, session};
use serde::Serialize;
use spin_sdk::http::{IncomingRequest, ResponseOutparam};
use spin_sdk::http_component;

#[derive(Serialize)]
struct Logout {}

fn logout(params: &Params) -> Result<Reply<Logout>, Error> {
    session::authenticate(params)?.log_out()?;
    Ok(Reply::new("Bye.", Logout {}))
}

#[http_component]
fn handle(request: IncomingRequest, response_out: ResponseOutparam) {
    serve("logout", request, response_out, logout);
}
