//! The database of a running server: the journal mode, and the schema that every request parses.

use std::os::unix::fs::PermissionsExt;

use api_tests::Server;
use api_tests::server::{prepare_state, value};

#[test]
fn only_its_owner_can_open_the_state_folder() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    prepare_state(&state);
    let mode = state.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "{mode:o}");
}

/// `scripts/state-folder.sh` sets the mode of the key-value store's file, `migrations/local.sql`
/// that of the database. Every request opens the database and parses the whole schema, so each
/// table, index and trigger adds to its latency.
#[test]
fn both_stores_are_in_wal_mode_and_the_schema_stays_small() {
    let server = Server::with(&[]);
    let _key = server.log_in("luoyun");
    for db in [server.database(), server.key_value()] {
        assert_eq!(value::<String>(&db, "PRAGMA journal_mode"), "wal");
    }
    assert!(server.value::<i64>("SELECT count(*) FROM sqlite_schema") <= 12);
}
