//! The storage calls of each endpoint with constants for their values, and a constant
//! reply: what a request costs the host, whoever answers it.

use luoyun_common::{attempt, instance, session};
use spin_sdk::http::{Headers, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};
use spin_sdk::http_component;
use spin_sdk::key_value::Store;
use spin_sdk::sqlite::{Connection, Value};
use spin_sdk::variables;
use wasi::random::random::get_random_u64;

/// What the data set of tests/bench has: the user 1 with this `session_epoch`, and a
/// session whose key is forty times "0".
const USER_ID: i64 = 1;
const SESSION_EPOCH: i64 = 7;
const DIGEST: &str = "9514e18b679622b8d59991a6298559cb03099d64";

type Done = Result<(), Box<dyn std::error::Error>>;

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// What baseinfo and the list do; `values` come after the user's.
fn read(sql: &str, values: &[i64]) -> Done {
    let entry = Store::open_default()?.get(&format!("session:{DIGEST}"))?;
    let values = [&[USER_ID, SESSION_EPOCH], values].concat();
    let values: Vec<_> = values.into_iter().map(Value::Integer).collect();
    let found = Connection::open_default()?.execute(sql, &values)?;
    if entry.is_none() || found.rows.len() != 1 {
        return Err("this is not the data set of tests/bench".into());
    }
    Ok(())
}

fn login() -> Done {
    let db = Connection::open_default()?;
    let _ = variables::get("client_address_header")?;
    db.execute(attempt::BEGIN, &[text("bench"), text(DIGEST), Value::Integer(0)])?;
    let _ = (variables::get("password_iterations")?, variables::get("session_ttl_seconds")?);
    let digest = format!("{:040}", get_random_u64());
    let expires_at = Value::Integer(4_000_000_000);
    db.execute(session::BEGIN, &[text(&digest), Value::Integer(USER_ID), expires_at])?;
    let entry = br#"{"user_id":1,"expires_at":4000000000,"epoch":7}"#;
    Store::open_default()?.set(&format!("session:{digest}"), entry)?;
    Ok(())
}

fn respond(response_out: ResponseOutparam, body: &[u8]) -> Option<()> {
    let fields = [
        ("content-type", "application/json"),
        ("content-length", &body.len().to_string()),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
    ]
    .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
    let response = OutgoingResponse::new(Headers::from_list(&fields).ok()?);
    let outgoing = response.body().ok()?;
    let stream = outgoing.write().ok()?;
    stream.check_write().ok()?;
    stream.write(body).ok()?;
    drop(stream);
    OutgoingBody::finish(outgoing, None).ok()?;
    response_out.set(response);
    Some(())
}

/// As large as the reply of the endpoint.
const LIST: &[u8; 2300] = &[b' '; 2300];
const BASEINFO: &[u8; 110] = &[b' '; 110];
const LOGIN: &[u8; 88] = &[b' '; 88];

#[http_component]
fn handle(request: IncomingRequest, response_out: ResponseOutparam) {
    let path = request.path_with_query().unwrap_or_default();
    let (done, reply): (Done, &[u8]) = match path.as_str() {
        "/bare/baseinfo" => (read(instance::FIND, &[10]), BASEINFO),
        "/bare/list" => (read(instance::LIST, &[10, 0]), LIST),
        _ => (login(), LOGIN),
    };
    // Without a response, the host answers with 500, which the bench counts as an error.
    if done.is_ok() {
        respond(response_out, reply);
    }
}
