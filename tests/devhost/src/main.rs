//! `devhost`: runs a Spin application for development, with the options of `spin up` that this
//! project uses.

#![forbid(unsafe_code)]

use anyhow::Result;
use clap::Parser;
use devhost::{DevHost, Options};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

fn main() -> Result<()> {
    let host = DevHost::start(Options::parse())?;
    // After this line, signals end the server cleanly.
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    println!("Serving http://{}", host.addr());
    signals.forever().next();
    Ok(())
}
