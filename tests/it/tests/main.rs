//! The black-box tests, one module per subject. They use HTTP, the released Wasm modules, SQL files
//! and command lines, and none of the components' code.

// Tests fail by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod admin;
mod console;
mod contract;
mod deploy;
mod devhost_only;
mod documented;
mod faults;
mod floods;
mod framing;
mod fuzz;
mod import;
mod machines;
mod openapi;
mod passwords;
mod sessions;
mod storage;
