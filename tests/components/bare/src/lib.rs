//! The baseline with storage: the same number of storage calls of each kind as an endpoint, with
//! `SELECT 1` and the smallest durable write as the SQL, and a constant reply. The database has no
//! tables. An endpoint's cost beyond this baseline is that of its schema, its SQL and its code.

use spin_sdk::http::{Headers, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};
use spin_sdk::http_component;
use spin_sdk::key_value::Store;
use spin_sdk::sqlite::Connection;
use spin_sdk::variables;
use wasi::random::random::get_random_u64;

/// The number of variables that a login reads.
const VARIABLES: usize = 9;

type StoreResult = Result<(), Box<dyn std::error::Error>>;

/// The calls of baseinfo and of the list.
fn read() -> StoreResult {
    // The bench creates this entry.
    Store::open_default()?.get("entry")?.ok_or("there is no entry")?;
    Connection::open_default()?.execute("SELECT 1", &[])?;
    Ok(())
}

fn login() -> StoreResult {
    for _ in 0..VARIABLES {
        variables::get("variable")?;
    }
    let db = Connection::open_default()?;
    db.execute("SELECT 1", &[])?;
    let random = get_random_u64();
    // A durable write that needs no table. PRAGMA takes no bound parameters.
    db.execute(&format!("PRAGMA user_version = {}", random >> 33), &[])?;
    Store::open_default()?.set(&format!("{random}"), b"1 4000000000 7")?;
    Ok(())
}

/// A JSON object of the same size as the endpoint's reply.
fn reply<const BYTES: usize>() -> Vec<u8> {
    let mut reply = vec![b' '; BYTES];
    reply[..9].copy_from_slice(br#"{"code":0"#);
    reply[BYTES - 1] = b'}';
    reply
}

/// Sends head and body in one write: with two, Nagle's algorithm and delayed ACKs would distort
/// the measurement.
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

#[http_component]
fn handle(request: IncomingRequest, response_out: ResponseOutparam) {
    let path = request.path_with_query().unwrap_or_default();
    let (result, reply) = match path.as_str() {
        "/bare/baseinfo" => (read(), reply::<110>()),
        "/bare/list" => (read(), reply::<2300>()),
        _ => (login(), reply::<88>()),
    };
    // If no response is set, the host answers with status 500, and the bench counts an error.
    if result.is_ok() {
        respond(response_out, &reply);
    }
}
