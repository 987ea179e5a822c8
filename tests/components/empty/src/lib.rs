//! The baseline without storage: parses a request and writes a reply as every endpoint does, with
//! no work in between.

use luoyun_common::{Reply, serve};
use serde::Serialize;
use spin_sdk::http::{IncomingRequest, ResponseOutparam};
use spin_sdk::http_component;

#[derive(Serialize)]
struct Nothing {}

#[http_component]
fn handle(request: IncomingRequest, response_out: ResponseOutparam) {
    serve("empty", request, response_out, |_| Ok(Reply::new("Nothing.", Nothing {})));
}
