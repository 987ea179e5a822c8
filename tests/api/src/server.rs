//! The server under test.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use devhost::{DevHost, Options};
use tempfile::{NamedTempFile, TempDir};

use crate::Client;

/// A server with the API. One of our own stops when this is dropped.
pub struct Server {
    addr: SocketAddr,
    running: Running,
    state: Option<TempDir>,
}

enum Running {
    Given,
    DevHost(Box<DevHost>),
    Spin(Child),
}

/// The root of the project.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The migrations, in their order, and the demo data, as `--sqlite` takes them.
///
/// # Panics
/// Where the folder cannot be read.
#[must_use]
pub fn demo_sql() -> Vec<String> {
    let mut files: Vec<_> = fs::read_dir(root().join("migrations"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    // 0001_….sql, 0002_….sql, … sort before demo.sql.
    files.sort();
    files.iter().map(|file| format!("@{}", file.display())).collect()
}

impl Server {
    /// A server with the demo data: the one at `BASE_URL`, or one of our own.
    ///
    /// # Panics
    /// Where it cannot be started.
    #[must_use]
    pub fn demo() -> Self {
        match env::var("BASE_URL") {
            Ok(url) => Self::given(&url),
            Err(_) => Self::with_sql(""),
        }
    }

    /// A server of our own, with the demo data and what the statements of `sql`
    /// add to it.
    ///
    /// # Panics
    /// Where it cannot be started.
    #[must_use]
    pub fn with_sql(sql: &str) -> Self {
        let file = NamedTempFile::new().unwrap();
        fs::write(&file, sql).unwrap();
        let mut sqlite = demo_sql();
        sqlite.push(format!("@{}", file.path().display()));
        match env::var("HOST").as_deref() {
            Err(_) | Ok("devhost") => {
                Self::devhost(Options { sqlite, ..Options::for_test(root().join("spin.toml")) })
            }
            Ok("spin") => Self::spin(&sqlite),
            Ok(other) => panic!("HOST is {other}: it takes spin or devhost"),
        }
    }

    /// A devhost with `options`, but on a state folder of the server's own.
    ///
    /// # Panics
    /// Where it cannot be started.
    #[must_use]
    pub fn devhost(options: Options) -> Self {
        let state = TempDir::new().unwrap();
        let host = DevHost::start(Options { state_dir: Some(state.path().to_owned()), ..options });
        let host = host.unwrap();
        Self { addr: host.addr(), running: Running::DevHost(Box::new(host)), state: Some(state) }
    }

    fn given(url: &str) -> Self {
        let authority = url
            .strip_prefix("http://")
            .expect("BASE_URL is http://HOST:PORT")
            .trim_end_matches('/');
        let addr = authority.to_socket_addrs().unwrap().next().unwrap();
        Self { addr, running: Running::Given, state: None }
    }

    fn spin(sqlite: &[String]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        drop(listener);

        let state = TempDir::new().unwrap();
        let mut command = Command::new("spin");
        command.arg("up").arg("--from").arg(root().join("spin.toml"));
        command.arg("--listen").arg(addr.to_string());
        command.arg("--state-dir").arg(state.path());
        for sql in sqlite {
            command.arg("--sqlite").arg(sql);
        }
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("spin is on PATH");
        let deadline = Instant::now() + Duration::from_mins(1);
        while TcpStream::connect(addr).is_err() {
            assert!(child.try_wait().unwrap().is_none(), "spin up ended");
            assert!(Instant::now() < deadline, "spin up does not serve");
            thread::sleep(Duration::from_millis(20));
        }
        Self { addr, running: Running::Spin(child), state: Some(state) }
    }

    /// A new connection.
    #[must_use]
    pub fn connect(&self) -> Client {
        Client::connect(self.addr)
    }

    /// Its address: `http://HOST:PORT`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The server's own database.
    ///
    /// # Panics
    /// Where the server is not ours.
    #[must_use]
    pub fn database(&self) -> rusqlite::Connection {
        self.open("sqlite_db.db")
    }

    /// The file of the server's own key-value store: `spin_key_value(store, key,
    /// value)`.
    ///
    /// # Panics
    /// Where the server is not ours.
    #[must_use]
    pub fn key_value(&self) -> rusqlite::Connection {
        self.open("sqlite_key_value.db")
    }

    fn open(&self, file: &str) -> rusqlite::Connection {
        let state = self.state.as_ref().expect("a server of our own");
        rusqlite::Connection::open(state.path().join(file)).unwrap()
    }

    /// What the next request cost; see [`DevHost::measured`].
    ///
    /// # Panics
    /// Where it is no devhost, or nothing was requested.
    #[must_use]
    pub fn measured(&self) -> devhost::Measured {
        match &self.running {
            Running::DevHost(host) => host.measured().unwrap(),
            _ => panic!("only devhost measures"),
        }
    }

    /// Logs in with the password that is the same as the user name, as in the
    /// demo data, and returns the session key.
    ///
    /// # Panics
    /// Where that is refused.
    #[must_use]
    pub fn log_in(&self, username: &str) -> String {
        let form = [("username", username), ("password", username)];
        let reply = self.connect().post("/api/login", &form).json();
        reply["session_key"].as_str().expect("a session key").to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Running::Spin(child) = &mut self.running {
            // `spin up` runs the server as a child, and ends it when told to end.
            let _ = Command::new("kill").arg(child.id().to_string()).status();
            let _ = child.wait();
        }
    }
}
