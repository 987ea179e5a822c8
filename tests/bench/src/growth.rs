//! Growth: what a request costs on one connection as users, sessions and instances
//! become more.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::Effort;
use crate::data::{self, Size, session_key};
use crate::load::{Connection, Form, Outcome, Target, new_runtime, progress};
use crate::report::{self, Line};

/// Measures the data sets of so many instances, in turn, prints the table and writes the
/// plot to `svg`.
pub(crate) fn run(effort: Effort, sizes: &[u32], svg: &Path) -> Result<()> {
    let bar = progress(sizes.len() + effort.rounds);
    bar.tick();
    let mut servers = Vec::new();
    for &instances in sizes {
        bar.set_message(format!("making {instances} instances"));
        // The smallest has no sessions but the one that asks.
        let sessions = if instances == sizes[0] { 0 } else { instances };
        let state = data::make(Size { instances, users: instances, sessions }, 1)?;
        let server = data::serve_api(state.path())?;
        servers.push((server, state));
        bar.inc(1);
    }

    let session = format!("session_key={}", session_key(0));
    // The last whole page of ten of a user who has a tenth of the instances.
    let last = |instances: u32| format!("{session}&p={}", (instances / 100).clamp(1, 10_000));
    let always = |form: &str| vec![form.to_owned(); sizes.len()];
    let requests = [
        ("baseinfo", "/api/instance/baseinfo", always(&format!("{session}&instance_id=10"))),
        ("first page", "/api/myun/instance", always(&session)),
        ("last page", "/api/myun/instance", sizes.iter().copied().map(last).collect()),
        ("login", "/api/login", always("username=bench&password=password")),
    ];

    let runtime = new_runtime()?;
    let mut outcomes = vec![vec![Vec::<Outcome>::new(); sizes.len()]; requests.len()];
    for _ in 0..effort.rounds {
        bar.set_message("measuring");
        for (request, (_, path, forms)) in requests.iter().enumerate() {
            let mut connections = Vec::new();
            for (at, (server, _)) in servers.iter().enumerate() {
                let addr = server.addr();
                let target = Target { addr, path, form: Form::Same(forms[at].clone()) };
                connections.push((runtime.block_on(Connection::open(addr))?, target));
                outcomes[request][at].push(Outcome::default());
            }
            // Request by request in turn: all sizes see the same moments of this machine.
            for _ in 0..effort.requests {
                for (at, (connection, target)) in connections.iter_mut().enumerate() {
                    let (latency, is_done) = runtime.block_on(connection.send(target))?;
                    anyhow::ensure!(is_done, "{} of {} was refused", target.path, sizes[at]);
                    if let Some(outcome) = outcomes[request][at].last_mut() {
                        outcome.latencies.push(latency);
                    }
                }
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();

    let lines: Vec<Line> = requests
        .iter()
        .zip(outcomes)
        .map(|((name, ..), outcomes)| Line {
            name,
            medians: outcomes.iter().map(|rounds| median(rounds)).collect(),
        })
        .collect();
    report::growth(sizes, &lines);
    report::plot(sizes, &lines, svg)?;
    println!("\nThe plot is in {}.", svg.display());
    Ok(())
}

/// The median latency of the best round: what else this machine does only adds to it.
fn median(rounds: &[Outcome]) -> Duration {
    rounds.iter().map(|round| round.percentile(50)).min().unwrap_or_default()
}
