//! Converts core modules to components as Spin does, compiles them, and runs requests in their
//! instances with Wasmtime's [`ProxyHandler`], as Spin 4.1 does.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use http::{Request, Response};
use hyper::body::{Body, Bytes, Frame, Incoming};
use tokio::time::{Sleep, sleep};
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_PROXY_ADAPTER,
};
use wasmtime::component::{Component as Compiled, GuestTaskId, InstancePre, Linker, ResourceTable};
use wasmtime::{
    Cache, CacheConfig, Config, Engine, PoolingAllocationConfig, ResourceLimiter, Store,
    StoreContextMut,
};
use wasmtime_wasi::cli::OutputFile;
use wasmtime_wasi::{HostMonotonicClock, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, Proxy, ProxyHandler, ProxyPre, ShouldAccept, WorkerExpiration,
    WorkerState, WorkerStatus,
};
use wasmtime_wasi_http::p3::bindings::ServicePre;
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView, p2,
};
use wit_component::ComponentEncoder;

use crate::Measured;
use crate::manifest::Component;
use crate::stores::{self, Stores};

/// Number of instances at a time, as in Spin.
const MAX_INSTANCES: u32 = 1000;

/// Number of requests that an instance for WASI 0.3 serves, as in Spin.
const MAX_REQUESTS: usize = 128;

/// Number of requests that an instance for WASI 0.3 serves at a time, as in Spin.
const MAX_CONCURRENT_REQUESTS: usize = 16;

/// The time that an instance for WASI 0.3 waits for a request, as in Spin.
const IDLE_TIMEOUT: Duration = Duration::from_secs(1);

/// The state of an instance.
pub(crate) struct Guest {
    pub(crate) table: ResourceTable,
    pub(crate) component: Arc<Component>,
    pub(crate) stores: Arc<Stores>,
    pub(crate) measured: Measured,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: Hooks,
}

impl Guest {
    /// Counts a call of a host function.
    pub(crate) fn count(&mut self, call: &'static str) {
        *self.measured.calls.entry(call).or_default() += 1;
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.hooks }
    }
}

/// Measures the linear memory, which never shrinks.
impl ResourceLimiter for Measured {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.memory += desired - current;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(true)
    }
}

/// Denies outbound requests: `spin.toml` allows none.
struct Hooks(Arc<Exchange>);

type Sending = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for Hooks {
    fn send_request(
        &mut self,
        _: Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Sending,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Sending), Error>> + Send> {
        Box::new(async { Err(Error::HttpRequestDenied) })
    }

    /// Called when the guest begins its response.
    fn p2_outgoing_body_buffer_chunks(&mut self) -> usize {
        self.0.is_answered.store(true, Ordering::Relaxed);
        p2::DEFAULT_OUTGOING_BODY_BUFFER_CHUNKS
    }
}

/// The monotonic clock of all instances: the time since an instant that a test may move back.
#[derive(Clone)]
pub(crate) struct Clock(pub(crate) Arc<Mutex<Instant>>);

impl HostMonotonicClock for Clock {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        let start = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        start.elapsed().as_nanos().try_into().unwrap_or(u64::MAX)
    }
}

/// What all components share.
#[derive(Clone)]
pub(crate) struct Host {
    pub(crate) stores: Arc<Stores>,
    pub(crate) clock: Clock,
    pub(crate) log: Option<OutputFile>,
    /// Takes the cost of each instance.
    pub(crate) measured: SyncSender<Measured>,
}

/// A compiled component.
pub(crate) type Handler = ProxyHandler<Instances>;

/// Creates the instances of a component.
pub(crate) struct Instances {
    pre: ProxyPre<Guest>,
    engine: Engine,
    component: Arc<Component>,
    host: Host,
}

/// Compiles `component`.
/// Fails if its file cannot be read, is not a module, or has imports that devhost lacks.
pub(crate) fn handler(component: &Component, host: &Host) -> Result<Handler> {
    let source = component.source.display();
    let module = std::fs::read(&component.source)
        .with_context(|| format!("cannot read {source}: is it built?"))?;
    let pre = compile(module).with_context(|| format!("devhost cannot run {source}"))?;
    let engine = pre.engine().clone();
    let pre = match ServicePre::new(pre.clone()) {
        Ok(pre) => ProxyPre::P3(pre),
        Err(_) => ProxyPre::P2(p2::bindings::ProxyPre::new(pre)?),
    };
    let component = Arc::new(component.clone());
    Ok(ProxyHandler::new(Instances { pre, engine, component, host: host.clone() }))
}

impl HandlerState for Instances {
    type StoreData = Guest;
    type WorkerExpiration = Idle;
    type WorkerState = Worker;

    async fn instantiate(&self) -> wasmtime::Result<Instance<Guest, Idle, Worker>> {
        let mut wasi = WasiCtx::builder();
        wasi.monotonic_clock(self.host.clock.clone());
        match &self.host.log {
            Some(log) => wasi.stdout(log.clone()).stderr(log.clone()),
            None => wasi.inherit_stdout().inherit_stderr(),
        };
        let guest = Guest {
            table: ResourceTable::new(),
            component: self.component.clone(),
            stores: self.host.stores.clone(),
            measured: Measured::default(),
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            hooks: Hooks(Arc::default()),
        };
        let mut store = Store::new(&self.engine, guest);
        store.set_fuel(u64::MAX)?;
        store.limiter(|guest| &mut guest.measured);
        let proxy = self.pre.instantiate_async(&mut store).await?;
        let max_requests = if matches!(proxy, Proxy::P2(_)) { 1 } else { MAX_REQUESTS };
        let state = Worker { max_requests, measured: self.host.measured.clone() };
        let expiration = Idle(Box::pin(sleep(IDLE_TIMEOUT)));
        Ok(Instance { store, proxy, view: Guest::http, expiration, state })
    }
}

/// Ends an instance that waits for a request.
pub(crate) struct Idle(Pin<Box<Sleep>>);

impl WorkerExpiration for Idle {
    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        status: WorkerStatus,
        since: Instant,
    ) -> Poll<()> {
        if status != WorkerStatus::Idle {
            return Poll::Pending;
        }
        self.0.as_mut().reset((since + IDLE_TIMEOUT).into());
        self.0.as_mut().poll(context)
    }
}

/// Limits the requests of an instance, and measures it.
pub(crate) struct Worker {
    max_requests: usize,
    measured: SyncSender<Measured>,
}

impl WorkerState for Worker {
    type StoreData = Guest;
    type RequestData = Arc<Exchange>;

    fn should_accept_request(&self, concurrent: usize, total: usize) -> ShouldAccept {
        match (concurrent, total) {
            (_, total) if total >= self.max_requests => ShouldAccept::Never,
            (MAX_CONCURRENT_REQUESTS.., _) => ShouldAccept::No,
            _ => ShouldAccept::Yes,
        }
    }

    fn on_request_start(
        &self,
        mut store: StoreContextMut<'_, Guest>,
        exchange: Arc<Exchange>,
        _: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        let guest = store.data_mut();
        guest.hooks.0 = exchange;
        guest.measured.requests += 1;
        // No time limit, as in Spin.
        Box::pin(std::future::pending())
    }

    fn drop(&self, store: Store<Guest>, outcome: wasmtime::Result<()>) {
        if let Err(cause) = outcome {
            eprintln!("devhost: {cause:?}");
        }
        let fuel = u64::MAX - store.get_fuel().unwrap_or_default();
        // If the queue is full, this measurement is dropped.
        let _ = self.measured.try_send(Measured { fuel, ..store.into_data().measured });
    }
}

/// A request and its response, between the guest and the connection.
#[derive(Default)]
pub(crate) struct Exchange {
    /// Whether the guest has begun its response, for WASI 0.2.
    is_answered: AtomicBool,
    /// The request's body, if the guest dropped it later than that.
    unread: Mutex<Option<Incoming>>,
}

/// The body of a request, as the guest has it.
///
/// A connection ends whose request is not read to its end. The response says so if the guest drops
/// the body before it begins the response. Otherwise that depends, in Spin, on which thread is faster;
/// here the response never says it, as the body is kept until the response is sent.
pub(crate) struct GuestBody {
    pub(crate) incoming: Option<Incoming>,
    pub(crate) exchange: Arc<Exchange>,
}

impl Body for GuestBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        Pin::new(incoming).poll_frame(context).map_err(Error::from)
    }
}

impl Drop for GuestBody {
    fn drop(&mut self) {
        if self.exchange.is_answered.load(Ordering::Relaxed) {
            let mut unread = self.exchange.unread.lock().unwrap_or_else(PoisonError::into_inner);
            *unread = self.incoming.take();
        }
    }
}

/// An engine that counts fuel and keeps compiled code in the user's cache folder, as Spin does.
fn new_engine() -> Result<Engine> {
    // The sizes of Spin's pool.
    let mut pool = PoolingAllocationConfig::default();
    pool.total_core_instances(4 * MAX_INSTANCES).total_tables(2 * MAX_INSTANCES);
    let mut config = Config::new();
    config.wasm_component_model_async(true);
    config.consume_fuel(true).allocation_strategy(pool).cache(Cache::new(CacheConfig::new()).ok());
    Ok(Engine::new(&config)?)
}

/// Converts `module` to a component and compiles it, once per process: tests start many servers.
fn compile(module: Vec<u8>) -> Result<InstancePre<Guest>> {
    static COMPILED: Mutex<BTreeMap<Vec<u8>, InstancePre<Guest>>> = Mutex::new(BTreeMap::new());
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pre) = compiled.get(&module) {
        return Ok(pre.clone());
    }
    let engine = match compiled.values().next() {
        Some(pre) => pre.engine().clone(),
        None => new_engine()?,
    };
    let component = ComponentEncoder::default()
        .module(&module)?
        .adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_PROXY_ADAPTER)?
        .encode()?;
    let mut linker = Linker::new(&engine);
    p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    stores::add_to_linker(&mut linker)?;
    let pre = linker.instantiate_pre(&Compiled::new(&engine, &component)?)?;
    compiled.insert(module, pre.clone());
    Ok(pre)
}
