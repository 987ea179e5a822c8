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
    let mut names = db.prepare("SELECT name FROM sqlite_schema").unwrap();
    let names: Vec<String> =
        names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert!(names.len() <= 12, "{} entries: {names:?}", names.len());
}

#[test]
fn reads_are_answered_while_a_writer_holds_its_transaction_open() {
    let server = Server::start(Setup::default());
    let key = server.log_in("luoyun");
    let session = ("session_key", key.as_str());
    let read = || {
        let mut client = server.connect();
        let desktop = [session, ("instance_id", "2252")];
        let desktop = client.post("/api/instance/baseinfo", &desktop).json();
        let list = client.post("/api/myun/instance", &[session]).json();
        [desktop, list]
    };
    let before = read();
    assert_eq!([&before[0]["code"], &before[1]["code"]], [0, 0], "{before:?}");

    // With a rollback journal, this transaction would block every reader.
    let writer = server.database();
    writer.execute_batch("BEGIN EXCLUSIVE; UPDATE instances SET name = 'renamed'").unwrap();
    assert_eq!(read(), before, "uncommitted data was read");
    writer.execute_batch("COMMIT").unwrap();
    assert_eq!(read()[0]["desc"], "Information about renamed");
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
        let mode: String = db.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
        let check: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!((mode.as_str(), check.as_str()), ("wal", "ok"));
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
