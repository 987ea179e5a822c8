//! `devhost`: runs a Spin application for development, with the options of `spin up` that this
//! project uses.

#![forbid(unsafe_code)]

use anyhow::Result;
use clap::Parser;
use devhost::{DevHost, Options};
use nix::sys::signal::SigSet;
use nix::sys::signal::Signal::{SIGINT, SIGTERM};

fn main() -> Result<()> {
    // Before the server has threads, so that no other one gets them.
    let signals = SigSet::from_iter([SIGINT, SIGTERM]);
    signals.thread_block()?;
    let host = DevHost::start(Options::parse())?;
    println!("Serving http://{}", host.addr());
    signals.wait()?;
    Ok(())
}
