//! A static page: served to `GET` and `HEAD`, and not sent again to who has it.

use http::StatusCode;
use spin_sdk::http::{IncomingRequest, Method, ResponseOutparam};

use crate::{Error, wire};

/// A page with the script and the style that it needs in it.
pub struct Page {
    /// The page.
    pub html: &'static str,
    /// A quoted string that changes with the page (RFC 9110, 8.8.3).
    pub etag: &'static str,
    /// Its Content-Security-Policy.
    pub policy: &'static str,
}

/// Answers one request with `page`; with no body to `HEAD`, and to who names its
/// `etag`. Refuses other methods in the contract's JSON.
pub fn serve_page(request: &IncomingRequest, response_out: ResponseOutparam, page: &Page) {
    if !matches!(request.method(), Method::Get | Method::Head) {
        return wire::refuse(response_out, &Error::MethodNotAllowed { allow: "GET, HEAD" });
    }
    let known = request.headers().get("if-none-match");
    let is_known = known.iter().flat_map(|value| value.split(|&byte| byte == b',')).any(|tag| {
        let tag = tag.trim_ascii();
        tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == page.etag.as_bytes()
    });

    let mut fields = vec![
        // Kept, and asked for again each time: the answer is mostly that it is the same.
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
    // After HEAD, the host leaves the body out.
    wire::respond(response_out, StatusCode::OK, fields, page.html.as_bytes());
}
