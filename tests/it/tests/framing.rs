//! Requests as raw bytes: chunked bodies, wrong lengths and incomplete bodies.

use api_tests::server::at_once;
use api_tests::{BASEINFO, LIST, LOGIN as LOGIN_PATH, LOGOUT, LUOYUN, Server, Setup, example};

const LOGIN: &str = "username=luoyun&password=luoyun";

pub(crate) fn head(fields: &str) -> String {
    format!("POST /api/login HTTP/1.1\r\nHost: x\r\n{fields}\r\n")
}

/// A request with `body` in chunks of `size` bytes, without the terminating chunk.
pub(crate) fn chunked(body: &str, size: usize) -> String {
    let chunk =
        |bytes: &[u8]| format!("{:x}\r\n{}\r\n", bytes.len(), String::from_utf8_lossy(bytes));
    let chunks: String = body.as_bytes().chunks(size).map(chunk).collect();
    format!("{}{chunks}", head("Transfer-Encoding: chunked\r\n"))
}

/// Sends each request, complete or not, and leaves the connection open: the reply has to come
/// without further bytes.
#[test]
fn a_reply_does_not_wait_for_bytes_that_it_does_not_need() {
    const WELCOME: &str = "Welcome to LYC.";
    const NO_NAME: &str = "username must be";
    const TYPE: &str = "application/x-www-form";
    const SIZE: &str = "at most 64 KiB";
    let server = Server::with(&[]);
    let end = "0\r\n\r\n";
    let json = "Content-Type: application/json\r\n";
    let json_chunks = head(&format!("{json}Transfer-Encoding: chunked\r\n"));
    let extension = &*format!("1f;a=b\r\n{LOGIN}\r\n0\r\nX-Trailer: a\r\n\r\n");
    let long = "a".repeat(70_000);
    let length = |length: &str| head(&format!("Content-Length: {length}\r\n"));
    let query = head("").replace("/api/login", &format!("/api/login?{LOGIN}"));
    for (name, request, status, desc) in [
        ("one chunk", chunked(LOGIN, 1000) + end, 200, WELCOME),
        ("many chunks", chunked(LOGIN, 1) + end, 200, WELCOME),
        ("a chunk extension and trailers", chunked("", 1) + extension, 200, WELCOME),
        ("an empty chunked body", chunked("", 1) + end, 200, NO_NAME),
        ("an empty chunked body of JSON", format!("{json_chunks}{end}"), 200, NO_NAME),
        ("chunks of JSON", format!("{json_chunks}1\r\n{{\r\n{end}"), 415, TYPE),
        ("too many chunks", chunked(&long, 1000), 413, SIZE),
        ("a chunk that is too large", chunked(&long, 70_000), 413, SIZE),
        ("a length that is too large", length("65537"), 413, SIZE),
        ("a length of 2^63", length("9223372036854775808"), 413, SIZE),
        ("a length shorter than the body", length("15") + LOGIN, 200, "password must be"),
        ("no body and no length", head(""), 200, NO_NAME),
        ("no body, and the form in the query string", query, 200, WELCOME),
    ] {
        let mut client = server.connect();
        client.send(request.as_bytes());
        let response = client.receive(false);
        assert_eq!(response.status, status, "{name}: {response:?}");
        let reply = response.json();
        assert!(reply["desc"].as_str().unwrap().contains(desc), "{name}: {reply}");
    }
}

const PATHS: [&str; 4] = [LOGIN_PATH, LOGOUT, BASEINFO, LIST];

/// Otherwise the client sends its next request into nothing. Bodies that are too large are refused
/// at once, small ones that do not arrive after ten seconds.
#[test]
fn a_refusal_before_the_end_of_the_body_says_that_the_connection_ends() {
    const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
    const JSON: &str = "Content-Type: application/json\r\n";
    let server = Server::with(&[]);
    let timeout = example("RequestTimeout");
    let check = |path: &str, (method, fields, length, status): (&str, &str, usize, u16)| {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{fields}");
        let mut client = server.connect();
        client.send(format!("{head}Content-Length: {length}\r\n\r\na=").as_bytes());
        let response = client.receive(false);
        let found = (response.status, response.header("connection"));
        assert_eq!(found, (status, Some("close")), "{head}{length} {response:?}");
        assert!(status != 408 || response.json() == timeout, "{response:?}");
    };
    let large = [
        ("POST", FORM, 70_000, 413),
        ("POST", JSON, 70_000, 415),
        ("PUT", FORM, 70_000, 405),
        ("POST", "Expect: 100-continue\r\n", 70_000, 413),
    ];
    for (path, row) in PATHS.iter().flat_map(|path| large.map(|row| (path, row))) {
        // Many times: in Spin, it may depend on which thread is faster.
        for _ in 0..10 {
            check(path, row);
        }
    }
    let small = [("POST", "", 9, 408), ("POST", JSON, 9, 415), ("GET", "", 9, 405)];
    // At once, as each waits.
    at_once(PATHS.len() * small.len(), |i| check(PATHS[i / small.len()], small[i % small.len()]));
}

#[test]
fn a_small_body_is_read_before_its_refusal_so_that_the_connection_stays() {
    let server = Server::with(&[]);
    let mut client = server.connect();
    for path in PATHS {
        for (method, fields, expected) in [
            ("POST", "Content-Type: multipart/form-data; boundary=x\r\n", 415),
            ("POST", "Content-Encoding: gzip\r\n", 415),
            ("PUT", "Expect: 100-continue\r\n", 405),
            ("GET", "", 405),
        ] {
            for parts in [
                ["Content-Length: 8\r\n\r\n", "--x\r\n", "--x"],
                ["Transfer-Encoding: chunked\r\n\r\n", "3\r\n--x\r\n", "3\r\n--x\r\n0\r\n\r\n"],
            ] {
                client.send(format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{fields}").as_bytes());
                for part in parts {
                    client.send(part.as_bytes());
                    // Meanwhile, the server sees that part.
                    assert_eq!(server.post(LIST, &[])["code"], 1);
                }
                let response = client.receive(false);
                assert_eq!(response.status, expected, "{method} {path} {fields}");
                assert_eq!(response.header("connection"), None, "{method} {path} {fields}");
            }
        }
    }
    assert_eq!(client.post(LOGIN_PATH, &LUOYUN).json()["code"], 0);
}

#[test]
fn a_truncated_body_is_rejected_or_not_answered() {
    let server = Server::with(&[]);
    for (name, request) in [
        ("shorter than its length", head("Content-Length: 1000\r\n") + LOGIN),
        ("within a chunk", format!("{}ff\r\n{LOGIN}", chunked("", 1))),
        ("an invalid chunk size", format!("{}zz\r\n{LOGIN}", chunked("", 1))),
        ("before the terminating chunk", chunked(LOGIN, 9)),
    ] {
        let mut client = server.connect();
        client.send(request.as_bytes());
        let response = client.finish();
        let is_refused = response.as_ref().is_none_or(|response| match response.status {
            200 => response.json()["desc"].as_str().unwrap().contains("must be complete"),
            status => status == 400,
        });
        assert!(is_refused, "{name}: {response:?}");
    }
    // The server still serves requests.
    let _ = server.log_in("luoyun");
}

/// With head and body in two segments, Nagle's algorithm and delayed ACKs can add up to 40 ms to a
/// reply on a keep-alive connection.
#[test]
fn every_reply_arrives_in_one_segment_and_is_the_connections_own() {
    let server = Server::with(&[]);
    let keys = ["luoyun", "gallery"].map(|user| server.log_in(user));
    for connections in [1, 16] {
        at_once(connections, |i| {
            let key = keys[i % 2].as_str();
            let requests: [(&str, &[(&str, &str)]); 4] = [
                (BASEINFO, &[("session_key", key), ("instance_id", "2252")]),
                (LIST, &[("session_key", key)]),
                (LOGIN_PATH, &[]),
                (LIST, &[("session_key", key), ("sepa", "1")]),
            ];
            let replies = requests.map(|(path, form)| server.connect().post(path, form).body);
            let mut client = server.connect();
            // Many times: whether two writes become two segments is a race.
            for at in 0..100 {
                let (path, form) = requests[at % 4];
                let response = client.post(path, form);
                assert!(response.is_whole, "{path} {response:?}");
                assert_eq!(response.body, replies[at % 4], "{path} {response:?}");
            }
        });
    }
}

#[test]
fn a_client_that_does_not_read_its_reply_keeps_nobody_waiting() {
    // More than the buffers between server and client hold.
    let sql = "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
               INSERT INTO instances (user_id, node_id, name, status)
               SELECT 1, 1, replace(hex(zeroblob(8000)), '00', 'a'), 2 FROM n;";
    let server = Server::start(Setup { sql, ..Setup::default() });
    let key = server.log_in("luoyun");
    let body = format!("session_key={key}&sepa=1000");
    let request =
        format!("POST {LIST} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let mut idle = server.connect();
    idle.send(request.as_bytes());
    // More than an instance serves at a time, and in all.
    for _ in 0..200 {
        assert_eq!(server.post(LIST, &[("session_key", &key), ("sepa", "1")])["code"], 0);
    }
    assert_eq!(idle.receive(false).json()["list"].as_array().unwrap().len(), 1000);
}
