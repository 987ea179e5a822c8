//! A libSQL server, through its HTTP API (Hrana 2: libsql's `docs/HTTP_V2_SPEC.md`).
//!
//! Each request contains statements and closes its stream.

use std::env;
use std::io::{self, BufWriter, Seek, Write};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, AsSendBody, Proxy};

use super::{Run, failure};
use crate::output::visible;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Timeout of the request of a statement.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Timeout of the request of an import: a large one over a slow network takes a while.
const BATCH_TIMEOUT: Duration = Duration::from_mins(5);

/// Largest accepted reply, in bytes. sqld limits its own to 10 MB.
const MAX_REPLY: u64 = 64 << 20;

/// A libSQL server.
pub(crate) struct Server {
    agent: Agent,
    pub(crate) url: String,
    /// The header field with the token.
    bearer: Option<String>,
}

impl Server {
    /// The server at `url`, with or without a slash at its end.
    /// Fails if `LIBSQL_TOKEN` is no token.
    pub(super) fn new(url: &str) -> Result<Self> {
        // A file that a variable was read from ends with a line end.
        let token = env::var_os("LIBSQL_TOKEN").unwrap_or_default();
        let token = token.to_string_lossy().trim().to_owned();
        let is_token = token.bytes().all(|byte| byte.is_ascii_graphic());
        ensure!(is_token, "LIBSQL_TOKEN is not one word of ASCII characters, as a token is.");
        let roots = rustls_native_certs::load_native_certs().certs;
        let roots = roots.iter().map(|root| Certificate::from_der(root).to_owned());
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(roots.collect())))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .http_status_as_error(false)
            // A redirect could send the token to another server.
            .max_redirects(0)
            // A proxy would see the token if there is no TLS.
            .proxy(url.starts_with("https://").then(Proxy::try_from_env).flatten())
            .build();
        let bearer = (!token.is_empty()).then(|| format!("Bearer {token}"));
        Ok(Self { agent: agent.into(), url: url.trim_end_matches('/').to_owned(), bearer })
    }

    /// The rows of a statement; see [`super::Database::query`].
    pub(super) fn query(&self, sql: &str, values: &[Value]) -> Result<Value> {
        let execute = json!({"type": "execute", "stmt": statement(sql, values)});
        let body = json!({"requests": [execute, {"type": "close"}]}).to_string();
        let mut result = self.post(body.as_str(), TIMEOUT)?;
        let rows = result.get_mut("rows").and_then(Value::as_array_mut).into_iter().flatten();
        let cells = rows.map(|row| row.as_array_mut().into_iter().flatten().map(cell));
        Ok(cells.map(Iterator::collect::<Value>).collect())
    }

    /// As [`super::Database::batch`]. The request is written to a temporary file first, as it may
    /// not fit into memory. Each statement runs only if the previous one succeeded.
    pub(super) fn batch(&self, work: impl FnOnce(&mut Run) -> Result<()>) -> Result<()> {
        let mut body =
            BufWriter::new(tempfile::tempfile().context("cannot create a temporary file")?);
        let first = json!({"stmt": statement("PRAGMA foreign_keys = OFF", &[])});
        write!(body, r#"{{"requests":[{{"type":"batch","batch":{{"steps":[{first}"#)?;
        let mut last = 0;
        let mut add = |sql: &str, values: &[Value]| {
            let condition = json!({"type": "ok", "step": last});
            last += 1;
            body.write_all(b",")?;
            let step = json!({"condition": condition, "stmt": statement(sql, values)});
            serde_json::to_writer(&mut body, &step)
                .with_context(|| format!("cannot write to {}", env::temp_dir().display()))
        };
        add("BEGIN IMMEDIATE", &[])?;
        work(&mut add)?;
        add("COMMIT", &[])?;
        body.write_all(br#"]}},{"type":"close"}]}"#)?;
        let mut body = body.into_inner()?;
        body.rewind()?;
        let result = self.post(&body, BATCH_TIMEOUT)?;
        let mut errors = result["step_errors"].as_array().into_iter().flatten();
        let error = errors.find(|error| !error.is_null());
        error.map_or(Ok(()), |error| Err(self.failure(error)))
    }

    /// Sends requests; returns the result of the first one.
    fn post(&self, body: impl AsSendBody, timeout: Duration) -> Result<Value> {
        let request = self.agent.post(format!("{}/v2/pipeline", self.url)).config();
        let request = request.timeout_global(Some(timeout)).build();
        let request = request.header("Content-Type", "application/json");
        let request =
            self.bearer.iter().fold(request, |it, bearer| it.header("Authorization", bearer));
        let mut reply = request.send(body).map_err(|error| self.no_server(error))?;
        let status = reply.status().as_u16();
        let text = reply.body_mut().with_config().limit(MAX_REPLY).read_to_vec();
        let text = text.map_err(|error| self.no_server(error))?;
        let error = ureq::Error::StatusCode(status);
        match (status, &self.bearer) {
            (200, _) => {}
            (401 | 403, Some(_)) => {
                let causes = "it may be expired, read-only, or for another database";
                bail!("{} refuses the token in LIBSQL_TOKEN: {causes}.", self.url)
            }
            (401 | 403, None) => bail!("{} requires a token: set it in LIBSQL_TOKEN.", self.url),
            (300..=399 | 404, _) => return Err(self.no_server(error)),
            _ => {
                let text: String = String::from_utf8_lossy(&text).chars().take(200).collect();
                return Err(error).context(format!("{} answers \"{}\"", self.url, visible(&text)));
            }
        }
        let mut reply: Value = serde_json::from_slice(&text)
            .map_err(|error| self.no_server(io::Error::from(error)))?;
        let mut outcomes = reply["results"].as_array().into_iter().flatten();
        if let Some(error) = outcomes.find_map(|outcome| outcome.get("error")) {
            return Err(self.failure(error));
        }
        let result = reply.pointer_mut("/results/0/response/result");
        let missing = || self.no_server(io::Error::other("incomplete reply"));
        result.map(Value::take).ok_or_else(missing)
    }

    fn failure(&self, error: &Value) -> anyhow::Error {
        let text = |name| error[name].as_str().unwrap_or_default();
        failure(&self.url, text("code"), text("message"))
    }

    fn no_server(&self, cause: impl Into<ureq::Error>) -> anyhow::Error {
        let advice = "is the URL right, and is the server running?";
        anyhow::Error::new(cause.into()).context(format!(
            "No libSQL server answers at {}: {advice} (SSL_CERT_FILE names certificates to trust)",
            self.url
        ))
    }
}

/// Whether `error` is that of a request without a valid reply: the server may have carried it out.
pub(crate) fn is_without_reply(error: &anyhow::Error) -> bool {
    error.is::<ureq::Error>()
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

/// Takes the value of a cell, whose integers are strings.
fn cell(cell: &mut Value) -> Value {
    let integer = cell["value"].as_str().filter(|_| cell["type"] == "integer");
    let integer = integer.and_then(|integer| integer.parse::<i64>().ok());
    integer.map_or_else(|| cell.get_mut("value").map_or(Value::Null, Value::take), Value::from)
}
