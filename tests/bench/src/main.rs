//! `make bench`: the API under load, beside components that do less in the same run; what
//! a request costs as the data grow; and with which journal.
//!
//! The server is Spin where `LUOYUN_HOST` is `spin`, else devhost, in a process of its own.

#![forbid(unsafe_code)]
// A measurement that cannot go on panics.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod data;
mod growth;
mod load;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;

/// Measures the API under load, beside components that do less, and as its data grow
#[derive(Parser)]
struct Options {
    /// Measure each thing briefly: under a minute, for a first look
    #[arg(long)]
    quick: bool,
    /// Where to write the plot of cost against data size
    #[arg(long, default_value = "target/bench/growth.svg")]
    svg: PathBuf,
}

/// How long and how often each thing is measured.
#[derive(Clone, Copy)]
struct Effort {
    rounds: usize,
    time: Duration,
    /// Requests that are timed one by one, in each round.
    requests: usize,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let (effort, sizes): (_, &[u32]) = if options.quick {
        (Effort { rounds: 3, time: Duration::from_millis(120), requests: 60 }, &[1_000, 100_000])
    } else {
        let time = Duration::from_millis(600);
        (Effort { rounds: 7, time, requests: 200 }, &[1_000, 10_000, 100_000, 1_000_000])
    };
    let host = std::env::var("LUOYUN_HOST").unwrap_or_else(|_| "devhost".to_owned());
    println!("The server is {host}, on the loopback address; the data are on the disk of");
    println!("{}.\n", std::env::temp_dir().display());
    load::run(effort)?;
    growth::run(effort, sizes, &options.svg)?;
    growth::journals(effort)
}
