//! Readers beside logins, in WAL mode and with SQLite's rollback journal, in either store.

use anyhow::Result;

use crate::data::{INSTANCE_ID, LOAD_SIZE, LOGIN, State, session_key};
use crate::load::{Group, Summary, Target, load_round, new_runtime};
use crate::report::{self, milliseconds, ratio};
use crate::{Effort, progress};

/// A load: its label, the number of reader connections and that of login connections.
type Load = (&'static str, usize, usize);

const LOADS: [Load; 3] =
    [("1 reader alone", 1, 0), ("32 readers alone", 32, 0), ("32 readers beside 8 logins", 32, 8)];

/// Measures the journal modes and prints the table.
pub(crate) fn run(effort: Effort) -> Result<()> {
    let mut journals = Vec::new();
    for (name, database, key_value) in [
        ("WAL", "WAL", "WAL"),
        ("rollback in the key-value store", "WAL", "DELETE"),
        ("rollback in the database", "DELETE", "WAL"),
    ] {
        let state = State::filled(LOAD_SIZE, 1)?;
        state.set_journals(database, key_value)?;
        let server = state.serve()?;
        let session = format!("session_key={}", session_key(0));
        let desktop = format!("{session}&instance_id={INSTANCE_ID}");
        let reads = [
            Target::new(&server, "/api/instance/baseinfo", &desktop),
            Target::new(&server, "/api/myun/instance", &session),
        ];
        let login = [Target::new(&server, "/api/login", LOGIN)];
        let outcomes = vec![(Vec::new(), Vec::new()); LOADS.len()];
        journals.push((name, reads, login, outcomes, (server, state)));
    }

    let bar = progress((effort.rounds + 1) * journals.len() * LOADS.len());
    let runtime = new_runtime()?;
    for round in 0..=effort.rounds {
        for (at, (load_name, readers, logins)) in LOADS.into_iter().enumerate() {
            for (journal, reads, login, outcomes, _) in &mut journals {
                bar.set_message(format!("{journal}: {load_name}"));
                let mut groups = vec![Group { targets: &*reads, connections: readers }];
                if logins > 0 {
                    groups.push(Group { targets: &*login, connections: logins });
                }
                load_round(&runtime, round, effort.mixed_time, &groups, &mut outcomes[at])?;
                bar.inc(1);
            }
        }
    }
    bar.finish_and_clear();

    let mut rows = Vec::new();
    for (journal, .., outcomes, _) in &journals {
        let mut alone: Option<Summary> = None;
        for ((name, readers, _), (reads, logins)) in LOADS.into_iter().zip(outcomes) {
            let summary = Summary::new(reads);
            // Relative to the same readers alone.
            let ratios = match &alone {
                Some(alone) if readers > 1 => format!(
                    "{:.2}, {}",
                    summary.per_second / alone.per_second,
                    ratio(summary.p99, alone.p99)
                ),
                _ => String::new(),
            };
            rows.push(row(journal, name, &summary, ratios));
            if readers > 1 {
                alone = Some(summary);
            }
            if !logins.is_empty() {
                rows.push(row(journal, "the 8 logins", &Summary::new(logins), String::new()));
            }
        }
    }
    report::table(
        &[
            "journal",
            "load",
            "requests/s",
            "p50",
            "p99",
            "max",
            "errors",
            "relative to the readers alone: requests/s, p99",
        ],
        &rows,
    );
    Ok(())
}

fn row(journal: &str, load: &str, of: &Summary, ratios: String) -> Vec<String> {
    vec![
        journal.to_owned(),
        load.to_owned(),
        format!("{:.0}", of.per_second),
        milliseconds(of.p50),
        milliseconds(of.p99),
        milliseconds(of.max),
        of.errors.to_string(),
        ratios,
    ]
}
