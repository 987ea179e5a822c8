//! The contract's cases that need fixtures beyond the demo data, so each test starts a server.

use api_tests::cases::{self, Case, auth_failed, baseinfo, case, item, refusal};
use api_tests::{BASEINFO, LIST, LOGIN, Server, Setup};
use serde_json::json;

/// Added to the demo data: instances from 100 on, all but one owned by luoyun, and the locked user
/// `locked`, whose password is `locked`.
const FIXTURES: &str = "
    INSERT INTO users (id, username, password, is_locked) VALUES
        (10, 'locked', 'adec79fd87d04960046628531c4a56b714d160d8', 1);
    INSERT INTO nodes (id, hostname, ip) VALUES (10, 'bare', NULL), (11, 'v6', 'fd00::1');
    INSERT INTO instances (id, user_id, node_id, name, summary, status, vdi_type, vdi_port) VALUES
        (100, 1,    1,    'deleted', NULL,      100, 1, 5900),
        (101, 1,    11,   'full',    'A host.',   5, 2, 65535),
        (102, 1,    NULL, '',        '',          0, 1, 1),
        (103, 1,    10,   'no ip',   NULL,        3, 1, NULL),
        (104, 1,    1,    '',        NULL,        4, 1, NULL),
        (105, 1,    1,    'suspend', NULL,        9, 1, NULL),
        (106, 1,    1,    'query',   NULL,      245, 1, NULL),
        (107, 1,    1,    'no disk', NULL,      255, 1, NULL),
        (108, 1,    1,    'strange', NULL,      -77, 1, NULL),
        (109, NULL, 1,    'nobody''s', NULL,      2, 1, NULL);
";

/// The name and the summary of instance 104.
const ANY: &str = "\"'\\/\u{8}\u{c}\n\r\t\0\u{1}\u{1f}\u{7f}\u{2028}</script>&%位🖥\u{10ffff}";

fn server() -> Server {
    let server = Server::start(Setup { sql: FIXTURES, ..Setup::default() });
    let sql = "UPDATE instances SET name = ?1, summary = ?1 WHERE id = 104";
    server.database().execute(sql, [ANY]).unwrap();
    server
}

fn rows() -> Vec<Case> {
    let info =
        |name, id, reply| case(name, BASEINFO, format!("session_key=$KEY&instance_id={id}"), reply);
    let new = "new instance that hasn't run once";
    let mut full = item(101, "full", 5, "application is running");
    full["summary"] = json!("A host.");
    full["vdi_type"] = json!(2);
    full["vdi_host"] = json!("fd00::1");
    full["vdi_port"] = json!(65535);
    let mut bare = item(102, "", 0, "unknown");
    bare["summary"] = json!("");
    bare["vdi_host"] = json!("");
    bare["vdi_port"] = json!(1);
    let mut no_ip = item(103, "no ip", 3, "instance is started by hypervisor");
    no_ip["vdi_host"] = json!("");
    let mut any = item(104, ANY, 4, "osm in instance connected");
    any["summary"] = json!(ANY);
    let all = json!({
        "code": 0, "desc": "List 11 instances",
        "list": [
            full, bare, no_ip,
            any,
            item(105, "suspend", 9, "instance is suspend"),
            item(106, "query", 245, "instance needs queryed"),
            item(107, "no disk", 255, "the instance disk does not exist"),
            item(108, "strange", -77, "Unknown Status"),
            item(2252, "openerp7 img gz", 2, "instance is stopped"),
            item(2492, "gallery3", 1, new),
            item(2493, "ubuntu 12.04 64位版", 1, new),
        ],
        "total": 11, "sepa": 100, "p": 1,
    });
    let missing = refusal("instance_not_found", "Instance 100 does not exist");
    let nobodys = refusal("instance_not_owned", "Instance 109 is someone else's");
    vec![
        // docs/contract.md, "POST /api/login". `openapi.yaml` has a locked user with the right password.
        case("a locked user", LOGIN, "username=locked&password=x", auth_failed()),
        case("a user name in upper case", LOGIN, "username=LUOYUN&password=luoyun", auth_failed()),
        // "POST /api/instance/baseinfo".
        info("a port and another vdi_type", 101, baseinfo(101, "full", 2, "fd00::1", Some(65535))),
        info("no node and no name", 102, baseinfo(102, "", 1, "", Some(1))),
        info("a node without an address", 103, baseinfo(103, "no ip", 1, "", None)),
        info("any characters", 104, baseinfo(104, ANY, 1, "10.0.0.2", None)),
        info("an unknown status", 108, baseinfo(108, "strange", 1, "10.0.0.2", None)),
        info("a deleted instance", 100, missing),
        info("an instance without an owner", 109, nobodys),
        // "POST /api/myun/instance".
        case("the list, with every status", LIST, "session_key=$KEY&sepa=100", all),
    ]
}

#[test]
fn every_row_is_answered_as_the_contract_says() {
    cases::run(&server(), &rows());
}

#[test]
fn a_user_without_instances_has_an_empty_list() {
    let server = server();
    server.database().execute("DELETE FROM instances WHERE user_id = 2", []).unwrap();
    let key = server.log_in("gallery");
    let reply = server.post(LIST, &[("session_key", &key)]);
    let empty = json!({
        "code": 0, "desc": "List 0 instances", "list": [], "total": 0, "sepa": 10, "p": 1,
    });
    assert_eq!(reply, empty);
}

#[test]
fn a_list_larger_than_the_hosts_buffer_arrives_complete() {
    let server = server();
    // 1,000 items with summaries of 3,000 characters: three times Spin's buffer of 1 MiB.
    server
        .database()
        .execute_batch(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
             INSERT INTO instances (id, user_id, name, summary, status)
             SELECT 10000 + i, 2, 'n', printf('%.*c', 3000, 'x'), 2 FROM n",
        )
        .unwrap();
    let key = server.log_in("gallery");
    let form = [("session_key", key.as_str()), ("sepa", "1000"), ("p", "1")];
    let reply = server.post(LIST, &form);
    assert_eq!(reply["desc"], "List 1000 instances");
    assert_eq!(reply["total"], 1001);
    assert_eq!(reply["list"][999]["id"], 10999);
}
