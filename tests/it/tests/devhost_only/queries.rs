//! The database's work for a request: query plans and costs, and correct pages and totals.

use std::collections::BTreeSet;

use api_tests::dataset::{self, Size};
use api_tests::{BASEINFO, LIST, LOGIN, LOGOUT, LUOYUN, Server, Setup};

#[test]
fn every_query_is_an_index_search() {
    let server = Server::with(&[("login_failures", "1")]);
    let mut queries = BTreeSet::new();
    let mut post = |path: &str, form: &[(&str, &str)]| {
        let reply = server.post(path, form);
        queries.extend(server.measured().sql);
        reply
    };
    // These requests cover every statement: an upgrade, a counted failure, its reset, a sweep, a
    // locked user.
    let _upgraded = post(LOGIN, &LUOYUN);
    let _counted = post(LOGIN, &[("username", "luoyun"), ("password", "wrong")]);
    server.sql("UPDATE login_failures SET retry_at = 0; UPDATE sessions SET expires_at = 1;");
    let _forgotten = post(LOGIN, &LUOYUN);
    let key = post(LOGIN, &LUOYUN)["session_key"].clone();
    let session = ("session_key", key.as_str().unwrap());
    let _refused = post(LIST, &[session, ("p", "0")]);
    let _list = post(LIST, &[session]);
    let _desktop = post(BASEINFO, &[session, ("instance_id", "2252")]);
    let _out = post(LOGOUT, &[session]);
    server.sql("UPDATE users SET is_locked = 1");
    let _locked = post(LOGIN, &LUOYUN);
    assert_eq!(queries.len(), 14, "a new statement needs a request above: {queries:#?}");

    let db = server.database();
    for sql in &queries {
        let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps = plan.raw_query().mapped(|row| row.get("detail"));
        let steps: Vec<String> = steps.collect::<Result<_, _>>().unwrap();
        println!("{sql}\n{steps:#?}");
        for step in &steps {
            // Scans may only read the result of a search, never a table or an index: the pair and
            // the network of a login (counted), the page of a list (page).
            let scanned = step.strip_prefix("SCAN ").is_some_and(|scanned| {
                let name = scanned.split(' ').next().unwrap();
                scanned != "CONSTANT ROW"
                    && !["counted", "page"].contains(&name)
                    && !name.starts_with("(subquery")
            });
            assert!(!scanned, "{step} in {sql}");
            assert!(!step.contains("USING INDEX instances_of_user"), "{step} reads rows in {sql}");
        }
        // Only the sessions of a login may be sorted: the user's that have not expired, and the few
        // ended ones.
        let sorts = steps.iter().filter(|step| step.contains("TEMP B-TREE")).count();
        let allowed = if sql.ends_with("random() LIMIT 3") { 2 } else { 0 };
        assert!(sorts <= allowed, "{steps:?} in {sql}");
    }
}

/// Requests a page of the list; returns its ids and the total.
fn page(server: &Server, key: &str, sepa: &str, p: &str) -> (Vec<i64>, i64) {
    let form = [("session_key", key), ("sepa", sepa), ("p", p)];
    let reply = server.post(LIST, &form);
    let list = reply["list"].as_array().unwrap();
    assert_eq!(reply["desc"], format!("List {} instances", list.len()));
    let ids = list.iter().map(|item| item["id"].as_i64().unwrap()).collect();
    (ids, reply["total"].as_i64().unwrap())
}

#[test]
fn pages_and_totals_match_the_table() {
    // Ids with gaps, deleted instances and another user's instances in between.
    let sql = "
        INSERT INTO instances (id, user_id, name, status)
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4500)
        SELECT i, 1 + (i % 3 = 0), 'instance ' || i, CASE i % 7 WHEN 0 THEN 100 ELSE 2 END
        FROM n
        WHERE i NOT IN (2252, 2492, 2493, 5) AND i NOT BETWEEN 1200 AND 1600;";
    let server = Server::start(Setup { sql, ..Setup::default() });
    let key = server.log_in("luoyun");
    let db = server.database();
    let sql = "SELECT id FROM instances WHERE user_id = 1 AND status <> 100 ORDER BY id";
    let mut all = db.prepare(sql).unwrap();
    let all: Vec<i64> = all.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let total = i64::try_from(all.len()).unwrap();
    // The whole list in pages of 1,000, and some pages of 1 from the start to beyond the end.
    for (sepa, pages, step) in [(1000, all.len().div_ceil(1000), 1), (1, all.len() + 8, 60)] {
        for p in (1..=pages).step_by(step) {
            let expected: Vec<_> = all.iter().copied().skip((p - 1) * sepa).take(sepa).collect();
            let found = page(&server, &key, &sepa.to_string(), &p.to_string());
            assert_eq!(found, (expected, total), "page {p} of {sepa}");
        }
    }
}

/// The steps of SQLite's virtual machine for each kind of request, on a data set of `size`
/// instances, users and sessions.
fn steps(size: u32) -> [(&'static str, f64); 4] {
    let server = Server::start(Setup { bare: true, ..Setup::default() });
    let key_value = server.state().join("sqlite_key_value.db");
    let size_of_each = Size { instances: size, users: size, sessions: size };
    dataset::fill(&server.database(), &key_value, size_of_each);

    let login = [("username", "bench"), ("password", "password")];
    let key = server.post(LOGIN, &login);
    let session = ("session_key", key["session_key"].as_str().unwrap());
    let _login = server.measured();
    [
        ("login", LOGIN, login.to_vec()),
        ("baseinfo", BASEINFO, vec![session, ("instance_id", "10")]),
        ("the first page", LIST, vec![session]),
        ("page 50", LIST, vec![session, ("p", "50")]),
    ]
    .map(|(name, path, form)| {
        assert_eq!(server.post(path, &form)["code"], 0);
        (name, f64::from(server.measured().sql_steps))
    })
}

#[test]
fn no_request_takes_more_steps_on_a_larger_data_set() {
    for ((name, small), (_, large)) in steps(1_000).into_iter().zip(steps(100_000)) {
        let ratio = large / small;
        println!("{name}: {small} and {large} steps, ratio {ratio:.2}");
        assert!(ratio <= 1.01, "{name}: {ratio:.2} times");
    }
}
