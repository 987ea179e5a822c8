//! What a request costs on one connection: as users, sessions and instances become more,
//! and with another journal of the database.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use api_tests::Server;
use api_tests::dataset::Size;
use indicatif::ProgressBar;
use rusqlite::Connection as Database;

use crate::Effort;
use crate::data::{self, session_key};
use crate::load::{Connection, Form, Outcome, Target, new_runtime, progress};
use crate::report::{self, Line};

const LOGIN: &str = "username=bench&password=password";

/// Measures the data sets of so many instances, in turn, prints the table and writes the
/// plot to `svg`.
pub(crate) fn run(effort: Effort, sizes: &[u32], svg: &Path) -> Result<()> {
    let bar = progress(sizes.len() + effort.rounds);
    let mut servers = Vec::new();
    for &instances in sizes {
        bar.set_message(format!("making {instances} instances"));
        bar.tick();
        // The smallest has no sessions but the one that asks.
        let sessions = if instances == sizes[0] { 0 } else { instances };
        let state = data::make(Size { instances, users: instances, sessions }, 1)?;
        servers.push((data::serve_api(state.path())?, state));
        bar.inc(1);
    }

    let session = format!("session_key={}", session_key(0));
    let desktop = format!("{session}&instance_id=10");
    // The last page of ten of a user who has a tenth of the instances.
    let last = |size: u32| format!("{session}&p={}", (size / 100).max(1));
    let targets = |path: &'static str, form: &dyn Fn(u32) -> String| -> Vec<Target> {
        let served = servers.iter().zip(sizes);
        served.map(|((server, _), &size)| target(server, path, form(size))).collect()
    };
    let requests = [
        ("baseinfo", targets("/api/instance/baseinfo", &|_| desktop.clone())),
        ("first page", targets("/api/myun/instance", &|_| session.clone())),
        ("last page", targets("/api/myun/instance", &last)),
        ("login", targets("/api/login", &|_| LOGIN.to_owned())),
    ];
    let lines = medians(effort, &requests, &bar)?;
    let heads: Vec<String> = sizes.iter().map(|size| format!("{size} instances")).collect();
    report::growth(&heads, "largest to smallest", &lines);
    report::plot(sizes, &lines, svg)?;
    println!("\nThe plot is in {}.\n", svg.display());
    Ok(())
}

/// Measures the same data set with SQLite's rollback journal and in WAL mode.
pub(crate) fn journals(effort: Effort) -> Result<()> {
    let bar = progress(effort.rounds);
    let size = Size { instances: 10_000, users: 1_000, sessions: 1_000 };
    let mut servers = Vec::new();
    for mode in ["DELETE", "WAL"] {
        let state = data::make(size, 1)?;
        let db = Database::open(state.path().join("sqlite_db.db"))?;
        let is: String =
            db.query_row(&format!("PRAGMA journal_mode = {mode}"), [], |row| row.get(0))?;
        ensure!(is.eq_ignore_ascii_case(mode), "the journal is {is}");
        // The last one to close a database in WAL mode tidies it up, as each request does
        // that is alone.
        drop(db);
        servers.push((data::serve_api(state.path())?, state));
    }
    let desktop = format!("session_key={}&instance_id=10", session_key(0));
    let targets = |path: &'static str, form: &str| -> Vec<Target> {
        servers.iter().map(|(server, _)| target(server, path, form.to_owned())).collect()
    };
    let requests = [
        ("baseinfo", targets("/api/instance/baseinfo", &desktop)),
        ("login", targets("/api/login", LOGIN)),
    ];
    let lines = medians(effort, &requests, &bar)?;
    let heads = ["rollback journal".to_owned(), "WAL".to_owned()];
    report::growth(&heads, "WAL to rollback", &lines);
    Ok(())
}

fn target(server: &Server, path: &'static str, form: String) -> Target {
    Target { addr: server.addr(), path, form: Form::Same(form) }
}

/// The median latency of each kind of request at each of its targets, of the best round:
/// what else this machine does only adds to it.
fn medians(
    effort: Effort,
    requests: &[(&'static str, Vec<Target>)],
    bar: &ProgressBar,
) -> Result<Vec<Line>> {
    let runtime = new_runtime()?;
    let mut lines: Vec<Line> = requests
        .iter()
        .map(|(name, targets)| Line { name, medians: vec![Duration::MAX; targets.len()] })
        .collect();
    bar.set_message("one connection");
    for _ in 0..effort.rounds {
        for ((_, targets), line) in requests.iter().zip(&mut lines) {
            let mut connections = Vec::new();
            for target in targets {
                let connection = runtime.block_on(Connection::open(target.addr))?;
                connections.push((connection, target, Outcome::default()));
            }
            // Request by request in turn: all see the same moments of this machine.
            for _ in 0..effort.requests {
                for (connection, target, outcome) in &mut connections {
                    let (latency, is_done) = runtime.block_on(connection.send(target))?;
                    ensure!(is_done, "{} was refused", target.path);
                    outcome.latencies.push(latency);
                }
            }
            for ((.., outcome), median) in connections.iter().zip(&mut line.medians) {
                *median = outcome.percentile(50).min(*median);
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(lines)
}
