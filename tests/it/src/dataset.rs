//! Creates the data sets of `dataset.sql`.

use std::fs;
use std::path::Path;

use rusqlite::Connection;

use crate::server::{root, tables};

/// The number of rows in a data set.
#[derive(Clone, Copy)]
#[allow(missing_docs, reason = "named after the tables")]
pub struct Size {
    pub instances: u32,
    pub users: u32,
    pub sessions: u32,
}

/// Creates the tables and a data set of `size` in the empty database `db`, and the entries of its
/// sessions in the key-value store's file `key_value`, which stays attached as `kv`.
///
/// # Panics
/// If that fails.
pub fn fill(db: &Connection, key_value: &Path, size: Size) {
    db.execute("ATTACH ?1 AS kv", [key_value.to_str()]).unwrap();
    db.execute_batch(&tables()).unwrap();
    db.execute(
        "CREATE TEMP TABLE size AS SELECT ?1 AS instances, ?2 AS users, ?3 AS sessions",
        [size.instances, size.users, size.sessions],
    )
    .unwrap();
    let dataset = fs::read_to_string(root().join("tests/it/dataset.sql")).unwrap();
    db.execute_batch(&format!("BEGIN; {dataset} COMMIT;")).unwrap();
}

/// SQL that inserts users, each with a name and a stored password.
#[must_use]
pub fn insert_users<P: AsRef<str>>(users: &[(&str, P)]) -> String {
    let rows: Vec<String> =
        users.iter().map(|(name, stored)| format!("('{name}', '{}')", stored.as_ref())).collect();
    format!("INSERT INTO users (username, password) VALUES {};", rows.join(", "))
}
