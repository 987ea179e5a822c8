//! The query plan of each statement.

use std::collections::BTreeSet;

use api_tests::{BASEINFO, LIST, LOGIN, LOGOUT, LUOYUN, Server};

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
    let mut searches = Vec::new();
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
            let search = step.strip_prefix("SEARCH ").filter(|it| !it.contains("PRIMARY KEY"));
            searches.extend(search.map(str::to_owned));
        }
        // Only the sessions of a login may be sorted: the user's that have not expired, and the few
        // ended ones.
        let sorts = steps.iter().filter(|step| step.contains("TEMP B-TREE")).count();
        let allowed = if sql.ends_with("random() LIMIT 3") { 2 } else { 0 };
        assert!(sorts <= allowed, "{steps:?} in {sql}");
    }
    // Without COVERING, a search also reads the rows that it finds.
    searches.sort();
    let expected = [
        "instances USING COVERING INDEX instances_of_user (user_id=?)",
        "instances USING COVERING INDEX instances_of_user (user_id=?)",
        "sessions USING COVERING INDEX sessions_by_expiry (expires_at<?)",
        "sessions USING COVERING INDEX sessions_of_user_by_expiry (user_id=? AND expires_at>?)",
        "sessions USING INDEX sessions_by_expiry (expires_at<?)",
        "sessions USING INDEX sessions_of_user_by_expiry (user_id=? AND expires_at>?)",
        "sessions USING INDEX sqlite_autoindex_sessions_1 (digest=?)",
        "sessions USING INDEX sqlite_autoindex_sessions_1 (digest=?)",
        "u USING INDEX sqlite_autoindex_users_1 (username=?) LEFT-JOIN",
    ];
    assert_eq!(searches, expected);
}
