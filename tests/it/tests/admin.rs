//! `luoyun-admin`, on the database of a running API, and on a libSQL server.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, thread};

use api_tests::admin::{Outcome, run};
use api_tests::cases::{self, FORM, auth_failed};
use api_tests::server::{built, root, tables, value};
use api_tests::{Admin, LOGIN, Server, Setup};
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::{NamedTempFile, TempDir};

use crate::import::spawn;

/// The lowest password cost, so that tests are fast.
const QUICK: [&str; 4] = ["--memory-kib", "8", "--passes", "1"];

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
    let admin = Admin::on(&database(&folder));
    admin.database().execute_batch(&tables()).unwrap();
    (folder, admin)
}

fn database(folder: &TempDir) -> PathBuf {
    folder.path().join("sqlite_db.db")
}

fn add_user(admin: &Admin, name: &str, password: &[u8]) -> String {
    admin.done_with(&[&["user", "add", name], &QUICK[..]].concat(), password)
}

#[test]
fn commands_take_effect_on_a_running_server() {
    // The first command creates the tables.
    let server = Server::start(Setup { bare: true, ..Setup::default() });
    let admin = Admin::on(&server.state().join("sqlite_db.db"));
    for row in rows(include_str!("../admin/running_server.txt")) {
        let (args, case) = row.split_once(" | ").unwrap();
        let args: Vec<_> = args.split_whitespace().collect();
        admin.done_with(&args, b"luoyun");
        cases::run(&server, &[&format!("{args:?} | {case}")]);
    }
    assert_eq!(server.value::<String>("PRAGMA journal_mode"), "wal");
}

#[test]
fn a_password_on_standard_input_is_taken_without_the_space_around_it() {
    let (server, admin) = empty_server();
    let longest = vec![b'%'; 16_384];
    // The unit test of `api/values` has more.
    let passwords: [(&str, &[u8], &[u8]); 4] = [
        ("longest", &longest, &longest),
        ("windows", b"word\r\n", b"word"),
        ("spaces", "\u{3000}\u{85} 密码\u{a0}\u{9f}\n".as_bytes(), "密码".as_bytes()),
        ("binary", b"\xff\0'\r\x01\xff\n", b"\xff\0'\r\x01\xff"),
    ];
    let log_in = |name: &str, password: &[u8]| {
        let password: String = form_urlencoded::byte_serialize(password).collect();
        let form = format!("username={name}&password={password}");
        server.connect().request("POST", LOGIN, &[FORM], form.as_bytes()).json()
    };
    for (name, input, password) in passwords {
        add_user(&admin, name, input);
        assert_eq!(log_in(name, password)["code"], 0, "{name}");
        assert_eq!(log_in(name, &password[1..]), auth_failed(), "{name}");
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
        ("$ADD; echo status=$?", r"word\nwor", ": \tSIGTERM\n> \t\\n\n", "=143\r\n> \r\n> "),
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
    for name in ["ada", "bob"] {
        assert_eq!(server.log_in_with(name, "word")["code"], 0);
    }
}

/// Runs every command, on a database with empty tables, and compares what each prints: JSON from
/// the lists, text from the others. The password is the standard input.
pub(crate) fn every_command(admin: &Admin) {
    let steps = include_str!("../admin/every_command.json");
    let steps: Vec<(Vec<String>, Value)> = serde_json::from_str(steps).unwrap();
    for (args, expected) in steps {
        let found = match args[1].as_str() {
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
    let fails = |args: &[&str], password: &[u8], reason: &str| {
        let before = state();
        assert_fails(&admin.run_with(args, password), reason);
        assert_eq!(state(), before, "{args:?}");
    };
    for row in rows(include_str!("../admin/failing_commands.txt")) {
        let (args, reason) = row.split_once(" |").unwrap();
        let args: Vec<_> = args.split_whitespace().collect();
        match reason.trim() {
            "" => drop(admin.done_with(&args, b"x")),
            reason => fails(&args, b"x", reason),
        }
    }
    let long = vec![b'x'; 16_385];
    for (password, reason) in [
        (&b""[..], "The password is empty."),
        (b" \0\n", "The password is empty."),
        (b"a\nb\n", "more than one line"),
        (&long, "longer than 16384 bytes"),
        (b"\xef\xbb\xbfword", "begins with a byte order mark"),
        (b"\xff\xfew\0o\0", "begins with a byte order mark"),
    ] {
        fails(&["user", "add", "grace"], password, reason);
    }
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
    let (_folder, admin) = empty_database();
    add_user(&admin, "ada", b"word");
    let other = admin.database();
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
}

/// Adds a user, three nodes, of which two have the same name, and two instances, one of them
/// deleted.
fn some_rows(admin: &Admin) {
    add_user(admin, "ada", b"word");
    admin.done(&["node", "add", "node1", "--ip", "10.0.0.2"]);
    admin.done(&["instance", "add", "--owner", "ada", "--node", "node1", "--name", "one"]);
    admin.done(&["instance", "add", "--owner", "ada", "--name", "two", "--status", "100"]);
    // Only an import can create two nodes with the same name.
    let twice = "INSERT INTO nodes (hostname) VALUES ('twice'), ('twice')";
    admin.database().execute_batch(twice).unwrap();
}

#[test]
fn an_invalid_command_line_changes_nothing() {
    let (folder, admin) = empty_database();
    some_rows(&admin);
    let before = fs::read(database(&folder)).unwrap();
    let rows = include_str!("../admin/invalid_commands.json");
    let rows: Vec<Vec<String>> = serde_json::from_str(rows).unwrap();
    for args in rows {
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
    let path = |name: &str| folder.path().join(name);
    let mut damaged = fs::read(database(&folder)).unwrap();
    damaged[4096..].fill(b'x');
    fs::write(path("damaged.db"), damaged).unwrap();
    let text = "This is a text, of more bytes than a header has. ".repeat(3);
    fs::write(path("text.db"), text).unwrap();
    fs::write(path("empty.db"), "").unwrap();
    Connection::open(path("x.db")).unwrap().execute_batch("CREATE TABLE users (id)").unwrap();
    let lacks = "It lacks tables or columns of the API: the next login adds them";
    for (name, reason) in [
        ("none.db", "There is no database at"),
        ("", "is a folder: --db names a file, such as "),
        ("empty.db", lacks),
        ("text.db", "It is not an SQLite database"),
        ("x.db", "is the database of another program"),
        ("damaged.db", "It is damaged: restore a backup"),
    ] {
        let before = fs::read(path(name)).ok();
        for args in [&["user", "list"][..], &["user", "lock", "ada"], &["import", "postgres:///x"]]
        {
            assert_fails(&Admin::on(&path(name)).run(args), reason);
        }
        assert_eq!(fs::read(path(name)).ok(), before, "{name}");
    }
}

#[test]
fn lists_are_printed_as_tables_and_as_json() {
    let (_folder, admin) = empty_database();
    some_rows(&admin);
    admin.database().execute_batch(include_str!("../admin/odd_rows.sql")).unwrap();
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
    let (_folder, admin) = empty_database();
    let names = ["", " x ", "tab\tin", "two\nlines", "\u{202e}a", &"n".repeat(5000)];
    let db = admin.database();
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
    let (_folder, admin) = empty_database();
    admin.database().execute_batch(include_str!("../admin/login_failures.sql")).unwrap();
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
    for (address, left) in
        [("192.0.2.3", 4), ("64:ff9b::192.0.2.1", 3), ("2001:db8:0:1::/64", 2), ("unix", 1)]
    {
        admin.done(&["wait", "clear", address]);
        assert_eq!(listed().len(), left, "{address}");
        assert_fails(&admin.run(&["wait", "clear", address]), "There are no failed logins from ");
    }
    admin.done(&["wait", "clear", "--all"]);
    assert_eq!(listed().len(), 0);
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
    let full = "mount -o remount,size=200k /mnt; cp $D/*.db /mnt; cat /dev/zero >/mnt/z 2>&- || :";
    let add = [&["user", "add", "grace"], &QUICK[..]].concat();
    let import = ["import", "postgres:///x", "--state", "/mnt/state"];
    for (script, file, args, expected) in [
        (read_only, "sqlite_db.db", &["user", "list"][..], "Its file system is read-only"),
        (read_only, "sqlite_db.db", &["user", "lock", "ada"], "Its file system is read-only"),
        (full, "/mnt/sqlite_db.db", &add, "/mnt/sqlite_db.db: The disk of its folder is full"),
        (full, "sqlite_db.db", &import, "/mnt/state: The disk of its folder is full"),
    ] {
        let command = Admin::on(&folder.path().join(file)).command(args);
        match run_mounted(folder.path(), script, &command) {
            Some(outcome) => assert_fails(&outcome, expected),
            None => println!("Not run, as this needs the system call unshare: {expected}"),
        }
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

/// A folder with one that belongs to the server, `state`, and a symbolic link to that, `link`, as
/// systemd makes it; `None` if this user may not create it.
fn folder_of_server() -> Option<TempDir> {
    let folder = TempDir::new().unwrap();
    let state = folder.path().join("state");
    fs::create_dir(&state).unwrap();
    symlink(&state, folder.path().join("link")).unwrap();
    give(&state, SERVER).then_some(folder)
}

/// Asserts that the server's folder has `count` files, which are the server's, and that others cannot
/// read them.
#[track_caller]
fn assert_owned(folder: &TempDir, count: usize) {
    let entries = fs::read_dir(folder.path().join("state")).unwrap();
    let files = entries.map(|entry| entry.unwrap().metadata().unwrap());
    let found: Vec<_> = files.map(|file| (file.uid(), file.gid(), file.mode() & 0o77)).collect();
    assert_eq!(found, vec![(SERVER, SERVER, 0); count]);
}

#[test]
fn what_root_creates_in_a_folder_belongs_to_its_owner() {
    for (args, code, files) in [
        (&["user", "add", "ada"][..], 0, 1),
        (&["node", "list"], 0, 1),
        (&["import", "postgres://127.0.0.1:1/x"], 1, 2),
    ] {
        for file in ["state/sqlite_db.db", "link/sqlite_db.db"] {
            let Some(folder) = folder_of_server() else { return };
            let outcome = Admin::on(&folder.path().join(file)).run_with(args, b"word");
            assert_eq!(outcome.code, Some(code), "{outcome:?}");
            assert_owned(&folder, files);
        }
    }
    let Some(folder) = folder_of_server() else { return };
    let [file, link] = ["state/sqlite_db.db", "x.db"].map(|name| folder.path().join(name));
    symlink(&file, &link).unwrap();
    add_user(&Admin::on(&link), "ada", b"word");
    // The log and its index exist only while a program uses the file.
    let reader = Connection::open(file).unwrap();
    reader.execute_batch("BEGIN; SELECT 1 FROM users").unwrap();
    add_user(&Admin::on(&link), "grace", b"word");
    assert_owned(&folder, 3);
}

#[test]
fn what_root_has_left_becomes_the_folders_owners_or_is_said_with_the_command_that_does_it() {
    let (folder, admin) = empty_database();
    // Two files of the server, one of another program, and one that is elsewhere.
    let paths = ["sqlite_db.db", "sqlite_key_value.db", "notes", "sqlite_x"];
    let paths = paths.map(|name| folder.path().join(name));
    fs::write(&paths[1], "").unwrap();
    fs::write(&paths[2], "").unwrap();
    let outside = NamedTempFile::new().unwrap();
    symlink(outside.path(), &paths[3]).unwrap();
    if !give(folder.path(), SERVER) {
        return;
    }
    let program = folder.path().join("luoyun-admin");
    fs::copy(built("luoyun-admin"), &program).unwrap();
    let id = SERVER.to_string();
    let mut as_server = Command::new("setpriv");
    as_server.args(["--reuid", &id, "--regid", &id, "--clear-groups"]);
    as_server.arg(program).args(["user", "list", "--db"]).arg(&paths[0]);
    let outcome = run(as_server, b"");
    assert_fails(&outcome, "The server cannot write what root has left in its folder.");
    let command = outcome.stderr.lines().last().unwrap().trim().replace("sudo ", "");

    let owners = || paths.each_ref().map(|path| fs::metadata(path).unwrap().uid());
    let done = Command::new("sh").args(["-c", &command]).status().unwrap();
    assert!(done.success(), "{command}");
    assert_eq!(owners(), [SERVER, SERVER, 0, 0], "{command}");
    assert!(give(&paths[1], 0));
    fs::set_permissions(&paths[0], fs::Permissions::from_mode(0o400)).unwrap();
    admin.done(&["user", "list"]);
    assert_eq!(owners(), [SERVER, SERVER, 0, 0]);
    assert_eq!(fs::metadata(&paths[0]).unwrap().mode() & 0o777, 0o600);
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
    let rc = NamedTempFile::new().unwrap();
    let script = Command::new(built("luoyun-admin")).args(["completions", "bash"]).output();
    fs::write(&rc, [b"PS1='$ '\n", &script.unwrap().stdout[..]].concat()).unwrap();
    let mut bash = Command::new(root().join("tests/terminal.py"));
    bash.args(["bash", "--noprofile", "--rcfile"]).arg(rc.path()).arg("-i").env("TERM", "dumb");
    let outcome = run(bash, b"$ \tluoyun-admin instance set 1 --status sto\\t\nstopped\t\n");
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
}
