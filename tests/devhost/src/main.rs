//! `devhost`: runs a Spin application for development, with the flags of
//! `spin up` that this project uses.

#![forbid(unsafe_code)]

use anyhow::Result;
use clap::Parser;
use devhost::{DevHost, Options};
use tokio::signal::unix::{SignalKind, signal};

fn main() -> Result<()> {
    let mut options = Options::parse();
    let beside_manifest = options.from.with_file_name(".spin");
    options.state_dir.get_or_insert(beside_manifest);
    let host = DevHost::start(options)?;

    // Before the first line, which tells others that they may send signals.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let signals = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    drop(signals);

    println!("Serving http://{}", host.addr());
    println!("Available Routes:");
    for route in host.routes() {
        println!("  http://{}{route}", host.addr());
    }
    runtime.block_on(async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    });
    Ok(())
}
