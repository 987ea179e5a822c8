//! Load generation: repeated requests from one connection or from many concurrent ones.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use api_tests::Server;
use tokio::runtime::{self, Runtime};
use tokio::task::JoinSet;

use crate::client::{self, Connection};

/// Part of the reply to a successful request.
pub(crate) const SUCCESS: &str = r#""code":0"#;

/// A request to repeat.
#[derive(Clone)]
pub(crate) struct Target {
    addr: SocketAddr,
    path: &'static str,
    form: Form,
    /// Part of the expected reply; a reply without it counts as an error.
    expected: &'static str,
}

#[derive(Clone)]
enum Form {
    /// The same request each time.
    Same(Vec<u8>),
    /// A form made from the next number, so that each request differs.
    Numbered(Arc<AtomicUsize>, fn(usize) -> String),
}

impl Target {
    /// Sends `form` each time, and expects success.
    pub(crate) fn new(server: &Server, path: &'static str, form: &str) -> Self {
        let addr = server.addr();
        let form = Form::Same(client::post(addr, path, form));
        Self { addr, path, form, expected: SUCCESS }
    }

    /// Sends `form(1)`, `form(2)` and so on, and expects replies that contain `expected`.
    pub(crate) fn numbered(
        server: &Server,
        path: &'static str,
        form: fn(usize) -> String,
        expected: &'static str,
    ) -> Self {
        let form = Form::Numbered(Arc::new(AtomicUsize::new(1)), form);
        Self { addr: server.addr(), path, form, expected }
    }

    fn request(&self) -> Cow<'_, [u8]> {
        match &self.form {
            Form::Same(request) => Cow::Borrowed(request),
            Form::Numbered(next, form) => {
                let form = form(next.fetch_add(1, Ordering::Relaxed));
                Cow::Owned(client::post(self.addr, self.path, &form))
            }
        }
    }

    /// Sends one request; returns the latency of the complete reply, and whether it was the
    /// expected one.
    async fn send(&self, connection: &mut Connection) -> Result<(Duration, bool)> {
        let request = self.request();
        let start = Instant::now();
        let reply = connection.send(&request).await.with_context(|| self.path)?;
        let latency = start.elapsed();
        Ok((latency, contains(reply, self.expected)))
    }
}

fn contains(reply: &[u8], expected: &str) -> bool {
    reply.windows(expected.len()).any(|part| part == expected.as_bytes())
}

/// The result of a load.
#[derive(Clone, Default)]
pub(crate) struct Outcome {
    latencies: Vec<Duration>,
    pub(crate) errors: usize,
    time: Duration,
}

impl Outcome {
    /// Adds the result of another connection or round.
    fn add(&mut self, other: &Outcome) {
        self.latencies.extend(&other.latencies);
        self.errors += other.errors;
    }

    /// The throughput: requests per second with the expected reply.
    #[allow(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub(crate) fn per_second(&self) -> f64 {
        (self.latencies.len() - self.errors) as f64 / self.time.as_secs_f64()
    }

    /// The latency at the percentile `percent`.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.latencies.clone();
        sorted.sort();
        sorted.get(sorted.len() * percent / 100).copied().unwrap_or_default()
    }

    pub(crate) fn max(&self) -> Duration {
        self.latencies.iter().max().copied().unwrap_or_default()
    }
}

/// The result of several rounds of a load: the median throughput of the rounds, and the latency
/// percentiles over all requests.
pub(crate) struct Summary {
    pub(crate) per_second: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    pub(crate) max: Duration,
    pub(crate) errors: usize,
}

impl Summary {
    pub(crate) fn new(rounds: &[Outcome]) -> Self {
        let mut rates: Vec<f64> = rounds.iter().map(Outcome::per_second).collect();
        rates.sort_by(f64::total_cmp);
        let mut all = Outcome::default();
        for round in rounds {
            all.add(round);
        }
        Self {
            per_second: rates[rates.len() / 2],
            p50: all.percentile(50),
            p99: all.percentile(99),
            max: all.max(),
            errors: all.errors,
        }
    }
}

/// Concurrent connections to one server: each sends the requests of all `targets` in turn.
pub(crate) struct Group<'a> {
    pub(crate) targets: &'a [Target],
    pub(crate) connections: usize,
}

pub(crate) fn new_runtime() -> Result<Runtime> {
    Ok(runtime::Builder::new_current_thread().enable_all().build()?)
}

/// Runs all `groups` concurrently for `time`; returns the result of each.
pub(crate) async fn load(groups: &[Group<'_>], time: Duration) -> Result<Vec<Outcome>> {
    let mut opened = Vec::new();
    for (at, group) in groups.iter().enumerate() {
        for number in 0..group.connections {
            let mut targets = group.targets.to_vec();
            targets.rotate_left(number % group.targets.len());
            opened.push((at, Connection::open(targets[0].addr).await?, targets));
        }
    }
    let mut clients = JoinSet::new();
    let start = Instant::now();
    for (at, mut connection, targets) in opened {
        clients.spawn(async move {
            let mut outcome = Outcome::default();
            for target in targets.iter().cycle() {
                let (latency, is_expected) = target.send(&mut connection).await?;
                outcome.latencies.push(latency);
                outcome.errors += usize::from(!is_expected);
                outcome.time = start.elapsed();
                if outcome.time >= time {
                    break;
                }
            }
            anyhow::Ok((at, outcome))
        });
    }
    let mut outcomes = vec![Outcome::default(); groups.len()];
    while let Some(client) = clients.join_next().await {
        let (at, outcome) = client??;
        outcomes[at].add(&outcome);
        outcomes[at].time = outcomes[at].time.max(outcome.time);
    }
    Ok(outcomes)
}

/// Runs up to two groups concurrently for `time`, and adds their results to `outcomes`. Round 0 is
/// the warm-up: it lasts an eighth of `time`, and its results are dropped.
pub(crate) fn load_round(
    runtime: &Runtime,
    round: usize,
    time: Duration,
    groups: &[Group<'_>],
    outcomes: &mut (Vec<Outcome>, Vec<Outcome>),
) -> Result<()> {
    let time = if round == 0 { time / 8 } else { time };
    let mut measured = runtime.block_on(load(groups, time))?.into_iter();
    if round > 0 {
        outcomes.0.extend(measured.next());
        outcomes.1.extend(measured.next());
    }
    Ok(())
}

/// Sends `requests` requests to each target of each of `kinds`, one at a time; returns the median
/// latency of each target. The targets of a kind alternate request by request, and the kinds
/// alternate in blocks, so that background load on this machine affects all of them.
///
/// # Errors
/// If a reply is not the expected one.
pub(crate) fn medians(kinds: &[Vec<Target>], requests: usize) -> Result<Vec<Vec<Duration>>> {
    const BLOCKS: usize = 10;
    let runtime = new_runtime()?;
    let mut measured = Vec::new();
    for targets in kinds {
        let mut connections = Vec::new();
        for target in targets {
            let connection = runtime.block_on(Connection::open(target.addr))?;
            connections.push((target, connection, Outcome::default()));
        }
        measured.push(connections);
    }
    // Block 0 is the warm-up.
    for block in 0..=BLOCKS {
        for connections in &mut measured {
            for _ in 0..requests.div_ceil(BLOCKS) {
                for (target, connection, outcome) in &mut *connections {
                    let (latency, is_expected) = runtime.block_on(target.send(connection))?;
                    ensure!(is_expected, "{}: the reply lacks {}", target.path, target.expected);
                    if block > 0 {
                        outcome.latencies.push(latency);
                    }
                }
            }
        }
    }
    let median = |connections: &Vec<(_, _, Outcome)>| {
        connections.iter().map(|(.., outcome)| outcome.percentile(50)).collect()
    };
    Ok(measured.iter().map(median).collect())
}

/// Sends requests to `target`, one at a time, until a reply contains `expected`.
///
/// # Errors
/// If no reply to the first `limit` requests does.
pub(crate) fn send_until(target: &Target, expected: &str, limit: usize) -> Result<()> {
    let runtime = new_runtime()?;
    let mut connection = runtime.block_on(Connection::open(target.addr))?;
    for _ in 0..limit {
        let request = target.request();
        if contains(runtime.block_on(connection.send(&request))?, expected) {
            return Ok(());
        }
    }
    anyhow::bail!("{}: none of {limit} replies contains {expected}", target.path)
}
