//! A static page for `GET` and `HEAD`. Answers 304 when the `ETag` matches.

use http::StatusCode;
use spin_sdk::http::{IncomingRequest, Method, ResponseOutparam};

use luoyun_common::{Error, wire};

/// A page that contains its own script and style.
pub(crate) struct Page {
    /// The HTML.
    pub(crate) html: &'static str,
    /// The entity tag, a quoted string that changes with the page (RFC 9110, 8.8.3).
    pub(crate) etag: &'static str,
    /// The value of `Content-Security-Policy`.
    pub(crate) policy: &'static str,
}

/// Answers one request with `page`: without the body for `HEAD`, and with 304 when
/// `If-None-Match` names its `ETag`. Answers other methods with the contract's JSON and 405.
pub(crate) fn serve_page(request: &IncomingRequest, response_out: ResponseOutparam, page: &Page) {
    if !matches!(request.method(), Method::Get | Method::Head) {
        return wire::refuse(response_out, &Error::MethodNotAllowed { allow: "GET, HEAD" });
    }
    let known = request.headers().get("if-none-match");
    let is_known = known.iter().flat_map(|value| value.split(|&byte| byte == b',')).any(|tag| {
        let tag = tag.trim_ascii();
        tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == page.etag.as_bytes()
    });

    let mut fields = vec![
        // Caches may store the page, and have to revalidate it at each use.
        ("cache-control", "no-cache"),
        ("etag", page.etag),
        ("content-security-policy", page.policy),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
    ];
    if is_known {
        return wire::respond(response_out, StatusCode::NOT_MODIFIED, fields, b"");
    }
    let length = page.html.len().to_string();
    fields.push(("content-type", "text/html; charset=utf-8"));
    fields.push(("content-length", &length));
    // The host omits the body in responses to HEAD.
    wire::respond(response_out, StatusCode::OK, fields, page.html.as_bytes());
}
