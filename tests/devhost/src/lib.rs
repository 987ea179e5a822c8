//! A small host for Spin applications, for development and tests on machines without Spin. It
//! runs the same modules under the same `spin.toml`, keeps its state in the same files, and
//! measures the cost of each request.
//!
//! It is not for production; Spin is.

#![forbid(unsafe_code)]

mod engine;
mod manifest;
mod stores;
mod wasi03;

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Parser;
use http::header::HOST;
use http::uri::Authority;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use routefinder::Router;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use wasmtime_wasi::cli::OutputFile;
use wasmtime_wasi_http::WasiBody;
use wasmtime_wasi_http::io::TokioIo;

use crate::engine::{Clock, Handler};
use crate::manifest::{Manifest, StaticResponse, Trigger};
use crate::stores::Stores;

/// A small Spin-compatible host for development and tests, not for production
#[derive(Clone, Debug, Parser)]
#[command(version)]
pub struct Options {
    /// The application's manifest
    #[arg(short, long, default_value = "spin.toml")]
    pub from: PathBuf,
    /// The address to listen on; port 0 selects a free one
    #[arg(long, env = "SPIN_HTTP_LISTEN_ADDR", default_value = "127.0.0.1:3000")]
    pub listen: SocketAddr,
    /// SQL to run before serving: one statement, or @FILE
    #[arg(long, value_name = "SQL")]
    pub sqlite: Vec<String>,
    /// A value for one of the application's variables
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub variable: Vec<(String, String)>,
    /// The folder for the stores [default: .spin beside the manifest]
    #[arg(long)]
    pub state_dir: Option<PathBuf>,
    /// Discard the components' output
    #[arg(short, long)]
    pub quiet: bool,
    /// A file to append the components' output to, instead of printing it
    #[arg(skip)]
    pub log: Option<PathBuf>,
}

fn pair(text: &str) -> Result<(String, String), &'static str> {
    let (key, value) = text.split_once('=').ok_or("a = is missing")?;
    Ok((key.to_owned(), value.to_owned()))
}

impl Options {
    /// Options for a test: the manifest `from`, on a free port of the loopback address.
    pub fn for_test(from: impl Into<PathBuf>) -> Self {
        let mut options = Self::parse_from(["devhost", "--listen", "127.0.0.1:0"]);
        options.from = from.into();
        options
    }
}

/// The cost of one request.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// The fuel that the guest consumed: about one unit per instruction.
    pub fuel: u64,
    /// The peak size of the guest's linear memory, in bytes.
    pub memory: usize,
    /// The number of calls of each store function: `store.open`, `store.get`, `store.set`,
    /// `store.delete`, `connection.open`, `connection.execute`, `variables.get`.
    pub calls: BTreeMap<&'static str, u32>,
    /// The SQL statements, in order.
    pub sql: Vec<String>,
    /// The instructions of SQLite's virtual machine that the statements took.
    pub sql_steps: i32,
}

/// The prefix of the paths that Spin answers itself.
const WELL_KNOWN: &str = "/.well-known/spin/";

/// Number of measurements kept for [`DevHost::measured`].
const MEASUREMENTS: usize = 1024;

/// A running application. Dropping it stops it.
pub struct DevHost {
    addr: SocketAddr,
    measured: Mutex<Receiver<Measured>>,
    stores: Arc<Stores>,
    clock: Clock,
    runtime: Option<Runtime>,
}

/// The handler of a route.
enum Target {
    /// The component with this name.
    Component(String),
    /// The same response for every request.
    Static(Response<Bytes>),
}

struct App {
    info: Response<Bytes>,
    router: Router<Target>,
    handlers: BTreeMap<String, Handler>,
    measured: SyncSender<Measured>,
}

impl DevHost {
    /// Prepares the stores, compiles the components and serves requests. The default of
    /// `state_dir` is the folder `.spin` beside the manifest.
    ///
    /// # Errors
    /// If the manifest needs more than devhost supports, a module cannot be run, the SQL fails
    /// or the address is in use.
    pub fn start(options: Options) -> Result<Self> {
        let variables = options.variable.into_iter().collect();
        let manifest = Manifest::read(&options.from, &variables)?;
        let router = router(&manifest)?;
        let info = Response::builder().header("content-type", "application/json");
        let info = info.body(serde_json::to_vec_pretty(&manifest.application)?.into())?;
        let state_dir = options.state_dir.unwrap_or(options.from.with_file_name(".spin"));
        let stores = Arc::new(Stores::open(&state_dir)?);
        for sql in &options.sqlite {
            stores.run_sql(sql)?;
        }
        let log = options.log.map(|path| File::options().create(true).append(true).open(path));
        let log = log.transpose()?.map(OutputFile::new);
        let clock = Clock::new();
        let mut handlers = BTreeMap::new();
        for (name, component) in manifest.component {
            let (stores, clock, log) = (stores.clone(), clock.clone(), log.clone());
            handlers.insert(name, Handler::new(component, stores, clock, options.quiet, log)?);
        }
        let (sender, receiver) = mpsc::sync_channel(MEASUREMENTS);

        let runtime = Runtime::new()?;
        let listener = runtime
            .block_on(TcpListener::bind(options.listen))
            .with_context(|| format!("cannot listen on {}", options.listen))?;
        let addr = listener.local_addr()?;
        let app = App { info, router, handlers, measured: sender };
        runtime.spawn(serve(listener, Arc::new(app)));
        let measured = Mutex::new(receiver);
        Ok(Self { addr, measured, stores, clock, runtime: Some(runtime) })
    }

    /// The address it listens on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Ends all connections to the stores, as Redis and libSQL servers do that restart.
    pub fn restart_stores(&self) {
        self.stores.restart();
    }

    /// Advances the components' monotonic clock.
    pub fn advance_clock(&self, time: Duration) {
        self.clock.advance(time);
    }

    /// The cost of the next completed request, oldest first; each is returned once. Waits until
    /// one has completed.
    ///
    /// # Errors
    /// If none completes within 10 seconds.
    pub fn measured(&self) -> Result<Measured> {
        let receiver = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        receiver.recv_timeout(Duration::from_secs(10)).context("no request completed")
    }
}

impl Drop for DevHost {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Does not wait for guests: one may hang in a store.
            runtime.shutdown_background();
        }
    }
}

/// A router with Spin's rules: Spin uses the same crate.
fn router(manifest: &Manifest) -> Result<Router<Target>> {
    let mut router = Router::new();
    for Trigger { route, component, static_response } in &manifest.trigger.http {
        let target = match (component, static_response) {
            (Some(name), None) if manifest.component.contains_key(name) => {
                Target::Component(name.clone())
            }
            (Some(name), None) => {
                bail!("the route {route} names the component {name}, which does not exist")
            }
            (None, Some(response)) => Target::Static(
                fixed_response(response).with_context(|| format!("the route {route}"))?,
            ),
            _ => bail!("the route {route} takes either a component or a static_response"),
        };
        let spec = match route.strip_suffix("/...") {
            Some(prefix) => format!("{prefix}/*"),
            None => route.clone(),
        };
        ensure!(
            router.iter().all(|(known, _)| known.to_string() != spec),
            "the route {route} is declared twice"
        );
        router.add(spec.as_str(), target).map_err(|cause| anyhow!("the route {route}: {cause}"))?;
    }
    Ok(router)
}

fn fixed_response(fixed: &StaticResponse) -> Result<Response<Bytes>> {
    let mut response = Response::builder().status(fixed.status_code);
    for (name, value) in &fixed.headers {
        response = response.header(name, value);
    }
    Ok(response.body(fixed.body.clone().into())?)
}

async fn serve(listener: TcpListener, app: Arc<App>) {
    loop {
        let (stream, client) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(cause) => {
                eprintln!("devhost: cannot accept a connection: {cause}");
                continue;
            }
        };
        // No TCP_NODELAY, as in Spin, so that a reply in two segments is as slow as in Spin.
        let app = app.clone();
        tokio::spawn(async move {
            let answer = service_fn(|request| {
                let app = app.clone();
                async move { app.answer(request, client).await }
            });
            // Clients may close a connection at any time, and an error of `answer` closes it.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

impl App {
    /// Fails if the request does not say for which host it is.
    async fn answer(
        &self,
        mut request: Request<Incoming>,
        client: SocketAddr,
    ) -> Result<Response<WasiBody>> {
        let path = request.uri().path().to_owned();
        match path.strip_prefix(WELL_KNOWN) {
            Some("health") => return Ok(Response::new(body("OK".into()))),
            Some("info") => return Ok(self.info.clone().map(body)),
            Some(_) => return Ok(empty(StatusCode::NOT_FOUND)),
            None => {}
        }
        check_authority(&request)?;
        let name = match self.router.best_match(&path).map(|found| found.handler()) {
            None => return Ok(empty(StatusCode::NOT_FOUND)),
            Some(Target::Static(response)) => return Ok(response.clone().map(body)),
            Some(Target::Component(name)) => name,
        };
        if request.headers().values().any(|value| str::from_utf8(value.as_bytes()).is_err()) {
            return Ok(empty(StatusCode::INTERNAL_SERVER_ERROR));
        }
        // Appended to the field that the client may have sent, as in Spin.
        if let Ok(client) = HeaderValue::from_str(&client.to_string()) {
            request.headers_mut().append("spin-client-addr", client);
        }
        let handler = &self.handlers[name];
        let outcome = handler.handle(request, self.measured.clone()).await;
        Ok(outcome.unwrap_or_else(|cause| {
            eprintln!("devhost: {name}: {cause:?}");
            empty(StatusCode::INTERNAL_SERVER_ERROR)
        }))
    }
}

/// Fails unless the field `Host` or the URI has an authority, and one if they have two; Spin panics if
/// the URI has nothing else.
fn check_authority(request: &Request<Incoming>) -> Result<()> {
    ensure!(request.uri().path_and_query().is_some(), "no path");
    let host = request.headers().get(HOST);
    let host = host.map(|host| anyhow::Ok(host.to_str()?.parse::<Authority>()?)).transpose()?;
    let uri = request.uri().authority();
    ensure!(uri.or(host.as_ref()).is_some(), "no authority");
    ensure!(uri.is_none_or(|uri| host.as_ref().is_none_or(|host| host == uri)), "two authorities");
    Ok(())
}

fn body(bytes: Bytes) -> WasiBody {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

fn empty(status: StatusCode) -> Response<WasiBody> {
    let mut response = Response::new(body(Bytes::new()));
    *response.status_mut() = status;
    response
}
