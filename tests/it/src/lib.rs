//! What the black-box tests share: a server to test, and an HTTP client that
//! sends whatever bytes a test wants and sees what came back, as it came.
//!
//! The server is the one at `BASE_URL` where that is set (`http://HOST:PORT`, with
//! the demo data), else one of our own, by `LUOYUN_HOST`: `spin`, or `devhost`, the default.

#![forbid(unsafe_code)]
// A test that cannot go on panics.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod admin;
pub mod cases;
pub mod client;
pub mod dataset;
pub mod server;

pub use admin::Admin;
pub use client::{Client, Response};
pub use server::{Server, Setup};
