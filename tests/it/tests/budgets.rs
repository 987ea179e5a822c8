//! What requests cost the guest, and the sizes of the modules, against the figures in
//! `budgets.toml`.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use api_tests::server::root;
use api_tests::{Server, Setup};
use devhost::Measured;
use serde::Deserialize;

#[derive(Deserialize)]
struct Budgets {
    rust: String,
    request: BTreeMap<String, Budget>,
    module: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct Budget {
    fuel: u64,
    memory: u64,
    calls: BTreeMap<String, u32>,
}

fn budgets() -> Budgets {
    let path = root().join("tests/it/budgets.toml");
    toml::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// How much a figure may grow, in percent.
fn allowed(budgets: &Budgets) -> f64 {
    let version = Command::new("rustc").arg("--version").output().unwrap().stdout;
    let version = String::from_utf8(version).unwrap();
    if version.starts_with(&format!("rustc {}.", budgets.rust)) { 3.0 } else { 15.0 }
}

/// Says what `figure` is, and adds it to `grown` where it is too much.
#[allow(clippy::cast_precision_loss, reason = "percents of figures far below 2^52")]
fn compare(name: &str, figure: u64, budget: u64, allowed: f64, grown: &mut Vec<String>) {
    let percent = (figure as f64 / budget as f64 - 1.0) * 100.0;
    let line = format!("{name} = {figure}: {percent:+.1}% against {budget}");
    println!("{line}");
    if percent > allowed {
        grown.push(line);
    }
}

#[test]
fn no_request_costs_more_than_its_budget() {
    // One page of 1,000, whose names, summaries and ports are like real ones.
    let sql = "
        INSERT INTO instances (id, user_id, node_id, name, summary, status, vdi_port)
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
        SELECT 10000 + i, 1, 1, 'instance ' || i, 'web server no. ' || i, 1 + i % 5,
               5900 + i % 100
        FROM n;";
    let server = Server::start(Setup { sql, ..Setup::default() });
    let upgraded = server.log_in("luoyun");
    let key = server.log_in("luoyun");
    let _logins = [server.measured(), server.measured()];
    let cost = |path: &str, form: &[(&str, &str)]| -> Measured {
        let reply = server.connect().post(path, form).json();
        assert_eq!(reply["code"], 0, "{reply}");
        server.measured()
    };
    let session = ("session_key", key.as_str());
    let costs = [
        ("login", cost("/api/login", &[("username", "luoyun"), ("password", "luoyun")])),
        ("logout", cost("/api/logout", &[("session_key", &upgraded)])),
        ("baseinfo", cost("/api/instance/baseinfo", &[session, ("instance_id", "2252")])),
        ("list-of-10", cost("/api/myun/instance", &[session, ("sepa", "10")])),
        ("list-of-1000", cost("/api/myun/instance", &[session, ("sepa", "1000")])),
    ];

    let budgets = budgets();
    let allowed = allowed(&budgets);
    let mut grown = Vec::new();
    for (name, cost) in &costs {
        let budget = &budgets.request[*name];
        compare(&format!("{name} fuel"), cost.fuel, budget.fuel, allowed, &mut grown);
        let memory = u64::try_from(cost.memory).unwrap();
        compare(&format!("{name} memory"), memory, budget.memory, allowed, &mut grown);
        let calls: BTreeMap<String, u32> =
            cost.calls.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        println!("{name} calls = {calls:?}");
        if calls != budget.calls {
            grown.push(format!("{name} calls = {calls:?}, not {:?}", budget.calls));
        }
    }
    assert!(grown.is_empty(), "above budgets.toml:\n{}", grown.join("\n"));
}

#[test]
fn no_module_is_larger_than_its_budget() {
    let budgets = budgets();
    let allowed = allowed(&budgets);
    let mut grown = Vec::new();
    for (name, budget) in &budgets.module {
        let path = root().join(format!("target/wasm32-wasip1/release/{name}.wasm"));
        let size = fs::metadata(path).unwrap().len();
        compare(name, size, *budget, allowed, &mut grown);
        assert!(size <= 200_000, "{name}: {size} bytes");
    }
    assert!(grown.is_empty(), "above budgets.toml:\n{}", grown.join("\n"));
}
