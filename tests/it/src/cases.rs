//! Table-driven tests: each row is a request and the expected reply.

use serde_json::{Value, json};

use crate::Server;

/// Placeholder: the session key of the user luoyun in a request, any session key in a reply. In a
/// request, `$UPPER_CASE_KEY` is the same key in upper case, and `$SHORT_KEY` lacks its last digit.
pub const KEY: &str = "$KEY";

/// Placeholder in a request: a word that differs in every run, because a server at `BASE_URL`
/// keeps counting wrong passwords for a name across runs.
pub const UNIQUE: &str = "$UNIQUE";

/// A row: the request and the expected reply.
pub struct Case {
    name: &'static str,
    method: &'static str,
    path: String,
    fields: Vec<&'static str>,
    body: Vec<u8>,
    status: u16,
    reply: Value,
}

/// The reply with this `error` and `desc`.
#[must_use]
pub fn refusal(error: &str, desc: &str) -> Value {
    json!({"code": 1, "desc": desc, "error": error})
}

/// The reply to a wrong user name or password.
#[must_use]
pub fn auth_failed() -> Value {
    refusal("auth_failed", "The user name or the password is wrong.")
}

/// The reply to a request without a valid session.
#[must_use]
pub fn auth_required() -> Value {
    refusal("auth_required", "A valid session_key is required. Log in to get one.")
}

/// The reply of baseinfo.
#[must_use]
pub fn baseinfo(id: i64, name: &str, vdi_type: i64, host: &str, port: Option<i64>) -> Value {
    json!({
        "code": 0, "desc": format!("Information about {name}"),
        "instance_id": id, "vdi_type": vdi_type, "host": host, "port": port,
    })
}

/// An item of the list, on the node of the demo data.
#[must_use]
pub fn item(id: i64, name: &str, status: i64, status_string: &str) -> Value {
    json!({
        "id": id, "name": name, "summary": null,
        "status": status, "status_string": status_string,
        "vdi_type": 1, "vdi_host": "10.0.0.2", "vdi_port": null,
    })
}

const FORM: &str = "Content-Type: application/x-www-form-urlencoded";

/// A row: `POST`s the form `body` to `path`, and expects HTTP status 200 and exactly `reply`.
pub fn case(name: &'static str, path: &str, body: impl AsRef<[u8]>, reply: Value) -> Case {
    Case {
        name,
        method: "POST",
        path: path.to_owned(),
        fields: vec![FORM],
        body: body.as_ref().to_vec(),
        status: 200,
        reply,
    }
}

impl Case {
    /// Replaces the method.
    #[must_use]
    pub fn method(self, method: &'static str) -> Self {
        Self { method, ..self }
    }

    /// Replaces the header fields, `Content-Type` included.
    #[must_use]
    pub fn fields(self, fields: &[&'static str]) -> Self {
        Self { fields: fields.to_vec(), ..self }
    }

    /// Replaces the expected HTTP status.
    #[must_use]
    pub fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }
}

/// Runs every row of `cases` against `server`.
///
/// # Panics
/// If any reply differs; the message lists all of them.
pub fn run(server: &Server, cases: &[Case]) {
    let key = server.log_in("luoyun");
    let failures: Vec<_> = cases.iter().filter_map(|case| failure(server, case, &key)).collect();
    let count = cases.len();
    assert!(
        failures.is_empty(),
        "{} of {count} cases failed:\n{}",
        failures.len(),
        failures.join("\n")
    );
    println!("{count} cases");
}

fn failure(server: &Server, case: &Case, key: &str) -> Option<String> {
    let replaced = |text: &str| {
        text.replace("$UPPER_CASE_KEY", &key.to_uppercase())
            .replace("$SHORT_KEY", &key[..key.len() - 1])
            .replace(KEY, key)
            .replace(UNIQUE, &key[..12])
    };
    let path = replaced(&case.path);
    let fields: Vec<_> = case.fields.iter().copied().map(replaced).collect();
    let fields: Vec<_> = fields.iter().map(String::as_str).collect();
    let body = match str::from_utf8(&case.body) {
        Ok(text) => replaced(text).into_bytes(),
        Err(_) => case.body.clone(),
    };
    let response = server.connect().request(case.method, &path, &fields, &body);

    let mut wrong = Vec::new();
    if response.status != case.status {
        wrong.push(format!("status {}, not {}", response.status, case.status));
    }
    for (name, value) in [
        ("content-type", "application/json"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
    ] {
        if response.header(name) != Some(value) {
            wrong.push(format!("{name} {:?}, not {value}", response.header(name)));
        }
    }
    let allow = (case.status == 405).then_some("POST");
    if response.header("allow") != allow {
        wrong.push(format!("allow {:?}, not {allow:?}", response.header("allow")));
    }
    let text = String::from_utf8_lossy(&response.body);
    if case.method != "HEAD" {
        let code_first =
            text.starts_with(r#"{"code":0,"desc":"#) || text.starts_with(r#"{"code":1,"desc":"#);
        if !code_first {
            wrong.push("code and desc are not first".to_owned());
        }
        if !text.is_ascii() {
            wrong.push("not ASCII".to_owned());
        }
        match serde_json::from_str(&text) {
            Ok(reply) if matches(&case.reply, &reply) => {}
            _ => wrong.push(format!("{text}\n      not {}", case.reply)),
        }
    }
    (!wrong.is_empty()).then(|| format!("  {}: {}", case.name, wrong.join("; ")))
}

/// Whether `reply` equals `expected`, where [`KEY`] matches any session key.
fn matches(expected: &Value, reply: &Value) -> bool {
    match (expected, reply) {
        (Value::Object(expected), Value::Object(reply)) => {
            expected.len() == reply.len()
                && expected
                    .iter()
                    .all(|(name, value)| reply.get(name).is_some_and(|found| matches(value, found)))
        }
        (Value::String(expected), Value::String(reply)) if expected == KEY => {
            reply.len() == 40 && reply.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        }
        _ => expected == reply,
    }
}
