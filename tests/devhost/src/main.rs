//! `devhost`: runs a Spin application for development, with the options of `spin up` that this
//! project uses.

#![forbid(unsafe_code)]

use anyhow::Result;
use clap::Parser;
use devhost::{DevHost, Options};
use tokio::signal::unix::{SignalKind, signal};

fn main() -> Result<()> {
    let host = DevHost::start(Options::parse())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        // After this line, signals end the server cleanly.
        println!("Serving http://{}", host.addr());
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok(())
    })
}
