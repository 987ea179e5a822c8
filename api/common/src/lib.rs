//! Code that all endpoints of the LuoYunCloud API share.
//!
//! A request goes one way: [`serve`] reads it and hands its [`Params`] to the endpoint's
//! handler, which finds the caller ([`session::authenticate`]), runs its query ([`db`]) and
//! returns a [`Reply`] or an [`Error`]; `serve` sends it in one write.
//!
//! `params` and `envelope` use no store, so their unit tests run natively.

#![forbid(unsafe_code)]

pub mod clock;
pub mod db;
pub mod envelope;
mod json;
pub mod params;
pub mod random;
pub mod session;
pub mod settings;
pub mod wire;

pub use envelope::{Error, Reply};
pub use params::Params;

use http::StatusCode;
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
    let outcome = wire::read_form(&request)
        .and_then(|params| handler(&params))
        .and_then(|reply| json::to_ascii(&reply).context("write the reply"));
    match outcome {
        Ok(body) => wire::respond_json(response_out, StatusCode::OK, None, &body),
        Err(error) => {
            if let Some(line) = error.log_line(endpoint, clock::monotonic().saturating_sub(start)) {
                wire::log(&line);
            }
            wire::refuse(response_out, &error);
        }
    }
}
