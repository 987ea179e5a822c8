//! The guest's resource use per request and the sizes of the modules stay within the limits of
//! `budgets.toml`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use api_tests::{BASEINFO, LIST, LOGIN, LOGOUT, LUOYUN, Server, Setup, root, toml};
use devhost::Measured;
use serde_json::{Value, json};

fn budgets(table: &str) -> Value {
    toml("tests/it/budgets.toml")[table].clone()
}

/// Prints `value`, and adds it to `exceeded` if it is above `limit`.
fn compare(name: &str, value: u64, limit: &Value, exceeded: &mut Vec<String>) {
    let line = format!("{name}: {value}, limit {limit}");
    println!("{line}");
    if value > limit.as_u64().unwrap() {
        exceeded.push(line);
    }
}

/// Sends a form, which must succeed; returns the cost of the request.
fn cost(server: &Server, path: &str, form: &[(&str, &str)]) -> Measured {
    let reply = server.post(path, form);
    assert_eq!(reply["code"], 0, "{reply}");
    server.measured()
}

#[test]
fn no_request_costs_more_than_its_budget() {
    // A page of 1,000 instances with realistic names, summaries and ports.
    let sql = "
        INSERT INTO instances (id, user_id, node_id, name, summary, status, vdi_port)
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
        SELECT 10000 + i, 1, 1, 'instance ' || i, 'web server no. ' || i, 1 + i % 5,
               5900 + i % 100
        FROM n;
        INSERT INTO instances (id, user_id, node_id, name, vdi_port)
        SELECT id + 1000, 2, 1, '图书馆一号楼的开发虚拟机 ' || id, vdi_port
        FROM instances WHERE id BETWEEN 10001 AND 10100;";
    let server = Server::start(Setup { sql, ..Setup::default() });
    let _upgrade = cost(&server, LOGIN, &LUOYUN);
    let ended = server.log_in("luoyun");
    let key = server.log_in("luoyun");
    let of_gallery = server.log_in("gallery");
    let _logins = [server.measured(), server.measured(), server.measured()];

    let default = Server::with(&[("password_memory_kib", "19456"), ("password_passes", "2")]);
    let _upgrade = cost(&default, LOGIN, &LUOYUN);

    let session = ("session_key", key.as_str());
    let gallery = ("session_key", of_gallery.as_str());
    let costs = [
        ("login", cost(&server, LOGIN, &LUOYUN)),
        ("login-default", cost(&default, LOGIN, &LUOYUN)),
        ("logout", cost(&server, LOGOUT, &[("session_key", &ended)])),
        ("baseinfo", cost(&server, BASEINFO, &[session, ("instance_id", "2252")])),
        ("list-of-10", cost(&server, LIST, &[session, ("sepa", "10")])),
        ("list-of-100-chinese", cost(&server, LIST, &[gallery, ("sepa", "100")])),
        ("list-of-1000", cost(&server, LIST, &[session, ("sepa", "1000")])),
    ];
    let budgets = budgets("request");
    assert_eq!(costs.len(), budgets.as_object().unwrap().len());
    let mut exceeded = Vec::new();
    for (name, cost) in &costs {
        let budget = &budgets[name];
        compare(&format!("{name}, fuel"), cost.fuel, &budget["fuel"], &mut exceeded);
        let memory = u64::try_from(cost.memory).unwrap();
        compare(&format!("{name}, memory"), memory, &budget["memory"], &mut exceeded);
        let (calls, expected) = (json!(cost.calls), &budget["calls"]);
        if calls != *expected {
            exceeded.push(format!("{name}, calls: {calls}, not {expected}"));
        }
    }
    assert!(exceeded.is_empty(), "not within budgets.toml:\n{}", exceeded.join("\n"));

    // A refused read makes no more calls than a successful one.
    for (path, form) in [
        (BASEINFO, &[session, ("instance_id", "5")][..]),
        (BASEINFO, &[session, ("instance_id", "99999")]),
        (LIST, &[session, ("p", "0")]),
        (LIST, &[]),
    ] {
        assert_eq!(server.post(path, form)["code"], 1, "{path} {form:?}");
        let expected = if form.is_empty() { &json!({}) } else { &budgets["baseinfo"]["calls"] };
        assert_eq!(&json!(server.measured().calls), expected, "{path} {form:?}");
    }
}

#[test]
fn no_module_is_larger_than_its_budget() {
    let budgets = budgets("module");
    let mut modules = BTreeMap::new();
    for manifest in ["spin.toml", "spin-wasi03.toml"] {
        for component in toml(manifest)["component"].as_object().unwrap().values() {
            let path = Path::new(component["source"].as_str().unwrap());
            let name = path.strip_prefix("target/wasm32-wasip1").unwrap().with_extension("");
            modules.insert(name.display().to_string(), root().join(path));
        }
    }
    assert!(modules.keys().eq(budgets.as_object().unwrap().keys()), "{modules:?} and {budgets}");
    let mut exceeded = Vec::new();
    for (name, path) in &modules {
        compare(name, fs::metadata(path).unwrap().len(), &budgets[name], &mut exceeded);
    }
    assert!(exceeded.is_empty(), "not within budgets.toml:\n{}", exceeded.join("\n"));
}
