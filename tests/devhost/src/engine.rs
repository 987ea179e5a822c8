//! Components: converts core modules to components as Spin does, compiles them, and runs each
//! request in a new instance. Those for WASI 0.3 are in [`wasi03`].

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame, Incoming};
use tokio::sync::oneshot;
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_PROXY_ADAPTER,
};
use wasmtime::component::{InstancePre, Linker, ResourceTable};
use wasmtime::{
    Cache, CacheConfig, Config, Engine, PoolingAllocationConfig, ResourceLimiter, Store,
};
use wasmtime_wasi::cli::OutputFile;
use wasmtime_wasi::{HostMonotonicClock, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p3::bindings::ServicePre;
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};
use wit_component::ComponentEncoder;

use crate::Measured;
use crate::manifest::Component;
use crate::stores::{self, Stores};
use crate::wasi03;

/// The state of an instance.
pub(crate) struct Guest {
    pub(crate) table: ResourceTable,
    pub(crate) component: Arc<Component>,
    pub(crate) stores: Arc<Stores>,
    pub(crate) measured: Measured,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outbound: NoOutbound,
}

impl Guest {
    /// Counts a call of a host function.
    pub(crate) fn count(&mut self, call: &'static str) {
        *self.measured.calls.entry(call).or_default() += 1;
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
struct NoOutbound;

impl WasiHttpHooks for NoOutbound {
    fn send_request(
        &mut self,
        _: Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent, Error>> + Send> {
        Box::new(async { Err(Error::HttpRequestDenied) })
    }
}

type Sent = (Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>);

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.outbound }
    }
}

/// The monotonic clock of all instances.
#[derive(Clone)]
pub(crate) struct Clock {
    start: Instant,
    /// How far it is ahead, in nanoseconds.
    ahead: Arc<AtomicU64>,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), ahead: Arc::default() }
    }

    pub(crate) fn advance(&self, time: Duration) {
        self.ahead.fetch_add(nanoseconds(time), Ordering::Relaxed);
    }
}

impl HostMonotonicClock for Clock {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        nanoseconds(self.start.elapsed()) + self.ahead.load(Ordering::Relaxed)
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Creates the stores of a component's instances.
pub(crate) struct Guests {
    component: Arc<Component>,
    stores: Arc<Stores>,
    clock: Clock,
    quiet: bool,
    log: Option<OutputFile>,
}

impl Guests {
    /// A store for an instance.
    pub(crate) fn store(&self, engine: &Engine) -> wasmtime::Result<Store<Guest>> {
        let mut wasi = WasiCtx::builder();
        wasi.monotonic_clock(self.clock.clone());
        if let Some(log) = &self.log {
            wasi.stdout(log.clone()).stderr(log.clone());
        } else if !self.quiet {
            wasi.inherit_stdout().inherit_stderr();
        }
        let guest = Guest {
            table: ResourceTable::new(),
            component: self.component.clone(),
            stores: self.stores.clone(),
            measured: Measured::default(),
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            outbound: NoOutbound,
        };
        let mut store = Store::new(engine, guest);
        store.set_fuel(u64::MAX)?;
        store.limiter(|guest| &mut guest.measured);
        Ok(store)
    }
}

/// A compiled component.
pub(crate) enum Handler {
    /// Each request gets a new instance.
    Wasi02(Guests, ProxyPre<Guest>),
    /// An instance serves several requests.
    Wasi03(wasi03::Handler),
}

/// Number of requests that can be processed at a time, as in Spin.
const MAX_INSTANCES: u32 = 1000;

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

impl Handler {
    /// Compiles `component`.
    /// Fails if its file cannot be read, is not a module, or has imports that devhost lacks.
    pub(crate) fn new(
        component: Component,
        stores: Arc<Stores>,
        clock: Clock,
        quiet: bool,
        log: Option<OutputFile>,
    ) -> Result<Self> {
        let source = component.source.display();
        let module = std::fs::read(&component.source)
            .with_context(|| format!("cannot read {source}: is it built?"))?;
        let pre = compile(module).with_context(|| format!("devhost cannot run {source}"))?;
        let guests = Guests { component: Arc::new(component), stores, clock, quiet, log };
        Ok(match ServicePre::new(pre.clone()) {
            Ok(pre) => Self::Wasi03(wasi03::handler(guests, pre)),
            Err(_) => Self::Wasi02(guests, ProxyPre::new(pre)?),
        })
    }

    /// Answers `request`.
    /// Fails if the guest traps, or returns without a response.
    pub(crate) async fn handle(
        &self,
        request: Request<Incoming>,
        measured: SyncSender<Measured>,
    ) -> Result<Response<WasiBody>> {
        match self {
            Self::Wasi02(guests, pre) => {
                handle(guests.store(pre.engine())?, pre, request, measured).await
            }
            Self::Wasi03(handler) => {
                let request = request.map(|body| body.map_err(Error::from).boxed_unsync());
                Ok(handler.handle((), request).await?)
            }
        }
    }
}

/// Answers `request` in a new instance. Sends the costs to `measured` when the guest has returned,
/// which may be after the response has been sent.
async fn handle(
    mut store: Store<Guest>,
    pre: &ProxyPre<Guest>,
    request: Request<Incoming>,
    measured: SyncSender<Measured>,
) -> Result<Response<WasiBody>> {
    let (sender, receiver) = oneshot::channel();
    let exchange = Arc::new(Mutex::new(Exchange::default()));
    let answered = exchange.clone();
    let set = move |response| {
        locked(&answered).is_answered = true;
        let _ = sender.send(response);
    };
    let request =
        request.map(|incoming| GuestBody { incoming: Some(incoming), exchange: exchange.clone() });
    let request = store.data_mut().http().new_incoming_request(Scheme::Http, request)?;
    let response = store.data_mut().http().new_response_outparam_from_callback(set)?;
    let proxy = pre.instantiate_async(&mut store).await?;
    let guest = tokio::spawn(async move {
        let outcome =
            proxy.wasi_http_incoming_handler().call_handle(&mut store, request, response).await;
        let fuel = u64::MAX - store.get_fuel()?;
        // If the queue is full, this measurement is dropped.
        let _ = measured.try_send(Measured { fuel, ..store.into_data().measured });
        outcome
    });
    let Ok(response) = receiver.await else {
        guest.await??;
        return Err(anyhow!("the guest returned without a response"));
    };
    let response = response.map_err(|code| anyhow!("the guest failed: {code:?}"))?;
    Ok(response.map(|body| {
        let keep = move |frame| {
            let _until_the_response_is_sent = &exchange;
            frame
        };
        body.map_frame(keep).boxed_unsync()
    }))
}

/// A request and its response, between the guest and the connection.
#[derive(Default)]
struct Exchange {
    /// Whether the guest has set the response.
    is_answered: bool,
    /// The request's body, if the guest dropped it later than that.
    unread: Option<Incoming>,
}

fn locked(exchange: &Mutex<Exchange>) -> MutexGuard<'_, Exchange> {
    exchange.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The body of a request, as the guest has it.
///
/// A connection ends whose request is not read to its end. The response says so if the guest drops
/// the body before it sets the response. Otherwise that depends, in Spin, on which thread is faster;
/// here the response never says it.
struct GuestBody {
    incoming: Option<Incoming>,
    exchange: Arc<Mutex<Exchange>>,
}

impl Body for GuestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.incoming {
            Some(incoming) => Pin::new(incoming).poll_frame(context),
            None => Poll::Ready(None),
        }
    }
}

impl Drop for GuestBody {
    fn drop(&mut self) {
        let exchange = self.exchange.clone();
        let mut exchange = locked(&exchange);
        if exchange.is_answered {
            exchange.unread = self.incoming.take();
        }
    }
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
    let component = wasmtime::component::Component::new(&engine, &component)?;
    let mut linker = Linker::new(&engine);
    wasmtime_wasi_http::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    stores::add_to_linker(&mut linker)?;
    let pre = linker.instantiate_pre(&component)?;
    compiled.insert(module, pre.clone());
    Ok(pre)
}
