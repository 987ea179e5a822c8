//! The guest's resource use per request and the sizes of the modules stay within the limits of
//! `budgets.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use api_tests::server::root;
use api_tests::{Server, Setup};
use devhost::Measured;
use serde::Deserialize;

#[derive(Deserialize)]
struct Budgets {
    request: BTreeMap<String, Budget>,
    module: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct Budget {
    fuel: u64,
    memory: u64,
    calls: BTreeMap<String, u32>,
}

#[derive(Deserialize)]
struct Manifest {
    component: BTreeMap<String, Component>,
}

#[derive(Deserialize)]
struct Component {
    source: PathBuf,
}

fn budgets() -> Budgets {
    let path = root().join("tests/it/budgets.toml");
    toml::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Prints `value`, and adds it to `exceeded` if it is above `limit`.
fn compare(name: &str, value: u64, limit: u64, exceeded: &mut Vec<String>) {
    let line = format!("{name}: {value}, limit {limit}");
    println!("{line}");
    if value > limit {
        exceeded.push(line);
    }
}

/// Sends a form, which must succeed; returns the cost of the request.
fn cost(server: &Server, path: &str, form: &[(&str, &str)]) -> Measured {
    let reply = server.connect().post(path, form).json();
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
    let login = [("username", "luoyun"), ("password", "luoyun")];
    let server = Server::start(Setup { sql, ..Setup::default() });
    let _upgrade = cost(&server, "/api/login", &login);
    let ended = server.log_in("luoyun");
    let key = server.log_in("luoyun");
    let of_gallery = server.log_in("gallery");
    let _logins = [server.measured(), server.measured(), server.measured()];

    let variables = [("password_memory_kib", "19456"), ("password_passes", "2")];
    let default = Server::start(Setup { variables: &variables, ..Setup::default() });
    let _upgrade = cost(&default, "/api/login", &login);

    let session = ("session_key", key.as_str());
    let gallery = ("session_key", of_gallery.as_str());
    let costs = [
        ("login", cost(&server, "/api/login", &login)),
        ("login-default", cost(&default, "/api/login", &login)),
        ("logout", cost(&server, "/api/logout", &[("session_key", &ended)])),
        ("baseinfo", cost(&server, "/api/instance/baseinfo", &[session, ("instance_id", "2252")])),
        ("list-of-10", cost(&server, "/api/myun/instance", &[session, ("sepa", "10")])),
        ("list-of-100-chinese", cost(&server, "/api/myun/instance", &[gallery, ("sepa", "100")])),
        ("list-of-1000", cost(&server, "/api/myun/instance", &[session, ("sepa", "1000")])),
    ];
    let budgets = budgets();
    let measured: BTreeSet<_> = costs.iter().map(|(name, _)| *name).collect();
    assert_eq!(measured, budgets.request.keys().map(String::as_str).collect());
    let mut exceeded = Vec::new();
    for (name, cost) in &costs {
        let budget = &budgets.request[*name];
        compare(&format!("{name}, fuel"), cost.fuel, budget.fuel, &mut exceeded);
        let memory = u64::try_from(cost.memory).unwrap();
        compare(&format!("{name}, memory"), memory, budget.memory, &mut exceeded);
        let calls: BTreeMap<String, u32> =
            cost.calls.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        if calls != budget.calls {
            exceeded.push(format!("{name}, calls: {calls:?}, not {:?}", budget.calls));
        }
    }
    assert!(exceeded.is_empty(), "not within budgets.toml:\n{}", exceeded.join("\n"));
}

/// The modules of the manifest, by name.
fn modules() -> BTreeMap<String, PathBuf> {
    let manifest: Manifest =
        toml::from_str(&fs::read_to_string(root().join("spin.toml")).unwrap()).unwrap();
    let paths = manifest.component.into_values().map(|component| root().join(component.source));
    paths.map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), path)).collect()
}

#[test]
fn no_module_is_larger_than_its_budget() {
    let (modules, budgets) = (modules(), budgets().module);
    assert!(modules.keys().eq(budgets.keys()), "{modules:?} and the budgets {budgets:?}");
    let mut exceeded = Vec::new();
    for (name, path) in &modules {
        compare(name, fs::metadata(path).unwrap().len(), budgets[name], &mut exceeded);
    }
    assert!(exceeded.is_empty(), "not within budgets.toml:\n{}", exceeded.join("\n"));
}
