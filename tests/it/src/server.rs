//! The server under test.

use std::fs::{self, File};
use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};
use std::{env, thread};

use devhost::{DevHost, Options};
use rusqlite::types::FromSql;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;
use tempfile::TempDir;

use crate::{BASEINFO, Client, LIST, LOGIN};

/// The file in the state folder with the host's and the components' output.
const OUTPUT: &str = "output.log";

/// A running server with the API. Drop stops it, unless it is the one at `BASE_URL`.
pub struct Server {
    addr: SocketAddr,
    running: Running,
    state: Option<TempDir>,
}

enum Running {
    External,
    DevHost(Box<DevHost>),
    Process(Child),
}

/// How to set up a server that the test starts: by default with the migrations and the demo
/// data.
#[derive(Clone, Copy, Default)]
pub struct Setup<'a> {
    /// SQL statements to run after the migrations and the demo data.
    pub sql: &'a str,
    /// Whether to leave out the migrations and the demo data.
    pub bare: bool,
    /// Values for the variables. By default, passwords are stored at the lowest cost.
    pub variables: &'a [(&'a str, &'a str)],
    /// A manifest to use instead of the API's; the password variables are not set for it.
    pub manifest: Option<&'a str>,
    /// The state folder of another server to share.
    pub state_dir: Option<&'a Path>,
    /// Whether to listen on the loopback address of IPv6 instead of IPv4.
    pub ipv6: bool,
}

/// The root of the project.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The path of `program`, which is `devhost` or `luoyun-admin`; builds both if they are out of
/// date.
pub fn built(program: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let arguments = ["build", "--quiet", "--locked", "-p", "devhost", "-p", "luoyun-admin"];
        let mut cargo = Command::new("cargo");
        // What Cargo sets for a test is another build's environment: build scripts would run again.
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
                cargo.env_remove(&*name);
            }
        }
        let done = cargo.args(arguments).current_dir(root()).status();
        assert!(done.expect("cargo").success(), "devhost and luoyun-admin failed to build");
        // The running executable is in target/debug or target/debug/deps.
        let this = env::current_exe().unwrap();
        let folder = this.ancestors().find(|folder| folder.join("devhost").is_file());
        folder.expect("target/debug").to_owned()
    });
    folder.join(program)
}

/// The files in `migrations`, in the order in which a host runs them: local.sql, the numbered
/// ones, demo.sql.
pub fn migrations() -> Vec<PathBuf> {
    let files = fs::read_dir(root().join("migrations")).unwrap();
    let mut files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    files.sort_by_key(|path| (!path.ends_with("local.sql"), path.clone()));
    files
}

/// Creates the state folder as `make up` does.
pub fn prepare_state(folder: &Path) {
    let done = Command::new(root().join("scripts/state-folder.sh")).arg(folder).status();
    assert!(done.unwrap().success());
}

/// The SQL of the migrations, without the demo data.
pub fn tables() -> String {
    let files = migrations().into_iter().filter(|path| !path.ends_with("demo.sql"));
    files.map(|path| fs::read_to_string(path).unwrap()).collect()
}

impl Setup<'_> {
    /// The host's options, with the state folder `state`.
    fn options(&self, state: &Path) -> Options {
        let mut files = if self.bare { Vec::new() } else { migrations() };
        let folder = self.state_dir.unwrap_or(state);
        prepare_state(folder);
        let sql = state.join("setup.sql");
        fs::write(&sql, self.sql).unwrap();
        files.push(sql);

        let mut variable = Vec::new();
        if self.manifest.is_none() {
            variable.push(("password_memory_kib".to_owned(), "8".to_owned()));
            variable.push(("password_passes".to_owned(), "1".to_owned()));
        }
        for (name, value) in self.variables {
            variable.retain(|(known, _)| known != name);
            variable.push(((*name).to_owned(), (*value).to_owned()));
        }
        let loopback =
            if self.ipv6 { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() };
        Options {
            sqlite: files.iter().map(|file| format!("@{}", file.display())).collect(),
            variable,
            state_dir: Some(folder.to_owned()),
            listen: SocketAddr::new(loopback, 0),
            ..Options::for_test(root().join(self.manifest.map_or_else(manifest, str::to_owned)))
        }
    }
}

/// The API's manifest: `LUOYUN_MANIFEST`, by default `spin.toml`.
fn manifest() -> String {
    env::var("LUOYUN_MANIFEST").unwrap_or_else(|_| "spin.toml".to_owned())
}

/// The command that starts the host: `spin up` or devhost.
fn host_command() -> Vec<String> {
    match env::var("LUOYUN_HOST").as_deref() {
        Err(_) | Ok("devhost") => vec![built("devhost").display().to_string()],
        Ok("spin") => vec!["spin".to_owned(), "up".to_owned()],
        Ok(other) => panic!("LUOYUN_HOST must be spin or devhost, not {other}"),
    }
}

impl Server {
    /// A server with the demo data: the one at `BASE_URL`, or a new one.
    pub fn demo() -> Self {
        match env::var("BASE_URL") {
            Ok(url) => {
                let authority = url.strip_prefix("http://").expect("BASE_URL is http://HOST:PORT");
                let authority = authority.trim_end_matches('/');
                Self::at(authority.to_socket_addrs().unwrap().next().unwrap())
            }
            Err(_) => Self::start(Setup::default()),
        }
    }

    /// The running server at `addr`.
    pub fn at(addr: SocketAddr) -> Self {
        Self { addr, running: Running::External, state: None }
    }

    /// A new server with the demo data and these variables.
    pub fn with(variables: &[(&str, &str)]) -> Self {
        Self::start(Setup { variables, ..Setup::default() })
    }

    /// A new server in a separate process, with these variables.
    pub fn process(variables: &[(&str, &str)]) -> Self {
        Self::start_process(Setup { variables, ..Setup::default() }, TempDir::new().unwrap())
    }

    /// A new server: devhost in this process, or Spin. Its output goes to `output.log` in its
    /// state folder, and is printed if the test fails.
    pub fn start(setup: Setup) -> Self {
        if env::var("LUOYUN_HOST").is_ok_and(|host| host == "spin") {
            return Self::start_process(setup, TempDir::new().unwrap());
        }
        let state = TempDir::new().unwrap();
        Self::start_devhost(setup.options(state.path()), state)
    }

    /// devhost in this process, with `options` and a temporary state folder.
    pub fn devhost(options: Options) -> Self {
        let state = TempDir::new().unwrap();
        let options = Options { state_dir: Some(state.path().to_owned()), ..options };
        Self::start_devhost(options, state)
    }

    fn start_devhost(options: Options, state: TempDir) -> Self {
        let options = Options { log: Some(state.path().join(OUTPUT)), ..options };
        let host = DevHost::start(options).unwrap();
        Self { addr: host.addr(), running: Running::DevHost(Box::new(host)), state: Some(state) }
    }

    /// A new server in a separate process, on the state folder `state`.
    pub fn start_process(setup: Setup, state: TempDir) -> Self {
        let options = setup.options(state.path());
        let host = host_command();
        let mut command = Command::new(&host[0]);
        command.args(&host[1..]);
        command.arg("--from").arg(options.from);
        command.arg("--listen").arg(options.listen.to_string());
        command.arg("--state-dir").arg(setup.state_dir.unwrap_or(state.path()));
        for sql in options.sqlite {
            command.arg("--sqlite").arg(sql);
        }
        for (name, value) in options.variable {
            command.arg("--variable").arg(format!("{name}={value}"));
        }
        // Each start on the same state folder appends its output.
        let before = output_of(&state).len();
        let output =
            File::options().create(true).append(true).open(state.path().join(OUTPUT)).unwrap();
        command.stdout(output.try_clone().unwrap()).stderr(output);
        // `spin up` serves from a child process; a process group makes signals reach both.
        let mut child = command.process_group(0).spawn().expect("the host's command");

        let addr = poll(|| {
            let output = output_of(&state);
            let addr = served_address(&output[before..]);
            let is_running = child.try_wait().unwrap().is_none();
            assert!(addr.is_some() || is_running, "the host exited: {output}");
            addr
        });
        let addr = addr.unwrap_or_else(|| panic!("the host does not serve: {}", output_of(&state)));
        Self { addr, running: Running::Process(child), state: Some(state) }
    }

    /// Opens a connection.
    pub fn connect(&self) -> Client {
        Client::connect(self.addr)
    }

    /// Sends a form to `path` on a new connection; returns the reply.
    pub fn post(&self, path: &str, form: &[(&str, &str)]) -> Value {
        self.connect().post(path, form).json()
    }

    /// Runs SQL statements on the server's database.
    pub fn sql(&self, statements: &str) {
        self.database().execute_batch(statements).unwrap();
    }

    /// Reads a value from the server's database.
    pub fn value<T: FromSql>(&self, sql: &str) -> T {
        value(&self.database(), sql)
    }

    /// The lines of the server's output so far that contain `text`.
    pub fn logged(&self, text: &str) -> Vec<String> {
        let output = output_of(self.state.as_ref().expect("a server started by the test"));
        output.lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
    }

    /// The server's address.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The server's address as a URL.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The temporary folder of the server.
    pub fn state(&self) -> &Path {
        self.state.as_ref().expect("a server started by the test").path()
    }

    /// Opens the server's database.
    pub fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.state().join("sqlite_db.db")).unwrap()
    }

    /// Opens the file of the server's key-value store: `spin_key_value(store, key, value)`.
    pub fn key_value(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.state().join("sqlite_key_value.db")).unwrap()
    }

    /// The cost of the next completed request, in order of completion; see
    /// [`DevHost::measured`].
    pub fn measured(&self) -> devhost::Measured {
        self.host().measured().unwrap()
    }

    /// devhost in this process.
    pub fn host(&self) -> &DevHost {
        match &self.running {
            Running::DevHost(host) => host,
            _ => panic!("the server is not devhost in this process"),
        }
    }

    /// Logs in and returns the session key. The password is the user name, as in the demo data.
    pub fn log_in(&self, username: &str) -> String {
        let reply = self.log_in_with(username, username);
        reply["session_key"].as_str().unwrap_or_else(|| panic!("{reply}")).to_owned()
    }

    /// Logs in; returns the reply.
    pub fn log_in_with(&self, username: &str, password: &str) -> Value {
        self.post(LOGIN, &[("username", username), ("password", password)])
    }

    /// Requests the list of instances.
    pub fn list(&self, key: &str) -> Value {
        self.post(LIST, &[("session_key", key)])
    }

    /// Requests the remote desktop of the instance `id`.
    pub fn baseinfo(&self, key: &str, id: &str) -> Value {
        self.post(BASEINFO, &[("session_key", key), ("instance_id", id)])
    }

    /// Whether the server accepts this session key.
    pub fn accepts(&self, key: &str) -> bool {
        self.list(key)["code"] == 0
    }

    /// Whether the server accepts this session key now. False also if the host cannot answer.
    pub fn try_accepts(&self, key: &str) -> bool {
        let form = [("session_key", key)];
        let reply = self.connect().try_post(LIST, &form);
        let is_done = |reply: Value| reply["code"] == 0;
        reply.is_ok_and(|reply| serde_json::from_slice(&reply.body).is_ok_and(is_done))
    }

    /// A figure of the server's processes in `/proc/PID/status`, such as `VmRSS`, in KiB.
    pub fn memory(&self, field: &str) -> u64 {
        let Running::Process(child) = &self.running else {
            panic!("the server does not run in a separate process");
        };
        memory(child.id(), field)
    }

    /// Kills the server's process (SIGKILL) and returns its state folder.
    pub fn kill(mut self) -> TempDir {
        self.signal("-KILL");
        self.state.take().expect("a server started by the test")
    }

    fn signal(&mut self, signal: &str) {
        if let Running::Process(mut child) = std::mem::replace(&mut self.running, Running::External)
        {
            // A host may have ended by itself.
            let group = format!("-{}", child.id());
            let _ = send_signal(signal, &group);
            if poll(|| child.try_wait().unwrap()).is_none() {
                let _ = send_signal("-KILL", &group);
            }
        }
    }
}

/// The folders in `/proc` of the running processes of a process group.
pub fn processes(group: u32) -> Vec<PathBuf> {
    let folders = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    let is_member = |folder: &PathBuf| {
        let stat = fs::read_to_string(folder.join("stat")).unwrap_or_default();
        let state = stat.rsplit(')').next().unwrap_or_default().split(' ').collect::<Vec<_>>();
        state.len() > 3 && state[1] != "Z" && state[3] == group.to_string()
    };
    folders.filter(is_member).collect()
}

/// The sum of a figure in `/proc/PID/status`, such as `VmRSS`, of a process group's members, in KiB.
pub fn memory(group: u32, field: &str) -> u64 {
    let figures = processes(group).into_iter().filter_map(|folder| -> Option<u64> {
        let status = fs::read_to_string(folder.join("status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(field))?;
        line.split_whitespace().nth(1)?.parse().ok()
    });
    figures.sum()
}

/// Reads a value from a database.
pub fn value<T: FromSql>(db: &rusqlite::Connection, sql: &str) -> T {
    db.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Calls `work` with each number below `count` at once, in threads; returns the results in order.
pub fn at_once<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let work = &work;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|i| scope.spawn(move || work(i))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Lets this process and its children open as many files as the system allows.
pub fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
}

/// Sends `signal`, such as `-KILL`, to `processes`: ids with spaces between them, negative for a
/// process group. Returns whether all of them got it.
pub fn send_signal(signal: &str, processes: &str) -> bool {
    // The shell's own command: a machine may lack the program.
    let command = format!("kill {signal} {processes}");
    let done = Command::new("sh").args(["-c", &command]).stderr(Stdio::null()).status();
    done.is_ok_and(|status| status.success())
}

fn output_of(state: &TempDir) -> String {
    fs::read_to_string(state.path().join(OUTPUT)).unwrap_or_default()
}

/// The address in the complete line `Serving http://ADDRESS` of the host's output, if it has one.
fn served_address(output: &str) -> Option<SocketAddr> {
    let mut lines = output.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    lines.find_map(|line| line.strip_prefix("Serving http://")?.parse().ok())
}

/// Waits until `child` exits.
pub fn wait_for_exit(child: &mut Child) -> ExitStatus {
    poll(|| child.try_wait().unwrap()).unwrap_or_else(|| {
        child.kill().unwrap();
        child.wait().unwrap();
        panic!("a process that should have exited still runs");
    })
}

/// Waits until `condition` holds.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let holds = poll(|| condition().then_some(()));
    assert!(holds.is_some(), "{what}: not within a minute");
}

/// Calls `check` until it returns a value, for at most a minute.
fn poll<T>(mut check: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let value = check();
        if value.is_some() || Instant::now() > deadline {
            return value;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Runs `command` with `input` on its standard input.
pub fn run(command: &mut Command, input: &[u8]) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let id = child.id().to_string();
    let (done, ends) = mpsc::channel::<()>();
    let limit = thread::spawn(move || {
        let is_late = ends.recv_timeout(Duration::from_mins(10)) == Err(RecvTimeoutError::Timeout);
        is_late && send_signal("-KILL", &id)
    });
    // A command that rejects its arguments exits without reading its input.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    drop(done);
    assert!(!limit.join().unwrap(), "not within ten minutes: {command:?}");
    output
}

/// Runs a command that has to fail; returns its standard error.
pub fn errors_of(command: &mut Command) -> String {
    let output = run(command, b"");
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{command:?} succeeds: {errors}");
    errors
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal("-TERM");
        if let (true, Some(state)) = (thread::panicking(), &self.state) {
            eprintln!("The output of the server at {}:\n{}", self.addr, output_of(state));
        }
    }
}
