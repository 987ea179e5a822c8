//! The console over HTTP: caching and content security policy. `tests/browser` tests it in a
//! browser, and `cases.txt` has other methods.

use api_tests::Server;

#[test]
fn the_page_is_revalidated_by_its_etag_and_allows_only_itself() {
    let server = Server::with(&[]);
    let get = |field: &str| server.connect().request("GET", "/", &[field], b"");
    let page = get("Accept: */*");
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(page.header("cache-control"), Some("no-cache"));
    assert!(page.body.starts_with(b"<!doctype html>"));
    assert!(page.body.len() < 26_000, "{} bytes", page.body.len());
    // The oldest browsers that the contract names lack these.
    let text = String::from_utf8_lossy(&page.body);
    let newer =
        ":has( light-dark( color-mix( @layer @container .at( .hasOwn( ariaLabel AbortSignal.";
    for new in newer.split(' ') {
        assert!(!text.contains(new), "{new}");
    }
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
    for loose in ["unsafe", "http:", "https:", "*", "blob:"] {
        assert!(!policy.contains(loose), "{policy}");
    }

    let head = server.connect().request("HEAD", "/", &[], b"");
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("etag"), page.header("etag"));

    let etag = page.header("etag").unwrap();
    for known in [etag.to_owned(), format!("W/{etag}"), format!("\"x\", {etag}"), "*".to_owned()] {
        let response = get(&format!("If-None-Match: {known}"));
        assert_eq!((response.status, response.body.len()), (304, 0), "{known}");
        assert_eq!(response.header("etag"), Some(etag));
    }
    let other = get("If-None-Match: \"x\"");
    assert_eq!((other.status, other.body), (200, page.body));
}
