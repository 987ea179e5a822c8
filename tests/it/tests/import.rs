//! `luoyun-admin import`, from the PostgreSQL server of `tests/with-postgres.sh`.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{env, thread};

use api_tests::admin::{Outcome, run};
use api_tests::server::{send_signal, tables, wait_until};
use api_tests::{Admin, Client, Server, Setup};
use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

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
        (1, 'ada', encode(sha256('x'), 'hex'), false, '2024-01-01 00:00:00.75'),
        (2, 'grace', encode(sha256('x'), 'hex'), true, NULL),
        (3, 'it''s 库', encode(sha256('x'), 'hex'), false, NULL);
    INSERT INTO node VALUES (1, 'node1', '10.0.0.1'), (2, 'node2', '10.0.0.2');
    INSERT INTO instance VALUES
        (10, 1, 1, 'one', NULL, 1, 5900), (11, 1, 2, 'two ''库', 'a summary', 2, 0),
        (12, 2, 2, 'three', '', 100, NULL), (13, 3, 1, 'four', NULL, 3, 65535);";

/// A database of the PostgreSQL server, by name.
pub(crate) struct Source(&'static str);

impl Source {
    pub(crate) fn new(name: &'static str, sql: &str) -> Self {
        psql("postgres", &format!("CREATE DATABASE {name}"));
        psql(name, TABLES);
        psql(name, sql);
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
    source.sql("UPDATE auth_user SET password = 'changed' WHERE id = 1");
    imported([[0, 1, 0, 2], [0, 0, 0, 2], [0, 0, 0, 4]], "");
    assert_eq!(password(), "changed");

    // Swapped names, a removed owner, and each kind of change.
    source.sql(
        "UPDATE auth_user SET username = CASE id WHEN 1 THEN 'grace' ELSE 'ada' END WHERE id < 3;
         UPDATE instance SET user_id = 1, node_id = 2 WHERE user_id = 3;
         DELETE FROM auth_user WHERE id = 3;
         INSERT INTO auth_user (id, username, password, is_locked) VALUES
             (4, 'it''s 库', 'x', false), (5, 'new', 'x', false);
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
    let printed = admin.done(&["import", "--allow-empty", &url]);
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

#[test]
#[ignore = "needs PostgreSQL: make test-import"]
fn nulls_and_odd_values_are_handled_and_reported() {
    let odd = "
        INSERT INTO auth_user (id, username, password, is_locked, last_login) VALUES
            (1, NULL, 'x', false, NULL), (2, '', 'x', false, NULL), (3, 'twice', 'x', false, NULL),
            (4, 'twice', 'x', false, NULL), (5, 'unlocked', 'x', NULL, 'infinity'),
            (6, 'keyless', NULL, true, '1969-12-31 23:59:58.5');
        INSERT INTO node VALUES (1, NULL, '10.0.0.1'), (2, 'node2', NULL), (3, 'node3', ' ');
        ALTER TABLE instance DROP CONSTRAINT instance_user_id_fkey;
        ALTER TABLE instance DROP CONSTRAINT instance_node_id_fkey;
        INSERT INTO instance VALUES
            (1, NULL, 1, 'a', NULL, 1, 1), (2, 4, 1, 'b', NULL, 1, 1), (3, 99, 1, 'c', NULL, 1, 1),
            (4, 3, NULL, 'd', NULL, 1, 1), (5, 3, 99, 'e', NULL, 1, 1),
            (6, 3, 1, NULL, NULL, NULL, NULL), (7, 3, 1, 'g', NULL, -3, 65536),
            (8, 3, 1, 'h', NULL, 12345, -1);
        INSERT INTO instance SELECT i, 3, 1, NULL, NULL, 1, 1 FROM generate_series(10, 19) i;
        ALTER TABLE auth_user ALTER is_locked TYPE integer USING is_locked::int;
        INSERT INTO auth_user (id, username, password, is_locked) VALUES (7, 'odd', 'x', 2);";
    let (source, target) = (Source::new("odd", odd), Target::new());
    let notes = "\
users left out, as they have no name: 2 (id 1, 2)
users left out, as an earlier one has their name: 1 (id 4)
users not locked, as is_locked is NULL: 1 (id 5)
users locked, as is_locked is neither true nor false: 1 (id 7)
users who cannot log in, as they have no password: 1 (id 6)
nodes without a name: 1 (id 1)
nodes without an IP address: their instances have no host: 2 (id 2, 3)
instances without an owner: nobody sees them: 1 (id 1)
instances whose owner does not exist: nobody sees them: 2 (id 2, 3)
instances without a node: they have no host: 1 (id 4)
instances whose node does not exist: they have no host: 1 (id 5)
instances without a name: 11 (id 6, 10, 11, 12, 13, …)
instances without a status: it is 0, unknown: 1 (id 6)
instances without a port, as theirs is not from 1 to 65535: 2 (id 7, 8)
";
    assert_report(&target.import(&source), [[4, 0, 0, 0], [3, 0, 0, 0], [18, 0, 0, 0]], notes);
    assert_report(&target.import(&source), [[0, 0, 0, 4], [0, 0, 0, 3], [0, 0, 0, 18]], notes);
    let mut rows = target.rows();
    rows.retain(|row| !row.starts_with("i|1") || row.starts_with("i|1|"));
    let expected = [
        "i|1|NULL|1|a|NULL|1|1",
        "i|2|NULL|1|b|NULL|1|1",
        "i|3|NULL|1|c|NULL|1|1",
        "i|4|3|NULL|d|NULL|1|1",
        "i|5|3|NULL|e|NULL|1|1",
        "i|6|3|1||NULL|0|NULL",
        "i|7|3|1|g|NULL|-3|NULL",
        "i|8|3|1|h|NULL|12345|NULL",
        "n|1|NULL|10.0.0.1|NULL|NULL|NULL|NULL",
        "n|2|node2|NULL|NULL|NULL|NULL|NULL",
        "n|3|node3|NULL|NULL|NULL|NULL|NULL",
        "u|3|twice|0|NULL|NULL|NULL|NULL",
        "u|5|unlocked|0|NULL|NULL|NULL|NULL",
        "u|6|keyless|1|-2|NULL|NULL|NULL",
        "u|7|odd|1|NULL|NULL|NULL|NULL",
    ];
    assert_eq!(rows, expected);
    assert_eq!(target.password(6), "!");
}

#[test]
#[ignore = "needs PostgreSQL: make test-import"]
fn columns_of_other_types_are_read() {
    let other_types = [
        "ALTER TABLE auth_user ALTER is_locked TYPE integer USING is_locked::int,
             ALTER last_login TYPE timestamptz USING last_login AT TIME ZONE 'UTC',
             ALTER id TYPE bigint, ALTER username TYPE text;
         ALTER TABLE node ALTER ip TYPE inet USING ip::inet;
         ALTER TABLE instance ALTER vdi_port TYPE text, ALTER status TYPE smallint",
        "ALTER TABLE auth_user ALTER last_login TYPE double precision
             USING extract(epoch FROM last_login)",
        "ALTER TABLE auth_user ALTER last_login TYPE bigint USING floor(extract(epoch FROM last_login))",
    ];
    let (source, target) = (Source::new("types", FEW), Target::new());
    target.import(&source);
    let before = target.rows();
    for (database, types) in ["types1", "types2", "types3"].into_iter().zip(other_types) {
        let source = Source::new(database, FEW);
        source.sql(types);
        let target = Target::new();
        target.import(&source);
        assert_eq!(target.rows(), before, "{types}");
    }
}

#[test]
#[ignore = "needs PostgreSQL: make test-import"]
fn an_unusable_source_is_rejected() {
    let (source, target) = (Source::new("refused", FEW), Target::new());
    target.import(&source);
    let before = target.bytes();
    let refused = |database: &str, reason: &str| {
        let outcome =
            target.admin.run(&["import", &Source("refused").url().replace("refused", database)]);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""), "{outcome:?}");
        assert!(outcome.stderr.contains(reason), "{outcome:?}");
        assert!(target.bytes() == before, "{reason}: something was changed");
    };
    refused("not_there", "database \"not_there\" does not exist");
    refused("postgres", "The source has no column id in a table auth_user");
    Source::new("no_ip", "ALTER TABLE node DROP ip");
    refused("no_ip", "The source has no column ip in a table node");
    Source::new("no_time", "ALTER TABLE auth_user ALTER last_login TYPE text");
    refused("no_time", "is of the type text, not a time");
    let emptied = Source::new("emptied", "");
    refused("emptied", "The source has no users, and this database has some.");

    fs::write(target.state(), "This is a text. ".repeat(10)).unwrap();
    refused("refused", "is not a state file of an import");
    fs::remove_file(target.state()).unwrap();
    let printed = target.admin.done(&["import", "--allow-empty", &emptied.url()]);
    assert_report(&printed, [[0, 0, 3, 0], [0, 0, 2, 0], [0, 0, 4, 0]], "");
}

#[test]
#[ignore = "needs PostgreSQL: make test-import"]
fn the_source_password_comes_from_the_environment_or_a_file() {
    let (source, target) = (Source::new("secret", FEW), Target::new());
    let url = source.url().replace("luoyun@", "secretive@");
    let dry_run = |url: Option<&str>, environment: &[(&str, &str)]| -> Outcome {
        let mut command = target.admin.command(&["import", "--dry-run"]);
        command.args(url).envs(environment.iter().copied());
        command.env("HOME", target.folder.path());
        let outcome = run(command, b"");
        assert!(!outcome.stderr.contains("word\\"), "the password is shown: {outcome:?}");
        outcome
    };
    let works = |outcome: Outcome| assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let fails = |outcome: Outcome| assert_eq!(outcome.code, Some(1), "{outcome:?}");

    works(dry_run(Some(&url), &[("PGPASSWORD", "pass:word\\")]));
    fails(dry_run(Some(&url), &[("PGPASSWORD", "pass:word")]));
    let with_password = url.replace("secretive@", "secretive:pass%3Aword%5C@");
    works(dry_run(None, &[("LUOYUN_SOURCE", &with_password)]));
    // The error message does not repeat a malformed URL.
    let malformed = with_password.replace("%3A", ":").replace("%5C", "@%");
    fails(dry_run(None, &[("LUOYUN_SOURCE", &malformed)]));

    let file = target.folder.path().join(".pgpass");
    fs::write(&file, "127.0.0.1:*:*:secretive:pass\\:word\\\\\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    works(dry_run(Some(&url), &[]));
    let elsewhere = target.folder.path().join("elsewhere");
    fs::rename(&file, &elsewhere).unwrap();
    works(dry_run(Some(&url), &[("PGPASSFILE", elsewhere.to_str().unwrap())]));

    let socket = env::var("PG_FOLDER").unwrap();
    let port = env::var("PGPORT").unwrap();
    let url = format!("postgres://luoyun@/secret?host={socket}&port={port}");
    works(dry_run(Some(&url), &[]));
}

#[test]
#[ignore = "needs PostgreSQL: make test-import"]
fn tls_checks_the_certificate() {
    let (source, target) = (Source::new("tls", FEW), Target::new());
    let url = format!("{}?sslmode=require", source.url());
    let pem = |name: &str| format!("{}/{name}", env::var("PG_FOLDER").unwrap());
    let (authority, server) = (pem("authority.pem"), pem("server.pem"));
    let by_name = url.replace("127.0.0.1", "localhost");
    for args in [&[url.as_str()][..], &["--ca", &authority, &by_name], &["--ca", "none.pem", &url]]
    {
        let outcome = target.admin.run(&[&["import", "--dry-run"], args].concat());
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""), "{outcome:?}");
        assert!(outcome.stderr.contains("certificate"), "{outcome:?}");
    }
    // pg_stat_ssl shows whether the import's connection is encrypted.
    source.sql(
        "CREATE VIEW encrypted AS SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid();
         ALTER TABLE node RENAME TO nodes;
         CREATE VIEW node AS SELECT id, hostname,
             CASE WHEN (SELECT ssl FROM encrypted) THEN 'encrypted' ELSE 'plain' END AS ip
         FROM nodes",
    );
    let ips = |args: &[&str]| {
        target.admin.done(&[&["import"][..], args].concat());
        target.admin.list(&["node", "list"])[0]["ip"].clone()
    };
    assert_eq!(ips(&["--ca", &authority, &url]), "encrypted");
    assert_eq!(ips(&["--ca", &server, &url]), "encrypted");
    assert_eq!(ips(&["--ca", &server, &by_name]), "encrypted");
    assert_eq!(ips(&[&source.url()]), "plain");
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

    // The API lists the same instances.
    let key = server.log_in("user1");
    let mut listed = Vec::new();
    for page in 1.. {
        let page = page.to_string();
        let form = [("session_key", key.as_str()), ("sepa", "1000"), ("p", &page)];
        let reply = server.connect().post("/api/myun/instance", &form).json();
        let items = reply["list"].as_array().unwrap();
        listed.extend(items.iter().map(|item| {
            let text = |name: &str| match &item[name] {
                Value::Null => "NULL".to_owned(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            ["id", "name", "summary", "status", "vdi_host", "vdi_port"].map(text).join("|")
        }));
        if items.is_empty() {
            break;
        }
    }
    let expected = source.sql(
        "SELECT i.id, i.name, i.summary, i.status, n.ip, nullif(i.vdi_port, 0)
         FROM instance i JOIN node n ON n.id = i.node_id
         WHERE i.user_id = 1 AND i.status <> 100 ORDER BY i.id",
    );
    assert!(listed.len() > 9_000, "{}", listed.len());
    assert!(listed.iter().eq(expected.lines()), "the list over HTTP is not the source's");

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
