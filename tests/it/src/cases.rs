//! The rows of `tests/it/cases.txt`, which describes them: requests and the expected replies.

use std::sync::LazyLock;

use serde_json::Value;

use crate::{Server, read};

static FILE: LazyLock<String> = LazyLock::new(|| read("tests/it/cases.txt"));

fn lines() -> impl DoubleEndedIterator<Item = &'static str> {
    FILE.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Replaces the placeholders that the file defines. Each definition may use earlier ones.
fn expanded(text: &str) -> String {
    let definitions = lines().rev().filter(|line| line.starts_with('$'));
    let definitions = definitions.map(|line| line.split_once(" = ").unwrap());
    definitions.fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
}

/// The HTTP status and the reply in `text`.
fn status_and_reply(text: &str) -> (u16, Value) {
    let text = expanded(text);
    let reply = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
    let status = text[..text.len() - reply.len()].trim();
    let reply = serde_json::from_str(reply).unwrap_or_else(|error| panic!("{text}: {error}"));
    (if status.is_empty() { 200 } else { status.parse().unwrap() }, reply)
}

/// The reply in `text`, such as `$AUTH_FAILED`.
pub fn reply(text: &str) -> Value {
    status_and_reply(text).1
}

/// The reply to a wrong user name or password.
pub fn auth_failed() -> Value {
    reply("$AUTH_FAILED")
}

/// The reply to a request without a valid session.
pub fn auth_required() -> Value {
    reply("$AUTH_REQUIRED")
}

/// The header field of a form.
pub const FORM: &str = "Content-Type: application/x-www-form-urlencoded";

/// The rows below the line `[name]`.
pub fn section(name: &str) -> Vec<&'static str> {
    let rows = lines().skip_while(|line| *line != format!("[{name}]")).skip(1);
    rows.take_while(|line| !line.starts_with('[')).filter(|line| !line.starts_with('$')).collect()
}

/// Runs `rows` against `server`.
pub fn run(server: &Server, rows: &[&str]) {
    let key = server.log_in("luoyun");
    let failures: Vec<_> = rows.iter().filter_map(|row| failure(server, row, &key)).collect();
    let count = rows.len();
    let failed = format!("{} of {count} cases failed:\n{}", failures.len(), failures.join("\n"));
    assert!(failures.is_empty() && count > 0, "{failed}");
    println!("{count} cases");
}

/// The bytes of a body: Latin-1, where `$A` and a number is so many times an `a`.
fn bytes(body: &str) -> Vec<u8> {
    let mut parts = body.split("$A");
    let mut expanded = parts.next().unwrap_or_default().replace("\\r\\n", "\r\n");
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        expanded += &"a".repeat(part[..part.len() - rest.len()].parse().unwrap());
        expanded += rest;
    }
    expanded.chars().map(|c| u8::try_from(c).unwrap()).collect()
}

fn failure(server: &Server, row: &str, key: &str) -> Option<String> {
    let cells: Vec<_> = row.split(" | ").map(str::trim).collect();
    let [name, path, body, reply, options @ ..] = &cells[..] else { panic!("{row}") };
    let replaced = |text: &str| {
        text.replace("$UPPER_CASE_KEY", &key.to_uppercase())
            .replace("$SHORT_KEY", &key[..key.len() - 1])
            .replace("$KEY", key)
            .replace("$UNIQUE", &key[..12])
    };
    let options = options.iter().map(|cell| replaced(cell));
    let (fields, method): (Vec<_>, Vec<_>) =
        options.partition(|cell| cell.contains(':') || cell == "-");
    let mut fields: Vec<_> = fields.iter().map(String::as_str).collect();
    if fields.is_empty() {
        fields.push(FORM);
    }
    fields.retain(|field| *field != "-");
    let method = method.first().map_or("POST", String::as_str);
    let (status, expected) = status_and_reply(reply);
    let body = bytes(&replaced(body));
    let response = server.connect().request(method, &replaced(path), &fields, &body);

    let text = String::from_utf8_lossy(&response.body);
    let start = format!(r#"{{"code":{},"desc":"#, expected["code"]);
    let is_head = method == "HEAD";
    let is_well_formed = is_head || text.is_ascii() && text.starts_with(&start);
    let reply = if is_head { Ok(expected.clone()) } else { serde_json::from_str(&text) };
    let reply = reply.map_or(Value::Null, without_key);
    let names = ["content-type", "cache-control", "x-content-type-options", "allow"];
    let found = (response.status, names.map(|name| response.header(name)), reply);
    let allow = expected["desc"].as_str().unwrap().strip_prefix("Use ");
    let allow = allow.and_then(|methods| methods.strip_suffix('.'));
    let headers = [Some("application/json"), Some("no-store"), Some("nosniff"), allow];
    let expected = (status, headers, expected.clone());
    (found != expected || !is_well_formed)
        .then(|| format!("  {name}: {text}\n      {found:?}, not {expected:?}"))
}

/// Replaces a session key in `reply` by `$KEY`.
pub fn without_key(mut reply: Value) -> Value {
    let key = reply["session_key"].as_str().map(base16ct::lower::decode_vec);
    if key.is_some_and(|key| key.is_ok_and(|bytes| bytes.len() == 20)) {
        reply["session_key"] = "$KEY".into();
    }
    reply
}
