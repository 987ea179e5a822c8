//! What every endpoint of the LuoYunCloud API shares.
//!
//! A request goes one way: [`serve`] reads it, the endpoint's handler takes its
//! [`Params`], finds out who calls ([`session::authenticate`]), asks the store
//! one question ([`user`], [`instance`]) and returns a [`Reply`] or an
//! [`Error`], and `serve` writes that out, once.
//!
//! - [`envelope`]: everything a client can be told
//! - [`params`]: key-value parameters out of body and query string
//! - [`password`]: which password is behind a stored value?
//! - [`session`]: session keys, in the key-value store
//! - [`attempt`]: a try to log in, and how many wrong ones came before it
//! - [`user`], [`instance`]: the domain, its types and its SQL
//! - [`page`]: a static page, for the console
//! - [`client`], [`clock`], [`settings`]: who asks, when, and what the operator set
//! - `wire`, `random`, `allocator`: HTTP, randomness and memory of the host
//!
//! `params`, `envelope` and `password` know no store; their unit tests run
//! natively.

#![deny(unsafe_code)]

pub mod attempt;
pub mod client;
pub mod clock;
pub mod envelope;
pub mod instance;
pub mod page;
pub mod params;
pub mod password;
pub mod session;
pub mod settings;
pub mod user;

#[cfg(target_family = "wasm")]
mod allocator;
mod random;
mod wire;

pub use envelope::{Error, Reply};
pub use params::Params;

use http::StatusCode;
use serde::Serialize;
use spin_sdk::http::{IncomingRequest, ResponseOutparam};
use wasi::clocks::monotonic_clock;

/// Answers one request to `endpoint`: the one door between Spin and a handler.
///
/// Refuses what is no readable form request (CONTRACT.md, "Requests": method,
/// content type, size), hands the parameters of any other to `handler`, and
/// sends its reply or refusal. What an operator has to know of is logged here, once.
pub fn serve<T: Serialize>(
    endpoint: &str,
    request: IncomingRequest,
    response_out: ResponseOutparam,
    handler: impl FnOnce(&Params) -> Result<Reply<T>, Error>,
) {
    let start = monotonic_clock::now();
    let outcome = wire::read_form(&request)
        .and_then(|form| handler(&form.params()))
        .and_then(|reply| reply.to_json());
    match outcome {
        Ok(body) => wire::respond_json(response_out, StatusCode::OK, None, &body),
        Err(error) => {
            if error.is_logged() {
                let microseconds = (monotonic_clock::now() - start) / 1000;
                wire::log(&error.log_line(endpoint, microseconds));
            }
            wire::refuse(response_out, &error);
        }
    }
}
