//! Load: each endpoint and what stands beside it, at 1, 16 and 64 connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use api_tests::dataset::Size;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::task::JoinSet;

use crate::Effort;
use crate::data::{self, session_key};
use crate::report::{self, Row};

/// A request, over and over.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) addr: SocketAddr,
    pub(crate) path: &'static str,
    pub(crate) form: Form,
}

#[derive(Clone)]
pub(crate) enum Form {
    Same(String),
    /// A session key that no request before it had.
    NextKey(Arc<AtomicUsize>),
}

/// What came of a load.
#[derive(Clone, Default)]
pub(crate) struct Outcome {
    pub(crate) latencies: Vec<Duration>,
    pub(crate) errors: usize,
    pub(crate) time: Duration,
}

impl Outcome {
    #[allow(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub(crate) fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.time.as_secs_f64()
    }

    /// The latency that `percent` of the requests stay under.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.latencies.clone();
        sorted.sort();
        sorted.get(sorted.len() * percent / 100).copied().unwrap_or_default()
    }
}

/// A kept-alive connection to a server.
pub(crate) struct Connection(http1::SendRequest<Full<Bytes>>);

impl Connection {
    pub(crate) async fn open(addr: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(addr).await?;
        // Ours leaves at once: what is measured is the server.
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    /// Sends one request; returns how long the whole answer took, and whether it was one.
    pub(crate) async fn send(&mut self, target: &Target) -> Result<(Duration, bool)> {
        let form = match &target.form {
            Form::Same(form) => form.clone(),
            Form::NextKey(number) => {
                format!("session_key={}", session_key(number.fetch_add(1, Ordering::Relaxed)))
            }
        };
        let request = Request::post(target.path)
            .header("host", target.addr.to_string())
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::new(Bytes::from(form)))?;
        let start = Instant::now();
        let response = self.0.send_request(request).await?;
        let is_ok = response.status() == 200;
        let body = response.into_body().collect().await?.to_bytes();
        // A component that is not ours answers with white space.
        let is_done = body.starts_with(br#"{"code":0"#) || body.first() == Some(&b' ');
        Ok((start.elapsed(), is_ok && is_done))
    }
}

pub(crate) fn new_runtime() -> Result<runtime::Runtime> {
    Ok(runtime::Builder::new_current_thread().enable_all().build()?)
}

/// Loads `target` from so many connections for so long.
async fn load(target: &Target, connections: usize, time: Duration) -> Result<Outcome> {
    let mut clients = JoinSet::new();
    let mut opened = Vec::new();
    for _ in 0..connections {
        opened.push(Connection::open(target.addr).await?);
    }
    let start = Instant::now();
    for mut connection in opened {
        let target = target.clone();
        clients.spawn(async move {
            let mut outcome = Outcome::default();
            while start.elapsed() < time {
                let (latency, is_done) = connection.send(&target).await?;
                outcome.latencies.push(latency);
                outcome.errors += usize::from(!is_done);
            }
            anyhow::Ok(outcome)
        });
    }
    let mut all = Outcome::default();
    while let Some(outcome) = clients.join_next().await {
        let outcome = outcome??;
        all.latencies.extend(outcome.latencies);
        all.errors += outcome.errors;
    }
    all.time = start.elapsed();
    Ok(all)
}

/// Measures everything and prints the table.
pub(crate) fn run(effort: Effort) -> Result<()> {
    const CONNECTIONS: [usize; 3] = [1, 16, 64];
    const KEYS: usize = 60_000;
    let size = Size { instances: 10_000, users: 1_000, sessions: 1_000 };
    let state = data::make(size, KEYS).context("make the data set")?;
    let (api, components) = (data::serve_api(state.path())?, data::serve_components(state.path())?);

    let same = |server: &api_tests::Server, path, form: &str| Target {
        addr: server.addr(),
        path,
        form: Form::Same(form.to_owned()),
    };
    let key = session_key(0);
    let session = format!("session_key={key}");
    let desktop = format!("session_key={key}&instance_id=10");
    let login = "username=bench&password=password";
    let logout = Target {
        addr: api.addr(),
        path: "/api/logout",
        form: Form::NextKey(Arc::new(AtomicUsize::new(1))),
    };
    let endpoints = [
        (
            "baseinfo",
            vec![
                ("luoyun-api", same(&api, "/api/instance/baseinfo", &desktop)),
                ("(a) empty", same(&components, "/empty", &desktop)),
                ("(b) bare", same(&components, "/bare/baseinfo", &desktop)),
                ("(c) ordinary", same(&components, "/ordinary/baseinfo", &desktop)),
            ],
        ),
        (
            "list of 10",
            vec![
                ("luoyun-api", same(&api, "/api/myun/instance", &session)),
                ("(a) empty", same(&components, "/empty", &session)),
                ("(b) bare", same(&components, "/bare/list", &session)),
                ("(c) ordinary", same(&components, "/ordinary/list", &session)),
            ],
        ),
        (
            "login",
            vec![
                ("luoyun-api", same(&api, "/api/login", login)),
                ("(a) empty", same(&components, "/empty", login)),
                ("(b) bare", same(&components, "/bare/login", login)),
            ],
        ),
        ("logout", vec![("luoyun-api", logout), ("(a) empty", same(&components, "/empty", ""))]),
    ];

    let steps: usize = endpoints.iter().map(|(_, targets)| targets.len()).sum();
    let progress = progress(steps * CONNECTIONS.len() * effort.rounds);
    let runtime = new_runtime()?;
    let mut rows = Vec::new();
    for (endpoint, targets) in &endpoints {
        for connections in CONNECTIONS {
            progress.set_message(format!("{endpoint}, {connections} connections"));
            // In turn, so that whatever else this machine does falls on all of them.
            let mut rounds = vec![Vec::new(); targets.len()];
            for _ in 0..effort.rounds {
                for (at, (_, target)) in targets.iter().enumerate() {
                    let outcome = runtime.block_on(load(target, connections, effort.time))?;
                    rounds[at].push(outcome);
                    progress.inc(1);
                }
            }
            for ((name, _), rounds) in targets.iter().zip(rounds) {
                rows.push(Row::new(endpoint, connections, name, &rounds));
            }
        }
    }
    progress.finish_and_clear();
    report::table(&rows);
    Ok(())
}

pub(crate) fn progress(steps: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len}  {msg}");
    ProgressBar::new(steps as u64).with_style(style.expect("a template"))
}
