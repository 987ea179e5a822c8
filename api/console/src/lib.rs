//! `GET /`: the console, one static page that contains its own script and style.

use http::StatusCode;
use luoyun_common::wire;
use spin_sdk::http::{IncomingRequest, ResponseOutparam};
use spin_sdk::http_component;

const PAGE: &str = include_str!("../index.html");

/// Answers `GET` and `HEAD`, with 304 when `If-None-Match` names the page's entity tag
/// (RFC 9110, 8.8.3). Refuses other methods as the contract says.
#[http_component]
fn handle(request: IncomingRequest, response_out: ResponseOutparam) {
    let known = request.headers().get("if-none-match");
    if let Err(error) = wire::read_page_request(request) {
        return wire::refuse(response_out, &error);
    }
    let etag = env!("PAGE_ETAG");
    let is_known = known.iter().flat_map(|value| value.split(|&byte| byte == b',')).any(|tag| {
        let tag = tag.trim_ascii();
        tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == etag.as_bytes()
    });

    let mut fields = vec![
        // Caches may store the page, and have to revalidate it at each use.
        ("cache-control", "no-cache"),
        ("etag", etag),
        ("content-security-policy", env!("PAGE_POLICY")),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
    ];
    if is_known {
        return wire::respond(response_out, StatusCode::NOT_MODIFIED, fields, b"");
    }
    let length = PAGE.len().to_string();
    fields.push(("content-type", "text/html; charset=utf-8"));
    fields.push(("content-length", &length));
    // The host omits the body in responses to HEAD.
    wire::respond(response_out, StatusCode::OK, fields, PAGE.as_bytes());
}
