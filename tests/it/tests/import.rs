//! `luoyun-admin import`, from the PostgreSQL server of `tests/with-postgres.sh`.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, thread};

use api_tests::admin::{Outcome, run};
use api_tests::server::{repeat_beside, send_signal, timed, value, wait_until};
use api_tests::{Admin, LIST};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::admin::{self, assert_fails, empty_database, empty_server, run_mounted};

/// The number of instances in the large source.
pub(crate) const MANY: usize = 100_000;

/// The tables as LuoYunCloud creates them.
const TABLES: &str = include_str!("../import/tables.sql");

/// Three users with nodes and instances.
pub(crate) const FEW: &str = include_str!("../import/few.sql");

/// A database of the PostgreSQL server, by name.
pub(crate) struct Source(String);

impl Source {
    pub(crate) fn new(name: &str, sql: &str) -> Self {
        Self::encoded(name, "UTF8", sql)
    }

    fn encoded(name: &str, encoding: &str, sql: &str) -> Self {
        let create = format!("CREATE DATABASE {name} ENCODING {encoding} TEMPLATE template0");
        psql("postgres", &create);
        psql(name, &format!("{TABLES} {sql}"));
        Self(name.to_owned())
    }

    pub(crate) fn url(&self) -> String {
        let var = |name| env::var(name).expect("make test-import starts PostgreSQL");
        format!("postgres://luoyun@{}:{}/{}", var("PGHOST"), var("PGPORT"), self.0)
    }

    pub(crate) fn sql(&self, sql: &str) -> String {
        psql(&self.0, sql)
    }

    /// Its rows, as an import stores them; compare with [`rows`].
    pub(crate) fn rows(&self) -> Vec<String> {
        self.sql(include_str!("../import/source_rows.sql")).lines().map(str::to_owned).collect()
    }
}

/// Runs `sql` with psql; returns a line per row.
fn psql(database: &str, sql: &str) -> String {
    let mut psql = Command::new("psql");
    psql.args(["-qAtX", "-v", "ON_ERROR_STOP=1", database]);
    let outcome = run(psql, sql.as_bytes());
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{sql}");
    outcome.stdout
}

/// The target of an import: a database with empty tables.
struct Target {
    folder: TempDir,
    admin: Admin,
    path: PathBuf,
    /// The import's state file.
    state: PathBuf,
}

impl Target {
    fn new() -> Self {
        let (folder, admin) = empty_database();
        let path = folder.path().join("sqlite_db.db");
        let state = path.with_added_extension("import");
        Self { folder, admin, path, state }
    }

    fn db(&self) -> Connection {
        Connection::open(&self.path).unwrap()
    }

    fn import(&self, source: &Source) -> String {
        self.admin.done(&["import", &source.url()])
    }
}

/// The stored password of the user 1.
fn password(path: &Path) -> String {
    value(&Connection::open(path).unwrap(), "SELECT password FROM users WHERE id = 1")
}

/// The rows of a database, in the format of [`Source::rows`].
pub(crate) fn rows(path: &Path) -> Vec<String> {
    let db = Connection::open(path).unwrap();
    let mut query = db.prepare(include_str!("../import/target_rows.sql")).unwrap();
    query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Compares a report, without the padding of its columns: the inserted, changed, deleted and equal
/// rows per table, and the notes.
#[track_caller]
pub(crate) fn assert_report(printed: &str, counts: [[usize; 4]; 3], notes: &str) {
    let counts = counts.map(|it| it.map(|it| it.to_string()).join(" "));
    let rows = format!("users {}\nnodes {}\ninstances {}", counts[0], counts[1], counts[2]);
    let words = printed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    let found: String = words.map(|line| line + "\n").collect();
    assert_eq!(found, format!("INSERTED CHANGED DELETED EQUAL\n{rows}\n{notes}"));
}

/// Imports `source`, which has [`FEW`], into the empty database of `admin`. `copy` returns the path
/// of a file with its rows.
pub(crate) fn every_import(admin: &Admin, source: &Source, copy: impl Fn() -> PathBuf) {
    let url = source.url();
    let imported = |counts, notes| {
        assert_report(&admin.done(&["import", &url]), counts, notes);
        assert_eq!(rows(&copy()), source.rows());
    };
    imported([[3, 0, 0, 0], [2, 0, 0, 0], [4, 0, 0, 0]], "");

    // A password that was set here is kept until the source changes it.
    let passwd = ["user", "passwd", "ada", "--memory-kib", "8", "--passes", "1"];
    admin.done_with(&passwd, b"other");
    let set_here = password(&copy());
    imported([[0, 0, 0, 3], [0, 0, 0, 2], [0, 0, 0, 4]], "");
    assert_eq!(password(&copy()), set_here);
    source.sql(include_str!("../import/changes.sql"));
    // Nor does a dry run delay an import.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let dry_run = spawn(&mut admin.command(&["import", "--dry-run", &url_at(&silent)]));
    let _connection = silent.accept().unwrap();
    let notes = "nodes without an IP address: their instances have no host: 1 (id 2)\n";
    imported([[2, 2, 1, 0], [1, 1, 0, 1], [1, 2, 1, 1]], notes);
    assert_eq!(password(&copy()), "a".repeat(40));
    kill(dry_run, "-KILL");
    imported([[0, 0, 0, 4], [0, 0, 0, 3], [0, 0, 0, 4]], notes);

    // Two imports with one state file: the second one is refused at once. With two, as on two
    // machines, the second one to write fails.
    source.sql("UPDATE instance SET name = 'new'");
    let lock = TableLock::new(source);
    let first = start(admin, source);
    lock.wait_for(1);
    assert_fails(&admin.run(&["import", &url]), "Another import into this database is running.");
    let state = admin.state().join("another");
    let other = spawn(admin.command(&["import", &url]).arg("--state").arg(state));
    lock.wait_for(2);
    lock.release();
    let mut outcomes = [first, other].map(end);
    outcomes.sort_by_key(|outcome| outcome.code);
    assert_eq!(outcomes[0].code, Some(0), "{outcomes:?}");
    assert_fails(&outcomes[1], "Another import has written in the meantime");
    assert_eq!(rows(&copy()), source.rows());
}

#[test]
#[ignore = "needs PostgreSQL: make test-import"]
fn every_import_works_on_a_file() {
    let (source, target) = (Source::new("file", FEW), Target::new());
    every_import(&target.admin, &source, || target.path.clone());
    let url = source.url();

    // A row that the source does not have, and a dry run, which changes and creates nothing.
    target.admin.done(&["node", "add", "local"]);
    fs::remove_file(&target.state).unwrap();
    let bytes = || fs::read(&target.path).unwrap();
    let before = bytes();
    let dry_run = target.admin.done(&["import", "--dry-run", &url]);
    let counts = "Nothing was changed (--dry-run). An import would have counted:\n";
    let counts = dry_run.strip_prefix(counts).unwrap();
    let notes = "nodes without an IP address: their instances have no host: 1 (id 2)\n";
    let expected = [[0, 0, 0, 4], [0, 0, 1, 3], [0, 0, 0, 4]];
    assert_report(counts, expected, notes);
    assert!(bytes() == before && !target.state.exists(), "a dry run wrote");
    assert_report(&target.import(&source), expected, notes);
    assert_eq!(fs::metadata(&target.state).unwrap().permissions().mode() & 0o777, 0o600);

    let files = || (bytes(), fs::read(&target.state).unwrap());
    let before = files();
    assert_eq!(target.admin.done(&["import", "--quiet", &url]), "");
    assert!(files() == before, "an import without changes wrote");

    // The state file is that of the file, by any path, and of no other.
    let folder = target.folder.path();
    std::os::unix::fs::symlink(&target.path, folder.join("link.db")).unwrap();
    Admin::on(&folder.join("link.db")).done(&["import", &url]);
    assert!(!folder.join("link.db.import").exists());
    fs::copy(&target.path, folder.join("sqlite_db.sqlite")).unwrap();
    Admin::on(&folder.join("sqlite_db.sqlite")).done(&["import", &url]);
    assert!(folder.join("sqlite_db.sqlite.import").exists());

    assert_eq!(value::<i64>(&target.db(), "SELECT count(*) FROM pragma_foreign_key_check"), 0);
}

#[test]
#[ignore = "needs PostgreSQL: make test-import"]
fn passwords_are_copied_again_into_a_restored_backup_and_not_after_a_failed_import() {
    let (source, target) = (Source::new("pending", FEW), Target::new());
    target.import(&source);
    let old: i64 = value(&target.db(), "PRAGMA user_version");

    // Fails while it writes: the state file then has the old version and the next one.
    source.sql("UPDATE instance SET name = 'new'");
    let refuse = "BEFORE UPDATE ON instances BEGIN SELECT RAISE(ABORT, 'refused'); END";
    target.db().execute_batch(&format!("CREATE TRIGGER refuse {refuse}")).unwrap();
    assert_fails(&target.admin.run(&["import", &source.url()]), "nothing was imported: ");
    target.db().execute_batch("DROP TRIGGER refuse").unwrap();
    let sql = format!("SELECT version FROM versions WHERE version <> {old}");
    let next: i64 = value(&Connection::open(&target.state).unwrap(), &sql);

    let failed = fs::read(&target.state).unwrap();
    let set = "UPDATE users SET password = 'set here' WHERE id = 1; PRAGMA user_version";
    for (number, has_failed, is_kept) in
        [(old, true, true), (next, true, true), (0, true, false), (old, false, false)]
    {
        // After an import that has not failed, only its own version is known.
        if has_failed {
            fs::write(&target.state, &failed).unwrap();
        }
        target.db().execute_batch(&format!("{set} = {number}")).unwrap();
        target.import(&source);
        assert_eq!(password(&target.path) == "set here", is_kept, "{number}");
    }
}

#[test]
#[ignore = "needs PostgreSQL: make test-import"]
fn an_upgraded_password_is_kept_until_the_source_changes_it() {
    let source = Source::new("upgraded", FEW);
    source.sql("UPDATE auth_user SET is_locked = false");
    let (server, admin) = empty_server();
    let path = server.state().join("sqlite_db.db");
    let import = || admin.done(&["import", &source.url()]);
    let stored = || password(&path);
    import();
    let key = server.log_in("ada");
    let strong = stored();
    assert!(strong.starts_with("$argon2id$"), "{strong}");

    // The later login here is no change. Other changes are imported, and the password is kept.
    for (sql, changed) in [("", 0), ("UPDATE auth_user SET username = 'a' WHERE id = 1", 1)] {
        source.sql(sql);
        let counts = [[0, changed, 0, 3 - changed], [0, 0, 0, 2], [0, 0, 0, 4]];
        assert_report(&import(), counts, "");
        assert_eq!(stored(), strong);
        assert!(server.accepts(&key), "the import ended a session");
    }
    // The SHA-1 of "a".
    let digest = "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8";
    source.sql(&format!("UPDATE auth_user SET password = '{digest}' WHERE id = 1"));
    import();
    assert!(!server.accepts(&key), "a session survived a password change");
    assert_eq!(stored(), digest);
    assert!(server.accepts(&server.log_in("a")));
    let key = server.log_in("grace");
    source.sql("UPDATE auth_user SET is_locked = true WHERE id = 2");
    import();
    assert!(!server.accepts(&key), "a session survived a lock");

    // The state file does not contain the source's digest, as text or as bytes.
    let state = path.with_added_extension("import");
    for trace in [digest.as_bytes(), &base16ct::mixed::decode_vec(digest).unwrap()] {
        assert!(!fs::read(&state).unwrap().windows(trace.len()).any(|window| window == trace));
    }
    // Without the state file, the import takes the source's password.
    assert_ne!(stored(), digest);
    fs::remove_file(state).unwrap();
    import();
    assert_eq!(stored(), digest);
}

#[test]
#[ignore = "needs PostgreSQL: make test-import"]
fn odd_values_are_converted_or_left_out_and_counted() {
    let source = Source::new("odd", include_str!("../import/odd_types.sql"));
    let target = Target::new();
    for case in include_str!("../import/odd_values.txt").split("\n\n") {
        let (odd, case) = case.split_once("\n? ").unwrap();
        let (sql, case) = case.split_once("\n= ").unwrap();
        let (expected, notes) = case.split_once('\n').unwrap();
        source.sql(&format!("{}; {odd}", include_str!("../import/one_row.sql")));
        for is_second in [false, true] {
            let printed = target.admin.done(&["import", "--allow-deletions", &source.url()]);
            let lines: Vec<_> = printed.lines().collect();
            assert_eq!(lines[4..], notes.lines().collect::<Vec<_>>(), "{odd}");
            // The second import takes the values for equal.
            let is_equal = |line: &&str| line.contains(" 0         0        0 ");
            assert!(!is_second || lines[1..4].iter().all(is_equal), "{odd}: {printed}");
        }
        let found: String = value(&target.db(), sql);
        // Tabs and invisible characters are written as \t and \u{200b}.
        assert_eq!(found.escape_debug().to_string(), expected, "{odd}");
    }
}

#[test]
#[ignore = "needs PostgreSQL: make test-import"]
fn columns_of_other_types_and_encodings_are_read() {
    let plain = Source::new("types", FEW).rows();
    for (at, types) in include_str!("../import/types.sql").split("\n\n").enumerate() {
        let target = Target::new();
        target.import(&Source::new(&format!("types{at}"), &format!("{FEW} {types}")));
        assert_eq!(rows(&target.path), plain, "{types}");
    }

    let replaced = "users with bytes that are not UTF-8: each is U+FFFD here: 1 (id 1)\n";
    for (database, encoding, literal, name, note) in [
        ("latin", "LATIN1", "chr(233)", "é", ""),
        ("euc", "EUC_CN", r"E'\xbf\xe2'", "库", ""),
        ("ascii", "SQL_ASCII", r"E'\xe9'", "\u{fffd}", replaced),
    ] {
        let row = format!("(1, {literal}, repeat('a', 40), '', false)");
        let sql = format!("SET client_encoding TO {encoding}; INSERT INTO auth_user VALUES {row}");
        let (source, target) = (Source::encoded(database, encoding, &sql), Target::new());
        assert_report(&target.import(&source), [[1, 0, 0, 0], [0; 4], [0; 4]], note);
        assert_eq!(rows(&target.path), [format!(r#"["u","1","{name}","0",null]"#)]);
    }
}

#[test]
#[ignore = "needs PostgreSQL: make test-import"]
fn an_unusable_source_is_rejected() {
    let target = Target::new();
    target.import(&Source::new("usable", FEW));
    let before = fs::read(&target.path).unwrap();
    psql("postgres", "CREATE ROLE clerk LOGIN; CREATE ROLE auditor LOGIN BYPASSRLS");
    for (at, [sql, user, reason]) in rows_of(include_str!("../import/unusable.txt")).enumerate() {
        let sql = format!("{FEW} {}; {sql}", include_str!("../import/policy.sql"));
        let source = Source::new(&format!("unusable{at}"), &sql);
        let url = |user: &str| source.url().replace("luoyun@", &format!("{user}@"));
        assert_fails(&target.admin.run(&["import", &url(user)]), reason);
        assert!(fs::read(&target.path).unwrap() == before, "{reason}: something was changed");
        if reason.contains("may not read all") {
            // A role that sees all rows.
            let printed = target.admin.done(&["import", &url("auditor")]);
            assert_report(&printed, [[0, 0, 0, 3], [0, 0, 0, 2], [0, 0, 0, 4]], "");
        }
    }
    // Character 129 has no equivalent in Unicode.
    let odd = "INSERT INTO auth_user VALUES (1, 'a', 'x'), (2, chr(129), 'x')";
    let url = Source::encoded("win", "WIN1252", odd).url();
    let reason =
        "cannot read the source's auth_user: after the row with id 1, in the column username";
    assert_fails(&target.admin.run(&["import", &url]), reason);
    let full = "mount -o remount,size=100k /mnt; export SQLITE_TMPDIR=/mnt";
    let many = Source::new("full_disk", &many(20_000));
    let import = target.admin.command(&["import", &many.url()]);
    if let Some(outcome) = run_mounted(target.folder.path(), full, &import) {
        assert_fails(&outcome, "The disk of /mnt is full: SQLITE_TMPDIR names another folder");
    }
    fs::write(&target.state, "This is a text. ".repeat(10)).unwrap();
    assert_fails(&target.admin.run(&["import", &many.url()]), "is not a state file of an import");
}

#[test]
#[ignore = "needs PostgreSQL: make test-import"]
fn many_deletions_have_to_be_allowed() {
    let (source, target) = (Source::new("deletions", ""), Target::new());
    let refused = [(100, 89), (200, 179), (12, 1), (3, 0)];
    let allowed = [(100, 90), (200, 180), (12, 2)];
    for (ours, left) in refused.into_iter().chain(allowed) {
        let nodes = "INSERT INTO node SELECT i, 'n', '::1' FROM generate_series(1,";
        source.sql(&format!("TRUNCATE instance, node; {nodes} {ours}) i"));
        target.admin.done(&["import", "--allow-deletions", &source.url()]);
        source.sql(&format!("DELETE FROM node WHERE id > {left}"));
        for option in ["--dry-run", "--quiet"] {
            let outcome = target.admin.run(&["import", option, &source.url()]);
            if allowed.contains(&(ours, left)) {
                assert_eq!(outcome.code, Some(0), "{ours} to {left}: {outcome:?}");
                continue;
            }
            let none = if left == 0 { "The source has no nodes. " } else { "" };
            let counts = format!("{none}This import would delete {} of {ours} nodes.", ours - left);
            assert_fails(&outcome, &counts);
            assert_eq!(rows(&target.path).len(), ours);
            // The message has the command that does it.
            let command = outcome.stderr.lines().last().unwrap();
            assert!(Command::new("sh").args(["-c", command]).output().unwrap().status.success());
        }
        assert_eq!(rows(&target.path).len(), left, "{ours} to {left}");
    }
}

#[test]
#[ignore = "needs PostgreSQL: make test-import"]
fn libpq_makes_the_connection() {
    let (_, target) = (Source::new("secret", FEW), Target::new());
    let var = |name| env::var(name).unwrap();
    let at = |text: &str| text.replace("$PORT", &var("PGPORT")).replace("$D", &var("PG_FOLDER"));
    for [url, variables, reason] in rows_of(include_str!("../import/connections.txt")) {
        let mut command = target.admin.command(&["import", "--dry-run"]);
        command.env_remove("PGHOST").env_remove("PGPORT").env_remove("PGUSER");
        // A value from a file ends with a line break.
        command.env("LUOYUN_SOURCE", at(&format!("postgres://{url}\n")));
        let variables = at(variables);
        let words = variables.split_whitespace();
        let (options, values): (Vec<_>, Vec<_>) = words.partition(|it| it.starts_with("--"));
        command.args(options).envs(values.iter().map(|it| it.split_once('=').unwrap()));
        let outcome = run(command, b"");
        let code = i32::from(!reason.is_empty());
        let is_expected = outcome.code == Some(code) && outcome.stderr.contains(reason);
        assert!(is_expected, "{url} {variables}: {outcome:?}");
        assert!(!outcome.stderr.contains("word\\"), "the password is shown: {outcome:?}");
    }
}

#[test]
#[ignore = "needs PostgreSQL: make test-import"]
fn a_source_that_does_not_answer_ends_the_import() {
    let (source, target) = (Source::new("stalled", FEW), Target::new());
    let begin = |url: &str| spawn(&mut target.admin.command(&["import", "--timeout", "1", url]));
    // A server that never speaks, and one without TLS.
    for (reply, reason) in [
        ("", "cannot connect to the source: no answer within 1 s"),
        ("N", "SSL was required (?sslmode=disable"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let import = begin(&url_at(&listener));
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(reply.as_bytes()).unwrap();
        assert_fails(&end(import), reason);
    }
    // A lock of another session ends the wait on the server too.
    let _lock = TableLock::new(&source);
    let reason = "cannot read the source's instance: another session has locked it";
    assert_fails(&end(begin(&source.url())), reason);
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    assert_eq!(source.sql(waiting), "0\n", "the query still waits for the lock");
}

pub(crate) fn start(admin: &Admin, source: &Source) -> Child {
    spawn(&mut admin.command(&["import", &source.url()]))
}

pub(crate) fn spawn(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn end(child: Child) -> Outcome {
    child.wait_with_output().unwrap().into()
}

pub(crate) fn kill(mut child: Child, signal: &str) {
    assert!(child.try_wait().unwrap().is_none(), "the import ended before it was killed");
    assert!(send_signal(signal, &child.id().to_string()));
    assert_eq!(child.wait().unwrap().code(), None);
}

/// The URL of a source that `listener` plays.
fn url_at(listener: &TcpListener) -> String {
    let address = listener.local_addr().unwrap();
    format!("postgres://u@{address}/d?sslmode=require&connect_timeout=0")
}

/// The rows of a table: one a line, with `|` between columns; `#` begins a comment.
fn rows_of<const N: usize>(table: &'static str) -> impl Iterator<Item = [&'static str; N]> {
    let columns = |row: &'static str| row.split('|').map(str::trim).collect::<Vec<_>>();
    admin::rows(table).map(move |row| columns(row).try_into().unwrap())
}

/// SQL for the rows of a source with `count` instances.
pub(crate) fn many(count: usize) -> String {
    include_str!("../import/many.sql").replace("COUNT", &count.to_string())
}

/// A lock on the source's table of instances; imports wait for it.
struct TableLock<'a> {
    source: &'a Source,
    psql: Child,
}

impl<'a> TableLock<'a> {
    fn new(source: &'a Source) -> Self {
        let mut psql = Command::new("psql");
        psql.args(["-qAtX", &source.0]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut psql = psql.spawn().unwrap();
        let lock = b"BEGIN; LOCK TABLE instance; SELECT 'locked';\n";
        psql.stdin.as_mut().unwrap().write_all(lock).unwrap();
        psql.stdout.as_mut().unwrap().read_exact(&mut [0; 6]).unwrap();
        Self { source, psql }
    }

    /// Waits until `count` imports are blocked by the lock.
    fn wait_for(&self, count: usize) {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
            AND application_name = 'luoyun-admin' AND wait_event_type = 'Lock'";
        let count = format!("{count}\n");
        wait_until("blocked imports", || self.source.sql(waiting) == count);
    }

    fn release(mut self) {
        drop(self.psql.stdin.take());
        self.psql.wait().unwrap();
    }
}

#[test]
#[ignore = "needs PostgreSQL: make test-import"]
fn a_killed_import_leaves_the_old_or_the_new_rows_and_no_psql() {
    let (source, target) = (Source::new("killed", &many(20_000)), Target::new());
    target.import(&source);
    let old = rows(&target.path);
    source.sql("UPDATE instance SET user_id = 1; DELETE FROM auth_user WHERE id > 990");
    let arguments = |id: &str| fs::read_to_string(format!("/proc/{}/cmdline", id.trim()));
    let url = source.url().replace("luoyun@", "secretive:pass%3Aword%5C@");
    // While it reads. Not SIGINT: a shell lets its background processes ignore it.
    for signal in ["-KILL", "-TERM"] {
        let lock = TableLock::new(&source);
        // Longer than the test waits: the lock's time limit would end psql too.
        let mut import = target.admin.command(&["import", "--timeout", "600"]);
        let import = spawn(import.env("LUOYUN_SOURCE", &url));
        lock.wait_for(1);
        // It does not block other writers.
        target.db().execute_batch("PRAGMA busy_timeout = 0; BEGIN IMMEDIATE").unwrap();
        // No argument list has the password.
        let id = import.id();
        let psql = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        let [program, child] = [&id.to_string(), &psql].map(|id| arguments(id).unwrap());
        assert!(child.contains("secretive@") && !child.contains("word"), "{child}");
        assert!(!program.contains("word"), "{program}");
        kill(import, signal);
        wait_until("the end of psql", || arguments(&psql).unwrap_or_default().is_empty());
        lock.release();
    }
    assert!(rows(&target.path) == old);

    // While it writes: more than 2,400 pages go through the write-ahead log.
    let log = PathBuf::from(format!("{}-wal", target.path.display()));
    for size in [1, 1_000_000, 3_000_000, 5_000_000] {
        let old = rows(&target.path);
        source.sql(&format!("UPDATE instance SET name = 'killed at {size} bytes'"));
        let mut import = start(&target.admin, &source);
        wait_until("a write-ahead log", || {
            fs::metadata(&log).is_ok_and(|log| log.len() >= size)
                || import.try_wait().unwrap().is_some()
        });
        import.kill().unwrap();
        import.wait().unwrap();
        let found = rows(&target.path);
        assert!(found == old || found == source.rows(), "killed at {size} bytes");
    }
    target.import(&source);
    assert!(rows(&target.path) == source.rows());
}

/// Runs an import to completion; returns its standard output, and its peak memory in KiB.
pub(crate) fn measure(admin: &Admin, source: &Source) -> (String, u64) {
    let mut import = start(admin, source);
    let status = format!("/proc/{}/status", import.id());
    let mut memory = 0;
    while import.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_millis(5));
        let text = fs::read_to_string(&status).unwrap_or_default();
        let peak = text.split_once("VmHWM:").and_then(|(_, rest)| rest.split_whitespace().next());
        memory = peak.map_or(memory, |peak| peak.parse().unwrap());
    }
    let outcome = end(import);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "no progress bar in a file");
    (outcome.stdout, memory)
}

#[test]
#[ignore = "needs PostgreSQL: make test-import"]
fn a_hundred_thousand_instances_are_imported_beside_a_server_under_load() {
    let source = Source::new("many", &many(MANY));
    let (server, admin) = empty_server();
    let import = |what, counts| {
        let (took, (printed, memory)) = timed(|| measure(&admin, &source));
        println!("{what}: {took:?}, {memory} KiB");
        assert_report(&printed, counts, "");
        assert!((1..100 * 1024).contains(&memory), "{memory} KiB");
    };
    import("first import", [[1000, 0, 0, 0], [200, 0, 0, 0], [MANY, 0, 0, 0]]);
    let key = server.log_in("user1");
    // All rows change under load, and then none.
    source.sql("UPDATE instance SET name = replace(name, 'generation 1', 'generation 2')");
    let client = |_| {
        let (server, key, mut client) = (&server, key.as_str(), server.connect());
        move || {
            // Another user's, as a user's oldest session ends.
            let (waited, _) = timed(|| server.log_in("user2"));
            for _ in 0..19 {
                let reply = client.post(LIST, &[("session_key", key), ("sepa", "100")]).json();
                assert_eq!(reply["code"], 0, "{reply}");
                let text = reply.to_string();
                let is_mixed = text.contains("generation 1 ") && text.contains("generation 2 ");
                assert!(!is_mixed, "old and new rows in one list: {reply}");
            }
            waited
        }
    };
    let (waits, ()) = repeat_beside(4, client, || {
        import("all changed, under load", [[0, 0, 0, 1000], [0, 0, 0, 200], [0, MANY, 0, 0]]);
        import("none changed, under load", [[0, 0, 0, 1000], [0, 0, 0, 200], [0, 0, 0, MANY]]);
    });
    println!("maximum latency of a login meanwhile: {:?}", waits.iter().max());
    assert!(!waits.is_empty());
    let path = server.state().join("sqlite_db.db");
    let [found, expected] = [rows(&path), source.rows()].map(|mut rows| {
        rows.retain(|row| !row.starts_with(r#"["u","1","#) && !row.starts_with(r#"["u","2","#));
        rows
    });
    assert!(found == expected);
}
