//! The baseline with storage: parses a request and writes a reply as every endpoint does, with the
//! same number of storage calls of each kind, and with `SELECT 1` and the smallest durable write as
//! the SQL. The database has no tables. An endpoint's cost beyond this baseline is that of its
//! schema, its SQL and its own code.

use luoyun_common::{Error, Reply, serve};
use serde::Serialize;
use spin_sdk::http::{IncomingRequest, ResponseOutparam};
use spin_sdk::http_component;
use spin_sdk::key_value::Store;
use spin_sdk::sqlite::Connection;
use spin_sdk::variables;
use wasi::random::random::get_random_u64;

/// The number of variables that a login reads.
const VARIABLES: usize = 10;

type StoreResult = Result<(), Box<dyn std::error::Error>>;

/// Makes a reply as long as the endpoint's.
#[derive(Serialize)]
struct Padding {
    padding: String,
}

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

#[http_component]
fn handle(request: IncomingRequest, response_out: ResponseOutparam) {
    let path = request.path_with_query().unwrap_or_default();
    serve("bare", request, response_out, |_| {
        let (result, bytes) = match path.as_str() {
            "/bare/baseinfo" => (read(), 70),
            "/bare/list" => (read(), 2260),
            _ => (login(), 50),
        };
        // The bench counts a refusal as an error.
        result.map_err(|_| Error::AuthRequired)?;
        Ok(Reply::new("", Padding { padding: " ".repeat(bytes) }))
    });
}
