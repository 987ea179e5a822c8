//! `POST /api/myun/instance`: the caller's own instances, a page at a time.

use luoyun_common::instance::{self, Page};
use luoyun_common::{Error, Params, Reply, serve, session};
use serde::Serialize;
use spin_sdk::http::{IncomingRequest, ResponseOutparam};
use spin_sdk::http_component;

#[derive(Serialize)]
struct List {
    total: i64,
    sepa: i64,
    p: i64,
}

fn list(params: &Params) -> Result<Reply<List>, Error> {
    let caller = session::authenticate(params)?;
    let page = caller.require(Page::from_params(params))?;
    let list = instance::list(&caller, page)?;
    Ok(Reply::new(
        format!("List {} instances", list.count),
        List { total: list.total, sepa: page.sepa, p: page.p },
    )
    .with_json("list", list.json))
}

#[http_component]
fn handle(request: IncomingRequest, response_out: ResponseOutparam) {
    serve(request, response_out, list);
}
