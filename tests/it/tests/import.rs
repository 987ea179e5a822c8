//! `luoyun-admin import`, from the PostgreSQL server of `tests/with-postgres.sh`.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{env, thread};

use api_tests::admin::{Outcome, run};
use api_tests::server::{send_signal, tables, wait_until};
use api_tests::{Admin, Client, Server, Setup};
use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

use crate::admin::{assert_fails, run_mounted};

/// The number of instances in the large source.
pub(crate) const MANY: usize = 100_000;

/// The tables as LuoYunCloud creates them.
const TABLES: &str = "
    CREATE TABLE auth_user (id integer PRIMARY KEY, username varchar(30),
        password varchar(142), email varchar(64), is_locked boolean, last_login timestamp);
    CREATE TABLE node (id integer PRIMARY KEY, hostname varchar(64), ip varchar(32));
    CREATE TABLE instance (id integer PRIMARY KEY, user_id integer REFERENCES auth_user,
        node_id integer REFERENCES node, name varchar(64), summary varchar(1024),
        status integer, vdi_port integer DEFAULT 0);";

/// Three users with nodes and instances.
pub(crate) const FEW: &str = "
    INSERT INTO auth_user (id, username, password, is_locked, last_login) VALUES
        (1, 'ada', 'salt$' || encode(sha512('x'), 'hex'), false, '2024-01-01 00:00:00.75'),
        (2, 'grace', 'salt$' || encode(sha512('x'), 'hex'), true, NULL),
        (3, 'it''s 库', 'salt$' || encode(sha512('x'), 'hex'), false, NULL);
    INSERT INTO node VALUES (1, 'node1', '10.0.0.1'), (2, 'node2', '10.0.0.2');
    INSERT INTO instance VALUES
        (10, 1, 1, 'one', NULL, 1, 5900), (11, 1, 2, 'two ''库', 'a summary', 2, 0),
        (12, 2, 2, 'three', '', 100, NULL), (13, 3, 1, 'four', NULL, 3, 65535);";

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
        let sql = "SELECT 'u', id::text, username, is_locked::int::text,
                          floor(extract(epoch FROM last_login))::text, NULL, NULL, NULL
                   FROM auth_user UNION ALL
                   SELECT 'n', id::text, hostname, ip, NULL, NULL, NULL, NULL FROM node UNION ALL
                   SELECT 'i', id::text, user_id::text, node_id::text, name, summary,
                          status::text, nullif(vdi_port, 0)::text FROM instance";
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
}

impl Target {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("sqlite_db.db");
        Connection::open(&path).unwrap().execute_batch(&tables()).unwrap();
        Self { admin: Admin::on(&path), folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("sqlite_db.db")
    }

    /// The path of the import's state file.
    fn state(&self) -> PathBuf {
        self.path().with_extension("import")
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(self.path()).unwrap()
    }

    fn db(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }

    fn import(&self, source: &Source) -> String {
        self.admin.done(&["import", &source.url()])
    }

    fn password(&self, user: i64) -> String {
        let sql = "SELECT password FROM users WHERE id = ?1";
        self.db().query_row(sql, [user], |row| row.get(0)).unwrap()
    }

    fn rows(&self) -> Vec<String> {
        rows(&self.path())
    }
}

/// The rows of a database, in the format of [`Source::rows`].
pub(crate) fn rows(path: &Path) -> Vec<String> {
    let db = Connection::open(path).unwrap();
    let mut query = db
        .prepare(
            "SELECT 'u', id, username, is_locked, last_login, NULL, NULL, NULL FROM users
             UNION ALL SELECT 'n', id, hostname, ip, NULL, NULL, NULL, NULL FROM nodes
             UNION ALL SELECT 'i', id, user_id, node_id, name, summary, status, vdi_port
             FROM instances",
        )
        .unwrap();
    let rows = query.query_map([], |row| {
        let text = |at| match row.get_ref(at).unwrap() {
            rusqlite::types::ValueRef::Null => "NULL".to_owned(),
            rusqlite::types::ValueRef::Integer(number) => number.to_string(),
            other => other.as_str().unwrap().to_owned(),
        };
        Ok((0..8).map(text).collect::<Vec<_>>().join("|"))
    });
    let mut rows: Vec<_> = rows.unwrap().map(Result::unwrap).collect();
    rows.sort();
    rows
}

/// The expected report of an import: inserted, changed, deleted and equal rows per table.
fn report(counts: [[usize; 4]; 3], notes: &str) -> String {
    let mut words = vec!["INSERTED CHANGED DELETED EQUAL".to_owned()];
    for (name, counts) in ["users", "nodes", "instances"].iter().zip(counts) {
        words.push(format!("{name} {}", counts.map(|count| count.to_string()).join(" ")));
    }
    format!("{}\n{notes}", words.join("\n"))
}

/// A report without the padding of its columns.
fn squeezed(printed: &str) -> String {
    let lines = printed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.map(|line| line + "\n").collect()
}

#[track_caller]
pub(crate) fn assert_report(printed: &str, counts: [[usize; 4]; 3], notes: &str) {
    assert_eq!(squeezed(printed), report(counts, notes));
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
    assert_eq!(target.rows(), source.rows());
    let mode = fs::metadata(target.state()).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);

    let before = (target.bytes(), fs::read(target.state()).unwrap());
    assert_report(&target.import(&source), [[0, 0, 0, 3], [0, 0, 0, 2], [0, 0, 0, 4]], "");
    let after = (target.bytes(), fs::read(target.state()).unwrap());
    assert!(after == before, "an import without changes wrote");
    assert_eq!(target.admin.done(&["import", "--quiet", &url]), "");

    let check = "SELECT count(*) FROM pragma_foreign_key_check";
    assert_eq!(target.db().query_row(check, [], |row| row.get(0)), Ok(0));
    let check = "SELECT group_concat(integrity_check) FROM pragma_integrity_check";
    assert_eq!(target.db().query_row(check, [], |row| row.get(0)), Ok("ok".to_owned()));
}

/// Imports into the empty database of `admin`. `copy` returns the path of a file with its rows.
pub(crate) fn every_import(admin: &Admin, source: &'static str, copy: impl Fn() -> PathBuf) {
    let source = Source::new(source, FEW);
    let url = source.url();
    let imported = |counts, notes| {
        assert_report(&admin.done(&["import", &url]), counts, notes);
        assert_eq!(rows(&copy()), source.rows());
    };
    let password = || -> String {
        let sql = "SELECT password FROM users WHERE id = 1";
        Connection::open(copy()).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
    };
    imported([[3, 0, 0, 0], [2, 0, 0, 0], [4, 0, 0, 0]], "");

    // A password that was set here is kept until the source changes it.
    let passwd = ["user", "passwd", "ada", "--memory-kib", "8", "--passes", "1"];
    admin.done_with(&passwd, b"other");
    let set_here = password();
    imported([[0, 0, 0, 3], [0, 0, 0, 2], [0, 0, 0, 4]], "");
    assert_eq!(password(), set_here);
    source.sql(&format!("UPDATE auth_user SET password = '{}' WHERE id = 1", "a".repeat(40)));
    imported([[0, 1, 0, 2], [0, 0, 0, 2], [0, 0, 0, 4]], "");
    assert_eq!(password(), "a".repeat(40));

    // Swapped names, a removed owner, and each kind of change.
    source.sql(
        "UPDATE auth_user SET username = CASE id WHEN 1 THEN 'grace' ELSE 'ada' END WHERE id < 3;
         UPDATE instance SET user_id = 1, node_id = 2 WHERE user_id = 3;
         DELETE FROM auth_user WHERE id = 3;
         INSERT INTO auth_user (id, username, password, is_locked) VALUES
             (4, 'it''s 库', repeat('4', 40), false), (5, 'new', repeat('5', 40), false);
         UPDATE node SET ip = NULL WHERE id = 2; INSERT INTO node VALUES (3, 'node3', '10.0.0.3');
         UPDATE instance SET summary = NULL, vdi_port = 1 WHERE id = 12;
         DELETE FROM instance WHERE id = 10; INSERT INTO instance VALUES (14, 5, 3, 'five');
         UPDATE instance SET status = 9 WHERE id = 14;",
    );
    let notes = "nodes without an IP address: their instances have no host: 1 (id 2)\n";
    imported([[2, 2, 1, 0], [1, 1, 0, 1], [1, 2, 1, 1]], notes);
    imported([[0, 0, 0, 4], [0, 0, 0, 3], [0, 0, 0, 4]], notes);

    // Two imports with one state file: the second one is refused at once.
    source.sql("UPDATE instance SET name = 'new'");
    let lock = TableLock::new(&source);
    let mut first = start(admin, &source);
    lock.wait_for(1);
    let second = admin.run(&["import", &url]);
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(second.stderr.contains("Another import into this database is running."), "{second:?}");
    lock.release();
    assert!(first.wait().unwrap().success());
    assert_eq!(rows(&copy()), source.rows());

    // With two state files, as on two machines: the second one to write fails.
    source.sql("UPDATE instance SET name = 'newer'");
    let states = TempDir::new().unwrap();
    let lock = TableLock::new(&source);
    let imports = ["a", "b"].map(|state| {
        let mut import = admin.command(&["import", &url]);
        import
            .arg("--state")
            .arg(states.path().join(state))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        import.spawn().unwrap()
    });
    lock.wait_for(2);
    lock.release();
    let mut outcomes = imports.map(|import| Outcome::from(import.wait_with_output().unwrap()));
    outcomes.sort_by_key(|outcome| outcome.code);
    let [first, second] = outcomes;
    assert_eq!((first.code, second.code), (Some(0), Some(1)), "{first:?} {second:?}");
    assert!(second.stderr.contains("Another import has written in the meantime"), "{second:?}");
    assert_eq!(rows(&copy()), source.rows());

    // A table that would be emptied.
    let before = source.rows();
    source.sql("DELETE FROM instance");
    let refused = admin.run(&["import", &url]);
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""), "{refused:?}");
    assert!(refused.stderr.contains("The source has no instances"), "{refused:?}");
    assert_eq!(rows(&copy()), before);
    let printed = admin.done(&["import", "--allow-deletions", &url]);
    assert_report(&printed, [[0, 0, 0, 4], [0, 0, 0, 3], [0, 0, 4, 0]], notes);
    assert_eq!(rows(&copy()), source.rows());
}

#[test]
#[ignore = "needs PostgreSQL: make test-import"]
fn every_import_works_on_a_file() {
    let target = Target::new();
    every_import(&target.admin, "file", || target.path());
}

#[test]
#[ignore = "needs PostgreSQL: make test-import"]
fn a_restored_backup_gets_the_passwords_that_have_changed_since() {
    let (source, target) = (Source::new("restored", FEW), Target::new());
    let import_password = |password: &str| {
        source.sql(&format!("UPDATE auth_user SET password = '{password}' WHERE id = 1"));
        target.import(&source);
        assert_eq!(target.password(1), password);
    };
    import_password("first");
    let backup = target.folder.path().join("backup.db");
    fs::copy(target.path(), &backup).unwrap();
    import_password("second");
    fs::copy(&backup, target.path()).unwrap();
    assert_eq!(target.password(1), "first");
    import_password("second");

    // In a new database, and in one that nothing has been imported into since a restore of SQL.
    target
        .db()
        .execute_batch("UPDATE users SET password = 'first'; PRAGMA user_version = 0")
        .unwrap();
    import_password("second");
}

#[test]
#[ignore = "needs PostgreSQL: make test-import"]
fn a_killed_import_does_not_make_the_next_one_copy_passwords() {
    let (source, target) = (Source::new("pending", FEW), Target::new());
    target.import(&source);
    let version = |db: &Connection| -> i64 {
        db.query_row("SELECT user_version FROM pragma_user_version", [], |row| row.get(0)).unwrap()
    };
    let old = version(&target.db());
    target.db().execute_batch("UPDATE users SET password = 'set here' WHERE id = 1").unwrap();

    // Killed while it waits to write: the state file then has the old version and the next one.
    source.sql("UPDATE instance SET name = 'new'");
    let writer = target.db();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let before = fs::read(target.state()).unwrap();
    let import = start(&target.admin, &source);
    // The journal of a committed transaction begins with zeros (SQLite, "Database File Format").
    let journal = PathBuf::from(format!("{}-journal", target.state().display()));
    wait_until("a committed state", || {
        let is_committed = fs::read(&journal).is_ok_and(|journal| journal.starts_with(&[0; 8]));
        is_committed && fs::read(target.state()).unwrap() != before
    });
    kill(import, "-KILL");
    writer.execute_batch("COMMIT").unwrap();
    let sql = "SELECT version FROM versions WHERE version <> ?1";
    let state = Connection::open(target.state()).unwrap();
    let next: i64 = state.query_row(sql, [old], |row| row.get(0)).unwrap();
    drop(state);

    let saved = fs::read(target.state()).unwrap();
    for (number, password) in [(old, "set here"), (next, "set here"), (next ^ 1, "source's")] {
        fs::write(target.state(), &saved).unwrap();
        let sql = format!(
            "UPDATE users SET password = 'set here' WHERE id = 1; PRAGMA user_version = {number}"
        );
        target.db().execute_batch(&sql).unwrap();
        target.import(&source);
        let found = target.password(1);
        assert_eq!(found == "set here", password == "set here", "{number}: {found}");
    }
}

#[test]
#[ignore = "needs PostgreSQL: make test-import"]
fn a_dry_run_does_not_delay_an_import() {
    let (source, target) = (Source::new("dry", FEW), Target::new());
    target.import(&source);
    let lock = TableLock::new(&source);
    let mut dry_run = target.admin.command(&["import", "--dry-run", &source.url()]);
    let mut dry_run = dry_run.stdout(Stdio::null()).spawn().unwrap();
    lock.wait_for(1);
    // From a source that is not locked.
    let other = Source::new("not_dry", FEW);
    other.sql("UPDATE auth_user SET password = 'changed' WHERE id = 1");
    target.import(&other);
    assert_eq!(target.password(1), "changed");
    assert!(dry_run.try_wait().unwrap().is_none(), "the dry run was over");
    lock.release();
    assert!(dry_run.wait().unwrap().success());
}

#[test]
#[ignore = "needs PostgreSQL: make test-import"]
fn an_upgraded_password_is_kept_until_the_source_changes_it() {
    let source = Source::new("upgraded", FEW);
    let weak = |user: i64, password: &str| {
        // PostgreSQL 15 has no built-in SHA-1, so this uses LuoYunCloud's SHA-512 form.
        source.sql(&format!(
            "UPDATE auth_user SET password = 'salt$' || encode(sha512('salt{password}'), 'hex')
             WHERE id = {user}"
        ));
    };
    weak(1, "ada");
    weak(2, "grace");
    source.sql("UPDATE auth_user SET is_locked = false");
    let sql = tables();
    let server = Server::start(Setup { sql: &sql, bare: true, ..Setup::default() });
    let path = server.state().join("sqlite_db.db");
    let admin = Admin::on(&path);
    let url = source.url();
    let import = || squeezed(&admin.done(&["import", &url]));
    let equal = report([[0, 0, 0, 3], [0, 0, 0, 2], [0, 0, 0, 4]], "");
    let one_changed = report([[0, 1, 0, 2], [0, 0, 0, 2], [0, 0, 0, 4]], "");
    let stored = || -> String {
        let sql = "SELECT password FROM users WHERE id = 1";
        server.database().query_row(sql, [], |row| row.get(0)).unwrap()
    };
    import();
    assert!(stored().starts_with("salt$"));

    let key = server.log_in("ada");
    let strong = stored();
    assert!(strong.starts_with("$argon2id$"), "{strong}");
    assert_eq!(import(), equal, "the later login here counted as a change");
    assert_eq!(stored(), strong);
    assert!(server.accepts(&key), "the import ended a session");

    // Other changes are imported, and the upgraded password is kept.
    source.sql("UPDATE auth_user SET username = 'lovelace' WHERE id = 1");
    assert_eq!(import(), one_changed);
    assert_eq!(stored(), strong);
    assert!(server.accepts(&key), "the import ended a session");

    weak(1, "lovelace");
    assert_eq!(import(), one_changed);
    assert!(!server.accepts(&key), "a session survived a password change");
    assert!(stored().starts_with("salt$"));
    let key = server.log_in("lovelace");
    let strong = stored();

    // A password set by an operator is also kept until the source changes it.
    admin
        .done_with(&["user", "passwd", "lovelace", "--memory-kib", "8", "--passes", "1"], b"other");
    assert_eq!(import(), equal);
    assert_ne!(stored(), strong);
    assert!(!server.accepts(&key));

    source.sql("UPDATE auth_user SET is_locked = true WHERE id = 2");
    let key = server.log_in("grace");
    assert_eq!(import(), one_changed);
    assert!(!server.accepts(&key), "a session survived a lock");

    // The state file does not contain the source's digest, as text or as bytes.
    let remembered = fs::read(path.with_extension("import")).unwrap();
    let digest = source.sql("SELECT substr(password, 6, 64) FROM auth_user WHERE id = 1");
    let digest = digest.trim().as_bytes();
    let raw: Vec<u8> = (0..64).step_by(2).map(|at| hex(&digest[at..at + 2])).collect();
    for trace in [digest, &raw] {
        assert!(!remembered.windows(trace.len()).any(|window| window == trace));
    }
    // Without the state file, the import takes the source's password.
    let strong = stored();
    fs::remove_file(path.with_extension("import")).unwrap();
    import();
    assert_ne!(stored(), strong);
}

fn hex(digits: &[u8]) -> u8 {
    u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap()
}

/// A table of odd values: SQL that adds them to a source with one row a table, a query of the
/// target, what it returns, and the notes of the import.
#[rustfmt::skip]
const ODD_VALUES: &[(&str, &str, &str, &str)] = &[
    (
        "INSERT INTO node VALUES (0, 'zero', '::1'), (-5, 'minus', '::1'), (2, NULL, '::1'), (3, '', '::1')",
        "SELECT group_concat(id ORDER BY id) FROM nodes",
        "1,2,3",
        "nodes left out, as their id is not a number from 1 up: 2 (id -5, 0)\n\
         nodes without a name: 2 (id 2, 3)\n",
    ),
    (
        r"INSERT INTO auth_user (id, username, is_locked, password) SELECT id, name, 'f', repeat('b', 40)
          FROM (VALUES (2, NULL), (3, ' '), (4, E'\n\x01'), (5, 'ada'), (6, 'ada '), (7, ' bob'),
              (8, U&'\00A0carol\3000\0085'), (9, E'tab\tin'), (10, U&'zero\200Bwidth'),
              (11, U&'\202Erlo'), (12, repeat('n', 4097)), (13, repeat('库', 1365)), (14, 'dan '),
              (15, 'dan')) x (id, name)",
        "SELECT group_concat(id || '=' || substr(username, 1, 9), ' ' ORDER BY id) FROM users",
        "1=ada 7=bob 8=carol 9=tab\tin 10=zero\u{200b}widt 11=\u{202e}rlo 13=库库库库库库库库库 15=dan",
        "users left out, as they have no name: 3 (id 2, 3, 4)\n\
         users left out, as their name is longer than 4096 bytes: 1 (id 12)\n\
         users left out, as an earlier one has their name: 1 (id 5)\n\
         users left out, as another one has their name without white space around it: 2 (id 6, 14)\n\
         users whose name lost the white space around it, as in a login: 2 (id 7, 8)\n\
         users with invisible characters in their name: 3 (id 9, 10, 11)\n",
    ),
    (
        "INSERT INTO auth_user (id, username, is_locked, password) SELECT id, id, 'f', password
         FROM (VALUES (2, NULL), (3, ''), (4, '!'), (5, 'pbkdf2_sha256$1$salt$aGFzaA=='),
             (6, repeat('a', 64)), (7, repeat('A', 40)), (8, 'sha1$s$' || repeat('b', 40)),
             (9, repeat('a', 40) || E'\n')) x (id, password)",
        "SELECT group_concat(substr(password, 1, 5), ' ' ORDER BY id) FROM users",
        "aaaaa !  ! pbkdf aaaaa AAAAA sha1$ aaaaa",
        "users who cannot log in, as they have no password: 2 (id 2, 3)\n\
         users who cannot log in, as the format of their password is not known: 4 (id 4, 5, 6, 9)\n",
    ),
    (
        "INSERT INTO auth_user (id, username, is_locked, password) SELECT id, id, flag, repeat('b', 40)
         FROM unnest('{t,True,\" YES \",1,on,tr,f,False,no,0,off,of,maybe,\"\",2,o,NULL}'::text[])
              WITH ORDINALITY x (flag, number), generate_series(number + 9, number + 9) id",
        "SELECT group_concat(is_locked, '' ORDER BY id) FROM users",
        "011111100000011110",
        "users not locked, as is_locked is NULL: 1 (id 26)\n\
         users locked, as is_locked is neither true nor false: 4 (id 22, 23, 24, 25)\n",
    ),
    (
        "INSERT INTO auth_user (id, username, is_locked, password, last_login)
         SELECT id, id, 'f', repeat('b', 40), time
         FROM (VALUES (2, 'infinity'::timestamp), (3, '-infinity'), (4, '0044-03-15 BC'),
             (5, '9999-12-31 23:59:59.9'), (6, '10000-01-01'), (7, '1969-12-31 23:59:58.5'),
             (8, '0001-01-01')) x (id, time)",
        "SELECT group_concat(ifnull(last_login, '-'), ' ' ORDER BY id) FROM users",
        "- - - - 253402300799 - -2 -62135596800",
        "users without a last login, as theirs is not in the years 1 to 9999: 4 (id 2, 3, 4, 6)\n",
    ),
    (
        r"INSERT INTO node SELECT number + 1, 'n', ip FROM unnest(ARRAY['10.0.0.2', 'fe80::1',
              'node-2.example', E' 10.0.0.3\n', '[::1]', '10.0.0.4/24', '::1/128', '', E'\t', NULL,
              E'10.0.0.5\nx', '10.0.0.256', '10.0.0.6:5900', 'fe80::1%eth0', 'a b', '-a', '库.example',
              'http://a/', '10.0.0.7/x', '1.2.3'])
              WITH ORDINALITY x (ip, number)",
        "SELECT group_concat(ifnull(ip, '-'), ' ' ORDER BY id) FROM nodes",
        "10.0.0.1 10.0.0.2 fe80::1 node-2.example 10.0.0.3 ::1 10.0.0.4 ::1 - - - - - - - - - - - - -",
        "nodes without an IP address: their instances have no host: 3 (id 9, 10, 11)\n\
         nodes whose ip is no address and no host name: their instances have no host: \
         10 (id 12, 13, 14, 15, 16, …)\n\
         nodes whose ip lost white space, brackets or a netmask: 4 (id 5, 6, 7, 8)\n",
    ),
    (
        "INSERT INTO instance VALUES (2, 9, 1, 'a'), (3, NULL, 9, NULL), (4, 1, NULL, ''), (5, 1, 1, ' ')",
        "SELECT group_concat(format('%d:%s:%s:%s', id, user_id, node_id, name), ' ' ORDER BY id) FROM instances",
        "1:1:1:i 2::1:a 3::: 4:1:: 5:1:1: ",
        "instances without an owner: nobody sees them: 1 (id 3)\n\
         instances whose owner does not exist: nobody sees them: 1 (id 2)\n\
         instances without a node: they have no host: 1 (id 4)\n\
         instances whose node does not exist: they have no host: 1 (id 3)\n\
         instances without a name: 2 (id 3, 4)\n\
         instances without a status: it is 0, unknown: 4 (id 2, 3, 4, 5)\n",
    ),
    (
        "DELETE FROM node; DELETE FROM auth_user; INSERT INTO instance VALUES (2, NULL, NULL, 'a', NULL, 1)",
        "SELECT count(*) || '' FROM instances WHERE user_id IS NULL AND node_id IS NULL",
        "2",
        "instances without an owner: nobody sees them: 1 (id 2)\n\
         instances whose owner does not exist: nobody sees them: 1 (id 1)\n\
         instances without a node: they have no host: 1 (id 2)\n\
         instances whose node does not exist: they have no host: 1 (id 1)\n",
    ),
    (
        "INSERT INTO instance SELECT id, 1, 1, 'i', NULL, status, port
         FROM (VALUES (2, '-3', NULL), (3, '12345', '0'), (4, '99999999999999999999', '65535'),
             (5, '1.0', '65536'), (6, ' 1', '-1'), (7, '', ''), (8, 'x', 'x'), (9, '007', '007'))
             x (id, status, port)",
        "SELECT group_concat(status || ':' || ifnull(vdi_port, ''), ' ' ORDER BY id) FROM instances",
        "1:5900 -3: 12345: 0:65535 0: 0: 0: 0: 0:",
        "instances without a status: it is 0, unknown: 6 (id 4, 5, 6, 7, 8, …)\n\
         instances without a port, as theirs is not from 1 to 65535: 5 (id 5, 6, 7, 8, 9)\n",
    ),
];

#[test]
#[ignore = "needs PostgreSQL: make test-import"]
fn odd_values_are_converted_or_left_out_and_counted() {
    let source = Source::new(
        "odd",
        "ALTER TABLE instance DROP CONSTRAINT instance_user_id_fkey,
             DROP CONSTRAINT instance_node_id_fkey, ALTER status TYPE text,
             ALTER vdi_port DROP DEFAULT, ALTER vdi_port TYPE text;
         ALTER TABLE auth_user ALTER username TYPE text, ALTER is_locked TYPE text;
         ALTER TABLE node ALTER ip TYPE text",
    );
    let target = Target::new();
    for (odd, query, expected, notes) in ODD_VALUES {
        source.sql(&format!(
            "TRUNCATE auth_user, node, instance; INSERT INTO node VALUES (1, 'node1', '10.0.0.1');
             INSERT INTO auth_user (id, username, password, is_locked) VALUES (1, 'ada', repeat('a', 40), 'f');
             INSERT INTO instance VALUES (1, 1, 1, 'i', NULL, '1', '5900'); {odd}"
        ));
        // The second import takes the values for equal.
        for _ in 0..2 {
            let printed = target.admin.done(&["import", "--allow-deletions", &source.url()]);
            let printed: String = printed.split_inclusive('\n').skip(4).collect();
            assert_eq!(printed, *notes, "{odd}");
        }
        assert!(target.import(&source).contains(" 0         0        0 "), "{odd}");
        let found: String = target.db().query_row(query, [], |row| row.get(0)).unwrap();
        assert_eq!(found, *expected, "{odd}");
    }
}

#[test]
#[ignore = "needs PostgreSQL: make test-import"]
fn columns_of_other_types_and_encodings_are_read() {
    let mut rows = Vec::new();
    for (name, types) in ["types1", "types2", "types3"].into_iter().zip([
        "ALTER TABLE auth_user ALTER is_locked TYPE integer USING is_locked::int,
             ALTER last_login TYPE timestamptz USING last_login AT TIME ZONE 'UTC',
             ALTER id TYPE bigint, ALTER username TYPE text;
         ALTER TABLE node ALTER ip TYPE inet USING ip::inet;
         ALTER TABLE instance ALTER vdi_port TYPE text, ALTER status TYPE smallint",
        "ALTER TABLE instance DROP CONSTRAINT instance_user_id_fkey, ALTER user_id TYPE text,
             ALTER id TYPE numeric;
         ALTER TABLE auth_user ALTER id TYPE numeric(9, 2), ALTER username TYPE char(30),
             ALTER last_login TYPE double precision USING extract(epoch FROM last_login)",
        "CREATE DOMAIN seconds AS bigint; ALTER TABLE auth_user
             ALTER last_login TYPE seconds USING floor(extract(epoch FROM last_login));
         ALTER TABLE instance DROP CONSTRAINT instance_node_id_fkey;
         CREATE TABLE more_nodes () INHERITS (node); INSERT INTO more_nodes SELECT * FROM node;
         DELETE FROM ONLY node",
    ]) {
        let target = Target::new();
        target.import(&Source::new(name, &format!("{FEW} {types}")));
        rows.push(target.rows());
    }
    let plain = Target::new();
    plain.import(&Source::new("types", FEW));
    assert!(rows.iter().all(|rows| *rows == plain.rows()), "{rows:?}");

    let replaced = "users with bytes that are not UTF-8: each is U+FFFD here: 1 (id 1)\n";
    for (database, encoding, literal, name, note) in [
        ("latin", "LATIN1", "chr(233)", "é", ""),
        ("euc", "EUC_CN", r"E'\xbf\xe2'", "库", ""),
        ("ascii", "SQL_ASCII", r"E'\xe9'", "\u{fffd}", replaced),
    ] {
        let insert = format!(
            "SET client_encoding TO {encoding};
             INSERT INTO auth_user VALUES (1, {literal}, repeat('a', 40), '', false)"
        );
        let (source, target) = (Source::encoded(database, encoding, &insert), Target::new());
        assert_report(&target.import(&source), [[1, 0, 0, 0], [0; 4], [0; 4]], note);
        assert_eq!(target.rows(), [format!("u|1|{name}|0|NULL|NULL|NULL|NULL")]);
    }
}

/// SQL for a source, the user that reads it, and why it is rejected.
#[rustfmt::skip]
const UNUSABLE: &[(&str, &str, &str)] = &[
    ("DROP TABLE instance, auth_user", "luoyun", "The source has no column id in a table auth_user"),
    ("ALTER TABLE node DROP ip", "luoyun", "The source has no column ip in a table node"),
    ("ALTER TABLE auth_user ALTER last_login TYPE text", "luoyun", "is of the type text, not a time"),
    ("POLICY", "clerk", "cannot read the source's auth_user: this user may not read all of it"),
    ("POLICY; ALTER TABLE auth_user OWNER TO clerk, FORCE ROW LEVEL SECURITY", "clerk", "row-level security"),
    ("POLICY; ALTER TABLE auth_user RENAME TO users; ALTER TABLE users OWNER TO clerk, FORCE ROW LEVEL SECURITY;
      CREATE VIEW auth_user AS TABLE users; ALTER VIEW auth_user OWNER TO clerk", "clerk", "row-level security"),
    ("GRANT SELECT (id, username) ON auth_user TO clerk", "clerk", "permission denied for table auth_user"),
    ("ALTER TABLE node RENAME TO nodes; CREATE VIEW node AS TABLE nodes UNION ALL TABLE nodes", "luoyun",
     "cannot read the source's node: The id 1 occurs twice"),
];

#[test]
#[ignore = "needs PostgreSQL: make test-import"]
fn an_unusable_source_is_rejected() {
    let (source, target) = (Source::new("refused", FEW), Target::new());
    target.import(&source);
    let before = target.bytes();
    psql("postgres", "CREATE ROLE clerk LOGIN; CREATE ROLE auditor LOGIN BYPASSRLS");
    let policy = "GRANT SELECT ON auth_user, node, instance TO clerk, auditor;
                  CREATE POLICY one ON auth_user USING (id = 1);
                  ALTER TABLE auth_user ENABLE ROW LEVEL SECURITY";
    let unusable = Source::new("unusable", "");
    let url = |user: &str| unusable.url().replace("luoyun@", &format!("{user}@"));
    for (sql, user, reason) in UNUSABLE {
        unusable.sql(&format!("SET client_min_messages TO warning; DROP SCHEMA public CASCADE; CREATE SCHEMA public; {TABLES} {FEW}"));
        unusable.sql("GRANT ALL ON SCHEMA public TO clerk, auditor");
        unusable.sql(&sql.replacen("POLICY", policy, 1));
        assert_fails(&target.admin.run(&["import", &url(user)]), reason);
        assert!(target.bytes() == before, "{reason}: something was changed");
        if *sql == "POLICY" {
            // A role that sees all rows.
            let printed = target.admin.done(&["import", &url("auditor")]);
            assert_report(&printed, [[0, 0, 0, 3], [0, 0, 0, 2], [0, 0, 0, 4]], "");
        }
    }
    // Character 129 has no equivalent in Unicode.
    let odd =
        "INSERT INTO auth_user VALUES (1, 'a', 'x', '', false), (2, chr(129), 'x', '', false)";
    let url = Source::encoded("win", "WIN1252", odd).url();
    let reason = "cannot read the source's auth_user: after the row with id 1";
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
    fs::write(target.state(), "This is a text. ".repeat(10)).unwrap();
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
        let before = target.rows();
        for option in ["--dry-run", "--quiet"] {
            let outcome = target.admin.run(&["import", option, &source.url()]);
            if allowed.contains(&(ours, left)) {
                assert_eq!(outcome.code, Some(0), "{ours} to {left}: {outcome:?}");
                continue;
            }
            let counts = format!("This import would delete {} of {ours} nodes.", ours - left);
            assert_fails(&outcome, &counts);
            assert!(target.rows() == before);
            // The message has the command that does it.
            let mut command = Command::new("sh");
            command.args(["-c", outcome.stderr.lines().last().unwrap()]);
            command.env("XDG_STATE_HOME", target.admin.state());
            assert_eq!(run(command, b"").code, Some(0));
        }
        assert_eq!(target.rows().len(), left, "{ours} to {left}");
    }
}

const GOOD: &str = "# 127.0.0.1:*:*:secretive:comment\ntoo:short\n127.0.0.1:1:*:*:other port
localhost:*:*:secretive:other host\n127.0.0.1:*:secret:secretive:pass\\:word\\\\\n*:*:*:*:last";
const BY_NAME: &str = "localhost:*:*:*:pass\\:word\\\\\r\n";

/// A source, the password file, variables, and why the import fails, if it does.
#[rustfmt::skip]
const CONNECTIONS: &[[&str; 4]] = &[
    ["postgres://secretive@127.0.0.1:PORT/secret", "", "PGPASSWORD=pass:word\\", ""],
    ["postgresql://secretive@127.0.0.1:PORT/secret", "", "PGPASSWORD=pass:word", "password authentication failed"],
    ["postgres://127.0.0.1/secret", GOOD, "PGUSER=secretive PGPORT=PORT", ""],
    ["postgres:///secret", GOOD, "PGUSER=secretive PGPORT=PORT PGHOST=127.0.0.1", ""],
    ["postgres://", GOOD, "PGUSER=secretive PGPORT=PORT PGHOSTADDR=127.0.0.1 PGDATABASE=secret", ""],
    ["postgres://secretive@/secret?hostaddr=127.0.0.1&port=PORT", GOOD, "", ""],
    ["postgres://secretive@localhost/secret?hostaddr=127.0.0.1&port=PORT", BY_NAME, "", ""],
    ["postgres://secretive@localhost/secret?hostaddr=127.0.0.1&port=PORT", "127.0.0.1:*:*:*:x", "", "password missing"],
    ["postgres://secretive@127.0.0.1:1,127.0.0.1:PORT/secret", "*:1:*:*:pass\\:word\\\\", "", "password missing"],
    ["postgres://secretive@127.0.0.1:1,127.0.0.1:PORT/secret", "*:*:*:*:pass\\:word\\\\", "", ""],
    ["postgres://secretive@127.0.0.1:PORT/secret", "", "PGPASSFILE=HOME/lost", "lost is ignored: No such file"],
    ["postgres://secretive@127.0.0.1:PORT/secret?passfile=HOME%2Flost", GOOD, "", "lost is ignored: No such file"],
    ["postgres://luoyun@/secret?host=SOCKET&port=PORT&sslmode=verify-full", "", "", ""],
    ["postgres://luoyun@SOCKET:PORT/secret", "", "PGSSLMODE=require", ""],
    ["postgres://luoyun@[::ffff:127.0.0.1]:PORT/secret", "", "", ""],
    ["postgres://luoyun@127.0.0.1:PORT/secret", "", "PGSSLMODE=sometimes", "sslmode sometimes is unknown"],
    ["postgres://luoyun@127.0.0.1:PORT/secret?pgbouncer=true", "", "", "unknown option `pgbouncer`"],
    ["postgres://luoyun@127.0.0.1:PORT/secret", "", "PGSERVICE=main", "unknown option `service`"],
    ["postgres://luoyun@127.0.0.1:port/secret", "", "", "invalid value for option `port`"],
    ["postgres://luoyun@127.0.0.1:PORT/secret?sslmode", "", "", "is not a PostgreSQL URL"],
    // A password with a character that has to be %XX.
    ["postgres://secretive:pass:word@\\@127.0.0.1:PORT/secret", "", "", "is not a PostgreSQL URL"],
    ["postgres://secretive:pass%3Aword%5C@127.0.0.1:PORT/secret", "", "", ""],
];

#[test]
#[ignore = "needs PostgreSQL: make test-import"]
fn the_connection_is_that_of_psql() {
    let (_source, target) = (Source::new("secret", FEW), Target::new());
    let var = |name| env::var(name).unwrap();
    let (port, socket) = (var("PGPORT"), var("PG_FOLDER"));
    let home = target.folder.path();
    let pgpass = home.join(".pgpass");
    let at = |text: &str| {
        let text =
            text.replace("HOME", home.to_str().unwrap()).replace("=PORT", &format!("={port}"));
        text.replace(":PORT", &format!(":{port}")).replace("SOCKET", &socket.replace('/', "%2F"))
    };
    for [url, file, environment, reason] in CONNECTIONS {
        fs::write(&pgpass, file).unwrap();
        fs::set_permissions(&pgpass, fs::Permissions::from_mode(0o600)).unwrap();
        let mut command = target.admin.command(&["import", "--dry-run"]);
        for name in ["PGHOST", "PGPORT", "PGUSER"] {
            command.env_remove(name);
        }
        command.env("LUOYUN_SOURCE", at(url)).env("HOME", home);
        command.envs(at(environment).split_whitespace().map(|it| it.split_once('=').unwrap()));
        let outcome = run(command, b"");
        let code = i32::from(!reason.is_empty());
        assert_eq!(outcome.code, Some(code), "{url} {environment}: {outcome:?}");
        assert!(outcome.stderr.contains(reason), "{url}: {outcome:?}");
        assert!(!outcome.stderr.contains("word\\"), "the password is shown: {outcome:?}");
    }
    fs::write(&pgpass, GOOD).unwrap();
    fs::set_permissions(&pgpass, fs::Permissions::from_mode(0o640)).unwrap();
    let mut command = target.admin.command(&["import", &at(CONNECTIONS[0][0])]);
    command.env("HOME", home);
    assert_fails(&run(command, b""), "is ignored: others can read it: chmod 600");
}

/// Answers each connection as a server without TLS that asks for a password in clear text; returns
/// its port, and whether it got one.
fn eavesdropper() -> (u16, Arc<AtomicBool>) {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let (port, is_told) = (listener.local_addr().unwrap().port(), Arc::new(AtomicBool::new(false)));
    let told = Arc::clone(&is_told);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut message) = (stream.unwrap(), [0; 1024]);
            while let Ok(1..) = stream.read(&mut message) {
                if message.windows(6).any(|word| word == b"s3cret") {
                    told.store(true, Ordering::Relaxed);
                    break;
                }
                let is_ssl_request = message[..8] == [0, 0, 0, 8, 4, 210, 22, 47];
                let asks = [b'R', 0, 0, 0, 8, 0, 0, 0, 3];
                let _ = stream.write_all(if is_ssl_request { b"N" } else { &asks });
            }
        }
    });
    (port, is_told)
}

/// A source, a variable, and whether its password is sent in clear text if the server wants that.
/// 0.0.0.0 and 127.1 reach this machine, but like other machines are none of its loopback addresses.
#[rustfmt::skip]
const HOSTS: &[(&str, &str, bool)] = &[
    ("u@127.0.0.1:PORT/d", "", true),
    ("u@localhost:PORT/d", "", true),
    ("u@0.0.0.0:PORT/d?sslmode=disable", "", true),
    ("u@0.0.0.0:PORT/d", "PGSSLMODE=disable", true),
    ("u@0.0.0.0:PORT/d", "", false),
    ("u@0.0.0.0:PORT/d?sslmode=allow", "", false),
    ("u@0.0.0.0:PORT/d?sslmode=prefer", "", false),
    ("u@0.0.0.0:PORT/d?sslmode=require", "", false),
    ("u@0.0.0.0:PORT/d?sslmode=verify-ca", "", false),
    ("u@127.0.0.1:PORT/d?sslmode=require", "", false),
    ("u@127.0.0.1:PORT/d?sslrootcert=system", "", false),
    ("u@127.1:PORT/d", "", false),
    ("u@[::ffff:0.0.0.0]:PORT/d", "", false),
    ("u@/d?host=0.0.0.0&port=PORT", "", false),
    ("u@/d?hostaddr=0.0.0.0&port=PORT", "", false),
    ("u@localhost:PORT/d?hostaddr=0.0.0.0", "", false),
    ("u@127.0.0.1:PORT/d?hostaddr=0.0.0.0", "", false),
    ("u@/d?host=%2Ftmp&hostaddr=0.0.0.0&port=PORT", "", false),
    ("u@127.0.0.1:PORT,0.0.0.0:PORT/d", "", false),
    ("u@0.0.0.0:PORT,127.0.0.1:PORT/d", "", false),
    ("u@localhost,localhost/d?hostaddr=127.0.0.1,0.0.0.0&port=PORT", "", false),
    ("u@/d", "PGHOST=0.0.0.0", false),
    ("u@/d", "PGHOSTADDR=0.0.0.0", false),
    ("u@localhost/d", "PGHOSTADDR=0.0.0.0", false),
    ("u@127.0.0.1:PORT/d?host=0.0.0.0", "", false),
    ("u@/d?host=127.0.0.1&host=0.0.0.0&port=PORT", "", false),
];

#[test]
#[ignore = "needs PostgreSQL: make test-import"]
fn a_password_leaves_this_machine_only_encrypted() {
    let target = Target::new();
    let (port, is_told) = eavesdropper();
    for (source, variable, is_expected) in HOSTS {
        is_told.store(false, Ordering::Relaxed);
        for scheme in ["postgres", "postgresql"] {
            let url = format!("{scheme}://{source}").replace("PORT", &port.to_string());
            let mut command = target.admin.command(&["import", &url]);
            command.env("PGPASSWORD", "s3cret").env("PGPORT", port.to_string());
            command.env_remove("PGHOST").envs(variable.split_once('='));
            let outcome = run(command, b"");
            assert_eq!(outcome.code, Some(1), "{outcome:?}");
            assert!(!outcome.stderr.contains("s3cret"), "{outcome:?}");
        }
        assert_eq!(is_told.load(Ordering::Relaxed), *is_expected, "{source} {variable}");
    }
}

/// The certificate of the server, options, parameters of the URL, and the outcome: whether the
/// import's connection is encrypted, or why there is none.
#[rustfmt::skip]
const CERTIFICATES: &[[&str; 4]] = &[
    ["server", "", "", "plain"],
    ["server", "", "sslmode=prefer", "plain"],
    ["server", "", "sslmode=require", "--ca FILE"],
    ["server", "", "sslrootcert=system", "--ca FILE"],
    ["server", "--ca authority.pem", "sslmode=require", "encrypted"],
    ["server", "", "sslmode=verify-full&sslrootcert=authority.pem", "encrypted"],
    ["server", "", "sslmode=verify-full&sslrootcert=authority.pem&host=localhost", "it is not for localhost, but for"],
    ["server", "", "sslmode=verify-ca&sslrootcert=authority.pem&host=localhost", "encrypted"],
    ["server", "", "sslmode=verify-ca&sslrootcert=other.pem", "--ca FILE"],
    ["server", "--ca server.pem", "sslmode=verify-full&host=localhost", "encrypted"],
    ["server", "--ca none.pem", "sslmode=require", "cannot read certificates from"],
    ["server", "--ca authority.der", "sslmode=require", "openssl x509 -inform der converts it"],
    ["server", "--ca authority.key", "sslmode=require", "lines from BEGIN CERTIFICATE to END CERTIFICATE"],
    ["server", "--ca initdb.log", "sslmode=require", "lines from BEGIN CERTIFICATE to END CERTIFICATE"],
    ["elsewhere", "--ca authority.pem", "sslmode=require", "it is not for 127.0.0.1, but for"],
    ["elsewhere", "--ca authority.pem", "sslmode=verify-ca", "encrypted"],
    ["expired", "--ca authority.pem", "sslmode=require", "it expired on 2020-01-02"],
    ["expired", "--ca authority.pem", "sslmode=verify-ca", "it expired on 2020-01-02"],
    ["old", "--ca authority.pem", "sslmode=require", "it has the outdated version 1 of X.509"],
    ["old", "--ca old.pem", "sslmode=require", "it has the outdated version 1 of X.509"],
];

#[test]
#[ignore = "needs PostgreSQL: make test-import"]
fn tls_checks_the_certificate() {
    let (source, target) = (Source::new("tls", FEW), Target::new());
    let folder = env::var("PG_FOLDER").unwrap();
    // pg_stat_ssl shows whether the import's connection is encrypted.
    source.sql(
        "CREATE VIEW encrypted AS SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid();
         ALTER TABLE node RENAME TO nodes;
         CREATE VIEW node AS SELECT id, hostname,
             CASE WHEN (SELECT ssl FROM encrypted) THEN 'encrypted' ELSE 'plain' END AS ip
         FROM nodes",
    );
    let mut current = "server";
    for [certificate, args, parameters, expected] in CERTIFICATES {
        if *certificate != current {
            let file = format!("{folder}/{certificate}.pem");
            source.sql(&format!("ALTER SYSTEM SET ssl_cert_file TO '{file}'"));
            source.sql("SELECT pg_reload_conf()");
            wait_until("the certificate", || source.sql("SHOW ssl_cert_file").trim() == file);
            current = certificate;
        }
        let place = |text: &str| {
            text.replace("=authority", &format!("={folder}/authority"))
                .replace("=other", &format!("={folder}/other"))
                .replace("--ca ", &format!("--ca {folder}/"))
        };
        let (url, args) = (format!("{}?{}", source.url(), place(parameters)), place(args));
        let args: Vec<_> = ["import", &url].into_iter().chain(args.split_whitespace()).collect();
        let outcome = target.admin.run(&args);
        if matches!(*expected, "encrypted" | "plain") {
            assert_eq!(outcome.code, Some(0), "{args:?} {outcome:?}");
            assert_eq!(target.admin.list(&["node", "list"])[0]["ip"], *expected, "{args:?}");
            continue;
        }
        assert_fails(&outcome, expected);
    }
}

#[test]
#[ignore = "needs PostgreSQL: make test-import"]
fn a_source_that_does_not_answer_ends_the_import() {
    let (source, target) = (Source::new("stalled", FEW), Target::new());
    let begin = |url: &str, seconds: &str| {
        let mut command = target.admin.command(&["import", "--timeout", seconds, url]);
        let command = command.env("PGPASSWORD", "x").stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let end = |import: Child| Outcome::from(import.wait_with_output().unwrap());
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

    // The backend is killed.
    let lock = TableLock::new(&source);
    let import = begin(&source.url(), "60");
    lock.wait_for(1);
    source.sql("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted");
    assert_fails(&end(import), "terminating connection due to administrator command");
    lock.release();
}

pub(crate) fn start(admin: &Admin, source: &Source) -> Child {
    let mut command = admin.command(&["import", &source.url()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

pub(crate) fn kill(mut child: Child, signal: &str) {
    assert!(child.try_wait().unwrap().is_none(), "the import ended before it was killed");
    assert!(send_signal(signal, &child.id().to_string()));
    assert_eq!(child.wait().unwrap().code(), None);
}

/// SQL for the rows of a source with `count` instances.
pub(crate) fn many(count: usize) -> String {
    format!(
        "INSERT INTO auth_user SELECT i, 'user' || i,
             'salt$' || encode(sha512(('saltuser' || i)::bytea), 'hex'), NULL, false, NULL
         FROM generate_series(1, 1000) i;
         INSERT INTO node SELECT i, 'node' || i, '10.0.0.' || i FROM generate_series(1, 200) i;
         INSERT INTO instance SELECT i, CASE WHEN i % 10 = 0 THEN 1 ELSE 1 + i % 1000 END,
             1 + i % 200, 'generation 1 of 虚拟机 ' || i,
             CASE WHEN i % 3 = 0 THEN repeat('summary ', i % 20) END,
             CASE WHEN i % 50 = 7 THEN 100 ELSE i % 6 END, i % 60000
         FROM generate_series(1, {count}) i"
    )
}

/// A lock on the source's table of instances; imports wait for it.
struct TableLock<'a> {
    source: &'a Source,
    psql: Child,
}

impl<'a> TableLock<'a> {
    fn new(source: &'a Source) -> Self {
        let mut psql = Command::new("psql");
        let mut psql = psql.args(["-qAtX", source.0]).stdin(Stdio::piped()).spawn().unwrap();
        let pipe = psql.stdin.as_mut().unwrap();
        pipe.write_all(b"BEGIN; LOCK TABLE instance;\n").unwrap();
        let is_locked = "SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
            WHERE c.relname = 'instance' AND l.mode = 'AccessExclusiveLock' AND l.granted";
        wait_until("the lock", || source.sql(is_locked) == "1\n");
        Self { source, psql }
    }

    /// Waits until `count` imports are blocked by the lock.
    fn wait_for(&self, count: usize) {
        let waiting = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}'
             AND application_name = 'luoyun-admin' AND wait_event_type = 'Lock'",
            self.source.0
        );
        let count = format!("{count}\n");
        wait_until("blocked imports", || self.source.sql(&waiting) == count);
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
fn a_killed_import_leaves_the_old_or_the_new_rows() {
    let (source, target) = (Source::new("killed", &many(20_000)), Target::new());
    target.import(&source);
    let old = target.rows();
    source.sql(
        "UPDATE instance SET name = 'new', status = 1; DELETE FROM auth_user WHERE id > 990
                AND NOT EXISTS (SELECT 1 FROM instance WHERE user_id = auth_user.id)",
    );

    // Not SIGINT: a shell lets its background processes ignore it.
    for signal in ["-KILL", "-TERM"] {
        let lock = TableLock::new(&source);
        let import = start(&target.admin, &source);
        lock.wait_for(1);
        // The import does not block other writers while it reads.
        target.db().execute_batch("PRAGMA busy_timeout = 0; UPDATE users SET id = id").unwrap();
        kill(import, signal);
        lock.release();
        assert!(target.rows() == old, "{signal} while it reads");

        let writer = target.db();
        writer.execute_batch("BEGIN IMMEDIATE").unwrap();
        let lock = TableLock::new(&source);
        let import = start(&target.admin, &source);
        lock.wait_for(1);
        lock.release();
        kill(import, signal);
        writer.execute_batch("COMMIT").unwrap();
        assert!(target.rows() == old, "{signal} before it writes");
    }

    // While it writes: more than 2,400 pages go through the write-ahead log.
    let log = PathBuf::from(format!("{}-wal", target.path().display()));
    for (round, size) in [1, 1_000_000, 3_000_000, 5_000_000].into_iter().enumerate() {
        let old = target.rows();
        source.sql(&format!("UPDATE instance SET name = 'round {round}'"));
        let mut import = start(&target.admin, &source);
        wait_until("a write-ahead log", || {
            fs::metadata(&log).is_ok_and(|log| log.len() >= size)
                || import.try_wait().unwrap().is_some()
        });
        import.kill().unwrap();
        import.wait().unwrap();
        let found = target.rows();
        let is_new = found == source.rows();
        println!("killed at {size} bytes: the {} rows", if is_new { "new" } else { "old" });
        assert!(is_new || found == old, "killed at {size} bytes");
    }
    target.import(&source);
    assert!(target.rows() == source.rows());
}

/// Runs an import to completion; returns its standard output, and its peak memory in KiB.
pub(crate) fn measure(admin: &Admin, source: &Source) -> (String, u64) {
    let mut command = admin.command(&["import", &source.url()]);
    let mut import = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let status = format!("/proc/{}/status", import.id());
    let mut max_memory = 0;
    while import.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_millis(5));
        let text = fs::read_to_string(&status).unwrap_or_default();
        let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse().ok());
        max_memory = max_memory.max(peak.unwrap_or(0));
    }
    let outcome = Outcome::from(import.wait_with_output().unwrap());
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "no progress bar in a file");
    (outcome.stdout, max_memory)
}

/// Sends list requests, and a login as every 20th request, until `is_done`. Returns the number of
/// requests, and the maximum latencies of lists and of logins.
fn generate_load(server: &Server, key: &str, is_done: &AtomicBool) -> (usize, Duration, Duration) {
    let mut client: Client = server.connect();
    let (mut count, mut list, mut login) = (0, Duration::ZERO, Duration::ZERO);
    while !is_done.load(Ordering::Relaxed) {
        let begin = Instant::now();
        let (reply, longest) = if count % 20 == 0 {
            let form = [("username", "user1"), ("password", "user1")];
            (client.post("/api/login", &form), &mut login)
        } else {
            let form = [("session_key", key), ("sepa", "100")];
            (client.post("/api/myun/instance", &form), &mut list)
        };
        *longest = begin.elapsed().max(*longest);
        let reply = reply.json();
        assert_eq!(reply["code"], 0, "{reply}");
        if let Some(list) = reply["list"].as_array() {
            let generation = |item: &Value| item["name"].as_str().unwrap()[..12].to_owned();
            let first = generation(&list[0]);
            assert!(
                list.iter().all(|item| generation(item) == first),
                "old and new rows in one list: {reply}"
            );
        }
        count += 1;
    }
    (count, list, login)
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

    let begin = Instant::now();
    let (printed, memory) = measure(&admin, &source);
    println!("first import: {:?}, {memory} KiB", begin.elapsed());
    assert_report(&printed, [[1000, 0, 0, 0], [200, 0, 0, 0], [MANY, 0, 0, 0]], "");
    assert!((1..100 * 1024).contains(&memory), "{memory} KiB");

    let key = server.log_in("user1");
    // All rows change under load, and then none.
    source.sql("UPDATE instance SET name = replace(name, 'generation 1', 'generation 2')");
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let end = SetOnDrop(&is_done);
        let clients: Vec<_> =
            (0..4).map(|_| scope.spawn(|| generate_load(&server, &key, &is_done))).collect();
        let begin = Instant::now();
        let (printed, memory) = measure(&admin, &source);
        println!("all changed, under load: {:?}, {memory} KiB", begin.elapsed());
        assert_report(&printed, [[0, 0, 0, 1000], [0, 0, 0, 200], [0, MANY, 0, 0]], "");
        assert!((1..100 * 1024).contains(&memory), "{memory} KiB");
        let begin = Instant::now();
        let (printed, memory) = measure(&admin, &source);
        println!("none changed, under load: {:?}, {memory} KiB", begin.elapsed());
        assert_report(&printed, [[0, 0, 0, 1000], [0, 0, 0, 200], [0, 0, 0, MANY]], "");
        drop(end);
        for client in clients {
            let (count, list, login) = client.join().unwrap();
            println!("{count} requests meanwhile, maximum latency: list {list:?}, login {login:?}");
            assert!(count > 0);
        }
    });
    let mut expected = source.rows();
    expected.retain(|row| !row.starts_with("u|1|"));
    let mut found = rows(&path);
    found.retain(|row| !row.starts_with("u|1|"));
    assert!(found == expected);
}
