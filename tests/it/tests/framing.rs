//! Requests as bytes: bodies in chunks, lengths that lie, and what is not sent.

use std::io::Write;
use std::net::Shutdown;

use api_tests::{Server, Setup};

const RIGHT: &str = "username=luoyun&password=luoyun";

fn head(fields: &str) -> String {
    format!("POST /api/login HTTP/1.1\r\nHost: x\r\n{fields}\r\n")
}

/// A body in chunks of `size` bytes, without the last one.
fn chunks(body: &str, size: usize) -> String {
    let chunk =
        |bytes: &[u8]| format!("{:x}\r\n{}\r\n", bytes.len(), String::from_utf8_lossy(bytes));
    body.as_bytes().chunks(size).map(chunk).collect()
}

/// Sends each request, whole or not, and leaves the connection open: the reply has to
/// come without the rest.
#[test]
fn a_reply_waits_for_no_more_than_it_needs() {
    let server = Server::start(Setup::default());
    let chunked = head("Transfer-Encoding: chunked\r\n");
    let json = head("Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n");
    let long = "a".repeat(70_000);
    let rows = [
        ("one chunk", format!("{chunked}{}0\r\n\r\n", chunks(RIGHT, 1000)), 200, "Welcome to LYC."),
        ("many chunks", format!("{chunked}{}0\r\n\r\n", chunks(RIGHT, 1)), 200, "Welcome to LYC."),
        (
            "a chunk with an extension, and trailers",
            format!("{chunked}1f;a=b\r\n{RIGHT}\r\n0\r\nX-Trailer: a\r\n\r\n"),
            200,
            "Welcome to LYC.",
        ),
        ("no chunk", format!("{chunked}0\r\n\r\n"), 200, "username must be"),
        ("no chunk of JSON", format!("{json}0\r\n\r\n"), 200, "username must be"),
        ("the first chunk of JSON", format!("{json}1\r\n{{\r\n"), 415, "application/x-www-form"),
        ("too many chunks", format!("{chunked}{}", chunks(&long, 1000)), 413, "at most 64 KiB"),
        ("a chunk too large", format!("{chunked}{}", chunks(&long, 70_000)), 413, "at most 64 KiB"),
        ("a length too large", head("Content-Length: 65537\r\n"), 413, "at most 64 KiB"),
        (
            "a length of 2^63",
            head("Content-Length: 9223372036854775808\r\n"),
            413,
            "at most 64 KiB",
        ),
        (
            "a length of JSON",
            head("Content-Length: 5\r\nContent-Type: application/json\r\n"),
            415,
            "application/x-www-form",
        ),
        (
            "a length shorter than the body",
            format!("{}{RIGHT}", head("Content-Length: 15\r\n")),
            200,
            "password must be",
        ),
        ("no body and no length", head(""), 200, "username must be"),
        (
            "GET with a body that does not come",
            head("Content-Length: 99\r\n").replace("POST", "GET"),
            405,
            "Use POST.",
        ),
        (
            "a length in the query string's place",
            head("").replace("/api/login", &format!("/api/login?{RIGHT}")),
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
fn a_body_that_breaks_off_is_refused_or_not_answered() {
    let server = Server::start(Setup::default());
    for (name, request) in [
        ("short of its length", format!("{}{RIGHT}", head("Content-Length: 1000\r\n"))),
        ("in a chunk", format!("{}ff\r\n{RIGHT}", head("Transfer-Encoding: chunked\r\n"))),
        ("no chunk's size", format!("{}zz\r\n{RIGHT}", head("Transfer-Encoding: chunked\r\n"))),
        (
            "before the last chunk",
            format!("{}{}", head("Transfer-Encoding: chunked\r\n"), chunks(RIGHT, 9)),
        ),
    ] {
        let mut stream = std::net::TcpStream::connect(server.addr()).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut received = String::new();
        let _ = std::io::Read::read_to_string(&mut stream, &mut received);
        let refused = received.starts_with("HTTP/1.1 200") && received.contains("must be complete");
        let bad_request = received.starts_with("HTTP/1.1 400");
        assert!(received.is_empty() || refused || bad_request, "{name}: {received}");
    }
    // And it is still there.
    let _ = server.log_in("luoyun");
}
