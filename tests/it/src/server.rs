//! The server under test.

use std::fs::{self, File};
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::process::CommandExt;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{env, iter, thread};

use clap::Parser;
use devhost::{DevHost, Options};
use rusqlite::types::FromSql;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;
use tempfile::TempDir;

use crate::{BASEINFO, Client, LIST, LOGIN};

/// The file in the state folder with the host's and the components' output.
const OUTPUT: &str = "output.log";

/// The threads of a host's process: as many as a flood is sized for, whatever the machine has.
pub const HOST_THREADS: &str = "TOKIO_WORKER_THREADS=2";

/// A running server with the API. Drop stops it, unless it is the one at `BASE_URL`.
pub struct Server {
    addr: SocketAddr,
    running: Running,
    state: Option<TempDir>,
}

enum Running {
    External,
    DevHost(Box<DevHost>),
    Process(Box<Process>),
}

/// A server's process, in a process group of its own: `spin up` serves from a child process. Drop
/// kills it.
pub struct Process {
    command: Command,
    child: Option<Child>,
}

impl Process {
    /// Starts `command`.
    pub fn start(mut command: Command) -> Self {
        let child = command.process_group(0).spawn();
        let child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { command, child: Some(child) }
    }

    /// The ID of the process and of its group.
    pub fn id(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Kills the group (SIGKILL), and waits until all of it has ended.
    pub fn kill(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let _ = send_signal("-KILL", &format!("-{}", child.id()));
        child.wait().unwrap();
        wait_until("the end of a server", || memory(child.id(), "VmRSS") == 0);
    }

    /// Kills it, and starts it again with the same command.
    pub fn restart(&mut self) {
        self.kill();
        self.child = Some(self.command.spawn().unwrap());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
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
    /// A manifest to use instead of the one in `LUOYUN_MANIFEST`.
    pub manifest: Option<&'a str>,
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
        let mut cargo = Command::new("cargo");
        cargo.args(["build", "--quiet", "--locked", "-p", "devhost", "-p", "luoyun-admin"]);
        // What Cargo sets for a test is another build's environment: build scripts would run again.
        for (name, _) in env::vars_os() {
            let is_set = |prefix: &[u8]| name.as_encoded_bytes().starts_with(prefix);
            if is_set(b"CARGO_PKG_") || is_set(b"CARGO_MANIFEST_") {
                cargo.env_remove(name);
            }
        }
        assert!(cargo.current_dir(root()).status().expect("cargo").success(), "{cargo:?}");
        // The running executable is in target/debug/deps.
        env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned()
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
    /// The arguments of the host, with the state folder `state`.
    fn arguments(&self, state: &Path) -> Vec<String> {
        prepare_state(state);
        let mut files = if self.bare { Vec::new() } else { migrations() };
        files.push(state.join("setup.sql"));
        fs::write(&files[files.len() - 1], self.sql).unwrap();
        let files = files.iter().map(|file| ("--sqlite", format!("@{}", file.display())));
        let cheap = [("password_memory_kib", "8"), ("password_passes", "1")];
        let variables = cheap.iter().chain(self.variables);
        let variables = variables.map(|(name, value)| ("--variable", format!("{name}={value}")));
        let manifest = env::var("LUOYUN_MANIFEST").unwrap_or_else(|_| "spin.toml".to_owned());
        let manifest = root().join(self.manifest.unwrap_or(&manifest));
        let arguments = [
            ("--from", manifest.display().to_string()),
            ("--listen", "127.0.0.1:0".to_owned()),
            ("--state-dir", state.display().to_string()),
        ];
        let arguments = arguments.into_iter().chain(files).chain(variables);
        arguments.flat_map(|(option, value)| [option.to_owned(), value]).collect()
    }
}

/// Whether `LUOYUN_HOST` is Spin.
fn is_spin() -> bool {
    match env::var("LUOYUN_HOST").as_deref() {
        Err(_) | Ok("devhost") => false,
        Ok("spin") => true,
        Ok(other) => panic!("LUOYUN_HOST must be spin or devhost, not {other}"),
    }
}

impl Server {
    /// A server with the demo data: the one at `BASE_URL`, or a new one.
    pub fn demo() -> Self {
        let Ok(url) = env::var("BASE_URL") else { return Self::with(&[]) };
        let authority = url.trim_start_matches("http://").trim_end_matches('/');
        let mut addrs = authority.to_socket_addrs().expect("BASE_URL is http://HOST:PORT");
        Self::at(addrs.next().unwrap())
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
        let state = TempDir::new().unwrap();
        if is_spin() {
            return Self::start_process(setup, state);
        }
        let arguments = setup.arguments(state.path());
        let arguments = ["devhost"].into_iter().chain(arguments.iter().map(String::as_str));
        let log = Some(state.path().join(OUTPUT));
        let host = DevHost::start(Options { log, ..Options::parse_from(arguments) }).unwrap();
        Self { addr: host.addr(), running: Running::DevHost(Box::new(host)), state: Some(state) }
    }

    /// A new server in a separate process, on the state folder `state`.
    pub fn start_process(setup: Setup, state: TempDir) -> Self {
        let program = if is_spin() { "spin".into() } else { built("devhost") };
        let mut command = Command::new("env");
        command.arg(HOST_THREADS).arg(program);
        command.args(is_spin().then_some("up")).args(setup.arguments(state.path()));
        // Each start on the same state folder appends its output.
        let before = output_of(state.path()).len();
        let output = File::options().create(true).append(true).open(state.path().join(OUTPUT));
        let output = output.unwrap();
        command.stdout(output.try_clone().unwrap()).stderr(output);
        let mut process = Box::new(Process::start(command));
        let mut addr = None;
        wait_until("the host serves", || {
            let output = output_of(state.path());
            let served = output[before..].split_once("Serving http://");
            let served = served.and_then(|(_, rest)| rest.split_once('\n'));
            addr = served.and_then(|(addr, _)| addr.parse().ok());
            let exit = process.child.as_mut().unwrap().try_wait();
            assert!(exit.unwrap().is_none(), "the host exited: {output}");
            addr.is_some()
        });
        Self { addr: addr.unwrap(), running: Running::Process(process), state: Some(state) }
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
        let output = output_of(self.state());
        output.lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
    }

    /// The server's address.
    pub fn addr(&self) -> SocketAddr {
        self.addr
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
        let reply = self.connect().try_post(LIST, &[("session_key", key)]);
        reply.is_ok_and(|reply| reply.body.starts_with(br#"{"code":0,"#))
    }

    /// The ID of the server's process, and of its group.
    pub fn process_id(&self) -> u32 {
        match &self.running {
            Running::Process(process) => process.id(),
            _ => panic!("the server does not run in a separate process"),
        }
    }

    /// Kills the server's process (SIGKILL) and returns its state folder.
    pub fn kill(mut self) -> TempDir {
        self.state.take().expect("a server started by the test")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let (true, Some(state)) = (thread::panicking(), &self.state) {
            eprintln!("The output of the server at {}:\n{}", self.addr, output_of(state.path()));
        }
    }
}

/// The sum of a figure in `/proc/PID/status`, such as `VmRSS`, of a process group's members, in KiB:
/// 0 if none of them runs.
pub fn memory(group: u32, field: &str) -> u64 {
    let group = group.to_string();
    let figures = fs::read_dir("/proc").unwrap().filter_map(|entry| -> Option<u64> {
        let status = fs::read_to_string(entry.ok()?.path().join("status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(field))?;
        let is_member = |line: &str| line.split_whitespace().take(2).eq(["NSpgid:", &group]);
        line.split_whitespace().nth(1)?.parse().ok().filter(|_| status.lines().any(is_member))
    });
    figures.sum()
}

/// Reads a value from a database.
pub fn value<T: FromSql>(db: &rusqlite::Connection, sql: &str) -> T {
    db.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Calls `work`; returns how long it took, and its result.
pub fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let begin = Instant::now();
    let result = work();
    (begin.elapsed(), result)
}

/// Calls `work` with each number below `count` at once, in threads; returns the results in order.
pub fn at_once<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let work = &work;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|i| scope.spawn(move || work(i))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Calls what `client` returns for each number below `count`, in threads, again and again until
/// `meanwhile` has ended; returns the results of these calls, and that of `meanwhile`.
pub fn repeat_beside<C: FnMut() -> T, T: Send, R>(
    count: usize,
    client: impl Fn(usize) -> C + Sync,
    meanwhile: impl FnOnce() -> R,
) -> (Vec<T>, R) {
    let is_over = AtomicBool::new(false);
    let (is_over, client) = (&is_over, &client);
    let repeat = move |i| {
        let mut call = client(i);
        iter::from_fn(|| (!is_over.load(Ordering::Relaxed)).then(&mut call)).collect::<Vec<_>>()
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|i| scope.spawn(move || repeat(i))).collect();
        // The clients end also if it panics. Not in a thread, with which the processes that it starts
        // would end.
        let result = panic::catch_unwind(AssertUnwindSafe(meanwhile));
        is_over.store(true, Ordering::Relaxed);
        let results = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        (results, result.unwrap_or_else(|panic| panic::resume_unwind(panic)))
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
    let command = format!("kill {signal} {processes} 2>/dev/null");
    Command::new("sh").args(["-c", &command]).status().unwrap().success()
}

fn output_of(state: &Path) -> String {
    fs::read_to_string(state.join(OUTPUT)).unwrap_or_default()
}

/// Waits until `condition` holds.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not within a minute");
        thread::sleep(Duration::from_millis(1));
    }
}
