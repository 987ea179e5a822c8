//! `make bench`: the API under load, against baseline components in the same run; readers
//! beside logins and beside a flood of logins; and the latency of a request as the data grow.
//!
//! The server is Spin if `LUOYUN_HOST` is `spin`, else devhost, in a separate process.

#![forbid(unsafe_code)]
// A benchmark may panic on failure.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod against;
mod client;
mod data;
mod endpoints;
mod flood;
mod growth;
mod load;
mod mixed;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

/// Measures the API under load, against baseline components, and as its data grow
#[derive(Parser)]
struct Options {
    /// Measure briefly, for a rough result
    #[arg(long)]
    quick: bool,
    /// Compare with another checkout, whose components must be built; without a named part,
    /// run only this comparison
    #[arg(long, value_name = "DIR")]
    against: Option<PathBuf>,
    /// What to measure [default: all]
    #[arg(value_enum)]
    parts: Vec<Part>,
}

#[derive(Clone, Copy, Eq, PartialEq, ValueEnum)]
enum Part {
    /// Each endpoint at 1, 16 and 64 connections, against baseline components
    Endpoints,
    /// Readers beside logins, in both journal modes of SQLite
    Mixed,
    /// A login at the default password strength, and a reader beside a flood of logins
    Flood,
    /// Latency at one connection, as the data grow
    Growth,
}

/// The duration and the number of measurements.
#[derive(Clone, Copy)]
struct Effort {
    /// Rounds of each load; its variants alternate within a round.
    rounds: usize,
    /// Duration of the load on an endpoint, per round.
    time: Duration,
    /// Duration of a mixed load of readers and logins, per round.
    mixed_time: Duration,
    /// Sequential requests per latency measurement.
    requests: usize,
}

const QUICK: Effort = Effort {
    rounds: 3,
    time: Duration::from_millis(120),
    mixed_time: Duration::from_millis(800),
    requests: 100,
};

const THOROUGH: Effort = Effort {
    rounds: 5,
    time: Duration::from_millis(800),
    mixed_time: Duration::from_secs(4),
    requests: 1000,
};

fn main() -> Result<()> {
    let options = Options::parse();
    let effort = if options.quick { QUICK } else { THOROUGH };
    let host = std::env::var("LUOYUN_HOST").unwrap_or_else(|_| "devhost".to_owned());
    println!("Server: {host}, on the loopback interface.");
    println!("Data: in {}.\n", std::env::temp_dir().display());
    if let Some(checkout) = &options.against {
        against::run(effort, checkout)?;
    }
    let all = options.parts.is_empty() && options.against.is_none();
    let measures = |part| all || options.parts.contains(&part);
    if measures(Part::Endpoints) {
        endpoints::run(effort)?;
    }
    if measures(Part::Mixed) {
        mixed::run(effort)?;
    }
    if measures(Part::Flood) {
        flood::run(effort)?;
    }
    if measures(Part::Growth) {
        let sizes: &[u32] =
            if options.quick { &[1_000, 100_000] } else { &[1_000, 10_000, 100_000, 1_000_000] };
        growth::run(effort, sizes)?;
        growth::last_pages(effort)?;
    }
    Ok(())
}

fn progress(steps: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len}  {msg}");
    ProgressBar::new(steps as u64).with_style(style.expect("a template"))
}
