//! `GET /`: the console, one static page.

mod page;

use spin_sdk::http::{IncomingRequest, ResponseOutparam};
use spin_sdk::http_component;

use crate::page::{Page, serve_page};

const CONSOLE: Page = Page {
    html: include_str!("../index.html"),
    etag: env!("PAGE_ETAG"),
    policy: env!("PAGE_POLICY"),
};

#[http_component]
fn handle(request: IncomingRequest, response_out: ResponseOutparam) {
    serve_page(&request, response_out, &CONSOLE);
}
