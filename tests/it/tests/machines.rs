//! Deployments: real servers, set up with the commands of `deploy/README.md`.

mod proxy;
mod servers;
mod systemd;

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use api_tests::admin::run;
use api_tests::server::{Process, repeat_beside, timed, wait_until};
use api_tests::{Admin, BASEINFO, Client, LOGIN, LOGOUT, LUOYUN, Response, Server, root};
use serde_json::Value;

use crate::admin::{assert_fails, every_command, failing_commands};
use crate::import::{FEW, MANY, Source, assert_report, every_import, kill, many, measure, start};

use servers::{Cut, Relayed, Site, free_address};

/// How long a store is unavailable. From its recovery to normal service it takes less.
const OUTAGE: Duration = Duration::from_secs(5);

#[test]
#[ignore = "needs sqld: make test-deploy"]
fn every_admin_command_works_on_a_libsql_server() {
    let mut site = Site::new();
    let sqld = site.start_libsql();
    every_command(&site.admin());
    site.run_readme("(umask 077; openssl rand");
    assert!(site.rows().iter().any(|row| row.contains("\"gallery\"")), "{:?}", site.rows());

    // A wrong token and no tables are errors with a reason.
    let refused = |admin: &Admin, reason: &str| assert_fails(&admin.run(&["user", "list"]), reason);
    site.run_readme("openssl genpkey");
    let another = site.run("deploy/libsql.sh token sqld.pem");
    refused(&Admin::at(site.get("LIBSQL_URL"), Some(another.trim())), "LIBSQL_TOKEN");
    drop(sqld);
    let _sqld = site.start_empty_libsql();
    refused(&site.admin(), "the next login adds them");

    site.run_readme("for file in migrations/");
    failing_commands(&site.admin());
}

#[test]
#[ignore = "needs PostgreSQL and sqld: make test-deploy"]
fn every_import_works_on_a_libsql_server() {
    let mut site = Site::new();
    let _sqld = site.start_libsql();
    every_import(&site.admin(), &Source::new("server", FEW), || site.copy());
}

#[test]
#[ignore = "needs PostgreSQL and sqld: make test-deploy"]
fn rows_of_four_kib_are_imported_and_listed() {
    let mut site = Site::new();
    let _sqld = site.start_libsql();
    let source = Source::new("long", &many(2_500));
    let admin = site.admin();
    // The longest text of the source's column.
    let summary = "🌱".repeat(1024);
    source.sql(&format!("UPDATE instance SET summary = '{summary}'"));
    admin.done(&["import", &source.url()]);
    // Reads all rows of the server.
    let report = admin.done(&["import", &source.url()]);
    assert_report(&report, [[0, 0, 0, 1000], [0, 0, 0, 200], [0, 0, 0, 2_500]], "");
    let list = admin.list(&["instance", "list", "--all"]);
    let listed = list.as_array().unwrap().iter().filter(|it| it["summary"] == summary);
    assert_eq!(listed.count(), 2_500);
}

#[test]
#[ignore = "needs PostgreSQL and sqld: make test-deploy"]
fn a_killed_import_into_a_libsql_server_leaves_the_old_or_the_new_rows() {
    let mut site = Site::new();
    let _sqld = site.start_libsql();
    let source = Source::new("machines", &many(MANY));
    let (relay, admin) = site.relay();
    let import = |what: &str| {
        *relay.lock().unwrap() = Relayed::default();
        let (took, (_, memory)) = timed(|| measure(&admin, &source));
        println!("into sqld, {what}: {took:.1?}, {memory} KiB");
        assert!((1..100 * 1024).contains(&memory), "{memory} KiB");
        assert!(site.rows() == source.rows(), "{what}: the rows are not the source's");
    };
    import("all new");
    source.sql("UPDATE instance SET name = 'changed'");
    import("all changed");
    let all = relay.lock().unwrap().sent.len();

    // Killed while it reads, while it sends, and after it has sent.
    for (point, bytes) in [
        ("as it reads", Some(1)),
        ("after a quarter", Some(all / 4)),
        ("after three quarters", Some(all * 3 / 4)),
        ("after the request", None),
    ] {
        let old = site.rows();
        source.sql(&format!("UPDATE instance SET name = 'killed {point}'"));
        *relay.lock().unwrap() = Relayed::default();
        let import = start(&admin, &source);
        wait_until(point, || {
            let state = relay.lock().unwrap();
            bytes.map_or_else(|| state.is_sent(), |bytes| state.sent.len() >= bytes)
        });
        kill(import, "-KILL");
        // The server may still work on it: this statement waits until it does no longer.
        let wait = "UPDATE users SET id = id WHERE false";
        wait_until("the server", || site.sql(wait).code == Some(0));
        let found = site.rows();
        let is_new = found == source.rows();
        println!("killed {point}: the {} rows", if is_new { "new" } else { "old" });
        assert!(is_new || found == old, "killed {point}: neither old nor new");
        assert!(bytes.is_none() || !is_new, "killed {point}: the new rows");
    }
    import("after the killed ones");
}

#[test]
#[ignore = "needs PostgreSQL and sqld: make test-deploy"]
fn an_import_without_a_reply_finds_out_what_happened() {
    let mut site = Site::new();
    let _sqld = site.start_libsql();
    let source = Source::new("lost", &many(10_000));
    let (relay, admin) = site.relay();
    let import = ["import", &source.url()];

    relay.lock().unwrap().cut = Some(Cut::Request);
    assert_fails(&admin.run(&import), "unknown whether");
    assert_eq!(site.rows(), [""; 0]);

    *relay.lock().unwrap() = Relayed::default();
    relay.lock().unwrap().cut = Some(Cut::Reply);
    admin.done(&import);
    assert!(relay.lock().unwrap().cut.is_none(), "the reply was not cut off");
    assert!(site.rows() == source.rows());
}

#[test]
#[ignore = "needs sqld: make test-deploy"]
fn a_dump_restores_the_database_and_ends_its_sessions() {
    let mut site = Site::new();
    let sqld = site.start_libsql();
    let sql = site.read("migrations/demo.sql")
        + "INSERT INTO sessions VALUES ('digest', 1, 1);
           INSERT INTO instances (user_id, name, summary)
           WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
           SELECT 1 + i % 2, 'it''s 库 ' || i, 'line
' || i FROM n;";
    assert_eq!(site.sql(&sql).code, Some(0));
    assert_eq!(site.sql("SELECT nothing; SELECT 1").code, Some(1), "an error is not reported");

    site.run_readme("(umask 077; deploy/libsql.sh dump");
    drop(sqld);
    let _sqld = site.start_empty_libsql();
    // SQL that restores nothing is an error.
    let backup = site.read("backup.sql");
    let whole_lines = &backup[..=backup[..backup.len() / 2].rfind(";\n").unwrap() + 1];
    for (sql, error) in [
        (whole_lines, "The SQL does not end its transaction"),
        ("BEGIN;\nCREATE TABLE x (y);\nROLLBACK; -- due to errors\n", "ends with ROLLBACK"),
        ("PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCOMMIT;\n", "has no SQL to run"),
        ("", "has no SQL to run"),
    ] {
        assert_fails(&site.sql(sql), error);
    }
    site.run_readme("deploy/libsql.sh <backup.sql");

    // The restored rows are the same, except that each user's epoch has changed: this ends the
    // sessions.
    let restored = site.run("deploy/libsql.sh dump");
    assert_eq!(restored.lines().count(), backup.lines().count());
    for (old, new) in backup.lines().zip(restored.lines()) {
        let is_user = old.starts_with("INSERT INTO users ");
        let without_epoch = |row: &str| row.rsplit_once(',').map(|(row, _)| row.to_owned());
        assert_eq!(old != new, is_user, "{old} {new}");
        assert!(!is_user || without_epoch(old) == without_epoch(new), "{old} {new}");
    }

    // sqlite3 can read the dump, and a dump by sqlite3 can be restored in the same way.
    let _sqld = site.start_empty_libsql();
    let moved = site
        .try_run(&servers::readme("(umask 077; sqlite3 -readonly .spin/sqlite_db.db .dump"), "");
    assert_eq!(moved.code, Some(1), "there is no such file: {moved:?}");
    site.run("mkdir .spin; (echo 'PRAGMA journal_mode = WAL;'; cat backup.sql) | sqlite3 .spin/sqlite_db.db");
    site.run_readme("(umask 077; sqlite3 -readonly .spin/sqlite_db.db .dump");
    let moved = site.run("deploy/libsql.sh dump");
    let [moved, backup] = [&moved, &backup].map(|dump| dump.lines().collect::<BTreeSet<_>>());
    assert!(moved.len() > 100_000);
    assert!(moved == backup, "the moved database differs from the original");
}

#[test]
#[ignore = "needs Redis and HAProxy: make test-deploy"]
fn haproxy_routes_to_the_primary_and_waits_until_there_is_one() {
    let mut site = Site::new();
    let (first, second) = (free_address(), free_address());
    let mut primary = site.start_redis(first, "");
    let replica_of = |address: SocketAddr| format!("--replicaof 127.0.0.1 {}", address.port());
    let _replica = site.start_redis(second, &replica_of(first));
    wait_until("a replica", || site.redis(second, "INFO").contains("master_link_status:up"));
    site.set("REDIS_1", first);
    site.set("REDIS_2", second);
    let (_proxy, proxy) = site.start_redis_proxy();
    assert_eq!(site.redis(proxy, "SET name value"), "OK");
    assert_eq!(site.redis(first, "WAIT 1 0"), "1");

    // A request waits until there is a primary; HAProxy does not send it to the replica.
    primary.kill();
    thread::scope(|scope| {
        let answer = scope.spawn(|| {
            assert_eq!(site.redis(proxy, "GET name"), "value");
            Instant::now()
        });
        thread::sleep(OUTAGE);
        assert!(!answer.is_finished(), "answered without a primary");
        site.run_readme("REDISCLI_AUTH=$REDIS_PASSWORD redis-cli -h \"${REDIS_2%:*}\"");
        let promoted = Instant::now();
        let waited = answer.join().unwrap() - promoted;
        println!("replica promoted: reply {waited:.1?} later");
        assert!(waited < OUTAGE, "{waited:?}");
    });
    assert_eq!(site.redis(proxy, "SET name second"), "OK");

    // The old primary rejoins as a replica, and the new one stays primary.
    let _old = site.start_redis(first, &replica_of(second));
    wait_until("the old primary", || site.redis(first, "INFO").contains("master_link_status:up"));
    assert_eq!(site.redis(proxy, "SET name third"), "OK");

    // The sessions can be moved to another Redis server.
    site.set("REDIS_1", second);
    site.run_readme("(umask 077\nREDISCLI_AUTH=$REDIS_PASSWORD redis-cli");
    let other = free_address();
    site.run(&format!("mkdir redis-{0}; mv sessions.rdb redis-{0}/dump.rdb", other.port()));
    let mut other_redis = site.start_redis(other, "--appendonly no");
    assert_eq!(site.redis(other, "GET name"), "third");
    site.set("REDIS_1", other);
    site.run_readme("REDISCLI_AUTH=$REDIS_PASSWORD redis-cli -h \"${REDIS_1%:*}\"");
    let saved = || site.redis(other, "INFO persistence").contains("aof_rewrite_in_progress:0");
    wait_until("the append-only file", saved);
    other_redis.kill();
    let _other = site.start_redis(other, "");
    assert_eq!(site.redis(other, "GET name"), "third");

    // On Debian, the distribution's configuration file comes first.
    let check = "haproxy -c -f /etc/haproxy/haproxy.cfg -f deploy/haproxy.cfg";
    assert!(site.run(check).contains("valid"));
}

/// A request with its start and end times, and the reply if it was done.
struct Sent {
    begin: Instant,
    end: Instant,
    reply: Option<Value>,
}

/// Requests beside an outage, and when it began and ended.
struct Load {
    done: Vec<Sent>,
    failed: Vec<Sent>,
    killed: Instant,
    back: Instant,
}

/// Calls `outage`, which returns when it began and ended, while 8 clients log in and read at `addr`,
/// each from an address of its own, on a keep-alive connection. Asserts that no session is lost.
fn under_load(addr: SocketAddr, what: &str, outage: impl FnOnce() -> [Instant; 2]) -> Load {
    let server = Server::at(addr);
    let (key, done) = (&server.log_in("luoyun"), &AtomicUsize::new(0));
    let client = |first: usize| {
        let source = Ipv4Addr::new(127, 0, 2, u8::try_from(first).unwrap());
        let (mut numbers, mut connection) = (first.., None);
        move || {
            let begin = Instant::now();
            let read = [("session_key", key.as_str()), ("instance_id", "2252")];
            let is_login = numbers.next().is_some_and(|number| number % 10 == 0);
            let (path, form) = if is_login { (LOGIN, LUOYUN) } else { (BASEINFO, read) };
            let client = connection.take();
            let mut client = client.unwrap_or_else(|| Client::connect_from(source, addr));
            let reply = client.try_post(path, &form).ok();
            let stays = |reply: &Response| reply.header("connection") != Some("close");
            connection = reply.as_ref().is_some_and(stays).then_some(client);
            let reply = reply.filter(|reply| reply.status == 200).map(|reply| reply.json());
            let reply = reply.filter(|reply| reply["code"] == 0);
            done.fetch_add(usize::from(reply.is_some()), Ordering::Relaxed);
            Sent { begin, end: Instant::now(), reply }
        }
    };
    let wait_for = |count: usize| {
        let goal = done.load(Ordering::Relaxed) + count;
        wait_until("requests", || done.load(Ordering::Relaxed) >= goal);
    };
    let (sent, [killed, back]) = repeat_beside(8, client, || {
        wait_for(100);
        let times = outage();
        wait_for(200);
        times
    });
    let (done, failed): (Vec<_>, Vec<_>) = sent.into_iter().partition(|it| it.reply.is_some());
    let longest = failed.iter().map(|sent| sent.end - sent.begin).max().unwrap_or_default();
    println!("{what} lost: {} done, {} failed, within {longest:.1?}", done.len(), failed.len());
    let keys = done.iter().filter_map(|sent| sent.reply.as_ref()?["session_key"].as_str());
    let lists = keys.clone().map(|key| server.list(key));
    let lost: Vec<_> = lists.filter(|reply| reply["code"] != 0).collect();
    assert!(lost.is_empty(), "{what}: sessions were lost: {lost:?}");
    assert!(keys.count() > 10, "{what}");
    Load { done, failed, killed, back }
}

/// Starts a Spin server with the cheapest passwords; returns it and its address.
fn start_spin(site: &mut Site) -> (Process, SocketAddr) {
    site.start_unit("spin up --variable password_memory_kib=8 --variable password_passes=1")
}

/// Whether Spin is the host.
fn has_spin() -> bool {
    run(Command::new(root().join("scripts/host.sh")), b"").stdout.starts_with("spin")
}

/// Two Spin servers, and the servers that they need.
struct Machines {
    site: Site,
    spins: [(Process, SocketAddr); 2],
    /// The HAProxy in front of them.
    front: SocketAddr,
    redis: (Process, SocketAddr),
    sqld: Process,
    _others: [Process; 2],
}

impl Machines {
    fn start(manifest: &str) -> Self {
        let mut site = Site::new();
        site.set("LUOYUN_MANIFEST", manifest);
        let sqld = site.start_libsql();
        site.run("deploy/libsql.sh <migrations/demo.sql");
        let primary = free_address();
        let redis = (site.start_redis(primary, ""), primary);
        site.set("REDIS_1", primary);
        site.set("REDIS_2", free_address());
        let (redis_proxy, _) = site.start_redis_proxy();
        site.run_readme("openssl x509 -in /etc/ssl/certs/");
        let spins = [(); 2].map(|()| start_spin(&mut site));

        site.set("SPIN_1", spins[0].1);
        site.set("SPIN_2", spins[1].1);
        let (http_proxy, _, front) = site.start_http_proxy();
        let others = [redis_proxy, http_proxy];
        Self { site, spins, front, redis, sqld, _others: others }
    }

    fn share_sessions_and_locks(&self) {
        let [one, two] = [0, 1].map(|number| Server::at(self.spins[number].1));
        let key = one.log_in("luoyun");
        assert!(two.accepts(&key));
        assert_eq!(two.post(LOGOUT, &[("session_key", &key)])["code"], 0);
        assert!(!one.accepts(&key));

        let (key, admin) = (one.log_in("luoyun"), self.site.admin());
        admin.done(&["user", "lock", "luoyun"]);
        assert!(!one.accepts(&key) && !two.accepts(&key));
        admin.done(&["user", "unlock", "luoyun"]);
    }

    fn lose_a_spin(&mut self, number: usize, name: &str) {
        let spin = &mut self.spins[number].0;
        let load = under_load(self.front, name, || {
            spin.kill();
            [Instant::now(); 2]
        });
        let is_later = |sent: &Sent| sent.begin >= load.killed;
        assert!(!load.failed.iter().any(is_later), "{name}: a later request failed");

        let says = |state: &str| {
            let line = format!("Server spins/{name} is {state}");
            wait_until(&line, || self.site.read("servers.log").contains(&line));
        };
        says("DOWN");
        spin.restart();
        says("UP");
    }

    /// Requests in flight when Redis is killed may fail; later ones wait until it is back.
    fn lose_redis(&mut self) {
        let (redis, addr) = &mut self.redis;
        let load = under_load(self.front, "Redis", || {
            redis.kill();
            let killed = Instant::now();
            thread::sleep(OUTAGE);
            redis.restart();
            wait_until("Redis", || self.site.redis(*addr, "PING") == "PONG");
            [killed, Instant::now()]
        });
        let is_later = |sent: &Sent| sent.begin >= load.killed;
        assert!(!load.failed.iter().any(is_later), "a request did not wait");
        let waited = load.done.iter().filter(|sent| sent.begin < load.back && sent.end > load.back);
        let longest = waited.map(|sent| sent.end - load.back).max().expect("a request that waited");
        println!("others waited {longest:.1?} longer");
        assert!(longest < OUTAGE, "{longest:?}");
    }

    fn lose_the_database(&mut self, outage: Duration) {
        let load = under_load(self.front, "sqld", || {
            self.sqld.kill();
            let killed = Instant::now();
            thread::sleep(outage);
            self.sqld.restart();
            wait_until("sqld", || self.site.sql("SELECT 1").code == Some(0));
            [killed, Instant::now()]
        });
        assert!(!load.failed.is_empty());
        let is_later = |sent: &Sent| sent.begin >= load.back;
        assert!(!load.failed.iter().any(is_later), "a request failed after the outage");
    }

    /// Spin trusts only the root certificate of `luoyun-api-root.pem`.
    fn reach_the_database_over_tls(&mut self) {
        let tls = free_address();
        let sqld = self.site.get("LIBSQL_URL").strip_prefix("http://").unwrap();
        let proxy = format!(
            "defaults\n mode http\n timeout client 60s\n timeout server 60s\n timeout connect 1s\n\
             listen libsql\n bind {tls} ssl crt localhost.key.pem\n server sqld {sqld}\n"
        );
        fs::write(self.site.path("tls.cfg"), proxy).unwrap();
        let _proxy = self.site.start_command("haproxy -f tls.cfg");
        wait_until("HAProxy", || Client::try_connect(tls).is_some());
        self.site.set("LIBSQL_URL", format!("https://localhost:{}", tls.port()));
        let (_spin, addr) = start_spin(&mut self.site);
        let response = Client::connect(addr).post(LOGIN, &LUOYUN);
        assert_eq!(response.status, 500, "Spin trusts another root");
        self.site.run("cp authority.pem luoyun-api-root.pem");
        let (_spin, addr) = start_spin(&mut self.site);
        let _key = Server::at(addr).log_in("luoyun");
    }
}

#[test]
#[ignore = "needs PostgreSQL, Redis, HAProxy, sqld and Spin: make test-deploy"]
fn two_spins_share_their_stores_and_recover_from_outages() {
    if !has_spin() {
        println!("Not run, as this needs Spin.");
        return;
    }
    let newest = run(Command::new(root().join("scripts/manifest.sh")), b"").stdout;
    for manifest in BTreeSet::from(["spin.toml", newest.trim()]) {
        println!("{manifest}:");
        let mut machines = Machines::start(manifest);
        machines.share_sessions_and_locks();
        machines.lose_a_spin(0, "spin_1");
        machines.lose_a_spin(1, "spin_2");
        machines.lose_redis();
        machines.lose_the_database(Duration::ZERO);
        machines.lose_the_database(OUTAGE);
        machines.reach_the_database_over_tls();
    }
}
