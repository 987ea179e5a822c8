//! What a request costs before an endpoint does anything: the same way in and the
//! same way out, and nothing between.

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
