//! Each endpoint under load, against baseline components.

use anyhow::{Context, Result};
use api_tests::Server;

use crate::data::{INSTANCE_ID, LOAD_SIZE, LOGIN, State, session_key};
use crate::load::{Group, Outcome, SUCCESS, Summary, Target, load, new_runtime};
use crate::report::{self, milliseconds, ratio};
use crate::{Effort, progress};

const CONNECTIONS: [usize; 3] = [1, 16, 64];

/// Sessions for the logout load: more than one run uses.
const KEYS: usize = 60_000;

/// Measures every endpoint and prints the table.
pub(crate) fn run(effort: Effort) -> Result<()> {
    let state = State::filled(LOAD_SIZE, KEYS).context("make the data set")?;
    let bare = State::bare()?;
    let (api, components) =
        (state.serve()?, bare.serve_manifest("tests/components/spin.toml", &[])?);
    let endpoints = endpoints(&api, &components);

    let steps: usize = endpoints.iter().map(|(_, variants)| variants.len()).sum();
    let bar = progress(steps * CONNECTIONS.len() * effort.rounds);
    let runtime = new_runtime()?;
    let mut rows = Vec::new();
    for (endpoint, variants) in &endpoints {
        for connections in CONNECTIONS {
            bar.set_message(format!("{endpoint}, {connections} connections"));
            let mut rounds = vec![Vec::new(); variants.len()];
            // Round 0 is the warm-up. The variants alternate, so that background load on this
            // machine affects all of them.
            for round in 0..=effort.rounds {
                for (at, (_, target)) in variants.iter().enumerate() {
                    let group = Group { targets: std::slice::from_ref(target), connections };
                    let time = if round == 0 { effort.time / 4 } else { effort.time };
                    let outcomes = runtime.block_on(load(&[group], time))?;
                    if round > 0 {
                        rounds[at].extend(outcomes);
                        bar.inc(1);
                    }
                }
            }
            rows.extend(compare(endpoint, connections, variants, &rounds));
        }
    }
    bar.finish_and_clear();
    report::table(
        &[
            "endpoint",
            "connections",
            "",
            "requests/s",
            "p50",
            "p99",
            "errors",
            "luoyun-api relative to it: requests/s, p50",
        ],
        &rows,
    );
    Ok(())
}

/// A label, and the target to load.
type Variant = (&'static str, Target);

/// The endpoints, each with its variants: luoyun-api first.
fn endpoints(api: &Server, components: &Server) -> [(&'static str, Vec<Variant>); 4] {
    let session = format!("session_key={}", session_key(0));
    let desktop = format!("{session}&instance_id={INSTANCE_ID}");
    let ours = |path, form: &str| ("luoyun-api", Target::new(api, path, form));
    let empty = |form: &str| ("(a) empty", Target::new(components, "/empty", form));
    let bare = |path, form: &str| ("(b) bare", Target::new(components, path, form));
    let next_key = |number| format!("session_key={}", session_key(number));
    let logout = Target::numbered(api, "/api/logout", next_key, SUCCESS);
    [
        (
            "baseinfo",
            vec![
                ours("/api/instance/baseinfo", &desktop),
                empty(&desktop),
                bare("/bare/baseinfo", &desktop),
            ],
        ),
        (
            "list of 10",
            vec![
                ours("/api/myun/instance", &session),
                empty(&session),
                bare("/bare/list", &session),
            ],
        ),
        (
            "login, cheapest password",
            vec![ours("/api/login", LOGIN), empty(LOGIN), bare("/bare/login", LOGIN)],
        ),
        ("logout", vec![("luoyun-api", logout), empty(&session)]),
    ]
}

/// The rows of one endpoint: luoyun-api, and each baseline with the ratios of luoyun-api to it.
fn compare(
    endpoint: &str,
    connections: usize,
    variants: &[Variant],
    rounds: &[Vec<Outcome>],
) -> Vec<Vec<String>> {
    let ours = Summary::new(&rounds[0]);
    let rows = variants.iter().zip(rounds).enumerate().map(|(at, ((name, _), rounds))| {
        let it = Summary::new(rounds);
        let ratios = match at {
            0 => String::new(),
            _ => {
                format!("{:.2}, {}", ours.per_second / it.per_second, ratio(ours.p50, it.p50))
            }
        };
        vec![
            endpoint.to_owned(),
            connections.to_string(),
            (*name).to_owned(),
            format!("{:.0}", it.per_second),
            milliseconds(it.p50),
            milliseconds(it.p99),
            it.errors.to_string(),
            ratios,
        ]
    });
    rows.collect()
}
