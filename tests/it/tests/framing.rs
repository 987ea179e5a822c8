//! Requests as raw bytes: chunked bodies, wrong lengths and incomplete bodies.

use api_tests::client::exchange;
use api_tests::{Server, Setup};

const LOGIN_FORM: &str = "username=luoyun&password=luoyun";

fn head(fields: &str) -> String {
    format!("POST /api/login HTTP/1.1\r\nHost: x\r\n{fields}\r\n")
}

/// `body` in chunks of `size` bytes, without the terminating chunk.
fn chunks(body: &str, size: usize) -> String {
    let chunk =
        |bytes: &[u8]| format!("{:x}\r\n{}\r\n", bytes.len(), String::from_utf8_lossy(bytes));
    body.as_bytes().chunks(size).map(chunk).collect()
}

/// Sends each request, complete or not, and leaves the connection open: the reply has to come
/// without further bytes.
#[test]
fn a_reply_does_not_wait_for_bytes_that_it_does_not_need() {
    let server = Server::start(Setup::default());
    let chunked = head("Transfer-Encoding: chunked\r\n");
    let json = head("Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n");
    let long = "a".repeat(70_000);
    let rows = [
        (
            "one chunk",
            format!("{chunked}{}0\r\n\r\n", chunks(LOGIN_FORM, 1000)),
            200,
            "Welcome to LYC.",
        ),
        (
            "many chunks",
            format!("{chunked}{}0\r\n\r\n", chunks(LOGIN_FORM, 1)),
            200,
            "Welcome to LYC.",
        ),
        (
            "a chunk extension and trailers",
            format!("{chunked}1f;a=b\r\n{LOGIN_FORM}\r\n0\r\nX-Trailer: a\r\n\r\n"),
            200,
            "Welcome to LYC.",
        ),
        ("an empty chunked body", format!("{chunked}0\r\n\r\n"), 200, "username must be"),
        ("an empty chunked body of JSON", format!("{json}0\r\n\r\n"), 200, "username must be"),
        ("the first chunk of JSON", format!("{json}1\r\n{{\r\n"), 415, "application/x-www-form"),
        ("too many chunks", format!("{chunked}{}", chunks(&long, 1000)), 413, "at most 64 KiB"),
        (
            "a chunk that is too large",
            format!("{chunked}{}", chunks(&long, 70_000)),
            413,
            "at most 64 KiB",
        ),
        ("a length that is too large", head("Content-Length: 65537\r\n"), 413, "at most 64 KiB"),
        (
            "a length of 2^63",
            head("Content-Length: 9223372036854775808\r\n"),
            413,
            "at most 64 KiB",
        ),
        (
            "JSON with a length and no body",
            head("Content-Length: 5\r\nContent-Type: application/json\r\n"),
            415,
            "application/x-www-form",
        ),
        (
            "a length shorter than the body",
            format!("{}{LOGIN_FORM}", head("Content-Length: 15\r\n")),
            200,
            "password must be",
        ),
        ("no body and no length", head(""), 200, "username must be"),
        (
            "GET whose body never arrives",
            head("Content-Length: 99\r\n").replace("POST", "GET"),
            405,
            "Use POST.",
        ),
        (
            "no body, and the form in the query string",
            head("").replace("/api/login", &format!("/api/login?{LOGIN_FORM}")),
            200,
            "Welcome to LYC.",
        ),
    ];
    for (name, request, status, desc) in rows {
        let mut client = server.connect();
        client.send(request.as_bytes());
        let response = client.receive(false);
        assert_eq!(response.status, status, "{name}: {response:?}");
        let reply = response.json();
        assert!(reply["desc"].as_str().unwrap().contains(desc), "{name}: {reply}");
    }
}

#[test]
fn a_truncated_body_is_rejected_or_not_answered() {
    let server = Server::start(Setup::default());
    for (name, request) in [
        ("shorter than its length", format!("{}{LOGIN_FORM}", head("Content-Length: 1000\r\n"))),
        ("within a chunk", format!("{}ff\r\n{LOGIN_FORM}", head("Transfer-Encoding: chunked\r\n"))),
        (
            "an invalid chunk size",
            format!("{}zz\r\n{LOGIN_FORM}", head("Transfer-Encoding: chunked\r\n")),
        ),
        (
            "before the terminating chunk",
            format!("{}{}", head("Transfer-Encoding: chunked\r\n"), chunks(LOGIN_FORM, 9)),
        ),
    ] {
        let received = exchange(server.addr(), request.as_bytes(), false);
        let received = String::from_utf8_lossy(&received);
        let refused = received.starts_with("HTTP/1.1 200") && received.contains("must be complete");
        let bad_request = received.starts_with("HTTP/1.1 400");
        assert!(received.is_empty() || refused || bad_request, "{name}: {received}");
    }
    // The server still serves requests.
    let _ = server.log_in("luoyun");
}

/// What the host decides, before any component.
#[test]
fn the_host_answers_as_the_documents_say() {
    let server = Server::start(Setup::default());
    let missing = "There is nothing at this path.";
    let post = |path: &str, fields: &str| {
        format!("POST {path} HTTP/1.1\r\n{fields}Connection: close\r\n\r\n").into_bytes()
    };
    let latin_1 = |path: &str| {
        let request = post(path, "Host: x\r\nX-Field: _\r\n");
        request.into_iter().map(|byte| if byte == b'_' { 0xe4 } else { byte }).collect()
    };
    for (name, request, status, found) in [
        ("slashes around a path", post("//api/login//", "Host: x\r\n"), "200", "username must be"),
        ("slashes within a path", post("/api//login", "Host: x\r\n"), "404", missing),
        ("an encoded path", post("/api/%6cogin", "Host: x\r\n"), "404", missing),
        ("only slashes", post("//", "Host: x\r\n"), "405", "Use GET, HEAD."),
        ("an absolute URI", post("http://x/api/login", "Host: x\r\n"), "200", "username must be"),
        ("health", post("/.well-known/spin/health", "Host: x\r\n"), "200", "OK"),
        ("health without a host", post("/.well-known/spin/health", ""), "200", "OK"),
        ("information", post("/.well-known/spin/info", "Host: x\r\n"), "200", "\"luoyun-api\""),
        ("another path of Spin's", post("/.well-known/spin/x", "Host: x\r\n"), "404", ""),
        ("no host", post("/api/login", ""), "", ""),
        ("no host, and no route", post("/x", ""), "", ""),
        ("an empty host", post("/api/login", "Host:\r\n"), "", ""),
        ("a malformed host", post("/api/login", "Host: a b\r\n"), "", ""),
        ("two hosts", post("http://y/api/login", "Host: x\r\n"), "", ""),
        ("a field in Latin-1", latin_1("/api/login"), "500", ""),
        ("the same without a route", latin_1("/x"), "404", missing),
    ] {
        let received = exchange(server.addr(), &request, true);
        let received = String::from_utf8(received).unwrap();
        let (head, body) = received.split_once("\r\n\r\n").unwrap_or_default();
        assert_eq!(head.split(' ').nth(1).unwrap_or_default(), status, "{name}: {received}");
        assert!(body.contains(found) && body.is_empty() == found.is_empty(), "{name}: {received}");
    }
}
