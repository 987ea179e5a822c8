//! Components for WASI 0.3: an instance serves several requests, some of them at a time, as in
//! Spin 4.1, which uses the same [`ProxyHandler`]. What they cost is not measured.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep};
use wasmtime::component::GuestTaskId;
use wasmtime::{Result, Store, StoreContextMut};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, Proxy, ProxyHandler, ShouldAccept, WorkerExpiration, WorkerState,
    WorkerStatus,
};
use wasmtime_wasi_http::p3::bindings::ServicePre;

use crate::engine::{Guest, Guests};

/// Number of requests that an instance serves, as in Spin.
const MAX_REQUESTS: usize = 128;

/// Number of requests that an instance serves at a time, as in Spin.
const MAX_CONCURRENT_REQUESTS: usize = 16;

/// The time that an instance waits for a request, as in Spin.
const IDLE_TIMEOUT: Duration = Duration::from_secs(1);

/// A compiled component.
pub(crate) type Handler = ProxyHandler<Instances>;

/// A handler that runs `pre` in instances of `guests`.
pub(crate) fn handler(guests: Guests, pre: ServicePre<Guest>) -> Handler {
    ProxyHandler::new(Instances { guests, pre })
}

pub(crate) struct Instances {
    guests: Guests,
    pre: ServicePre<Guest>,
}

impl HandlerState for Instances {
    type StoreData = Guest;
    type WorkerExpiration = Idle;
    type WorkerState = Reuse;

    async fn instantiate(&self) -> Result<Instance<Guest, Idle, Reuse>> {
        let mut store = self.guests.store(self.pre.engine())?;
        let proxy = Proxy::P3(self.pre.instantiate_async(&mut store).await?);
        let expiration = Idle(Box::pin(sleep(IDLE_TIMEOUT)));
        Ok(Instance { store, proxy, view: Guest::http, expiration, state: Reuse })
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

/// Limits the requests of an instance.
pub(crate) struct Reuse;

impl WorkerState for Reuse {
    type StoreData = Guest;
    type RequestData = ();

    fn should_accept_request(&self, concurrent: usize, total: usize) -> ShouldAccept {
        match (concurrent, total) {
            (_, MAX_REQUESTS..) => ShouldAccept::Never,
            (MAX_CONCURRENT_REQUESTS.., _) => ShouldAccept::No,
            _ => ShouldAccept::Yes,
        }
    }

    fn on_request_start(
        &self,
        _: StoreContextMut<'_, Guest>,
        (): (),
        _: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        // No time limit, as in Spin.
        Box::pin(std::future::pending())
    }

    fn drop(&self, _: Store<Guest>, outcome: Result<()>) {
        if let Err(cause) = outcome {
            eprintln!("devhost: {cause:?}");
        }
    }
}
