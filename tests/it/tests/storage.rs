//! The database of a running server: the journal mode, and the schema that every request parses.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use api_tests::server::{built, errors_of, prepare_state, root};
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

#[test]
fn a_database_of_an_unreleased_version_is_rejected_with_a_reason() {
    let state = tempfile::tempdir().unwrap();
    let db = rusqlite::Connection::open(state.path().join("sqlite_db.db")).unwrap();
    let earlier =
        "CREATE TABLE sessions (digest TEXT PRIMARY KEY, user_id INTEGER, expires_at INTEGER);
        CREATE TRIGGER session_is_last_login AFTER INSERT ON sessions BEGIN SELECT 1; END;";
    db.execute_batch(earlier).unwrap();
    let mut command = Command::new(built("devhost"));
    command.args(["--listen", "127.0.0.1:0", "--sqlite", "@migrations/local.sql", "--state-dir"]);
    let errors = errors_of(command.arg(state.path()).current_dir(root()));
    let reason = "This database was made by an unreleased luoyun-api. Use another STATE_DIR.";
    assert!(errors.contains(reason), "{errors}");
}
