//! The database as a server has it: the journal, and the schema that every request parses.

use api_tests::{Server, Setup};

/// Opening the database parses all of it: each table, index and trigger costs every request.
#[test]
fn the_schema_stays_small() {
    let server = Server::start(Setup::default());
    let db = server.database();
    let mut names = db.prepare("SELECT name FROM sqlite_schema").unwrap();
    let names: Vec<String> =
        names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert!(names.len() <= 11, "{} entries: {names:?}", names.len());
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

    // With a rollback journal, this locks every reader out.
    let writer = server.database();
    writer.execute_batch("BEGIN EXCLUSIVE; UPDATE instances SET name = 'renamed'").unwrap();
    assert_eq!(read(), before, "what is not committed is not read");
    writer.execute_batch("COMMIT").unwrap();
    assert_eq!(read()[0]["desc"], "Information about renamed");
}
