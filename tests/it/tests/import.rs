//! `luoyun-admin import`, from the PostgreSQL server of `tests/with-postgres.sh`.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{env, thread};

use api_tests::admin::{Outcome, run};
use api_tests::server::{send_signal, tables, wait_until};
use api_tests::{Admin, Client, LIST, LOGIN, Server, Setup};
use rusqlite::Connection;
use rusqlite::types::FromSql;
use tempfile::TempDir;

use crate::admin::{assert_fails, run_mounted};

/// The number of instances in the large source.
pub(crate) const MANY: usize = 100_000;

/// The tables as LuoYunCloud creates them.
const TABLES: &str = include_str!("../import/tables.sql");

/// Three users with nodes and instances.
pub(crate) const FEW: &str = include_str!("../import/few.sql");

/// A database of the PostgreSQL server, by name.
pub(crate) struct Source(&'static str);

impl Source {
    pub(crate) fn new(name: &'static str, sql: &str) -> Self {
        Self::encoded(name, "UTF8", sql)
    }

    fn encoded(name: &'static str, encoding: &str, sql: &str) -> Self {
        let create = format!("CREATE DATABASE {name} ENCODING {encoding} TEMPLATE template0");
        psql("postgres", &create);
        psql(name, &format!("{TABLES} {sql}"));
        Self(name)
    }

    pub(crate) fn url(&self) -> String {
        let var = |name| env::var(name).expect("make test-import starts PostgreSQL");
        format!("postgres://luoyun@{}:{}/{}", var("PGHOST"), var("PGPORT"), self.0)
    }

    pub(crate) fn sql(&self, sql: &str) -> String {
        psql(self.0, sql)
    }

    /// Its rows, as an import stores them; compare with [`rows`].
    pub(crate) fn rows(&self) -> Vec<String> {
        let sql = include_str!("../import/source_rows.sql");
        let mut rows: Vec<_> = self.sql(sql).lines().map(str::to_owned).collect();
        rows.sort();
        rows
    }
}

/// Runs `sql` with psql; returns a line per row, with NULL as `NULL`.
fn psql(database: &str, sql: &str) -> String {
    let mut psql = Command::new("psql");
    psql.args(["-qAtX", "-v", "ON_ERROR_STOP=1", "-P", "null=NULL", database]);
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
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("sqlite_db.db");
        Connection::open(&path).unwrap().execute_batch(&tables()).unwrap();
        let state = path.with_added_extension("import");
        Self { folder, admin: Admin::on(&path), path, state }
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(&self.path).unwrap()
    }

    fn db(&self) -> Connection {
        Connection::open(&self.path).unwrap()
    }

    fn import(&self, source: &Source) -> String {
        self.admin.done(&["import", &source.url()])
    }
}

/// The value that `sql` returns of a database.
fn query<T: FromSql>(path: &Path, sql: &str) -> T {
    Connection::open(path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

/// The stored password of the user 1.
fn password(path: &Path) -> String {
    query(path, "SELECT password FROM users WHERE id = 1")
}

/// The rows of a database, in the format of [`Source::rows`].
pub(crate) fn rows(path: &Path) -> Vec<String> {
    let db = Connection::open(path).unwrap();
    let mut query = db.prepare(include_str!("../import/target_rows.sql")).unwrap();
    let rows = query.query_map([], |row| row.get(0));
    let mut rows: Vec<_> = rows.unwrap().map(Result::unwrap).collect();
    rows.sort();
    rows
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

#[test]
#[ignore = "needs PostgreSQL: make test-import"]
fn an_import_makes_the_target_equal_and_a_second_one_writes_nothing() {
    let (source, target) = (Source::new("equal", FEW), Target::new());
    // Local rows, which the source does not have.
    target.admin.done_with(&["user", "add", "local", "--memory-kib", "8", "--passes", "1"], b"x");
    target.admin.done(&["node", "add", "local"]);
    target.admin.done(&["instance", "add", "--owner", "local", "--name", "x", "--id", "99"]);
    let url = source.url();

    let before = target.bytes();
    let dry_run = target.admin.done(&["import", "--dry-run", &url]);
    let (first, counts) = dry_run.split_once('\n').unwrap();
    assert_eq!(first, "Nothing was changed (--dry-run). An import would have counted:");
    let expected = [[2, 1, 0, 0], [1, 1, 0, 0], [4, 0, 1, 0]];
    assert_report(counts, expected, "");
    assert!(target.bytes() == before, "a dry run wrote");
    assert_eq!(fs::read_dir(target.folder.path()).unwrap().count(), 1, "a dry run made a file");

    assert_report(&target.import(&source), expected, "");
    assert_eq!(rows(&target.path), source.rows());
    assert_eq!(fs::metadata(&target.state).unwrap().permissions().mode() & 0o777, 0o600);

    let before = (target.bytes(), fs::read(&target.state).unwrap());
    assert_report(&target.import(&source), [[0, 0, 0, 3], [0, 0, 0, 2], [0, 0, 0, 4]], "");
    let after = (target.bytes(), fs::read(&target.state).unwrap());
    assert!(after == before, "an import without changes wrote");
    assert_eq!(target.admin.done(&["import", "--quiet", &url]), "");

    // The state file is that of the file, by any path, and of no other.
    let folder = target.folder.path();
    std::os::unix::fs::symlink(&target.path, folder.join("link.db")).unwrap();
    Admin::on(&folder.join("link.db")).done(&["import", &url]);
    assert!(!folder.join("link.db.import").exists());
    fs::copy(&target.path, folder.join("sqlite_db.sqlite")).unwrap();
    Admin::on(&folder.join("sqlite_db.sqlite")).done(&["import", &url]);
    assert!(folder.join("sqlite_db.sqlite.import").exists());

    let check = "SELECT count(*) || (SELECT group_concat(integrity_check)
        FROM pragma_integrity_check) FROM pragma_foreign_key_check";
    assert_eq!(query::<String>(&target.path, check), "0ok");
}

/// Imports into the empty database of `admin`. `copy` returns the path of a file with its rows.
pub(crate) fn every_import(admin: &Admin, source: &'static str, copy: impl Fn() -> PathBuf) {
    let source = Source::new(source, FEW);
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
    let notes = "nodes without an IP address: their instances have no host: 1 (id 2)\n";
    imported([[2, 2, 1, 0], [1, 1, 0, 1], [1, 2, 1, 1]], notes);
    assert_eq!(password(&copy()), "a".repeat(40));
    imported([[0, 0, 0, 4], [0, 0, 0, 3], [0, 0, 0, 4]], notes);

    // Two imports with one state file: the second one is refused at once.
    source.sql("UPDATE instance SET name = 'new'");
    let lock = TableLock::new(&source);
    let mut first = start(admin, &source);
    lock.wait_for(1);
    let second = admin.run(&["import", &url]);
    assert_fails(&second, "Another import into this database is running.");
    lock.release();
    assert!(first.wait().unwrap().success());
    assert_eq!(rows(&copy()), source.rows());

    // With two state files, as on two machines: the second one to write fails.
    source.sql("UPDATE instance SET name = 'newer'");
    let states = TempDir::new().unwrap();
    let lock = TableLock::new(&source);
    let imports = ["a", "b"].map(|state| {
        spawn(admin.command(&["import", &url]).arg("--state").arg(states.path().join(state)))
    });
    lock.wait_for(2);
    lock.release();
    let mut outcomes = imports.map(end);
    outcomes.sort_by_key(|outcome| outcome.code);
    let [first, second] = outcomes;
    assert_eq!((first.code, second.code), (Some(0), Some(1)), "{first:?} {second:?}");
    assert!(second.stderr.contains("Another import has written in the meantime"), "{second:?}");
    assert_eq!(rows(&copy()), source.rows());
}

#[test]
#[ignore = "needs PostgreSQL: make test-import"]
fn every_import_works_on_a_file() {
    let target = Target::new();
    every_import(&target.admin, "file", || target.path.clone());
}

#[test]
#[ignore = "needs PostgreSQL: make test-import"]
fn passwords_are_copied_again_into_a_restored_backup_and_not_after_a_killed_import() {
    let (source, target) = (Source::new("pending", FEW), Target::new());
    target.import(&source);
    let old: i64 = query(&target.path, "PRAGMA user_version");

    // Killed while it waits to write: the state file then has the old version and the next one.
    source.sql("UPDATE instance SET name = 'new'");
    let writer = target.db();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let before = fs::read(&target.state).unwrap();
    let import = start(&target.admin, &source);
    // The journal of a committed transaction begins with zeros (SQLite, "Database File Format").
    let journal = PathBuf::from(format!("{}-journal", target.state.display()));
    wait_until("a committed state", || {
        let is_committed = fs::read(&journal).is_ok_and(|journal| journal.starts_with(&[0; 8]));
        is_committed && fs::read(&target.state).unwrap() != before
    });
    kill(import, "-KILL");
    writer.execute_batch("COMMIT").unwrap();
    let sql = format!("SELECT version FROM versions WHERE version <> {old}");
    let next: i64 = query(&target.state, &sql);

    let killed = fs::read(&target.state).unwrap();
    let set = "UPDATE users SET password = 'set here' WHERE id = 1; PRAGMA user_version";
    for (number, is_killed, is_kept) in
        [(old, true, true), (next, true, true), (0, true, false), (old, false, false)]
    {
        // After an import that was not killed, only its own version is known.
        if is_killed {
            fs::write(&target.state, &killed).unwrap();
        }
        target.db().execute_batch(&format!("{set} = {number}")).unwrap();
        target.import(&source);
        assert_eq!(password(&target.path) == "set here", is_kept, "{number}");
    }
}

#[test]
#[ignore = "needs PostgreSQL: make test-import"]
fn a_dry_run_does_not_delay_an_import() {
    let (source, target) = (Source::new("dry", FEW), Target::new());
    target.import(&source);
    let lock = TableLock::new(&source);
    let mut dry_run = spawn(&mut target.admin.command(&["import", "--dry-run", &source.url()]));
    lock.wait_for(1);
    // From a source that is not locked.
    let other = Source::new("not_dry", FEW);
    other.sql("UPDATE auth_user SET password = 'changed' WHERE id = 1");
    target.import(&other);
    assert_eq!(password(&target.path), "changed");
    assert!(dry_run.try_wait().unwrap().is_none(), "the dry run was over");
    lock.release();
    assert!(dry_run.wait().unwrap().success());
}

#[test]
#[ignore = "needs PostgreSQL: make test-import"]
fn an_upgraded_password_is_kept_until_the_source_changes_it() {
    let source = Source::new("upgraded", FEW);
    source.sql("UPDATE auth_user SET is_locked = false");
    let sql = tables();
    let server = Server::start(Setup { sql: &sql, bare: true, ..Setup::default() });
    let path = server.state().join("sqlite_db.db");
    let admin = Admin::on(&path);
    let import = || admin.done(&["import", &source.url()]);
    let stored = || password(&path);
    import();
    assert!(stored().starts_with("salt$"));
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
    let digest = "encode(sha512('salta'), 'hex')";
    source.sql(&format!("UPDATE auth_user SET password = 'salt$' || {digest} WHERE id = 1"));
    import();
    assert!(!server.accepts(&key), "a session survived a password change");
    let weak = stored();
    assert!(server.accepts(&server.log_in("a")));
    let key = server.log_in("grace");
    source.sql("UPDATE auth_user SET is_locked = true WHERE id = 2");
    import();
    assert!(!server.accepts(&key), "a session survived a lock");

    // The state file does not contain the source's digest, as text or as bytes.
    let state = path.with_added_extension("import");
    let digest = weak.strip_prefix("salt$").unwrap().as_bytes();
    for trace in [digest, &base16ct::mixed::decode_vec(digest).unwrap()] {
        assert!(!fs::read(&state).unwrap().windows(trace.len()).any(|window| window == trace));
    }
    // Without the state file, the import takes the source's password.
    assert_ne!(stored(), weak);
    fs::remove_file(state).unwrap();
    import();
    assert_eq!(stored(), weak);
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
        // The second import takes the values for equal.
        for _ in 0..2 {
            let printed = target.admin.done(&["import", "--allow-deletions", &source.url()]);
            let found: Vec<_> = printed.lines().skip(4).collect();
            assert_eq!(found, notes.lines().collect::<Vec<_>>(), "{odd}");
        }
        assert!(target.import(&source).contains(" 0         0        0 "), "{odd}");
        let found: String = query(&target.path, sql);
        // Tabs and invisible characters are written as \t and \u{200b}.
        assert_eq!(found.escape_debug().to_string(), expected, "{odd}");
    }
}

#[test]
#[ignore = "needs PostgreSQL: make test-import"]
fn columns_of_other_types_and_encodings_are_read() {
    let plain = Target::new();
    plain.import(&Source::new("types", FEW));
    let types = include_str!("../import/types.sql").split("\n\n");
    for (name, types) in ["types1", "types2", "types3"].into_iter().zip(types) {
        let target = Target::new();
        target.import(&Source::new(name, &format!("{FEW} {types}")));
        assert_eq!(rows(&target.path), rows(&plain.path), "{types}");
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
        assert_eq!(rows(&target.path), [format!("u|1|{name}|0|NULL|NULL|NULL|NULL")]);
    }
}

#[test]
#[ignore = "needs PostgreSQL: make test-import"]
fn an_unusable_source_is_rejected() {
    let (source, target) = (Source::new("refused", FEW), Target::new());
    target.import(&source);
    let before = target.bytes();
    psql("postgres", "CREATE ROLE clerk LOGIN; CREATE ROLE auditor LOGIN BYPASSRLS");
    let policy = include_str!("../import/policy.sql").trim_end();
    let unusable = Source::new("unusable", "");
    let url = |user: &str| unusable.url().replace("luoyun@", &format!("{user}@"));
    for [sql, user, reason] in rows_of(include_str!("../import/unusable.txt")) {
        unusable.sql(&format!("SET client_min_messages TO warning; DROP SCHEMA public CASCADE; CREATE SCHEMA public; {TABLES} {FEW}"));
        unusable.sql("GRANT ALL ON SCHEMA public TO clerk, auditor");
        unusable.sql(&sql.replacen("POLICY", policy, 1));
        assert_fails(&target.admin.run(&["import", &url(user)]), reason);
        assert!(target.bytes() == before, "{reason}: something was changed");
        if sql == "POLICY" {
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
    let url = url.replace("win", "not_there");
    assert_fails(&target.admin.run(&["import", &url]), "database \"not_there\" does not exist");
    let full =
        "mkdir $D/full; mount -t tmpfs -o size=100k tmpfs $D/full; export SQLITE_TMPDIR=$D/full";
    let many = Source::new("full_disk", &many(20_000));
    let import = target.admin.command(&["import", &many.url()]);
    if let Some(outcome) = run_mounted(target.folder.path(), full, &import) {
        assert_fails(&outcome, "full is full: SQLITE_TMPDIR names another folder");
    }
    fs::write(&target.state, "This is a text. ".repeat(10)).unwrap();
    let outcome = target.admin.run(&["import", &source.url()]);
    assert_fails(&outcome, "is not a state file of an import");
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
            let mut command = Command::new("sh");
            command.args(["-c", outcome.stderr.lines().last().unwrap()]);
            assert_eq!(run(command, b"").code, Some(0));
        }
        assert_eq!(rows(&target.path).len(), left, "{ours} to {left}");
    }
}

#[test]
#[ignore = "needs PostgreSQL: make test-import"]
fn libpq_makes_the_connection() {
    let (source, target) = (Source::new("secret", FEW), Target::new());
    let var = |name| env::var(name).unwrap();
    let at = |text: &str| text.replace("$PORT", &var("PGPORT")).replace("$D", &var("PG_FOLDER"));
    let import = |url: &str, variables: &str| {
        let mut command = target.admin.command(&["import", "--dry-run"]);
        command.env_remove("PGHOST").env_remove("PGPORT").env_remove("PGUSER");
        // A value from a file ends with a line break.
        command.env("LUOYUN_SOURCE", at(&format!("postgres://{url}\n")));
        command.envs(at(variables).split_whitespace().map(|it| it.split_once('=').unwrap()));
        run(command, b"")
    };
    for [url, variables, reason] in rows_of(include_str!("../import/connections.txt")) {
        let outcome = import(url, variables);
        let code = i32::from(!reason.is_empty());
        assert_eq!(outcome.code, Some(code), "{url} {variables}: {outcome:?}");
        assert!(outcome.stderr.contains(reason), "{url} {variables}: {outcome:?}");
        assert!(!outcome.stderr.contains("word\\"), "the password is shown: {outcome:?}");
    }
    source.sql("ALTER SYSTEM SET ssl = off");
    source.sql("SELECT pg_reload_conf()");
    wait_until("the setting", || source.sql("SHOW ssl") == "off\n");
    assert_fails(&import("luoyun@127.1:$PORT/secret", ""), "SSL was required (?sslmode=disable");
    source.sql("ALTER SYSTEM RESET ssl");
    source.sql("SELECT pg_reload_conf()");
}

#[test]
#[ignore = "needs PostgreSQL: make test-import"]
fn a_source_that_does_not_answer_ends_the_import() {
    let (source, target) = (Source::new("stalled", FEW), Target::new());
    let begin = |url: &str, seconds: &str| {
        let mut command = target.admin.command(&["import", "--timeout", seconds, url]);
        spawn(command.env("PGPASSWORD", "x"))
    };
    // A server that never speaks, and one that says yes to TLS and nothing else.
    for (reply, mode) in [(b"", "disable"), (b"", "require"), (b"S", "require")] as [(&[u8], _); 3]
    {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("postgres://u@{}/d?sslmode={mode}", listener.local_addr().unwrap());
        let import = begin(&url, "1");
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(reply).unwrap();
        assert_fails(&end(import), "cannot connect to the source: no answer within 1 s");
    }
    // A lock of another session ends the wait on the server too.
    let lock = TableLock::new(&source);
    let reason = "cannot read the source's instance: another session has locked it";
    assert_fails(&end(begin(&source.url(), "1")), reason);
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    assert_eq!(source.sql(waiting), "0\n", "the query still waits for the lock");

    // The backend stops.
    let import = begin(&source.url(), "3");
    lock.wait_for(1);
    let backend = source.sql("SELECT pid FROM pg_locks WHERE NOT granted");
    assert!(send_signal("-STOP", backend.trim()));
    let outcome = end(import);
    assert!(send_signal("-CONT", backend.trim()));
    assert_fails(&outcome, "cannot read the source's instance: no answer within 3 s");
    lock.release();
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

/// The rows of a table: one a line, with `|` between columns; `#` begins a comment.
fn rows_of<const N: usize>(table: &'static str) -> impl Iterator<Item = [&'static str; N]> {
    let rows = table.lines().filter(|line| !line.starts_with('#'));
    rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>().try_into().unwrap())
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
        psql.args(["-qAtX", source.0]).stdin(Stdio::piped()).stdout(Stdio::piped());
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

    /// Releases the lock, and waits until the imports have read the source.
    fn release(mut self) {
        drop(self.psql.stdin.take());
        self.psql.wait().unwrap();
        let reading = "SELECT count(*) FROM pg_stat_activity
                       WHERE application_name = 'luoyun-admin'";
        wait_until("the imports have read the source", || self.source.sql(reading) == "0\n");
    }
}

#[test]
#[ignore = "needs PostgreSQL: make test-import"]
fn a_killed_import_leaves_the_old_or_the_new_rows_and_no_psql() {
    let (source, target) = (Source::new("killed", &many(20_000)), Target::new());
    target.import(&source);
    let old = rows(&target.path);
    source.sql(
        "UPDATE instance SET name = 'new', status = 1; DELETE FROM auth_user WHERE id > 990
                AND NOT EXISTS (SELECT 1 FROM instance WHERE user_id = auth_user.id)",
    );
    let arguments = |id: &str| fs::read_to_string(format!("/proc/{}/cmdline", id.trim()));
    let url = source.url().replace("luoyun@", "secretive:pass%3Aword%5C@");
    // Not SIGINT: a shell lets its background processes ignore it.
    for (signal, is_over) in [("-KILL", false), ("-TERM", false), ("-KILL", true), ("-TERM", true)]
    {
        let lock = TableLock::new(&source);
        let import = spawn(target.admin.command(&["import"]).env("LUOYUN_SOURCE", &url));
        lock.wait_for(1);
        // The import does not block other writers while it reads, and waits for them to write.
        let writer = target.db();
        writer.execute_batch("PRAGMA busy_timeout = 0; BEGIN IMMEDIATE").unwrap();
        // No argument list has the password.
        let id = import.id();
        let psql = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        let [program, child] = [&id.to_string(), &psql].map(|id| arguments(id).unwrap());
        assert!(child.contains("secretive@") && !child.contains("word"), "{child}");
        assert!(!program.contains("word"), "{program}");
        if is_over {
            lock.release();
            kill(import, signal);
        } else {
            kill(import, signal);
            wait_until("the end of psql", || arguments(&psql).unwrap_or_default().is_empty());
            lock.release();
        }
        writer.execute_batch("COMMIT").unwrap();
        assert!(rows(&target.path) == old, "{signal}");
    }

    // While it writes: more than 2,400 pages go through the write-ahead log.
    let log = PathBuf::from(format!("{}-wal", target.path.display()));
    for (round, size) in [1, 1_000_000, 3_000_000, 5_000_000].into_iter().enumerate() {
        let old = rows(&target.path);
        source.sql(&format!("UPDATE instance SET name = 'round {round}'"));
        let mut import = start(&target.admin, &source);
        wait_until("a write-ahead log", || {
            fs::metadata(&log).is_ok_and(|log| log.len() >= size)
                || import.try_wait().unwrap().is_some()
        });
        import.kill().unwrap();
        import.wait().unwrap();
        let found = rows(&target.path);
        let is_new = found == source.rows();
        println!("killed at {size} bytes: the {} rows", if is_new { "new" } else { "old" });
        assert!(is_new || found == old, "killed at {size} bytes");
    }
    target.import(&source);
    assert!(rows(&target.path) == source.rows());
}

/// Runs an import to completion; returns its standard output, and its peak memory in KiB.
pub(crate) fn measure(admin: &Admin, source: &Source) -> (String, u64) {
    let mut import = start(admin, source);
    let status = format!("/proc/{}/status", import.id());
    let mut max_memory = 0;
    while import.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_millis(5));
        let text = fs::read_to_string(&status).unwrap_or_default();
        let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse().ok());
        max_memory = max_memory.max(peak.unwrap_or(0));
    }
    let outcome = end(import);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "no progress bar in a file");
    (outcome.stdout, max_memory)
}

/// Sends list requests, and a login as every 20th request, until `is_done`. Returns the number of
/// requests, and the maximum latencies of lists and of logins.
fn generate_load(server: &Server, key: &str, is_done: &AtomicBool) -> (usize, [Duration; 2]) {
    let mut client: Client = server.connect();
    let (mut count, mut longest) = (0, [Duration::ZERO; 2]);
    while !is_done.load(Ordering::Relaxed) {
        let begin = Instant::now();
        let (kind, path, form) = match count % 20 {
            // Another user's, as a user's oldest session ends.
            0 => (1, LOGIN, [("username", "user2"), ("password", "user2")]),
            _ => (0, LIST, [("session_key", key), ("sepa", "100")]),
        };
        let reply = client.post(path, &form).json();
        longest[kind] = begin.elapsed().max(longest[kind]);
        assert_eq!(reply["code"], 0, "{reply}");
        let rows = reply["list"].as_array().into_iter().flatten();
        let mut generations: Vec<_> = rows.map(|it| &it["name"].as_str().unwrap()[..12]).collect();
        generations.dedup();
        assert!(generations.len() < 2, "old and new rows in one list: {reply}");
        count += 1;
    }
    (count, longest)
}

/// Sets a flag on drop, even if a test fails.
pub(crate) struct SetOnDrop<'a>(pub(crate) &'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
#[ignore = "needs PostgreSQL: make test-import"]
fn a_hundred_thousand_instances_are_imported_beside_a_server_under_load() {
    let source = Source::new("many", &many(MANY));
    let sql = tables();
    let setup = Setup { sql: &sql, bare: true, ..Setup::default() };
    let server = Server::start_process(setup, TempDir::new().unwrap());
    let path = server.state().join("sqlite_db.db");
    let admin = Admin::on(&path);

    let import = |what, counts| {
        let begin = Instant::now();
        let (printed, memory) = measure(&admin, &source);
        println!("{what}: {:?}, {memory} KiB", begin.elapsed());
        assert_report(&printed, counts, "");
        assert!((1..100 * 1024).contains(&memory), "{memory} KiB");
    };
    import("first import", [[1000, 0, 0, 0], [200, 0, 0, 0], [MANY, 0, 0, 0]]);
    let key = server.log_in("user1");
    // All rows change under load, and then none.
    source.sql("UPDATE instance SET name = replace(name, 'generation 1', 'generation 2')");
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let end = SetOnDrop(&is_done);
        let clients: Vec<_> =
            (0..4).map(|_| scope.spawn(|| generate_load(&server, &key, &is_done))).collect();
        import("all changed, under load", [[0, 0, 0, 1000], [0, 0, 0, 200], [0, MANY, 0, 0]]);
        import("none changed, under load", [[0, 0, 0, 1000], [0, 0, 0, 200], [0, 0, 0, MANY]]);
        drop(end);
        for client in clients {
            let (count, longest) = client.join().unwrap();
            println!(
                "{count} requests meanwhile, maximum latency of lists and logins: {longest:?}"
            );
            assert!(count > 0);
        }
    });
    let [found, expected] = [rows(&path), source.rows()].map(|mut rows| {
        rows.retain(|row| !row.starts_with("u|1|") && !row.starts_with("u|2|"));
        rows
    });
    assert!(found == expected);
}
