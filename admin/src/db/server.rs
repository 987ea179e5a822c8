//! A libSQL server, through its HTTP API (Hrana 2: libsql's `docs/HTTP_V2_SPEC.md`).
//!
//! Each request contains statements and closes its stream, except in a transaction: there, the
//! next request continues the stream, with the `baton` of the last reply.

use std::env;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::{Cells, failure};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Timeout of a whole request: a large import over a slow network takes a while.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(5);

/// Largest accepted reply, in bytes. sqld limits its own to 10 MB.
const MAX_REPLY: u64 = 64 << 20;

/// A libSQL server.
pub(crate) struct Server {
    agent: Agent,
    url: String,
    token: Option<String>,
    in_transaction: bool,
    baton: Option<String>,
    /// The URL for the next request of the stream.
    stream_url: Option<String>,
}

#[derive(Deserialize)]
struct Reply {
    baton: Option<String>,
    base_url: Option<String>,
    results: Vec<Outcome>,
}

#[derive(Deserialize)]
struct Outcome {
    response: Option<Response>,
    error: Option<Failure>,
}

#[derive(Deserialize)]
struct Response {
    result: Option<Executed>,
}

/// The result of an `execute` or a `batch`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Executed {
    rows: Vec<Vec<Cell>>,
    step_errors: Vec<Option<Failure>>,
}

#[derive(Deserialize)]
struct Failure {
    message: String,
    code: Option<String>,
}

#[derive(Deserialize)]
#[serde(tag = "type", content = "value", rename_all = "lowercase")]
enum Cell {
    Null,
    Integer(String),
    Text(String),
}

impl Server {
    /// The server at `url`.
    pub(super) fn new(url: &str) -> Self {
        let roots = rustls_native_certs::load_native_certs().certs;
        let roots = roots.iter().map(|root| Certificate::from_der(root).to_owned());
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(roots.collect())))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(REQUEST_TIMEOUT))
            .http_status_as_error(false)
            // A redirect could send the token to another server.
            .max_redirects(0)
            .build();
        Self {
            agent: agent.into(),
            url: url.to_owned(),
            token: env::var("LIBSQL_TOKEN").ok().filter(|token| !token.is_empty()),
            in_transaction: false,
            baton: None,
            stream_url: None,
        }
    }

    /// As [`super::Database::query`].
    pub(super) fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Cells>> {
        match sql {
            "BEGIN IMMEDIATE" => self.in_transaction = true,
            "COMMIT" | "ROLLBACK" => self.in_transaction = false,
            _ => {}
        }
        let statement = json!({"type": "execute", "stmt": statement(sql, values)});
        let rows = self.send(vec![statement])?.swap_remove(0).rows;
        rows.into_iter().map(|row| row.into_iter().map(cell).collect()).collect()
    }

    /// Runs `statements` in one request without foreign keys, each only if the previous one
    /// succeeded.
    /// Fails with the first error.
    pub(super) fn batch(&mut self, statements: Vec<(String, Vec<Value>)>) -> Result<()> {
        let steps = statements.into_iter().enumerate().map(|(at, (sql, values))| {
            let condition = at.checked_sub(1).map(|last| json!({"type": "ok", "step": last}));
            json!({"condition": condition, "stmt": statement(&sql, &values)})
        });
        let steps: Vec<_> = steps.collect();
        let mut results = self.send(vec![
            json!({"type": "execute", "stmt": statement("PRAGMA foreign_keys = OFF", &[])}),
            json!({"type": "batch", "batch": {"steps": steps}}),
        ])?;
        let errors = results.swap_remove(1).step_errors;
        errors.into_iter().flatten().next().map_or(Ok(()), |error| Err(self.failure(&error)))
    }

    /// Sends `requests`; outside of a transaction, closes their stream.
    fn send(&mut self, mut requests: Vec<Value>) -> Result<Vec<Executed>> {
        if !self.in_transaction {
            requests.push(json!({"type": "close"}));
        }
        let count = requests.len();
        let body = json!({"baton": self.baton.take(), "requests": requests});
        let body = serde_json::to_vec(&body)?;
        let url = self.stream_url.take().unwrap_or_else(|| self.url.clone());
        let request = self.agent.post(format!("{url}/v2/pipeline"));
        let mut request = request.header("Content-Type", "application/json");
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let mut reply = request.send(&body).map_err(|error| self.no_server(&error.to_string()))?;
        let status = reply.status().as_u16();
        let text = reply.body_mut().with_config().limit(MAX_REPLY).read_to_vec();
        let text = text.map_err(|error| self.no_server(&error.to_string()))?;
        match (status, &self.token) {
            (200, _) => {}
            (401 | 403, Some(_)) => bail!(
                "{} refuses the token in LIBSQL_TOKEN: it may be expired, read-only, or for \
                 another database.",
                self.url
            ),
            (401 | 403, None) => bail!("{} requires a token: set it in LIBSQL_TOKEN.", self.url),
            _ => return Err(self.no_server(&format!("HTTP status {status}"))),
        }
        let reply: Reply =
            serde_json::from_slice(&text).map_err(|error| self.no_server(&error.to_string()))?;
        if self.in_transaction {
            self.baton = reply.baton;
            self.stream_url = Some(reply.base_url.unwrap_or(url));
        }
        if reply.results.len() != count {
            return Err(self.no_server("incomplete reply"));
        }
        let results = reply.results.into_iter().map(|outcome| match outcome.error {
            Some(error) => Err(self.failure(&error)),
            None => Ok(outcome.response.and_then(|response| response.result).unwrap_or_default()),
        });
        results.collect()
    }

    fn failure(&self, error: &Failure) -> anyhow::Error {
        failure(&self.url, error.code.as_deref().unwrap_or_default(), &error.message)
    }

    fn no_server(&self, cause: &str) -> anyhow::Error {
        anyhow!(
            "No libSQL server answers at {}: is the URL right, and is the server running? \
             SSL_CERT_FILE names other certificates to trust. ({cause})",
            self.url
        )
    }
}

fn statement(sql: &str, values: &[Value]) -> Value {
    let values = values.iter().map(|value| match value {
        Value::Null => json!({"type": "null"}),
        Value::String(text) => json!({"type": "text", "value": text}),
        Value::Bool(flag) => json!({"type": "integer", "value": u8::from(*flag).to_string()}),
        number => json!({"type": "integer", "value": number.to_string()}),
    });
    json!({"sql": sql, "args": values.collect::<Vec<_>>()})
}

fn cell(cell: Cell) -> Result<Value> {
    Ok(match cell {
        Cell::Null => Value::Null,
        Cell::Integer(number) => number.parse::<i64>().context("invalid integer")?.into(),
        Cell::Text(text) => text.into(),
    })
}
