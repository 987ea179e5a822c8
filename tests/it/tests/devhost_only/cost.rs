//! What devhost alone tells and does: the cost of a request in storage calls, writes and fuel, and
//! stores that end their connections.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use api_tests::dataset::{ARGON2ID, SALTED, SHA1, WEAK, insert_users};
use api_tests::{BASEINFO, LIST, LOGOUT, Server, Setup};
use serde_json::Value;

#[test]
fn the_most_expensive_login_makes_eleven_storage_calls() {
    let server = Server::with(&[]);
    let storage = |password: &str| {
        let _ = server.log_in_with("luoyun", password);
        let calls = server.measured().calls.into_iter();
        calls.filter(|(name, _)| *name != "variables.get").map(|(_, count)| count).sum::<u32>()
    };
    let mut logins = vec![storage("luoyun")];
    logins.extend((0..20).map(|_| storage("luoyun")));
    // With sessions to delete, and with a failure count to reset besides.
    server.sql("UPDATE sessions SET expires_at = 1");
    logins.extend(["luoyun", "wrong", "luoyun"].map(storage));
    // With a password to upgrade and a failure count to reset besides.
    server.sql(WEAK);
    logins.extend(["wrong", "luoyun", "luoyun"].map(storage));
    assert_eq!(logins.iter().max(), Some(&11), "{logins:?}");
}

#[test]
fn a_failed_login_costs_the_same_for_every_stored_form() {
    // The names have equal lengths, so that only the form of the stored password differs.
    let argon2id = |cost: &str| ARGON2ID.replace("m=8,t=1", cost);
    let users = [
        ("sha1..", SHA1.to_owned()),
        ("salted", SALTED.to_owned()),
        ("sha512", format!("0123456789ab${}", "29".repeat(64))),
        ("same..", argon2id("m=1024,t=2")),
        ("memory", argon2id("m=512,t=2")),
        ("passes", argon2id("m=1024,t=1")),
        ("other.", argon2id("m=600,t=3")),
        ("lowest", argon2id("m=8,t=1")),
        ("broken", "x".to_owned()),
    ];
    let sql = insert_users(&users);
    let variables = &[("password_memory_kib", "1024"), ("password_passes", "2")];
    let server = Server::start(Setup { sql: &sql, variables, ..Setup::default() });
    let names = ["nobody"].into_iter().chain(users.iter().map(|(name, _)| *name));
    let fuel = names.map(|name| {
        assert_eq!(server.log_in_with(name, "wrong")["error"], "auth_failed");
        (server.measured().fuel, name)
    });
    let fuel: BTreeSet<_> = fuel.collect();
    let (lowest, highest) = (fuel.first().unwrap().0, fuel.last().unwrap().0);
    assert!(highest * 100 <= lowest * 102, "{fuel:?}");
}

#[test]
fn a_throttled_login_skips_the_password_derivation() {
    for (limit, is_one_name) in [("login_failures", true), ("login_address_failures", false)] {
        let server = Server::with(&[("password_memory_kib", "1024"), (limit, "5")]);
        let fuel = |i: usize| {
            let _ = server.log_in_with(&format!("name{}", if is_one_name { 0 } else { i }), "x");
            server.measured().fuel
        };
        let logins: Vec<u64> = (0..6).map(fuel).collect();
        assert!(logins[5] * 20 < logins[4], "{limit}: {logins:?}");
    }
}

/// A server with each manifest.
fn servers() -> [Server; 2] {
    let manifests = ["spin.toml", "spin-wasi03.toml"].map(Some);
    manifests.map(|manifest| Server::start(Setup { manifest, ..Setup::default() }))
}

/// An instance for WASI 0.3 keeps its connections for a second without requests.
#[test]
fn no_request_fails_after_the_stores_restart() {
    for server in servers() {
        let keys = ["luoyun"; 3].map(|user| server.log_in(user));
        let mut client = server.connect();
        for key in &keys[1..] {
            for path in [LIST, BASEINFO, LOGOUT] {
                let form = [("session_key", key.as_str()), ("instance_id", "2252")];
                let response = client.post(path, &form);
                assert_eq!(response.json()["code"], 0, "{path}: {response:?}");
                server.host().restart_stores();
            }
        }
        assert!(server.accepts(&keys[0]));
        assert_eq!(server.value::<i64>("SELECT count(*) FROM sessions"), 1);
        assert_eq!(server.logged("error="), [""; 0]);
    }
}

#[test]
fn a_database_file_that_was_replaced_is_read_after_five_seconds() {
    for server in servers() {
        let key = server.log_in("luoyun");
        let name =
            || -> Value { server.post(LIST, &[("session_key", &key)])["list"][0]["name"].clone() };
        for number in 0..2 {
            let _ = name();
            let [file, new] = ["sqlite_db.db", "new.db"].map(|file| server.state().join(file));
            server.database().execute("VACUUM INTO ?1", [new.to_str()]).unwrap();
            let db = rusqlite::Connection::open(&new).unwrap();
            db.execute("UPDATE instances SET name = 'new ' || ?1", [number]).unwrap();
            drop(db);
            for log in ["db-wal", "db-shm"] {
                let _ = fs::remove_file(file.with_extension(log));
            }
            fs::rename(new, file).unwrap();
            server.host().advance_clock(Duration::from_secs(5));
            assert_eq!(name(), format!("new {number}"));
        }
    }
}
