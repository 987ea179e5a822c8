//! `luoyun-admin`, on the database of a server that is up, and as SQL.

use std::fs;
use std::path::Path;
use std::process::Command;

use api_tests::admin::run;
use api_tests::cases::auth_failed;
use api_tests::server::{built, root, tables};
use api_tests::{Admin, Server, Setup};
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

/// So that a password takes no time: nothing is protected here.
const QUICK: [&str; 2] = ["--iterations", "1"];

/// A server with the tables and nothing in them.
fn empty_server() -> (Server, Admin) {
    let sql = tables();
    let server = Server::start(Setup { sql: &sql, bare: true, ..Setup::default() });
    let admin = Admin::on(&server.state().join("sqlite_db.db"));
    (server, admin)
}

/// A database with the tables and nothing in them.
fn empty_database() -> (TempDir, Admin) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("sqlite_db.db");
    Connection::open(&path).unwrap().execute_batch(&tables()).unwrap();
    (folder, Admin::on(&path))
}

fn database(folder: &TempDir) -> std::path::PathBuf {
    folder.path().join("sqlite_db.db")
}

fn add_user(admin: &Admin, name: &str, password: &[u8]) -> String {
    admin.done_with(&[&["user", "add", name], &QUICK[..]].concat(), password)
}

fn log_in(server: &Server, username: &str, password: &[u8]) -> Value {
    let encode = |bytes: &[u8]| form_urlencoded::byte_serialize(bytes).collect::<String>();
    let form = format!("username={}&password={}", encode(username.as_bytes()), encode(password));
    let fields = ["Content-Type: application/x-www-form-urlencoded"];
    server.connect().request("POST", "/api/login", &fields, form.as_bytes()).json()
}

fn list(server: &Server, key: &Value) -> Value {
    let form = [("session_key", key.as_str().unwrap())];
    server.connect().post("/api/myun/instance", &form).json()
}

fn baseinfo(server: &Server, key: &Value, id: &str) -> Value {
    let form = [("session_key", key.as_str().unwrap()), ("instance_id", id)];
    server.connect().post("/api/instance/baseinfo", &form).json()
}

#[test]
fn from_nothing_to_a_remote_desktop() {
    let (server, admin) = empty_server();
    assert_eq!(admin.done_with(&["user", "add", "ada"], b"her password\n"), "1\n");
    assert_eq!(admin.done(&["node", "add", "node1", "--ip", "10.0.0.2"]), "1\n");
    let instance = ["instance", "add", "--owner", "ada", "--node", "node1", "--name", "库 1"];
    let more = ["--summary", "for tests", "--status", "started", "--vdi-port", "5900"];
    assert_eq!(admin.done(&[&instance[..], &more].concat()), "1\n");
    assert_eq!(admin.done(&[&instance[..], &["--id", "2252"]].concat()), "2252\n");

    let login = log_in(&server, "ada", b"her password");
    assert_eq!(login["code"], 0, "{login}");
    let key = &login["session_key"];
    let first = json!({
        "id": 1, "name": "库 1", "summary": "for tests", "status": 3,
        "status_string": "instance is started by hypervisor",
        "vdi_type": 1, "vdi_host": "10.0.0.2", "vdi_port": 5900
    });
    let reply = list(&server, key);
    assert_eq!(reply["total"], 2);
    assert_eq!(reply["list"][0], first);
    let desktop = baseinfo(&server, key, "2252");
    assert_eq!((&desktop["host"], &desktop["port"]), (&json!("10.0.0.2"), &Value::Null));

    admin.done(&["node", "set", "node1", "--ip", "fd00::2"]);
    admin.done(&["instance", "set", "2252", "--vdi-port", "65535", "--vdi-type", "2"]);
    let desktop = baseinfo(&server, key, "2252");
    let expected = (&json!("fd00::2"), &json!(65535), &json!(2));
    assert_eq!((&desktop["host"], &desktop["port"], &desktop["vdi_type"]), expected);

    admin.done(&["instance", "remove", "1"]);
    assert_eq!(baseinfo(&server, key, "1")["error"], "instance_not_found");
    assert_eq!(list(&server, key)["total"], 1);
    admin.done(&["instance", "set", "1", "--status", "stopped", "--no-vdi-port", "--no-summary"]);
    let again = &list(&server, key)["list"][0];
    let expected = (&json!(2), &Value::Null, &Value::Null);
    assert_eq!((&again["status"], &again["summary"], &again["vdi_port"]), expected);

    add_user(&admin, "grace", b"hers");
    admin.done(&["instance", "set", "1", "--owner", "grace"]);
    assert_eq!(baseinfo(&server, key, "1")["error"], "instance_not_owned");
    admin.done(&["instance", "set", "2252", "--no-node"]);
    assert_eq!(baseinfo(&server, key, "2252")["host"], "");
    admin.done(&["instance", "set", "2252", "--no-owner"]);
    assert_eq!(list(&server, key)["total"], 0);
}

#[test]
fn another_password_and_a_lock_end_the_sessions() {
    let (server, admin) = empty_server();
    add_user(&admin, "ada", b"first");
    let key = log_in(&server, "ada", b"first")["session_key"].clone();
    admin.done_with(&[&["user", "passwd", "ada"], &QUICK[..]].concat(), b"second");
    assert_eq!(list(&server, &key)["error"], "auth_required");
    assert_eq!(log_in(&server, "ada", b"first"), auth_failed());

    let key = log_in(&server, "ada", b"second")["session_key"].clone();
    assert_eq!(list(&server, &key)["code"], 0);
    admin.done(&["user", "lock", "ada"]);
    assert_eq!(list(&server, &key)["error"], "auth_required");
    assert_eq!(log_in(&server, "ada", b"second")["error"], "user_locked");
    admin.done(&["user", "lock", "ada"]);

    admin.done(&["user", "unlock", "ada"]);
    assert_eq!(list(&server, &key)["error"], "auth_required");
    assert_eq!(log_in(&server, "ada", b"second")["code"], 0);
}

#[test]
fn a_password_on_standard_input_is_taken_byte_for_byte() {
    let (server, admin) = empty_server();
    let passwords: [(&str, &[u8], &[u8]); 6] = [
        ("plain", b"word", b"word"),
        ("line", b"word\n", b"word"),
        ("windows", b"word\r\n", b"word"),
        ("spaces", b" two  words\t\n", b" two  words\t"),
        ("chinese", "密码\n".as_bytes(), "密码".as_bytes()),
        ("binary", b"\xff\0'\r\x01\n", b"\xff\0'\r\x01"),
    ];
    for (name, input, password) in passwords {
        add_user(&admin, name, input);
        assert_eq!(log_in(&server, name, password)["code"], 0, "{name}");
        assert_eq!(log_in(&server, name, &password[1..]), auth_failed(), "{name}");
    }
}

#[test]
fn a_terminal_is_asked_twice_without_an_echo() {
    let (server, admin) = empty_server();
    let on_terminal = |name: &str, typed: &[u8]| {
        let admin = admin.command(&[&["user", "add", name], &QUICK[..]].concat());
        let mut command = Command::new(root().join("tests/terminal.py"));
        command.arg(admin.get_program()).args(admin.get_args());
        run(command, typed)
    };
    let outcome = on_terminal("ada", b"geheim\ngeheim\n");
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(outcome.stdout, "Password of ada: \r\nThe same again: \r\n1\r\n");
    assert_eq!(log_in(&server, "ada", b"geheim")["code"], 0);

    let outcome = on_terminal("grace", b"geheim\nanders\n");
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stdout.ends_with("The two passwords differ.\r\n"), "{outcome:?}");
    assert_eq!(log_in(&server, "grace", b"geheim"), auth_failed());
}

/// Two users, two nodes of one name, and two instances, one of them deleted.
fn some_rows(folder: &TempDir, admin: &Admin) {
    add_user(admin, "ada", b"word");
    admin.done(&["node", "add", "node1", "--ip", "10.0.0.2"]);
    admin.done(&["instance", "add", "--owner", "ada", "--node", "node1", "--name", "one"]);
    admin.done(&["instance", "add", "--owner", "ada", "--name", "two", "--status", "100"]);
    let twice = "INSERT INTO nodes (hostname) VALUES ('twice'), ('twice')";
    Connection::open(database(folder)).unwrap().execute_batch(twice).unwrap();
}

#[test]
fn what_cannot_be_done_is_refused_with_a_reason() {
    let (folder, admin) = empty_database();
    some_rows(&folder, &admin);
    let before = fs::read(database(&folder)).unwrap();
    let long = vec![b'x'; 65537];
    let add = ["instance", "add", "--name", "x", "--owner"];
    let rows: &[(&[&str], &[u8], &str)] = &[
        (&["user", "add", "ada"], b"x", "There is a user ada already."),
        (&["user", "add", "grace"], b"", "The password is empty."),
        (&["user", "add", "grace"], b"\n", "The password is empty."),
        (&["user", "add", "grace"], b"a\nb\n", "more than one line"),
        (&["user", "add", "grace"], b"a\0", "ends with a NUL"),
        (&["user", "add", "grace"], &long, "longer than 65536 bytes"),
        (&["user", "passwd", "Ada"], b"x", "There is no user Ada."),
        (&["user", "lock", "nobody"], b"", "There is no user nobody."),
        (&["user", "unlock", "nobody"], b"", "There is no user nobody."),
        (&["node", "add", "node1"], b"", "There is a node node1 already."),
        (&["node", "set", "none", "--ip", "::1"], b"", "There is no node none."),
        (&["node", "set", "twice", "--ip", "::1"], b"", "There are 2 nodes called twice"),
        (&[&add[..], &["nobody"]].concat(), b"", "There is no user nobody."),
        (&[&add[..], &["ada", "--node", "none"]].concat(), b"", "There is no node none."),
        (&[&add[..], &["ada", "--node", "twice"]].concat(), b"", "There are 2 nodes"),
        (&[&add[..], &["ada", "--id", "2"]].concat(), b"", "There is an instance 2 already"),
        (&["instance", "set", "9", "--no-node"], b"", "There is no instance 9."),
        (&["instance", "set", "1", "--owner", "nobody"], b"", "There is no user nobody."),
        (&["instance", "set", "1", "--node", "none"], b"", "There is no node none."),
        (&["instance", "remove", "9"], b"", "There is no instance 9."),
        (&["instance", "remove", "2"], b"", "The instance 2 is deleted already."),
        (&["instance", "list", "--owner", "nobody"], b"", "There is no user nobody."),
        (&["import", "mysql://host/db"], b"", "The source is no URL of PostgreSQL"),
        (&["import", "postgres://127.0.0.1:1/x"], b"", "cannot connect to the source"),
    ];
    for (args, input, reason) in rows {
        let outcome = admin.run_with(args, input);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""), "{args:?}");
        assert!(outcome.stderr.contains(reason), "{args:?}: {}", outcome.stderr);
    }
    assert!(fs::read(database(&folder)).unwrap() == before, "something was changed");
}

#[test]
fn a_wrong_command_line_changes_nothing() {
    let (folder, admin) = empty_database();
    some_rows(&folder, &admin);
    let before = fs::read(database(&folder)).unwrap();
    let add = ["instance", "add", "--owner", "ada", "--name", "x"];
    let rows: &[&[&str]] = &[
        &[],
        &["user"],
        &["user", "add"],
        &["user", "add", "grace", "her password"],
        &["user", "add", "grace", "--password", "her password"],
        &["user", "add", ""],
        &["user", "add", " grace"],
        &["user", "add", "grace\n"],
        &["user", "add", "gr\u{1b}ace"],
        &["user", "add", "grace", "--iterations", "0"],
        &["user", "add", "grace", "--iterations", "10000001"],
        &["user", "list", "--sql"],
        &["node", "add", "two words"],
        &["node", "add", "node2", "--ip", "10.0.0.256"],
        &["node", "add", "node2", "--ip", "host.example"],
        &[&add[..], &["--vdi-port", "0"]].concat(),
        &[&add[..], &["--vdi-port", "65536"]].concat(),
        &[&add[..], &["--id", "0"]].concat(),
        &[&add[..], &["--status", "asleep"]].concat(),
        &[&add[..], &["--status", "-1"]].concat(),
        &["instance", "add", "--owner", "ada", "--name", " "],
        &["instance", "set", "1"],
        &["instance", "set", "1", "--vdi-port", "1", "--no-vdi-port"],
        &["instance", "set", "--name", "x"],
        &["import"],
        &["import", "postgres://ada:her%20password@127.0.0.1:1/x"],
        &["completions", "cmd"],
    ];
    for args in rows {
        let outcome = admin.run_with(args, b"word");
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{args:?}");
        assert!(outcome.stderr.contains("--help"), "{args:?}: {}", outcome.stderr);
    }
    assert!(fs::read(database(&folder)).unwrap() == before, "something was changed");
}

#[test]
fn a_database_is_not_made_by_a_wrong_name() {
    let folder = TempDir::new().unwrap();
    let text = "This is a text, of more bytes than a header has. ".repeat(3);
    for (name, content, reason) in [
        ("none.db", None, "There is no database at"),
        ("empty.db", Some(""), "lacks tables of the API. Run each migrations/0"),
        ("text.db", Some(text.as_str()), "This is no SQLite database."),
    ] {
        let path = folder.path().join(name);
        if let Some(content) = content {
            fs::write(&path, content).unwrap();
        }
        for args in [&["user", "list"][..], &["user", "lock", "ada"], &["import", "postgres:///x"]]
        {
            let outcome = Admin::on(&path).run(args);
            assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""), "{name} {args:?}");
            assert!(outcome.stderr.contains(reason), "{name} {args:?}: {}", outcome.stderr);
        }
        assert_eq!(fs::read_to_string(&path).ok().as_deref(), content, "{name}");
    }
}

/// What is in a database, without what is random.
fn rows(path: &Path) -> Vec<String> {
    let db = Connection::open(path).unwrap();
    let mut rows = Vec::new();
    for (table, columns) in [
        ("users", "id, username, substr(password, 1, 14), is_locked, last_login"),
        ("nodes", "id, hostname, ip"),
        ("instances", "id, user_id, node_id, name, summary, status, vdi_type, vdi_port"),
    ] {
        let sql = format!("SELECT {columns} FROM {table} ORDER BY id");
        let mut statement = db.prepare(&sql).unwrap();
        let count = statement.column_count();
        let found = statement.query_map([], |row| {
            let values: rusqlite::Result<Vec<_>> =
                (0..count).map(|at| row.get::<_, rusqlite::types::Value>(at)).collect();
            Ok(format!("{table} {:?}", values?))
        });
        rows.extend(found.unwrap().map(Result::unwrap));
    }
    rows
}

#[test]
fn the_sql_does_what_the_command_does() {
    let (with_file, admin) = empty_database();
    let (with_sql, other) = empty_database();
    let commands: &[&[&str]] = &[
        &["user", "add", "o'neil; DROP TABLE users; --", "--iterations", "1"],
        &["user", "add", "ada", "--iterations", "1"],
        &["user", "passwd", "ada", "--iterations", "2"],
        &["user", "lock", "o'neil; DROP TABLE users; --"],
        &["user", "lock", "ada"],
        &["user", "unlock", "ada"],
        &["node", "add", "node'1", "--ip", "10.0.0.2"],
        &["node", "add", "node2"],
        &["node", "set", "node2", "--ip", "fd00::1"],
        &[
            "instance",
            "add",
            "--owner",
            "ada",
            "--node",
            "node'1",
            "--name",
            "'; 库 --",
            "--id",
            "7",
        ],
        &[
            "instance",
            "add",
            "--owner",
            "ada",
            "--name",
            "?1",
            "--summary",
            "two\nlines\r\n' ;\n.quit",
        ],
        &["instance", "add", "--owner", "ada", "--name", "x", "--status", "5", "--vdi-port", "1"],
        &["instance", "set", "7", "--owner", "o'neil; DROP TABLE users; --", "--summary", "\u{1b}"],
        &["instance", "set", "9", "--node", "node2", "--no-owner", "--vdi-type", "3"],
        &["instance", "remove", "8"],
    ];
    let printed = |args: &[&str]| {
        let mut command = Command::new(built("luoyun-admin"));
        command.arg("--sql").args(args);
        let outcome = run(command, b"it's secret");
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{args:?}");
        assert_eq!(outcome.stdout.matches(char::is_control).collect::<Vec<_>>(), ["\n"]);
        assert!(!outcome.stdout.contains("secret"), "{}", outcome.stdout);
        outcome.stdout
    };
    let script: String = commands.iter().map(|args| printed(args)).collect();
    let db = Connection::open(database(&with_sql)).unwrap();
    db.execute_batch(&script).unwrap();
    for args in commands {
        admin.done_with(args, b"it's secret");
    }
    let expected = rows(&database(&with_file));
    assert_eq!(expected.len(), 7);
    assert_eq!(rows(&database(&with_sql)), expected);

    // As `spin up --sqlite @FILE` has it.
    let sql = format!("{}{script}", tables());
    let server = Server::start(Setup { sql: &sql, bare: true, ..Setup::default() });
    assert_eq!(log_in(&server, "ada", b"it's secret")["code"], 0);

    // What is not there is not half done.
    for args in [
        &["user", "lock", "nobody"][..],
        &["instance", "add", "--owner", "nobody", "--name", "x"],
        &["instance", "add", "--owner", "ada", "--node", "none", "--name", "x"],
        &["instance", "set", "7", "--owner", "nobody", "--name", "x"],
        &["instance", "set", "7", "--node", "none", "--name", "x"],
        &["node", "add", "node2", "--ip", "::1"],
    ] {
        db.execute_batch(&printed(args)).unwrap();
    }
    assert_eq!(rows(&database(&with_sql)), expected);

    for args in [&["user", "list"][..], &["node", "list"], &["instance", "list", "--all"]] {
        let query = printed(args);
        let count = db.prepare(&query).unwrap().query([]).unwrap().mapped(|_| Ok(())).count();
        assert_eq!(other.list(args).as_array().unwrap().len(), count, "{query}");
    }
}

#[test]
fn lists_are_for_people_and_for_programs() {
    let (folder, admin) = empty_database();
    assert_eq!(admin.list(&["user", "list"]), json!([]));
    some_rows(&folder, &admin);
    let change = "UPDATE users SET last_login = 1700000000; UPDATE nodes SET hostname = NULL
                  WHERE id = 3; UPDATE instances SET name = 'a' || char(27) || '[2J库' WHERE id = 1";
    Connection::open(database(&folder)).unwrap().execute_batch(change).unwrap();
    add_user(&admin, "库", b"word");

    assert_eq!(
        admin.done(&["user", "list"]),
        "ID  LAST LOGIN            LOCKED  USERNAME\n\
         1   2023-11-14T22:13:20Z  -       ada\n\
         2   -                     -       库\n"
    );
    assert_eq!(
        admin.done(&["instance", "list"]),
        "ID  OWNER  NODE   HOST      PORT  STATUS                               NAME\n\
         1   ada    node1  10.0.0.2  -     1 new instance that hasn't run once  a\\u{1b}[2J库\n"
    );
    assert_eq!(
        admin.list(&["user", "list"])[0],
        json!({"id": 1, "username": "ada", "is_locked": false, "last_login": "2023-11-14T22:13:20Z"})
    );
    let nodes = json!([
        {"id": 1, "hostname": "node1", "ip": "10.0.0.2"},
        {"id": 2, "hostname": "twice", "ip": null},
        {"id": 3, "hostname": null, "ip": null},
    ]);
    assert_eq!(admin.list(&["node", "list"]), nodes);
    let deleted = json!({
        "id": 2, "owner": "ada", "node": null, "name": "two", "summary": null, "status": 100,
        "status_string": "instance is deleted", "vdi_type": 1, "vdi_host": null, "vdi_port": null,
    });
    assert_eq!(admin.list(&["instance", "list", "--owner", "ada", "--all"])[1], deleted);
    assert_eq!(admin.list(&["instance", "list", "--owner", "库"]), json!([]));
}

#[test]
fn completions_are_scripts_of_their_shells() {
    for (shell, word) in [("bash", "complete -F"), ("zsh", "#compdef"), ("fish", "complete -c")] {
        let mut command = Command::new(built("luoyun-admin"));
        command.args(["completions", shell]);
        let outcome = run(command, b"");
        assert_eq!(outcome.code, Some(0), "{shell}");
        assert!(outcome.stdout.contains(word), "{shell}");
        if shell == "bash" {
            let mut bash = Command::new("bash");
            bash.arg("-n");
            assert_eq!(run(bash, outcome.stdout.as_bytes()).code, Some(0));
        }
    }
}
