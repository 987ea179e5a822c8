//! The database of a running server: the journal mode, and the schema that every request parses.

use std::os::unix::fs::PermissionsExt;

use api_tests::server::prepare_state;
use api_tests::{Server, Setup};

/// Every request opens the database and parses the whole schema, so each table, index and trigger
/// adds to its latency.
#[test]
fn the_schema_stays_small() {
    let server = Server::start(Setup::default());
    let db = server.database();
    let sql = "SELECT count(*), group_concat(name) FROM sqlite_schema";
    let (count, names): (u32, String) =
        db.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert!(count <= 12, "{count} entries: {names}");
}

#[test]
fn only_its_owner_can_open_the_state_folder() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    prepare_state(&state);
    let mode = state.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "{mode:o}");
}

/// `scripts/state-folder.sh` sets the mode of the key-value store's file, `migrations/local.sql`
/// that of the database.
#[test]
fn both_stores_are_in_wal_mode() {
    let server = Server::start(Setup::default());
    let _key = server.log_in("luoyun");
    for db in [server.database(), server.key_value()] {
        for (pragma, expected) in [("journal_mode", "wal"), ("integrity_check", "ok")] {
            let value: String = db.pragma_query_value(None, pragma, |row| row.get(0)).unwrap();
            assert_eq!(value, expected, "{pragma}");
        }
    }
}
