//! Data sets, and servers on them.

use std::path::Path;

use anyhow::Result;
use api_tests::dataset::{self, Size};
use api_tests::{Server, Setup};
use rusqlite::{Connection, params};
use sha1::{Digest, Sha1};
use tempfile::TempDir;

/// The key of a session of the user bench: number 0 is there for reading, the others for
/// logging out.
pub(crate) fn session_key(number: usize) -> String {
    format!("{number:040x}")
}

/// A state folder with a data set of `size`, and `keys` sessions of the user bench.
pub(crate) fn make(size: Size, keys: usize) -> Result<TempDir> {
    let state = TempDir::new()?;
    let mut db = Connection::open(state.path().join("sqlite_db.db"))?;
    dataset::fill(&db, &state.path().join("sqlite_key_value.db"), size);
    let transaction = db.transaction()?;
    for number in 0..keys {
        let digest = base16ct::lower::encode_string(&Sha1::digest(session_key(number)));
        transaction.execute(
            "INSERT INTO sessions (digest, user_id, expires_at) VALUES (?1, 1, 4000000000)",
            [&digest],
        )?;
        let entry = br#"{"user_id":1,"expires_at":4000000000,"epoch":7}"#;
        transaction.execute(
            "INSERT INTO kv.spin_key_value (store, key, value) VALUES ('default', ?1, ?2)",
            params![format!("session:{digest}"), entry],
        )?;
    }
    transaction.commit()?;
    Ok(state)
}

/// The API on the data in `state`.
pub(crate) fn serve_api(state: &Path) -> Result<Server> {
    start(state, None)
}

/// The components to measure it against, on the same data.
pub(crate) fn serve_components(state: &Path) -> Result<Server> {
    start(state, Some("tests/components/spin.toml"))
}

fn start(state: &Path, manifest: Option<&str>) -> Result<Server> {
    let setup = Setup { bare: true, state_dir: Some(state), manifest, ..Setup::default() };
    Ok(Server::start_process(setup, TempDir::new()?))
}
