//! `luoyun-admin`, on the database of a running API, and on a libSQL server.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, thread};

use api_tests::admin::{Outcome, run};
use api_tests::cases::{self, auth_failed};
use api_tests::server::{built, root, tables, value};
use api_tests::{Admin, Server, Setup};
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::import::spawn;

/// The lowest password cost, so that tests are fast.
const QUICK: [&str; 4] = ["--memory-kib", "8", "--passes", "1"];

/// Two nodes with the same name, which only an import can create.
const DUPLICATE_NODES: &str = "INSERT INTO nodes (hostname) VALUES ('twice'), ('twice')";

/// A server with empty tables.
pub(crate) fn empty_server() -> (Server, Admin) {
    let sql = tables();
    let server = Server::start(Setup { sql: &sql, bare: true, ..Setup::default() });
    let admin = Admin::on(&server.state().join("sqlite_db.db"));
    (server, admin)
}

/// A database with empty tables.
pub(crate) fn empty_database() -> (TempDir, Admin) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("sqlite_db.db");
    Connection::open(&path).unwrap().execute_batch(&tables()).unwrap();
    (folder, Admin::on(&path))
}

fn database(folder: &TempDir) -> PathBuf {
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

#[test]
fn commands_take_effect_on_a_running_server() {
    let (server, admin) = empty_server();
    for row in rows(include_str!("../admin/running_server.txt")) {
        let (args, case) = row.split_once(" | ").unwrap();
        let args: Vec<_> = args.split_whitespace().collect();
        admin.done_with(&args, b"luoyun");
        cases::run(&server, &[cases::case(&format!("{args:?} | {case}"))]);
    }
}

#[test]
fn a_password_on_standard_input_is_taken_without_the_space_around_it() {
    let (server, admin) = empty_server();
    let longest = vec![b'%'; 16_384];
    let passwords: [(&str, &[u8], &[u8]); 8] = [
        ("longest", &longest, &longest),
        ("plain", b"word", b"word"),
        ("line", b"word\n", b"word"),
        ("windows", b"word\r\n", b"word"),
        ("chinese", "密码\n".as_bytes(), "密码".as_bytes()),
        ("spaces", "\u{3000}\u{85} word\u{a0}\u{9f}\n".as_bytes(), b"word"),
        ("kept", "\u{200b}word\u{200b}".as_bytes(), "\u{200b}word\u{200b}".as_bytes()),
        ("binary", b"\xff\0'\r\x01\xff\n", b"\xff\0'\r\x01\xff"),
    ];
    for (name, input, password) in passwords {
        add_user(&admin, name, input);
        assert_eq!(log_in(&server, name, password)["code"], 0, "{name}");
        assert_eq!(log_in(&server, name, &password[1..]), auth_failed(), "{name}");
    }
}

/// In dash, which leaves the terminal as a command leaves it. A loop ends only if its command dies of
/// the signal.
#[test]
fn a_terminal_prompts_twice_with_echo_off_and_is_as_before_after_a_signal() {
    let (server, admin) = empty_server();
    let folder = TempDir::new().unwrap();
    let add = admin.command(&[&["user", "add", "ada"], &QUICK[..]].concat());
    // dash splits a path with a space.
    let program = folder.path().join("luoyun-admin");
    symlink(add.get_program(), &program).unwrap();
    let words = [program.as_os_str()].into_iter().chain(add.get_args());
    let words: Vec<_> = words.map(|word| word.to_str().unwrap()).collect();
    let again = "until $ADD; do echo again; done";
    let in_script = format!("sh -c '{again}'");
    let answer = "> \tfg\\n\n: \tword\\n\n: \tword\\n\n";
    for (line, keys, then, expected) in [
        (again, r"\x03", "", ""),
        (&in_script, r"\x03", "", ""),
        ("$ADD; echo status=$?", r"\x1c", "", "status=131"),
        ("$ADD; echo status=$?", "SIGTERM", "", "status=143"),
        ("$ADD; echo status=$?", "SIGHUP", "", "status=129"),
        ("$ADD; echo status=$?", r"word\n", ": \tanders\\n\n", "passwords differ.\r\nstatus=1"),
        ("$ADD", r"\x1a", answer, "Repeat the password: \r\n1\r\n"),
        (
            "(trap '' INT; ${ADD%ada*}bob ${ADD#*ada})",
            r"\x03word\n",
            ": \tword\\n\n",
            "Password of bob: \r\nRepeat the password: \r\n2\r\n",
        ),
    ] {
        let mut dash = Command::new(root().join("tests/terminal.py"));
        dash.args(["dash", "-i"]).env("ADD", words.join(" ")).env_remove("ENV");
        let prompt = r"PS1='>'' '\n";
        let steps = format!("\t{prompt}\n> \t{line}\\n\n: \t{keys}\n{then}> \texit 7\\n\n");
        let outcome = run(dash, steps.as_bytes());
        assert_eq!(outcome.code, Some(7), "{line}, {keys}: {outcome:?}");
        assert!(outcome.stdout.contains(expected), "{line}, {keys}: {outcome:?}");
        assert!(!outcome.stdout.contains("again\r\n> ") && !outcome.stdout.contains("\nagain"));
    }
    assert_eq!(log_in(&server, "ada", b"word")["code"], 0);
    assert_eq!(log_in(&server, "bob", b"word")["code"], 0);
}

/// Runs every command, on a database with empty tables, and compares what each prints: JSON from
/// the lists, text from the others. The password is the standard input.
pub(crate) fn every_command(admin: &Admin) {
    let steps = include_str!("../admin/every_command.json");
    let steps: Vec<(Vec<String>, Value)> = serde_json::from_str(steps).unwrap();
    for (args, expected) in steps {
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let found = match args[1] {
            "list" => admin.list(&args),
            _ => admin.done_with(&args, b"word").into(),
        };
        assert_eq!(found, expected, "{args:?}");
    }
}

/// Runs commands that fail, on a database with empty tables.
pub(crate) fn failing_commands(admin: &Admin) {
    let lists = [&["user", "list"][..], &["node", "list"], &["instance", "list", "--all"]];
    let state = || lists.map(|list| admin.list(list));
    for row in rows(include_str!("../admin/failing_commands.txt")) {
        let (args, reason) = row.split_once(" |").unwrap();
        let args: Vec<_> = args.split_whitespace().collect();
        let before = state();
        let outcome = admin.run_with(&args, b"x");
        if reason.is_empty() {
            assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{row}");
        } else {
            assert_fails(&outcome, reason.trim());
            assert_eq!(state(), before, "{row}");
        }
    }
    let long = vec![b'x'; 16_385];
    #[rustfmt::skip]
    let passwords: [(&[u8], &str); 6] = [
        (b"", "The password is empty."),
        (b" \0\n", "The password is empty."),
        (b"a\nb\n", "more than one line"),
        (&long, "longer than 16384 bytes"),
        (b"\xef\xbb\xbfword", "begins with a byte order mark"),
        (b"\xff\xfew\0o\0", "begins with a byte order mark"),
    ];
    let before = state();
    for (password, reason) in passwords {
        assert_fails(&admin.run_with(&["user", "add", "grace"], password), reason);
    }
    assert_eq!(state(), before);
}

/// The lines of a table, without comments.
pub(crate) fn rows(table: &'static str) -> impl Iterator<Item = &'static str> {
    table.lines().filter(|line| !line.starts_with('#'))
}

#[track_caller]
pub(crate) fn assert_fails(outcome: &Outcome, reason: &str) {
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""), "{outcome:?}");
    assert!(outcome.stderr.contains(reason), "{outcome:?} instead of: {reason}");
}

#[test]
fn every_command_works_on_a_file() {
    let (_folder, admin) = empty_database();
    every_command(&admin);
}

#[test]
fn a_command_that_fails_gives_a_reason_and_changes_nothing() {
    failing_commands(&empty_database().1);
}

#[test]
fn writers_wait_for_each_other_and_readers_do_not_wait() {
    let (folder, admin) = empty_database();
    add_user(&admin, "ada", b"word");
    let other = Connection::open(database(&folder)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE; UPDATE users SET username = 'grace'").unwrap();
    let mut lock = spawn(&mut admin.command(&["user", "lock", "grace"]));
    // The reader finishes while the writer waits.
    assert_eq!(admin.list(&["user", "list"])[0]["username"], "ada");
    assert!(lock.try_wait().unwrap().is_none(), "the command did not wait for the transaction");
    other.execute_batch("COMMIT").unwrap();
    assert!(lock.wait().unwrap().success());
    assert_eq!(admin.list(&["user", "list"])[0]["is_locked"], true);
}

/// Starts a server that answers one request with `status` and `reply`; returns its URL and, after
/// that request, the request.
fn answer_once(status: u16, reply: &str) -> (String, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let reply = reply.to_owned();
    let answer = move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut request, mut buffer) = (String::new(), [0; 4096]);
        while !request.contains("\"requests\"") {
            let count = stream.read(&mut buffer).unwrap();
            request.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        }
        let head = format!("HTTP/1.1 {status} x\r\nConnection: close\r\n");
        write!(stream, "{head}Content-Length: {}\r\n\r\n{reply}", reply.len()).unwrap();
        request
    };
    (url, thread::spawn(answer))
}

#[test]
fn an_error_of_a_libsql_server_is_explained() {
    let rows = include_str!("../admin/libsql_errors.json");
    let rows: Vec<(u16, String, String)> = serde_json::from_str(rows).unwrap();
    for (status, reply, reason) in rows {
        let (url, request) = answer_once(status, &reply);
        // As `$(cat FILE)` does not, many ways to set a variable leave a line end.
        let admin = Admin::at(&format!("{url}\n"), Some("a-secret\n"));
        let mut command = admin.command(&["node", "list"]);
        // A proxy, which does not exist, would see the token.
        command.env("HTTP_PROXY", "http://127.0.0.1:1").env("ALL_PROXY", "http://127.0.0.1:1");
        let outcome = run(command, b"");
        assert_fails(&outcome, &reason);
        assert!(!outcome.stderr.contains("a-secret"), "{outcome:?}");
        let request = request.join().unwrap().to_lowercase();
        assert!(request.contains("authorization: bearer a-secret\r\n"), "{request}");
    }
    let outcome = Admin::at("http://127.0.0.1:1", Some("a-secret\nx")).run(&["node", "list"]);
    assert_fails(&outcome, "LIBSQL_TOKEN is not one word");
    assert!(!outcome.stderr.contains("a-secret"), "{outcome:?}");
    let (url, _) = answer_once(401, "");
    assert_fails(&Admin::at(&url, None).run(&["node", "list"]), "requires a token");
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let outcome = Admin::at(&format!("http://{unused}"), None).run(&["node", "list"]);
    assert_fails(&outcome, "No libSQL server answers at");
}

#[test]
fn only_a_real_import_creates_the_folder_of_the_state_file() {
    for (args, files) in [(&["import", "--dry-run"][..], 0), (&["import"], 1)] {
        let admin = Admin::at("http://127.0.0.1:1", None);
        let outcome = admin.run(&[args, &["postgres://127.0.0.1:1/x"]].concat());
        assert_fails(&outcome, "No libSQL server answers at");
        assert_eq!(fs::read_dir(admin.state()).unwrap().count(), files, "{args:?}");
    }
}

/// Adds a user, three nodes, of which two have the same name, and two instances, one of them
/// deleted.
fn some_rows(folder: &TempDir, admin: &Admin) {
    add_user(admin, "ada", b"word");
    admin.done(&["node", "add", "node1", "--ip", "10.0.0.2"]);
    admin.done(&["instance", "add", "--owner", "ada", "--node", "node1", "--name", "one"]);
    admin.done(&["instance", "add", "--owner", "ada", "--name", "two", "--status", "100"]);
    Connection::open(database(folder)).unwrap().execute_batch(DUPLICATE_NODES).unwrap();
}

#[test]
fn an_invalid_command_line_changes_nothing() {
    let (folder, admin) = empty_database();
    some_rows(&folder, &admin);
    let before = fs::read(database(&folder)).unwrap();
    let rows = include_str!("../admin/invalid_commands.json");
    let rows: Vec<Vec<String>> = serde_json::from_str(rows).unwrap();
    for args in rows {
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let outcome = admin.run_with(&args, b"word");
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{args:?}");
        assert!(outcome.stderr.contains("--help"), "{args:?}: {}", outcome.stderr);
        assert!(!outcome.stderr.contains("s3cret"), "{}", outcome.stderr);
    }
    assert!(fs::read(database(&folder)).unwrap() == before, "something was changed");
}

#[test]
fn a_path_without_a_valid_database_is_rejected_and_left_unchanged() {
    let (folder, admin) = empty_database();
    add_user(&admin, "ada", b"word");
    let mut damaged = fs::read(database(&folder)).unwrap();
    damaged[4096..].fill(b'x');
    Connection::open(folder.path().join("x.db"))
        .unwrap()
        .execute_batch("CREATE TABLE users (id)")
        .unwrap();
    let other = fs::read(folder.path().join("x.db")).unwrap();
    let text = b"This is a text, of more bytes than a header has. ".repeat(3);
    for (name, content, reason) in [
        ("none.db", None, "There is no database at"),
        ("", None, "is a folder: --db names a file, such as "),
        (
            "empty.db",
            Some(vec![]),
            "It lacks tables or columns of the API: the next login adds them",
        ),
        ("text.db", Some(text), "It is not an SQLite database"),
        ("x.db", Some(other), "is the database of another program"),
        ("damaged.db", Some(damaged), "It is damaged: restore a backup"),
    ] {
        let path = folder.path().join(name);
        if let Some(content) = &content {
            fs::write(&path, content).unwrap();
        }
        for args in [&["user", "list"][..], &["user", "lock", "ada"], &["import", "postgres:///x"]]
        {
            assert_fails(&Admin::on(&path).run(args), reason);
        }
        assert_eq!(fs::read(&path).ok(), content, "{name}");
    }
}

#[test]
fn lists_are_printed_as_tables_and_as_json() {
    let (folder, admin) = empty_database();
    some_rows(&folder, &admin);
    let odd = include_str!("../admin/odd_rows.sql");
    Connection::open(database(&folder)).unwrap().execute_batch(odd).unwrap();
    add_user(&admin, "库", b"word");

    let users = "ID  LAST LOGIN            LOCKED  USERNAME\n\
                 1   2023-11-14T22:13:20Z  -       ada\n\
                 2   -                     -       库\n";
    assert_eq!(admin.done(&["user", "list"]), users);
    let instances = "ID  OWNER  NODE   HOST      PORT  STATUS                               NAME\n\
         1   ada    node1  10.0.0.2  -     1 new instance that hasn't run once  a\\u{1b}[2J库\n";
    assert_eq!(admin.done(&["instance", "list"]), instances);
    let hostname = r"a\u{202e}\u{200b}\u{a0}é".to_owned() + "e\u{301}";
    assert!(admin.done(&["node", "list"]).contains(&format!("2   -         {hostname}\n")));
    assert_eq!(admin.list(&["user", "list"])[0]["last_login"], "2023-11-14T22:13:20Z");
    let nodes = json!([
        {"id": 1, "hostname": "node1", "ip": "10.0.0.2"},
        {"id": 2, "hostname": "a\u{202e}\u{200b}\u{a0}ée\u{301}", "ip": null},
        {"id": 3, "hostname": null, "ip": null},
    ]);
    assert_eq!(admin.list(&["node", "list"]), nodes);
}

#[test]
fn every_row_can_be_named() {
    let (folder, admin) = empty_database();
    let names = ["", " x ", "tab\tin", "two\nlines", "\u{202e}a", &"n".repeat(5000)];
    let db = Connection::open(database(&folder)).unwrap();
    for name in names {
        db.execute("INSERT INTO users (username, password) VALUES (?1, '!')", [name]).unwrap();
    }
    db.execute_batch(include_str!("../admin/odd_ids.sql")).unwrap();
    for name in names {
        admin.done(&["user", "lock", name]);
        let owner = format!("--owner={name}");
        admin.done(&["instance", "set", "0", &owner, "--node-id", "2"]);
        admin.done(&["instance", "add", &owner, "--name", "x", "--node-id", "0"]);
        assert_eq!(admin.list(&["instance", "list", &owner]).as_array().unwrap().len(), 2);
    }
    // A command, and why it fails or what the database then has.
    let steps = include_str!("../admin/odd_ids.json");
    let steps: Vec<(Vec<String>, String)> = serde_json::from_str(steps).unwrap();
    for (args, expected) in steps {
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        if expected.starts_with("There ") {
            assert_fails(&admin.run(&args), &expected);
        } else {
            admin.done_with(&args, b"word");
            assert!(value::<bool>(&db, &format!("SELECT {expected}")), "{args:?}: {expected}");
        }
    }
}

#[test]
fn waits_are_listed_and_cleared() {
    let (folder, admin) = empty_database();
    let db = Connection::open(database(&folder)).unwrap();
    db.execute_batch(include_str!("../admin/login_failures.sql")).unwrap();
    let listed = || admin.list(&["wait", "list"]).as_array().unwrap().clone();
    let longer = admin.list(&["wait", "list", "--longest-wait", "86400"]);
    assert_eq!(longer[0]["address"], "192.0.2.4");
    admin.done(&["wait", "clear", "192.0.2.4"]);
    let rows = listed().iter().map(|it| json!([it["address"], it["failures"]])).collect::<Value>();
    let expected =
        json!([["192.0.2.1", 15], ["unix", 13], ["2001:db8:0:1::/64", 12], ["192.0.2.2", 11]]);
    assert_eq!(rows, expected);
    let table = "ADDRESS            FAILURES  SECONDS\n192.0.2.1          15        ";
    assert!(admin.done(&["wait", "list"]).starts_with(table));
    for (address, left) in [
        ("64:ff9b::192.0.2.1", 3),
        ("[2001:db8:0:1:2::3]", 2),
        ("unix", 1),
        ("::ffff:192.0.2.2", 0),
        ("192.0.2.3", 0),
    ] {
        admin.done(&["wait", "clear", address]);
        assert_eq!(listed().len(), left, "{address}");
        assert_fails(&admin.run(&["wait", "clear", address]), "There are no failed logins from ");
    }
    for argument in ["2001:db8::/64", "--all"] {
        let sql = "INSERT INTO login_failures (key, address, failures, retry_at, forget_at) VALUES (1, '2001:db8::/64', 9, unixepoch() + 99, 0)";
        db.execute_batch(sql).unwrap();
        assert_eq!(listed().len(), 1);
        admin.done(&["wait", "clear", argument]);
        assert_eq!(listed().len(), 0);
    }
}

/// Runs a command as root of a mount namespace, after `script`; the folder is `$D`. `None` where
/// this is not permitted.
pub(crate) fn run_mounted(folder: &Path, script: &str, admin: &Command) -> Option<Outcome> {
    let mut command = Command::new("unshare");
    let script = format!("mount -t tmpfs tmpfs /mnt || exit 99; {script}; exec \"$@\"");
    command.args(["--map-root-user", "--mount", "sh", "-ec", &script, "sh"]);
    command.arg(admin.get_program()).args(admin.get_args()).env("D", folder);
    let outcome = run(command, b"word");
    Some(outcome).filter(|it| it.code != Some(99) && !it.stderr.contains("unshare failed"))
}

#[test]
fn a_disk_that_is_full_or_read_only_is_explained() {
    let (folder, admin) = empty_database();
    add_user(&admin, "ada", b"word");
    let read_only = "mount --bind $D $D; mount -o remount,bind,ro $D";
    let full = "mkdir $D/full; mount -t tmpfs -o size=200k tmpfs $D/full
        cp $D/sqlite_db.db $D/full; cat /dev/zero >$D/full/zeros 2>/dev/null || true";
    let add = [&["user", "add", "grace"], &QUICK[..]].concat();
    let is_full = "full/sqlite_db.db: The disk of its folder is full";
    for (script, command, expected) in [
        (read_only, admin.command(&["user", "list"]), "Its file system is read-only"),
        (read_only, admin.command(&["user", "lock", "ada"]), "Its file system is read-only"),
        (
            full,
            Admin::on(&database(&folder).with_file_name("full/sqlite_db.db")).command(&add),
            is_full,
        ),
    ] {
        let Some(outcome) = run_mounted(folder.path(), script, &command) else {
            println!("Not run, as this needs the system call unshare: {expected}");
            continue;
        };
        assert!(format!("{outcome:?}").contains(expected), "{expected}: {outcome:?}");
    }
}

/// The user id of a server, as systemd chooses one.
const SERVER: u32 = 61_234;

/// Sets the owner of `path`; returns whether this user may do so.
fn give(path: &Path, owner: u32) -> bool {
    let is_permitted = chown(path, Some(owner), Some(owner)).is_ok();
    if !is_permitted {
        println!("Not run, as this needs root: {}", path.display());
    }
    is_permitted
}

/// Asserts that `folder` has `count` files, which are the server's, and that others cannot read them.
#[track_caller]
fn assert_owned(folder: &Path, count: usize) {
    assert_eq!(fs::read_dir(folder).unwrap().count(), count);
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let file = entry.metadata().unwrap();
        let found = (file.uid(), file.gid(), file.mode() & 0o77);
        assert_eq!(found, (SERVER, SERVER, 0), "{}", entry.path().display());
    }
}

#[test]
fn what_root_creates_in_a_folder_belongs_to_its_owner() {
    let import = ["import", "postgres://127.0.0.1:1/x"];
    for (args, code, files) in [
        (&["user", "add", "ada"][..], 0, 1),
        (&["node", "list"], 0, 1),
        (&["instance", "set", "1", "--no-node"], 1, 1),
        (&["wait", "list"], 0, 1),
        (&import, 1, 2),
    ] {
        // systemd makes the folder a link.
        for is_link in [false, true] {
            let [folder, links] = [TempDir::new().unwrap(), TempDir::new().unwrap()];
            if !give(folder.path(), SERVER) {
                return;
            }
            let link = links.path().join("folder");
            symlink(folder.path(), &link).unwrap();
            let path = if is_link { link } else { folder.path().to_owned() };
            let outcome = Admin::on(&path.join("sqlite_db.db")).run_with(args, b"word");
            assert_eq!(outcome.code, Some(code), "{outcome:?}");
            assert_owned(folder.path(), files);
        }
    }
    let [folder, links] = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    assert!(give(folder.path(), SERVER));
    let link = links.path().join("x.db");
    symlink(database(&folder), &link).unwrap();
    add_user(&Admin::on(&link), "ada", b"word");
    // The log and its index exist only while a program uses the file.
    let reader = Connection::open(database(&folder)).unwrap();
    reader.execute_batch("BEGIN; SELECT 1 FROM users").unwrap();
    add_user(&Admin::on(&link), "grace", b"word");
    assert_owned(folder.path(), 3);
}

#[test]
fn what_root_has_left_becomes_the_folders_owners_or_is_said_with_the_command_that_does_it() {
    let (folder, admin) = empty_database();
    let names = ["sqlite_db.db", "sqlite_key_value.db"];
    fs::write(folder.path().join(names[1]), "").unwrap();
    // A file that is not the server's, and one that only looks like the server's.
    fs::write(folder.path().join("notes"), "").unwrap();
    let outside = TempDir::new().unwrap();
    fs::write(outside.path().join("x"), "").unwrap();
    symlink(outside.path().join("x"), folder.path().join("sqlite_x")).unwrap();
    if !give(folder.path(), SERVER) {
        return;
    }
    let mut as_server = Command::new("setpriv");
    let id = SERVER.to_string();
    as_server.args(["--reuid", &id, "--regid", &id, "--clear-groups"]);
    let program = folder.path().join("luoyun-admin");
    fs::copy(built("luoyun-admin"), &program).unwrap();
    as_server.arg(program).args(["user", "list", "--db"]).arg(database(&folder));
    let outcome = run(as_server, b"");
    assert_fails(&outcome, "The server cannot write what root has left in its folder.");
    let command = outcome.stderr.lines().last().unwrap().trim().replace("sudo ", "");
    for mend in [Some(command), None] {
        for name in names {
            assert!(give(&folder.path().join(name), 0));
        }
        match mend {
            Some(command) => {
                let done = Command::new("sh").args(["-c", &command]).status().unwrap();
                assert!(done.success(), "{command}");
            }
            None => {
                admin.done(&["user", "list"]);
            }
        }
        let owner = |path: PathBuf| fs::metadata(path).unwrap().uid();
        let owners = names.map(|name| owner(folder.path().join(name)));
        assert_eq!((owners, owner(folder.path().join("notes"))), ([SERVER; 2], 0));
        assert_eq!(owner(outside.path().join("x")), 0);
    }
}

/// Checks the help of `command` and of its subcommands.
fn check_help(command: &[&str]) {
    let mut help = Command::new(built("luoyun-admin"));
    help.args(command).arg("--help").env("COLUMNS", "80");
    let text = run(help, b"").stdout;
    let (_, list) = text.split_once("\nCommands:\n").unwrap_or_default();
    let list = list.lines().take_while(|line| !line.is_empty());
    let names: Vec<_> = list.filter_map(|it| it.strip_prefix("  ")?.split(' ').next()).collect();
    assert!(!names.is_empty() || text.contains("\nExample"), "{command:?}");
    let widest = text.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(80), "{command:?}: {text}");
    for name in names.into_iter().filter(|name| !name.is_empty() && *name != "help") {
        check_help(&[command, &[name]].concat());
    }
}

#[test]
fn help_has_examples_and_fits_in_80_columns() {
    check_help(&[]);
}

/// The scripts for other shells are as `clap_complete` writes them.
#[test]
fn the_key_tab_completes_in_bash() {
    let folder = TempDir::new().unwrap();
    let rc = folder.path().join("rc");
    let script = Command::new(built("luoyun-admin")).args(["completions", "bash"]).output();
    fs::write(&rc, [b"PS1='$ '\n", &script.unwrap().stdout[..]].concat()).unwrap();
    for (line, completed) in [
        ("user re", "remove"),
        ("--db x.db node se", "set"),
        ("instance set 1 --vdi-p", "--vdi-port"),
        ("instance set 1 --status sto", "stopped"),
    ] {
        let mut bash = Command::new(root().join("tests/terminal.py"));
        bash.args(["bash", "--noprofile", "--rcfile"]).arg(&rc).arg("-i").env("TERM", "dumb");
        let steps = format!("$ \tluoyun-admin {line}\\t\n{completed}\t\n");
        let outcome = run(bash, steps.as_bytes());
        assert_eq!(outcome.code, Some(0), "{line}: {outcome:?}");
        assert!(outcome.stdout.contains(completed), "{line}: {outcome:?}");
    }
}
