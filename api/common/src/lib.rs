//! Code that all endpoints of the LuoYunCloud API share.
//!
//! A request goes one way: [`serve`] reads it and hands its [`Params`] to the endpoint's
//! handler, which finds the [`session::Session`], runs its query and returns a [`Reply`] or an [`Error`]; `serve` sends it in one write.
//!
//! `params` and `envelope` use no store, so their unit tests run natively.

#![forbid(unsafe_code)]

pub mod clock;
pub mod db;
pub mod envelope;
mod json;
mod kept;
pub mod params;
pub mod random;
mod schema;
pub mod session;
pub mod settings;
pub mod wire;

pub use envelope::{Error, Reply};
pub use params::Params;
#[cfg(feature = "wasi03")]
pub use wasip3;

use std::time::Duration;

use serde::Serialize;
use spin_sdk::http::{IncomingRequest, ResponseOutparam};

use crate::envelope::Context;

/// Answers one request to `endpoint`.
///
/// Rejects malformed form requests (docs/contract.md, "Requests": method, content type, size),
/// hands the parameters of all others to `handler`, and sends its reply or refusal. A failure
/// that concerns the operator is logged here, once.
pub fn serve<T: Serialize>(
    endpoint: &str,
    request: IncomingRequest,
    response_out: ResponseOutparam,
    handler: impl FnOnce(&Params) -> Result<Reply<T>, Error>,
) {
    let start = clock::monotonic();
    answer(endpoint, start, wire::read_form(request), handler).send(response_out);
}

/// Answers one request as [`serve`] does, in an instance that serves others afterwards (WASI 0.3).
#[cfg(feature = "wasi03")]
pub async fn serve_in_turn<T: Serialize>(
    endpoint: &str,
    request: wasip3::http::types::Request,
    handler: impl FnOnce(&Params) -> Result<Reply<T>, Error>,
) -> wasip3::http::types::Response {
    let turn = wire::wasi03::Turn::begin();
    let start = clock::monotonic();
    let params = wire::wasi03::read_form(request).await;
    wire::wasi03::response(answer(endpoint, start, params, handler), turn).await
}

fn answer<T: Serialize>(
    endpoint: &str,
    start: Duration,
    params: Result<Params, Error>,
    handler: impl FnOnce(&Params) -> Result<Reply<T>, Error>,
) -> wire::Json {
    let outcome = params
        .and_then(|params| handler(&params))
        .and_then(|reply| json::to_ascii(&reply).context("write the reply"));
    match outcome {
        Ok(body) => wire::Json::new(body),
        Err(error) => {
            log_failure(endpoint, start, &error);
            wire::Json::refusal(&error)
        }
    }
}

/// Exports the handler of an endpoint as a component. With the feature `wasi03`, the component is for
/// WASI 0.3.
#[cfg(not(feature = "wasi03"))]
#[macro_export]
macro_rules! endpoint {
    ($name:literal, $handler:path) => {
        #[spin_sdk::http_component]
        fn handle(
            request: spin_sdk::http::IncomingRequest,
            response_out: spin_sdk::http::ResponseOutparam,
        ) {
            $crate::serve($name, request, response_out, $handler);
        }
    };
}

/// Exports the handler of an endpoint as a component for WASI 0.3.
#[cfg(feature = "wasi03")]
#[macro_export]
macro_rules! endpoint {
    ($name:literal, $handler:path) => {
        struct Endpoint;

        impl $crate::wasip3::exports::http::handler::Guest for Endpoint {
            async fn handle(
                request: $crate::wasip3::http::types::Request,
            ) -> Result<
                $crate::wasip3::http::types::Response,
                $crate::wasip3::http::types::ErrorCode,
            > {
                Ok($crate::serve_in_turn($name, request, $handler).await)
            }
        }

        $crate::wasip3::http::service::export!(Endpoint with_types_in $crate::wasip3);
    };
}

/// Does `work` that the reply does not depend on, once the outcome of a request is stored. A failure
/// is only logged.
pub fn best_effort(endpoint: &str, work: impl FnOnce() -> Result<(), Error>) {
    let start = clock::monotonic();
    if let Err(error) = work() {
        log_failure(endpoint, start, &error);
    }
}

/// Logs `error` if it concerns the operator.
fn log_failure(endpoint: &str, start: Duration, error: &Error) {
    if let Some(line) = error.log_line(endpoint, clock::monotonic().saturating_sub(start)) {
        wire::log(&line);
    }
}
