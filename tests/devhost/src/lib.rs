//! A small host for Spin applications, for development and tests on machines
//! without Spin. It runs the same modules under the same `spin.toml` with its
//! state in the same files, and measures what a request costs the guest.
//!
//! It is no server for production: that is Spin.

#![forbid(unsafe_code)]

mod engine;
mod manifest;
mod stores;

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use clap::Parser;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use routefinder::Router;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use wasmtime_wasi_http::io::TokioIo;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

use crate::engine::Handler;
use crate::manifest::{Manifest, StaticResponse, Target};
use crate::stores::Stores;

/// A small Spin-compatible host for development and tests. Production is Spin.
#[derive(Clone, Debug, Parser)]
#[command(version)]
pub struct Options {
    /// The application's manifest
    #[arg(short, long, default_value = "spin.toml")]
    pub from: PathBuf,
    /// The address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:3000")]
    pub listen: SocketAddr,
    /// SQL to run before serving: one statement, or @FILE
    #[arg(long, value_name = "SQL")]
    pub sqlite: Vec<String>,
    /// An entry to set in the default key-value store before serving
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub key_value: Vec<(String, String)>,
    /// A value for one of the application's variables
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub variable: Vec<(String, String)>,
    /// The folder of the stores [default: .spin beside the manifest]
    #[arg(long)]
    pub state_dir: Option<PathBuf>,
    /// Drop what the components write to stdout and stderr
    #[arg(short, long)]
    pub quiet: bool,
}

fn pair(text: &str) -> Result<(String, String), &'static str> {
    let (key, value) = text.split_once('=').ok_or("a = is missing")?;
    Ok((key.to_owned(), value.to_owned()))
}

impl Options {
    /// To run the manifest `from` for a test: on a free port of the loopback
    /// address.
    pub fn for_test(from: impl Into<PathBuf>) -> Self {
        let mut options = Self::parse_from(["devhost", "--listen", "127.0.0.1:0"]);
        options.from = from.into();
        options
    }
}

/// What one request cost.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The component that answered.
    pub component: String,
    /// The fuel that the guest burnt: about one unit an instruction.
    pub fuel: u64,
    /// The guest's linear memory at its peak, in bytes.
    pub memory: usize,
    /// Calls of the host's stores, by name: `store.open`, `store.get`,
    /// `store.set`, `store.delete`, `connection.open`, `connection.execute`, `variables.get`.
    pub calls: BTreeMap<&'static str, u32>,
    /// The SQL that it ran.
    pub sql: Vec<String>,
}

/// Requests whose measurements are kept for [`DevHost::measured`].
const KEPT: usize = 1024;

/// A running application. It stops when this is dropped.
pub struct DevHost {
    addr: SocketAddr,
    routes: Vec<String>,
    app: Arc<App>,
    runtime: Option<Runtime>,
    _temporary_state: Option<TempDir>,
}

struct App {
    router: Router<Target>,
    handlers: BTreeMap<String, Handler>,
    stores: Arc<Stores>,
    measured: Arc<(Mutex<VecDeque<Measured>>, Condvar)>,
}

impl DevHost {
    /// Prepares the stores, compiles the components and serves. Without a
    /// `state_dir`, the stores are in a temporary folder that goes with the host.
    ///
    /// # Errors
    /// Where the manifest asks for what devhost does not do, a module cannot be
    /// run, the SQL fails or the address is taken.
    pub fn start(options: Options) -> Result<Self> {
        let manifest = Manifest::read(&options.from)?;
        let router = router(&manifest)?;
        let (state_dir, temporary_state) = if let Some(folder) = options.state_dir {
            (folder, None)
        } else {
            let folder = TempDir::new()?;
            (folder.path().to_owned(), Some(folder))
        };
        let stores = Stores::open(&state_dir)?;
        for sql in &options.sqlite {
            stores.run_sql(sql)?;
        }
        for (key, value) in &options.key_value {
            stores.set(key, value.as_bytes())?;
        }

        let given = options.variable.into_iter().collect();
        let engine = engine::new_engine()?;
        let mut handlers = BTreeMap::new();
        for (name, component) in &manifest.components {
            let variables = manifest.variables_of(name, &given)?;
            let handler = Handler::new(&engine, name, component, variables, options.quiet)?;
            handlers.insert(name.clone(), handler);
        }
        let app =
            Arc::new(App { router, handlers, stores: Arc::new(stores), measured: Arc::default() });

        let runtime = Runtime::new()?;
        let listener = runtime
            .block_on(TcpListener::bind(options.listen))
            .with_context(|| format!("cannot listen on {}", options.listen))?;
        let addr = listener.local_addr()?;
        runtime.spawn(serve(listener, app.clone()));
        Ok(Self {
            addr,
            routes: manifest.routes.into_iter().map(|(route, _)| route).collect(),
            app,
            runtime: Some(runtime),
            _temporary_state: temporary_state,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The routes of the manifest.
    #[must_use]
    pub fn routes(&self) -> &[String] {
        &self.routes
    }

    /// What the next finished request cost, oldest first; each is returned once.
    /// Waits for one where none has finished.
    ///
    /// # Errors
    /// Where none finishes within 10 seconds.
    pub fn measured(&self) -> Result<Measured> {
        let (queue, changed) = &*self.app.measured;
        let queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut queue, _) = changed
            .wait_timeout_while(queue, Duration::from_secs(10), |queue| queue.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        queue.pop_front().context("no request finished")
    }
}

impl Drop for DevHost {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waits for nobody: a guest may hang in a store.
            runtime.shutdown_background();
        }
    }
}

/// A router with Spin's rules, by the crate that Spin takes them from.
fn router(manifest: &Manifest) -> Result<Router<Target>> {
    let mut router = Router::new();
    for (route, target) in &manifest.routes {
        let spec = match route.strip_suffix("/...") {
            Some(prefix) => format!("{prefix}/*"),
            None => route.clone(),
        };
        ensure!(
            router.iter().all(|(known, _)| known.to_string() != spec),
            "the route {route} stands twice"
        );
        router
            .add(spec.as_str(), target.clone())
            .map_err(|cause| anyhow!("the route {route}: {cause}"))?;
    }
    Ok(router)
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
        // No TCP_NODELAY, as in Spin: a reply in two segments is to be felt here.
        let app = app.clone();
        tokio::spawn(async move {
            let answer = service_fn(|request| {
                let app = app.clone();
                async move { Ok::<_, Infallible>(app.answer(request, client).await) }
            });
            // A client that breaks off is its own affair.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

impl App {
    async fn answer(
        &self,
        mut request: Request<Incoming>,
        client: SocketAddr,
    ) -> Response<HyperOutgoingBody> {
        if request.headers().get(http::header::HOST).is_none_or(|host| host.to_str().is_err()) {
            return respond(StatusCode::BAD_REQUEST, "");
        }
        let path = request.uri().path().to_owned();
        let name = match self.router.best_match(&path).map(|found| found.handler().clone()) {
            None => return respond(StatusCode::NOT_FOUND, ""),
            Some(Target::Static(fixed)) => return respond_static(&fixed),
            Some(Target::Component(name)) => name,
        };
        // After what the client may have sent under this name, as in Spin.
        if let Ok(client) = HeaderValue::from_str(&client.to_string()) {
            request.headers_mut().append("spin-client-addr", client);
        }

        let measured = self.measured.clone();
        let finished = move |request: Measured| {
            let (queue, changed) = &*measured;
            let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
            if queue.len() == KEPT {
                queue.pop_front();
            }
            queue.push_back(request);
            changed.notify_all();
        };
        let outcome = match self.handlers.get(&name) {
            Some(handler) => handler.handle(&self.stores, request, finished).await,
            None => Err(anyhow!("there is no such component")),
        };
        outcome.unwrap_or_else(|cause| {
            eprintln!("devhost: {name}: {cause:?}");
            respond(StatusCode::INTERNAL_SERVER_ERROR, "")
        })
    }
}

fn respond(status: StatusCode, body: &str) -> Response<HyperOutgoingBody> {
    let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
    let mut response = Response::new(body.map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    response
}

fn respond_static(fixed: &StaticResponse) -> Response<HyperOutgoingBody> {
    let status = StatusCode::from_u16(fixed.status_code).unwrap_or(StatusCode::OK);
    let mut response = respond(status, &fixed.body);
    for (name, value) in &fixed.headers {
        if let (Ok(name), Ok(value)) =
            (http::HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value))
        {
            response.headers_mut().append(name, value);
        }
    }
    response
}
