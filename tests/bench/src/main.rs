//! `make bench`: the API under load, beside components that do less in the same run; readers
//! beside logins and beside a flood of them; and what a request costs as the data grow.
//!
//! The server is Spin where `LUOYUN_HOST` is `spin`, else devhost, in a process of its own.

#![forbid(unsafe_code)]
// A measurement that cannot go on panics.
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

/// Measures the API under load, beside components that do less, and as its data grow
#[derive(Parser)]
struct Options {
    /// Measure each thing briefly, for a first look
    #[arg(long)]
    quick: bool,
    /// Compare with another checkout, whose components have to be built; only that, where no
    /// part is named
    #[arg(long, value_name = "DIR")]
    against: Option<PathBuf>,
    /// What to measure [default: all]
    #[arg(value_enum)]
    parts: Vec<Part>,
}

#[derive(Clone, Copy, Eq, PartialEq, ValueEnum)]
enum Part {
    /// Each endpoint at 1, 16 and 64 connections, beside components that do less
    Endpoints,
    /// Readers beside logins, with both journals of SQLite
    Mixed,
    /// A login at its default strength, and a reader beside a flood of logins
    Flood,
    /// One connection, as the data grow
    Growth,
}

/// How long and how often each thing is measured.
#[derive(Clone, Copy)]
struct Effort {
    /// Rounds of the variants of a load, which run in turn.
    rounds: usize,
    /// How long each endpoint is loaded, in each round.
    time: Duration,
    /// How long readers and logins are mixed, in each round.
    mixed_time: Duration,
    /// Requests that are timed one by one.
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
    println!("The server is {host}, on the loopback address; the data are on the disk of");
    println!("{}.\n", std::env::temp_dir().display());
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
        growth::far_pages(effort)?;
    }
    Ok(())
}

fn progress(steps: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len}  {msg}");
    ProgressBar::new(steps as u64).with_style(style.expect("a template"))
}
