//! Compares this checkout with another one in alternating rounds: whether a change made the API
//! faster.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use api_tests::Server;

use crate::data::{DEFAULTS, INSTANCE_ID, LOAD_SIZE, LOGIN, State};
use crate::load::{Group, Summary, Target, load, medians, new_runtime};
use crate::report::{self, milliseconds, ratio};
use crate::{Effort, progress};

const CONNECTIONS: usize = 16;

/// Measures the release in the folder `checkout` and this one, each with its own schema, and
/// prints the table.
pub(crate) fn run(effort: Effort, checkout: &Path) -> Result<()> {
    let checkout = checkout.canonicalize().with_context(|| checkout.display().to_string())?;
    let manifest = checkout.join("spin.toml");
    let manifest = manifest.to_str().context("the path of the other checkout is not UTF-8")?;
    let states = [
        State::filled_for(&checkout, LOAD_SIZE)?,
        State::filled_for(&api_tests::server::root(), LOAD_SIZE)?,
    ];
    let servers =
        [states[0].serve_manifest(manifest, &[])?, states[1].serve_manifest(DEFAULTS, &[])?];
    let keys = [log_in(&servers[0])?, log_in(&servers[1])?];
    let targets = |path, rest: &str| {
        [0, 1].map(|at| {
            let form = format!("session_key={}{rest}", keys[at]);
            Target::new(&servers[at], path, &form)
        })
    };

    let desktop = format!("&instance_id={INSTANCE_ID}");
    let loads = [
        ("baseinfo", targets("/api/instance/baseinfo", &desktop)),
        ("list of 10", targets("/api/myun/instance", "")),
    ];
    let bar = progress(loads.len() * effort.rounds * 2);
    let runtime = new_runtime()?;
    let mut rows = Vec::new();
    for (name, targets) in &loads {
        bar.set_message(*name);
        let mut rounds = [Vec::new(), Vec::new()];
        for round in 0..=effort.rounds {
            for (target, outcomes) in targets.iter().zip(&mut rounds) {
                let group =
                    Group { targets: std::slice::from_ref(target), connections: CONNECTIONS };
                let time = if round == 0 { effort.time / 4 } else { effort.time };
                let measured = runtime.block_on(load(&[group], time))?;
                if round > 0 {
                    outcomes.extend(measured);
                    bar.inc(1);
                }
            }
        }
        let [other, ours] = rounds.map(|outcomes| Summary::new(&outcomes));
        ensure!(other.errors + ours.errors == 0, "{name}: errors");
        rows.push(vec![
            format!("{name}, requests/s at {CONNECTIONS} connections"),
            format!("{:.0}", other.per_second),
            format!("{:.0}", ours.per_second),
            format!("{:.2}", ours.per_second / other.per_second),
        ]);
    }
    bar.finish_and_clear();
    let logins = [&servers[0], &servers[1]].map(|server| Target::new(server, "/api/login", LOGIN));
    let medians = &medians(&[logins.to_vec()], effort.requests / 20)?[0];
    rows.push(vec![
        "login at the default strength, p50 at 1 connection".to_owned(),
        milliseconds(medians[0]),
        milliseconds(medians[1]),
        ratio(medians[1], medians[0]),
    ]);
    report::table(&["", "the other checkout", "this checkout", "ratio"], &rows);
    Ok(())
}

/// Logs in as the user `bench`; returns the session key.
fn log_in(server: &Server) -> Result<String> {
    let form = [("username", "bench"), ("password", "password")];
    let reply = server.connect().post("/api/login", &form).json();
    let key = reply["session_key"].as_str().with_context(|| format!("log in: {reply}"))?;
    Ok(key.to_owned())
}
