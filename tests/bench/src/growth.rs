//! The latency of a request on one connection as users, sessions and instances grow, and the
//! latency of the last page of a long list.

use std::time::Duration;

use anyhow::Result;
use api_tests::Server;
use api_tests::dataset::Size;

use crate::data::{INSTANCE_ID, LOGIN, State, session_key};
use crate::load::{Target, medians};
use crate::report::{self, milliseconds, ratio};
use crate::{Effort, progress};

const LIST: &str = "/api/myun/instance";

/// Measures a data set for each number of instances in `sizes`, in turn, and prints the table.
/// The caller owns 1,000 of the instances in each.
pub(crate) fn run(effort: Effort, sizes: &[u32]) -> Result<()> {
    let mut servers = Vec::new();
    let bar = progress(sizes.len());
    for &instances in sizes {
        bar.set_message(format!("creating {instances} instances"));
        bar.tick();
        let state = State::filled(Size { instances, users: instances, sessions: instances }, 1)?;
        servers.push((state.serve()?, state));
        bar.inc(1);
    }
    let session = format!("session_key={}", session_key(0));
    let desktop = format!("{session}&instance_id={INSTANCE_ID}");
    let page = format!("{session}&p=50");
    let requests = [
        ("baseinfo", "/api/instance/baseinfo", &desktop),
        ("first page", LIST, &session),
        ("page 50", LIST, &page),
        ("login", "/api/login", &LOGIN.to_owned()),
    ];
    bar.set_message("one connection");
    let kinds = requests.map(|(_, path, form)| {
        servers.iter().map(|(server, _)| Target::new(server, path, form)).collect()
    });
    let medians = medians(&kinds, effort.requests)?;
    bar.finish_and_clear();
    let rows = requests.iter().zip(&medians).map(|((name, ..), medians)| {
        let growth = ratio(medians[medians.len() - 1], medians[0]);
        row((*name).to_owned(), medians, growth)
    });
    let rows: Vec<_> = rows.collect();

    let heads: Vec<String> = sizes.iter().map(|size| format!("{size} instances")).collect();
    let mut columns = vec!["p50 at 1 connection"];
    columns.extend(heads.iter().map(String::as_str));
    columns.push("largest to smallest");
    report::table(&columns, &rows);
    Ok(())
}

/// Measures the first and the last page, of 10 items each, for users who own 1,000 to 100,000
/// instances.
pub(crate) fn last_pages(effort: Effort) -> Result<()> {
    let mut rows = Vec::new();
    for own in [1_000_u32, 10_000, 100_000] {
        let state = State::filled(Size { instances: own, users: 2, sessions: 0 }, 1)?;
        state.database()?.execute("UPDATE instances SET user_id = 1", [])?;
        let server: Server = state.serve()?;
        let session = format!("session_key={}", session_key(0));
        let pages = [1, own / 10]
            .map(|page| Target::new(&server, LIST, &format!("{session}&sepa=10&p={page}")));
        let medians = &medians(&[pages.to_vec()], effort.requests)?[0];
        let last_to_first = ratio(medians[1], medians[0]);
        rows.push(row(format!("{own} own instances"), medians, last_to_first));
    }
    report::table(&["p50 at 1 connection", "first page", "last page", "last to first"], &rows);
    Ok(())
}

fn row(name: String, medians: &[Duration], ratio: String) -> Vec<String> {
    let mut row = vec![name];
    row.extend(medians.iter().copied().map(milliseconds));
    row.push(ratio);
    row
}
