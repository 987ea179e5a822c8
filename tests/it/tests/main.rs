//! The black-box tests: a module a subject. They see HTTP, the modules that ship, SQL files
//! and command lines, and nothing of the components' code.

// A test that cannot go on panics.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod admin;
mod budgets;
mod console;
mod contract;
mod cost;
mod deploy;
mod devhost;
mod documented;
mod faults;
mod framing;
mod fuzz;
mod import;
mod machines;
mod openapi;
mod passwords;
mod queries;
mod sessions;
mod speed;
mod storage;
