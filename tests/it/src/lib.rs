//! Shared code of the black-box tests: a server under test, and an HTTP client that can send
//! arbitrary bytes and returns the response as received.
//!
//! If `BASE_URL` is set (`http://HOST:PORT`, a server with the demo data), tests of the contract
//! use that server. Otherwise, and for all other tests, each test starts its own, on the host
//! in `LUOYUN_HOST` (`spin` or `devhost`, the default), with the manifest in `LUOYUN_MANIFEST`
//! (by default `spin.toml`).

#![forbid(unsafe_code)]
// Tests fail by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod admin;
pub mod cases;
pub mod client;
pub mod dataset;
pub mod server;

pub use admin::Admin;
pub use client::{Client, Response};
pub use server::{Server, Setup, root};

use serde_json::Value;

/// The endpoint that logs in.
pub const LOGIN: &str = "/api/login";
/// The endpoint that logs out.
pub const LOGOUT: &str = "/api/logout";
/// The endpoint for an instance's remote desktop.
pub const BASEINFO: &str = "/api/instance/baseinfo";
/// The endpoint for the list of instances.
pub const LIST: &str = "/api/myun/instance";
/// A right login form.
pub const LUOYUN: [(&str, &str); 2] = [("username", "luoyun"), ("password", "luoyun")];

/// The text of the project's file `file`.
pub fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// `api/openapi.yaml`.
pub fn contract() -> Value {
    serde_saphyr::from_str(&read("api/openapi.yaml")).unwrap()
}

/// The example of the response `name` in the components of [`contract`].
pub fn example(name: &str) -> Value {
    let examples = &contract()["components"]["responses"][name]["content"]["application/json"];
    examples["examples"].as_object().unwrap().values().next().unwrap()["value"].clone()
}

/// The content of the project's file `file`, which is TOML.
pub fn toml(file: &str) -> Value {
    toml::from_str(&read(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}
