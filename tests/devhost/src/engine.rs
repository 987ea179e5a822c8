//! The components: made out of modules as Spin makes them, compiled, and given a
//! fresh instance for each request.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::sync::oneshot;
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wasmtime::component::{Linker, ResourceTable};
use wasmtime::{
    Cache, CacheConfig, Config, Engine, PoolingAllocationConfig, ResourceLimiter, Store,
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wasmtime_wasi_http::p2::bindings::http::types::Scheme;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};
use wit_component::ComponentEncoder;

use crate::Measured;
use crate::manifest::Component;
use crate::stores::{self, Grants, Stores};

/// The state of one request's instance.
pub(crate) struct Guest {
    pub(crate) table: ResourceTable,
    pub(crate) grants: Grants,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outbound: NoOutbound,
    memory: Memory,
}

/// The guest's linear memory, in bytes. It never shrinks, so this is its peak.
#[derive(Default)]
struct Memory(usize);

impl ResourceLimiter for Memory {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.0 += desired - current;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(true)
    }
}

/// Lets no request out: no component of ours may send one.
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

/// A component, ready to be instantiated.
pub(crate) struct Handler {
    name: String,
    pre: ProxyPre<Guest>,
    component: Arc<Component>,
    variables: Arc<BTreeMap<String, String>>,
    quiet: bool,
}

/// An engine that counts fuel and keeps compiled code in the user's cache folder,
/// where Wasmtime and Spin keep theirs.
pub(crate) fn new_engine() -> Result<Engine> {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .allocation_strategy(PoolingAllocationConfig::default())
        .cache(Cache::new(CacheConfig::new()).ok());
    Ok(Engine::new(&config)?)
}

impl Handler {
    /// Compiles the component called `name`.
    ///
    /// # Errors
    /// Where its module cannot be read, is none, or imports what devhost lacks.
    pub(crate) fn new(
        engine: &Engine,
        name: &str,
        component: &Component,
        variables: BTreeMap<String, String>,
        quiet: bool,
    ) -> Result<Self> {
        let source = &component.source;
        let module = std::fs::read(source)
            .with_context(|| format!("cannot read {}: is it built?", source.display()))?;
        let pre = prepare(engine, &module)
            .with_context(|| format!("devhost cannot run {}", source.display()))?;
        Ok(Self {
            name: name.to_owned(),
            pre,
            component: Arc::new(component.clone()),
            variables: Arc::new(variables),
            quiet,
        })
    }

    /// Answers `request` in a fresh instance. `finished` is told what it took,
    /// once the guest has returned, which may be after the response has left.
    ///
    /// # Errors
    /// Where the guest traps, or returns without a response.
    pub(crate) async fn handle(
        &self,
        stores: &Arc<Stores>,
        request: Request<Incoming>,
        finished: impl FnOnce(Measured) + Send + 'static,
    ) -> Result<Response<HyperOutgoingBody>> {
        let mut store = Store::new(self.pre.engine(), self.guest(stores));
        store.set_fuel(u64::MAX)?;
        store.limiter(|guest| &mut guest.memory);

        let (send, receive) = oneshot::channel();
        let request = store.data_mut().http().new_incoming_request(Scheme::Http, request)?;
        let response = store.data_mut().http().new_response_outparam(send)?;
        let proxy = self.pre.instantiate_async(&mut store).await?;
        let name = self.name.clone();

        let guest = tokio::spawn(async move {
            let outcome =
                proxy.wasi_http_incoming_handler().call_handle(&mut store, request, response).await;
            finished(Measured {
                component: name,
                fuel: u64::MAX - store.get_fuel()?,
                memory: store.data().memory.0,
                calls: std::mem::take(&mut store.data_mut().grants.calls),
                sql: std::mem::take(&mut store.data_mut().grants.sql),
            });
            outcome
        });
        let Ok(response) = receive.await else {
            guest.await??;
            return Err(anyhow!("the guest returned without a response"));
        };
        response.map_err(|code| anyhow!("the guest failed: {code:?}"))
    }

    fn guest(&self, stores: &Arc<Stores>) -> Guest {
        let mut wasi = WasiCtx::builder();
        if !self.quiet {
            wasi.inherit_stdout().inherit_stderr();
        }
        Guest {
            table: ResourceTable::new(),
            grants: Grants {
                component: self.component.clone(),
                variables: self.variables.clone(),
                stores: stores.clone(),
                calls: BTreeMap::new(),
                sql: Vec::new(),
            },
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            outbound: NoOutbound,
            memory: Memory::default(),
        }
    }
}

fn prepare(engine: &Engine, module: &[u8]) -> Result<ProxyPre<Guest>> {
    let component = ComponentEncoder::default()
        .module(module)?
        .adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)?
        .encode()?;
    let component = wasmtime::component::Component::new(engine, &component)?;
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    stores::add_to_linker(&mut linker)?;
    Ok(ProxyPre::new(linker.instantiate_pre(&component)?)?)
}
