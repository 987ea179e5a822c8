//! The contract's cases that need fixtures beyond the demo data, so each test starts a server.

use api_tests::cases::{self, reply};
use api_tests::{LIST, Server, Setup, read};

fn server() -> Server {
    let server = Server::start(Setup { sql: &read("tests/it/fixtures.sql"), ..Setup::default() });
    let sql = "UPDATE instances SET name = ?1, summary = ?1 WHERE id = 104";
    server.database().execute(sql, [reply(r#""$ANY""#).as_str()]).unwrap();
    server
}

#[test]
fn every_row_is_answered_as_the_contract_says() {
    cases::run(&server(), &cases::section("fixtures"));
}

#[test]
fn a_user_without_instances_has_an_empty_list() {
    let server = server();
    server.sql("DELETE FROM instances WHERE user_id = 2");
    let list = server.post(LIST, &[("session_key", &server.log_in("gallery"))]);
    let none = r#"{"code":0,"desc":"List 0 instances","list":[],"total":0,"sepa":10,"p":1}"#;
    assert_eq!(list, reply(none));
}
