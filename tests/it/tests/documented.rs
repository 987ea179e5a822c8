//! The design document's examples and the contract's error replies, on the demo data. These tests
//! hold for every server, including one at `BASE_URL`.

use std::process::Command;

use api_tests::cases::{
    self, Case, FORM, KEY, auth_failed, auth_required, baseinfo, case, item, refusal,
};
use api_tests::server::{root, run};
use api_tests::{BASEINFO, LIST, LOGIN, LOGOUT, Server};
use serde_json::{Value, json};

fn welcome() -> Value {
    json!({"code": 0, "desc": "Welcome to LYC.", "session_key": KEY})
}

fn openerp7() -> Value {
    baseinfo(2252, "openerp7 img gz", 1, "10.0.0.2", None)
}

/// A list reply with the demo data's instances of the user luoyun, from index `first` up to and
/// excluding `last`.
fn list(first: usize, last: usize, sepa: i64, p: i64) -> Value {
    let new = "new instance that hasn't run once";
    let all = [
        item(2252, "openerp7 img gz", 2, "instance is stopped"),
        item(2492, "gallery3", 1, new),
        item(2493, "ubuntu 12.04 64\u{4f4d}\u{7248}", 1, new),
    ];
    let items = &all[first..last];
    json!({
        "code": 0, "desc": format!("List {} instances", items.len()),
        "list": items, "total": 3, "sepa": sepa, "p": p,
    })
}

fn invalid(desc: &str) -> Value {
    refusal("invalid_parameter", desc)
}

fn no_name() -> Value {
    invalid("username must be the name of a user.")
}

fn no_password() -> Value {
    invalid("password must be the user's password.")
}

fn not_owned() -> Value {
    refusal("instance_not_owned", "Instance 5 is someone else's")
}

fn no_instance(id: i64) -> Value {
    refusal("instance_not_found", &format!("Instance {id} does not exist"))
}

const ID: &str = "instance_id must be a whole number from 1 to 9223372036854775807.";
const P: &str = "p must be a whole number from 1 to 9223372036854775807.";
const SEPA: &str = "sepa must be a whole number from 1 to 1000.";

const CLIENT_FIELDS: [&str; 4] = [
    "Authorization: Basic Y2xlYXJ0ZXh0IHVzZXJuYW1lOmNsZWFydGV4dCBwYXNzd29yZHM=",
    FORM,
    "User-Agent: LYC Client",
    "Cookie: session_key=x",
];

#[rustfmt::skip]
#[allow(clippy::too_many_lines, reason = "a table")]
fn rows() -> Vec<Case> {
    let not_post = || refusal("method_not_allowed", "Use POST.");
    let not_a_form = || {
        let desc = "Send the body as application/x-www-form-urlencoded, in UTF-8 and uncompressed.";
        refusal("unsupported_media_type", desc)
    };
    let cross_site = || refusal("cross_site", "Pages of other sites may not log in.");
    let not_found = || refusal("not_found", "There is nothing at this path.");
    let too_large = || refusal("body_too_large", "The body must be at most 64 KiB.");
    let right = "username=luoyun&password=luoyun";
    vec![
        // The design document's examples.
        case("login", LOGIN, right, welcome()),
        case("baseinfo", BASEINFO, "session_key=$KEY&instance_id=2252", openerp7()),
        case("someone else's instance", BASEINFO, "session_key=$KEY&instance_id=5", not_owned()),
        case("list", LIST, "session_key=$KEY", list(0, 3, 10, 1)),
        case("list of two", LIST, "session_key=$KEY&sepa=2&p=1", list(0, 2, 2, 1)),
        case("list of two, second page", LIST, "session_key=$KEY&sepa=2&p=2", list(2, 3, 2, 2)),
        case("list, past the end", LIST, "session_key=$KEY&sepa=2&p=3", list(0, 0, 2, 3)),
        // docs/contract.md, "POST /api/login". Five wrong passwords for luoyun in a row would be
        // throttled.
        case("wrong password", LOGIN, "username=luoyun&password=x", auth_failed()),
        case("unknown user", LOGIN, "username=nobody$UNIQUE&password=luoyun", auth_failed()),
        case("empty password", LOGIN, "username=luoyun&password=", auth_failed()),
        case("password with a trailing space", LOGIN, "username=luoyun&password=luoyun+", auth_failed()),
        case("white space around the user name", LOGIN, "username=%09+luoyun%0A&password=luoyun", welcome()),
        case("no user name", LOGIN, "password=luoyun", no_name()),
        case("empty user name", LOGIN, "username=&password=luoyun", no_name()),
        case("no password", LOGIN, "username=luoyun", no_password()),
        case("empty body", LOGIN, "", no_name()),
        case("SQL in the user name", LOGIN, "username='+OR+1=1--$UNIQUE&password=x", auth_failed()),
        case("a user name that is not UTF-8", LOGIN, "username=%ff$UNIQUE&password=x", auth_failed()),
        case("a password that is not UTF-8", LOGIN, "username=luoyun&password=%ff", auth_failed()),
        // "Requests": sources of parameters, and their precedence.
        case("login by query string", "/api/login?username=luoyun&password=luoyun", "", welcome()),
        case("one in the query string, one in the body", "/api/login?username=luoyun", "password=luoyun", welcome()),
        case("the body wins over the query string", "/api/login?username=nobody", right, welcome()),
        case("the last value counts", LOGIN, "username=nobody&username=luoyun&password=luoyun", welcome()),
        case("unknown parameters", LOGIN, "a=1&username=luoyun&b&password=luoyun&=&&", welcome()),
        case("a trailing slash", "/api/login/", right, welcome()),
        case("the last one in the query string counts", "/api/login?username=nobody&username=luoyun", "password=luoyun", welcome()),
        case("an empty value in the body wins", "/api/login?username=luoyun", "username=&password=luoyun", no_name()),
        case("a name without a value", LOGIN, "username&password=luoyun", no_name()),
        case("the last occurrence has no value", LOGIN, "username=luoyun&username&password=luoyun", no_name()),
        case("names are case-sensitive", LOGIN, "Username=luoyun&password=luoyun", no_name()),
        case("an escaped name", LOGIN, "user%6eame=luoyun&password=luoyun", welcome()),
        case("an escaped value", LOGIN, "username=%6Cuoyun&password=luo%79un", welcome()),
        case("an equals sign in a value", LOGIN, "username=luoyun=&password=luoyun", auth_failed()),
        case("a semicolon is not a separator", LOGIN, "username=luoyun;password=luoyun", no_password()),
        case("malformed escapes", LOGIN, "a=%&b=%4&c=%zz&%=%&username=luoyun&password=luoyun", welcome()),
        case("a body of separators", LOGIN, "&&&===&&&", no_name()),
        case("a line break after the body", LOGIN, "password=luoyun&username=luoyun\r\n", welcome()),
        case("a JSON body labelled as a form", LOGIN, "{\"username\":\"luoyun\"}", no_name()),
        case("bytes in the body that are not UTF-8", LOGIN, b"\xff\xfe=\xff&username=luoyun&password=luoyun", welcome()),
        case("a fragment in the body", LOGIN, "username=luoyun&password=luoyun#x", auth_failed()),
        case("an empty query string", "/api/login?", right, welcome()),
        case("a question mark in the query string", "/api/login??username=x", right, welcome()),
        case("a very long user name", LOGIN, format!("username={}&password=x", "a".repeat(60_000)), auth_failed()),
        case("a very long password", LOGIN, format!("username=luoyun&password={}", "a".repeat(60_000)), auth_failed()),
        case("a user name of control characters", LOGIN, "username=%00%01+&password=x", no_name()),
        case("NUL in the user name", LOGIN, "username=luo%00yun$UNIQUE&password=x", auth_failed()),
        case("NUL after the password", LOGIN, "username=luoyun&password=luoyun%00", auth_failed()),
        case("a valid login after the failed ones", LOGIN, right, welcome()),
        // "Errors" and "Order of checks": sessions.
        case("baseinfo without a key", BASEINFO, "instance_id=2252", auth_required()),
        case("baseinfo with an empty key", BASEINFO, "session_key=&instance_id=2252", auth_required()),
        case("an unknown key", LIST, "session_key=0123456789abcdef0123456789abcdef01234567", auth_required()),
        case("a malformed key", LIST, "session_key=x", auth_required()),
        case("a key in upper case", LIST, "session_key=$UPPER_CASE_KEY", auth_required()),
        case("a key that is too short", LIST, "session_key=$SHORT_KEY", auth_required()),
        case("a key that is too long", LIST, "session_key=$KEY$KEY", auth_required()),
        case("a key that is not UTF-8", LIST, "session_key=%ff", auth_required()),
        case("a very long key", LIST, format!("session_key={}", "a".repeat(60_000)), auth_required()),
        case("the key in the query string", "/api/myun/instance?session_key=$KEY", "", list(0, 3, 10, 1)),
        case("the key in the body wins", "/api/myun/instance?session_key=$KEY", "session_key=x", auth_required()),
        case("the last key counts", LIST, "session_key=x&session_key=$KEY", list(0, 3, 10, 1)),
        case("a key in a cookie or a header", LIST, "", auth_required()).fields(&["Cookie: session_key=$KEY", "Authorization: Bearer $KEY"]),
        case("white space around the key", LIST, "session_key=+$KEY%0D%0A", list(0, 3, 10, 1)),
        case("the session is checked before the parameters", BASEINFO, "instance_id=x", auth_required()),
        case("logout without a key", LOGOUT, "", auth_required()),
        case("logout with an unknown key", LOGOUT, "session_key=x", auth_required()),
        // "Requests": numbers.
        case("no id", BASEINFO, "session_key=$KEY", invalid(ID)),
        case("an empty id", BASEINFO, "session_key=$KEY&instance_id=", invalid(ID)),
        case("id 2^63-1", BASEINFO, "session_key=$KEY&instance_id=9223372036854775807", no_instance(i64::MAX)),
        case("white space around an id", BASEINFO, "session_key=$KEY&instance_id=%00+2252%7F", openerp7()),
        case("no such instance", BASEINFO, "session_key=$KEY&instance_id=2147483648", no_instance(1 << 31)),
        case("both numbers invalid", LIST, "session_key=$KEY&sepa=0&p=0", invalid(SEPA)),
        case("page abc", LIST, "session_key=$KEY&p=abc", invalid(P)),
        case("sepa 1001", LIST, "session_key=$KEY&sepa=1001", invalid(SEPA)),
        case("sepa abc", LIST, "session_key=$KEY&sepa=abc", invalid(SEPA)),
        case("sepa 1000", LIST, "session_key=$KEY&sepa=1000", list(0, 3, 1000, 1)),
        case("empty numbers", LIST, "session_key=$KEY&sepa=&p=+", list(0, 3, 10, 1)),
        case("the largest page number", LIST, "session_key=$KEY&sepa=1000&p=9223372036854775807", list(0, 0, 1000, i64::MAX)),
        // "Order of checks": method, content type, size.
        case("GET", LOGIN, "", not_post()).method("GET").status(405),
        case("GET logout", LOGOUT, "", not_post()).method("GET").status(405),
        case("HEAD", LIST, "", not_post()).method("HEAD").status(405),
        case("PUT", BASEINFO, right, not_post()).method("PUT").status(405),
        case("OPTIONS", LOGIN, "", not_post()).method("OPTIONS").status(405),
        case("an unknown method", LOGIN, "", not_post()).method("BREW").status(405),
        case("no content type", LOGIN, right, welcome()).fields(&[]),
        case("content type with a parameter", LOGIN, right, welcome()).content_type("application/x-www-form-urlencoded; charset=UTF-8"),
        case("content type in upper case", LOGIN, right, welcome()).content_type("APPLICATION/X-WWW-FORM-URLENCODED"),
        case("JSON", LOGIN, "{}", not_a_form()).content_type("application/json").status(415),
        case("multipart", LOGIN, "--x--", not_a_form()).content_type("multipart/form-data; boundary=x").status(415),
        case("JSON, an empty body", "/api/login?username=luoyun&password=luoyun", "", welcome()).content_type("application/json"),
        case("JSON, too large", LOGIN, "a".repeat(70_000), not_a_form()).content_type("application/json").status(415),
        case("too large", LOGIN, "a".repeat(65_537), too_large()).status(413),
        case("a body of the maximum size", LOGIN, format!("{right}&{}", "a".repeat(65_504)), welcome()),
        case("the documented clients' headers", LOGIN, right, welcome()).fields(&CLIENT_FIELDS),
        case("content type with white space", LOGIN, right, welcome()).content_type(" application/x-www-form-urlencoded ; a=b ;CHARSET=\"utf-8\""),
        case("Latin-1", LOGIN, right, not_a_form()).content_type("application/x-www-form-urlencoded; a=b; Charset=\"ISO-8859-1\"").status(415),
        case("UTF-16", LIST, right, not_a_form()).content_type("application/x-www-form-urlencoded;charset=utf-16").status(415),
        case("a second content type", LOGIN, right, not_a_form()).fields(&[FORM, "Content-Type: text/plain"]).status(415),
        case("a compressed body", LOGIN, right, not_a_form()).fields(&["Content-Encoding: identity, GZIP"]).status(415),
        case("an encoding that is none", LOGIN, right, welcome()).fields(&["Content-Encoding: identity"]),
        case("a compressed body of no bytes", "/api/login?username=luoyun&password=luoyun", "", welcome()).fields(&["Content-Encoding: br"]),
        case("a login of another site's page", LOGIN, right, cross_site()).fields(&["Sec-Fetch-Site: cross-site"]).status(403),
        case("a login of the console", LOGIN, right, welcome()).fields(&["Sec-Fetch-Site: same-origin"]),
        case("a login of a page of the same site", LOGIN, right, welcome()).fields(&["Sec-Fetch-Site: same-site"]),
        case("an empty content type", LOGIN, right, welcome()).content_type(""),
        case("plain text", LOGIN, right, not_a_form()).content_type("text/plain").status(415),
        case("a longer content type", LOGIN, right, not_a_form()).content_type("application/x-www-form-urlencodedx").status(415),
        case("the method comes before the content type", LOGIN, "{}", not_post()).method("PATCH").content_type("application/json").status(405),
        case("the method is checked before the size", LOGIN, "a".repeat(70_000), not_post()).method("DELETE").status(405),
        case("the size is checked before the session", LIST, "a".repeat(70_000), too_large()).status(413),
        case("the type comes before the session", LIST, "{}", not_a_form()).content_type("application/json").status(415),
        // "Requests": paths outside the API.
        case("a path in upper case", "/API/LOGIN", right, not_found()).status(404),
        case("a path with a dot", "/api/login.json", right, not_found()).status(404),
        case("an escaped path", "/api/log%69n", right, not_found()).status(404),
        case("HEAD of an unknown path", "/nothing", "", not_found()).method("HEAD").status(404),
        case("an unknown path", "/api/nothing", right, not_found()).status(404),
        case("a path below an endpoint", "/api/login/x", right, not_found()).status(404),
        case("a path above an endpoint", "/api", right, not_found()).status(404),
    ]
}

/// Malformed numbers, or out of range, form-encoded. The last ones are full-width and Arabic digits,
/// not UTF-8, and a broken escape.
const INVALID_NUMBERS: &str = "0 00 -0 -1 -9223372036854775808 9223372036854775808 \
    18446744073709551616 18446744073709551617 340282366920938463463374607431768211457 7.0 7. 7,0 1e3 \
    0x10 0o7 1_0 %2B%2B7 %2B 7%2B %2B-7 7+7 7%007 %EF%BC%97 %D9%A7 7%ff 7%";

/// Forms of the number 2, form-encoded: the last ones have spaces around them, control characters,
/// no-break and ideographic spaces.
const TWO: &str = "2 %32 %2B2 000002 000000000000000000002 ++2++ +%2B2 %00%1f2%7f%0d%0a %C2%A02%C2%A0 \
    %E3%80%802%E3%80%80";

fn number_rows() -> Vec<Case> {
    let mut rows = Vec::new();
    let digits = "9".repeat(5000);
    for encoded in INVALID_NUMBERS.split(' ').chain([&*digits]) {
        for (path, parameter, desc) in
            [(BASEINFO, "instance_id", ID), (LIST, "sepa", SEPA), (LIST, "p", P)]
        {
            let form = format!("session_key=$KEY&{parameter}={encoded}");
            rows.push(case(encoded, path, form, invalid(desc)));
        }
    }
    for encoded in TWO.split(' ') {
        let form = format!("session_key=$KEY&sepa={encoded}&p={encoded}");
        rows.push(case(encoded, LIST, form, list(2, 3, 2, 2)));
        let form = format!("session_key=$KEY&instance_id={encoded}");
        rows.push(case(encoded, BASEINFO, form, no_instance(2)));
    }
    for (name, p) in [("2^31", 1_i64 << 31), ("2^32", 1 << 32), ("2^53", 1 << 53)] {
        let form = format!("session_key=$KEY&p={p}");
        rows.push(case(name, LIST, form, list(0, 0, 10, p)));
    }
    rows
}

#[test]
fn every_row_is_answered_as_the_contract_says() {
    cases::run(&Server::demo(), &rows());
}

#[test]
fn every_number_is_parsed_as_the_contract_says() {
    cases::run(&Server::demo(), &number_rows());
}

#[test]
fn each_login_gives_a_key_that_ends_with_its_logout() {
    let server = Server::demo();
    let (key, other) = (server.log_in("luoyun"), server.log_in("luoyun"));
    assert!(server.accepts(&key) && server.accepts(&other));
    let form = [("session_key", key.as_str())];
    assert_eq!(server.post(LOGOUT, &form), json!({"code": 0, "desc": "Bye."}));
    for path in [LOGOUT, LIST, BASEINFO] {
        assert_eq!(server.post(path, &form), auth_required(), "{path}");
    }
    assert!(server.accepts(&other));
}

#[test]
fn the_smoke_test_passes() {
    let server = Server::demo();
    let mut smoke = Command::new(root().join("tests/smoke.sh"));
    let output = run(smoke.env("BASE_URL", server.base_url()), b"");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}");
    assert!(printed.contains("All checks passed."), "{printed}");
}

/// Runs a client of the design document; returns its output, parsed as JSON, and its exit code.
fn python(server: &Server, client: &str, arguments: &[&str]) -> (Value, Option<i32>) {
    let mut python = Command::new("python3");
    python.arg(root().join("tests/clients").join(client)).args(arguments);
    let output = run(python.args(["--host", server.base_url().trim_start_matches("http://")]), b"");
    let errors = String::from_utf8_lossy(&output.stderr);
    let printed = serde_json::from_slice(&output.stdout);
    (printed.unwrap_or_else(|_| panic!("{client}: {errors}")), output.status.code())
}

#[test]
fn the_python_clients_print_the_documented_replies() {
    let server = Server::demo();
    let (reply, code) = python(&server, "t_post.py", &[]);
    assert_eq!((&reply["desc"], code), (&json!("Welcome to LYC."), Some(0)));
    for (client, arguments, reply, code) in [
        ("t_post.py", &["--user", "luoyun", "--password", "wrong"][..], auth_failed(), 1),
        ("get_instance_info.py", &["2252"], openerp7(), 0),
        ("get_instance_info.py", &["5"], not_owned(), 1),
        ("get_my_instances.py", &["--sepa", "2", "--page", "1"], list(0, 2, 2, 1), 0),
        ("get_my_instances.py", &[], list(0, 3, 10, 1), 0),
    ] {
        assert_eq!(python(&server, client, arguments), (reply, Some(code)), "{client}");
    }
}
