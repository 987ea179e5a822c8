//! The contract's cases that need fixtures beyond the demo data, so the test starts a server.

use api_tests::cases::{self, reply};
use api_tests::{Server, Setup, read};

#[test]
fn every_row_is_answered_as_the_contract_says() {
    let server = Server::start(Setup { sql: &read("tests/it/fixtures.sql"), ..Setup::default() });
    let sql = "UPDATE instances SET name = ?1, summary = ?1 WHERE id = 104";
    server.database().execute(sql, [reply(r#""$ANY""#).as_str()]).unwrap();
    cases::run(&server, &cases::section("fixtures"));
}
