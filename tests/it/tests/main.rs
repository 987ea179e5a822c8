//! The black-box tests, one module per subject. They use HTTP, the released Wasm modules, SQL files
//! and command lines, and none of the components' code.

// Tests fail by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod admin;
mod budgets;
mod console;
mod contract;
mod cost;
mod deploy;
mod documented;
mod faults;
mod floods;
mod framing;
mod fuzz;
mod import;
mod machines;
mod openapi;
mod passwords;
mod queries;
mod sessions;
mod storage;
