//! A small host for Spin applications, for development and tests on machines without Spin. It
//! runs the same modules under the same `spin.toml`, keeps its state in the same files, and
//! measures the cost of each request.
//!
//! It is not for production; Spin is.

#![forbid(unsafe_code)]

mod engine;
mod manifest;
mod stores;

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use clap::Parser;
use http::header::HOST;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
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

use crate::engine::{Clock, Exchange, GuestBody, Handler, Host};
use crate::manifest::{Manifest, Target};
use crate::stores::Stores;

/// A small Spin-compatible host for development and tests, not for production
#[derive(Parser)]
#[command(version)]
pub struct Options {
    /// The application's manifest
    #[arg(short, long, default_value = "spin.toml")]
    pub from: PathBuf,
    /// The address to listen on; port 0 selects a free one
    #[arg(long, env = "SPIN_HTTP_LISTEN_ADDR", default_value = "127.0.0.1:3000")]
    pub listen: SocketAddr,
    /// A file of SQL statements to run before serving
    #[arg(long, value_name = "@FILE")]
    pub sqlite: Vec<String>,
    /// A value for one of the application's variables
    #[arg(long, value_name = "NAME=VALUE")]
    pub variable: Vec<String>,
    /// The folder for the stores [default: .spin beside the manifest]
    #[arg(long)]
    pub state_dir: Option<PathBuf>,
    /// A file to append the components' output to, instead of printing it
    #[arg(skip)]
    pub log: Option<PathBuf>,
}

/// The cost of one request; with WASI 0.3, of all requests to an instance.
#[derive(Default)]
pub struct Measured {
    /// The number of requests.
    pub requests: u32,
    /// The fuel that the guest consumed: about one unit per instruction.
    pub fuel: u64,
    /// The peak size of the guest's linear memory, in bytes.
    pub memory: usize,
    /// The number of calls of each store function: `store.open`, `store.get`, `store.set`,
    /// `store.delete`, `connection.open`, `connection.execute`, `variables.get`.
    pub calls: BTreeMap<&'static str, u32>,
    /// The SQL statements, in order.
    pub sql: Vec<String>,
}

/// A path that Spin answers itself.
const HEALTH: &str = "/.well-known/spin/health";

/// Number of measurements kept for [`DevHost::measured`].
const MEASUREMENTS: usize = 1024;

/// A running application. Dropping it stops it.
pub struct DevHost {
    addr: SocketAddr,
    measured: Mutex<Receiver<Measured>>,
    host: Host,
    runtime: Option<Runtime>,
}

/// What answers a route.
enum Answer {
    Component(Handler),
    Static(Response<Bytes>),
}

struct App {
    /// Has Spin's rules: Spin uses the same crate.
    router: Router<Answer>,
}

impl DevHost {
    /// Prepares the stores, compiles the components and serves requests.
    ///
    /// # Errors
    /// If the manifest needs more than devhost supports, a module cannot be run, the SQL fails
    /// or the address is in use.
    pub fn start(options: Options) -> Result<Self> {
        let manifest = Manifest::read(&options.from, &options.variable)
            .with_context(|| format!("devhost cannot run {}", options.from.display()))?;
        let state_dir = options.state_dir.unwrap_or(options.from.with_file_name(".spin"));
        let stores = Stores::open(&state_dir)
            .with_context(|| format!("cannot open the files in {}", state_dir.display()))?;
        for sql in &options.sqlite {
            stores.run_sql(sql)?;
        }
        let log = options.log.map(|path| File::options().create(true).append(true).open(path));
        let (sender, receiver) = mpsc::sync_channel(MEASUREMENTS);
        let host = Host {
            stores: Arc::new(stores),
            clock: Clock(Arc::new(Mutex::new(Instant::now()))),
            log: log.transpose()?.map(OutputFile::new),
            measured: sender,
        };
        let app = Arc::new(App::new(manifest, &host)?);
        let runtime = Runtime::new()?;
        let listener = runtime
            .block_on(TcpListener::bind(options.listen))
            .with_context(|| format!("cannot listen on {}", options.listen))?;
        let addr = listener.local_addr()?;
        runtime.spawn(serve(listener, app));
        Ok(Self { addr, measured: Mutex::new(receiver), host, runtime: Some(runtime) })
    }

    /// The address it listens on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Ends all connections to the stores, as Redis and libSQL servers do that restart.
    pub fn restart_stores(&self) {
        self.host.stores.restarts.fetch_add(1, Ordering::Relaxed);
    }

    /// Advances the components' monotonic clock.
    pub fn advance_clock(&self, time: Duration) {
        *self.host.clock.0.lock().unwrap_or_else(PoisonError::into_inner) -= time;
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
            let answer = service_fn(|request| app.answer(request, client));
            // Clients may close a connection at any time, and an error of `answer` closes it.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

impl App {
    /// Compiles the components that `manifest` mounts.
    fn new(manifest: Manifest, host: &Host) -> Result<Self> {
        let mut router = Router::new();
        for trigger in manifest.trigger.http {
            let answer = match trigger.target {
                Target::Component(name) => {
                    let component = manifest.component.get(&name);
                    let component = component.with_context(|| format!("no component {name}"))?;
                    Answer::Component(engine::handler(component, host)?)
                }
                Target::StaticResponse { status_code, headers, body } => {
                    let mut response = Response::new(body.into());
                    *response.status_mut() = StatusCode::from_u16(status_code)?;
                    *response.headers_mut() = HeaderMap::try_from(&headers)?;
                    Answer::Static(response)
                }
            };
            let route = trigger.route.replace("/...", "/*");
            router.add(route.as_str(), answer).map_err(|cause| anyhow!("{route}: {cause}"))?;
        }
        Ok(Self { router })
    }

    /// Fails if the request does not say for which host it is.
    async fn answer(
        &self,
        mut request: Request<Incoming>,
        client: SocketAddr,
    ) -> Result<Response<WasiBody>> {
        let path = request.uri().path().to_owned();
        if path == HEALTH {
            return Ok(Response::new(body("OK".into())));
        }
        check_authority(&request)?;
        let handler = match self.router.best_match(&path).map(|found| found.handler()) {
            None => return Ok(empty(StatusCode::NOT_FOUND)),
            Some(Answer::Static(response)) => return Ok(response.clone().map(body)),
            Some(Answer::Component(handler)) => handler,
        };
        if request.headers().values().any(|value| str::from_utf8(value.as_bytes()).is_err()) {
            return Ok(empty(StatusCode::INTERNAL_SERVER_ERROR));
        }
        // Appended to the field that the client may have sent, as in Spin.
        let client = HeaderValue::from_str(&client.to_string())?;
        request.headers_mut().append("spin-client-addr", client);
        let exchange = Arc::<Exchange>::default();
        let request = request.map(|incoming| {
            GuestBody { incoming: Some(incoming), exchange: exchange.clone() }.boxed_unsync()
        });
        let response = handler.handle(exchange.clone(), request).await.unwrap_or_else(|cause| {
            eprintln!("devhost: {path}: {cause:?}");
            empty(StatusCode::INTERNAL_SERVER_ERROR)
        });
        Ok(response.map(|body| {
            // The exchange lasts until the response is sent.
            body.map_frame(move |frame| (frame, &exchange).0).boxed_unsync()
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
