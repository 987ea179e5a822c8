//! The baseline with storage: parses a request and writes a reply as every endpoint does, with the
//! same number of storage calls of each kind, and with `SELECT 1` and the smallest durable write as
//! the SQL. The database has no tables. An endpoint's cost beyond this baseline is that of its
//! schema, its SQL and its own code.

use std::cell::OnceCell;

use luoyun_common::{Error, Params, Reply, db};
use serde::Serialize;
use spin_sdk::key_value::Store;
use spin_sdk::variables;
use wasi::random::random::get_random_u64;

/// The number of variables that a login reads.
const VARIABLES: usize = 10;

thread_local! {
    static STORE: OnceCell<Option<Store>> = const { OnceCell::new() };
}

/// Makes a reply as long as the endpoint's.
#[derive(Serialize)]
struct Padding {
    padding: String,
}

fn with_store<T>(call: impl FnOnce(&Store) -> Option<T>) -> Option<T> {
    STORE.with(|store| call(store.get_or_init(|| Store::open_default().ok()).as_ref()?))
}

/// The calls of baseinfo and of the list.
fn read() -> Option<()> {
    // The bench creates this entry.
    with_store(|store| store.get("entry").ok()?)?;
    db::run("read", "SELECT 1", &[]).ok().map(drop)
}

fn login() -> Option<()> {
    for _ in 0..VARIABLES {
        variables::get("variable").ok()?;
    }
    let db = db::open().ok()?;
    db.execute("SELECT 1", &[]).ok()?;
    let random = get_random_u64();
    // A durable write that needs no table. PRAGMA takes no bound parameters.
    db.execute(&format!("PRAGMA user_version = {}", random >> 33), &[]).ok()?;
    with_store(|store| store.set(&format!("{random}"), b"1 4000000000 7").ok())
}

/// Takes the length of the reply, and whether it is a login's.
fn bare(params: &Params) -> Result<Reply<Padding>, Error> {
    let bytes = params.number("bytes", "the length of the reply", 1..=10_000)?.unwrap_or_default();
    let calls = if params.text("login").is_some() { login() } else { read() };
    // The bench counts a refusal as an error.
    calls.ok_or(Error::AuthRequired)?;
    Ok(Reply::new("", Padding { padding: " ".repeat(usize::try_from(bytes).unwrap_or_default()) }))
}

luoyun_common::endpoint!("bare", bare);
