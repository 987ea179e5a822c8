//! `GET /`: the console, one static page.

use luoyun_common::page::{Page, serve_page};
use spin_sdk::http::{IncomingRequest, ResponseOutparam};
use spin_sdk::http_component;

const CONSOLE: Page = Page {
    html: include_str!("../index.html"),
    etag: env!("PAGE_ETAG"),
    policy: env!("PAGE_POLICY"),
};

#[http_component]
fn handle(request: IncomingRequest, response_out: ResponseOutparam) {
    serve_page(&request, response_out, &CONSOLE);
}
