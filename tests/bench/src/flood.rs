//! A login at its default strength, and a reader beside a flood of logins with names that do
//! not exist.

use anyhow::Result;
use api_tests::Server;

use crate::data::{DEFAULTS, INSTANCE_ID, LOAD_SIZE, LOGIN, State, session_key};
use crate::load::{Group, Outcome, Summary, Target, load_round, medians, new_runtime, send_until};
use crate::report::{self, milliseconds, ratio};
use crate::{Effort, progress};

const AUTH_FAILED: &str = r#""error":"auth_failed""#;
const THROTTLED: &str = r#""error":"too_many_attempts""#;

/// Measures both, and prints a table of each.
pub(crate) fn run(effort: Effort) -> Result<()> {
    let cheap_state = State::filled(LOAD_SIZE, 1)?;
    let cheap = cheap_state.serve()?;
    // Never throttled: the limit is the largest that is allowed.
    let unlimited_state = State::filled(LOAD_SIZE, 1)?;
    let unlimited =
        unlimited_state.serve_manifest(DEFAULTS, &[("login_address_failures", "1000000")])?;
    // Throttled: the wait outlasts the measurement.
    let throttled_state = State::filled(LOAD_SIZE, 1)?;
    let throttled =
        throttled_state.serve_manifest(DEFAULTS, &[("login_first_wait_seconds", "900")])?;

    login(effort, &cheap, &unlimited)?;
    flood(effort, &unlimited, &throttled)
}

fn login(effort: Effort, cheap: &Server, default: &Server) -> Result<()> {
    let logins = [cheap, default].map(|server| Target::new(server, "/api/login", LOGIN));
    let medians = &medians(&[logins.to_vec()], effort.requests / 4)?[0];
    report::table(
        &["p50 at 1 connection", "cheapest password", "default password"],
        &[["login".to_owned()]
            .into_iter()
            .chain(medians.iter().copied().map(milliseconds))
            .collect()],
    );
    Ok(())
}

fn flood(effort: Effort, unlimited: &Server, throttled: &Server) -> Result<()> {
    let attempt = |number| format!("username=flood-{number}&password=password");
    let throttled_attempt = Target::numbered(throttled, "/api/login", attempt, THROTTLED);
    send_until(&throttled_attempt, THROTTLED, 100)?;
    let failed_attempt = Target::numbered(unlimited, "/api/login", attempt, AUTH_FAILED);
    let form = format!("session_key={}&instance_id={INSTANCE_ID}", session_key(0));
    let read = |server| Target::new(server, "/api/instance/baseinfo", &form);
    let baseinfo = read(unlimited);
    let variants = [
        ("none", unlimited, &baseinfo, 0),
        ("8 connections, baseinfo", unlimited, &baseinfo, 8),
        ("8 connections, login, not throttled yet", unlimited, &failed_attempt, 8),
        ("16 connections, login, not throttled yet", unlimited, &failed_attempt, 16),
        ("8 connections, login, throttled", throttled, &throttled_attempt, 8),
    ];

    let bar = progress((effort.rounds + 1) * variants.len());
    let runtime = new_runtime()?;
    let mut outcomes = vec![(Vec::<Outcome>::new(), Vec::<Outcome>::new()); variants.len()];
    for round in 0..=effort.rounds {
        for (at, (name, server, attempt, connections)) in variants.into_iter().enumerate() {
            bar.set_message(name);
            let reader = [read(server)];
            let mut groups = vec![Group { targets: &reader, connections: 1 }];
            if connections > 0 {
                groups.push(Group { targets: std::slice::from_ref(attempt), connections });
            }
            load_round(&runtime, round, effort.mixed_time, &groups, &mut outcomes[at])?;
            bar.inc(1);
        }
    }
    bar.finish_and_clear();

    let alone = Summary::new(&outcomes[0].0);
    let rows = variants.iter().zip(&outcomes).map(|((name, ..), (reads, attempts))| {
        let reader = Summary::new(reads);
        let (rate, errors) = if attempts.is_empty() {
            (String::new(), 0)
        } else {
            let attempts = Summary::new(attempts);
            (format!("{:.0}", attempts.per_second), attempts.errors)
        };
        vec![
            (*name).to_owned(),
            rate,
            milliseconds(reader.p50),
            milliseconds(reader.p99),
            ratio(reader.p50, alone.p50),
            ratio(reader.p99, alone.p99),
            (reader.errors + errors).to_string(),
        ]
    });
    report::table(
        &[
            "background load",
            "its requests/s",
            "reader's p50",
            "reader's p99",
            "p50 relative to no load",
            "p99 relative to no load",
            "errors",
        ],
        &rows.collect::<Vec<_>>(),
    );
    Ok(())
}
