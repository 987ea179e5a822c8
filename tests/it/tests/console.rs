//! The console over HTTP: methods, caching and content security policy. `tests/browser` tests it
//! in a browser.

use api_tests::{Server, Setup};
use serde_json::json;

#[test]
fn the_page_is_revalidated_by_its_etag() {
    let server = Server::start(Setup::default());
    let mut client = server.connect();
    let page = client.request("GET", "/", &[], b"");
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(page.header("cache-control"), Some("no-cache"));
    assert!(page.body.starts_with(b"<!doctype html>"));
    assert!(page.body.len() < 20_000, "{} bytes", page.body.len());

    let head = client.request("HEAD", "/", &[], b"");
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("etag"), page.header("etag"));

    let etag = page.header("etag").unwrap();
    for known in [etag.to_owned(), format!("W/{etag}"), format!("\"x\", {etag}"), "*".to_owned()] {
        let field = format!("If-None-Match: {known}");
        let response = client.request("GET", "/", &[&field], b"");
        assert_eq!((response.status, response.body.len()), (304, 0), "{known}");
        assert_eq!(response.header("etag"), Some(etag));
    }
    let other = client.request("GET", "/", &["If-None-Match: \"x\""], b"");
    assert_eq!((other.status, other.body), (200, page.body));
}

#[test]
fn the_content_security_policy_allows_only_the_page_itself() {
    let server = Server::start(Setup::default());
    let page = server.connect().request("GET", "/", &[], b"");
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
    for loose in ["unsafe", "http:", "https:", "*", "blob:"] {
        assert!(!policy.contains(loose), "{policy}");
    }
}

#[test]
fn other_methods_are_rejected_in_json() {
    let server = Server::start(Setup::default());
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let response = server.connect().request(method, "/", &[], b"");
        assert_eq!((response.status, response.header("allow")), (405, Some("GET, HEAD")));
        let refused = json!({"code": 1, "desc": "Use GET, HEAD.", "error": "method_not_allowed"});
        assert_eq!(response.json(), refused, "{method}");
    }
}
