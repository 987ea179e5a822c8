//! The guest's resource use per request and the sizes of the modules stay within the limits of
//! `budgets.toml`.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, iter};

use api_tests::server::at_once;
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

/// Compares `cost` with `budget`, and adds what is above it to `exceeded`.
fn compare_all(name: &str, cost: &Measured, budget: &Value, exceeded: &mut Vec<String>) {
    compare(&format!("{name}, fuel"), cost.fuel, &budget["fuel"], exceeded);
    let memory = u64::try_from(cost.memory).unwrap();
    compare(&format!("{name}, memory"), memory, &budget["memory"], exceeded);
    if json!(cost.calls) != budget["calls"] {
        exceeded.push(format!("{name}, calls: {:?}, not {}", cost.calls, budget["calls"]));
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
        compare_all(name, cost, &budgets[name], &mut exceeded);
    }
    assert!(exceeded.is_empty(), "not within budgets.toml:\n{}", exceeded.join("\n"));
}

/// With WASI 0.3, an instance serves several requests. Here it serves two.
#[test]
fn no_instance_for_wasi03_costs_more_than_its_budget() {
    let requests = [
        ("logout", LOGOUT, ("p", "1")),
        ("baseinfo", BASEINFO, ("instance_id", "2252")),
        ("list-of-10", LIST, ("sepa", "10")),
    ];
    let budgets = budgets("instance");
    assert_eq!(requests.len(), budgets.as_object().unwrap().len());
    // At once, as an instance ends after a second without requests.
    let exceeded = at_once(requests.len(), |i| {
        let (name, path, parameter) = requests[i];
        let manifest = Some("spin-wasi03.toml");
        let server = Server::start(Setup { manifest, ..Setup::default() });
        let attempt = || {
            let keys = ["luoyun", "luoyun"].map(|user| server.log_in(user));
            let _logins = keys.each_ref().map(|_| server.measured());
            for key in &keys {
                assert_eq!(server.post(path, &[("session_key", key), parameter])["code"], 0);
            }
            let first = server.measured();
            // A request that arrives before the instance is free again gets another one.
            let _second = (first.requests == 1).then(|| server.measured());
            first
        };
        let cost = iter::repeat_with(attempt).take(10).find(|cost| cost.requests == 2);
        let cost = cost.expect("an instance that serves two requests");
        let mut exceeded = Vec::new();
        compare_all(name, &cost, &budgets[name], &mut exceeded);
        exceeded
    });
    assert!(exceeded.concat().is_empty(), "not within budgets.toml:\n{exceeded:#?}");
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
