//! The source of an import: the PostgreSQL database of a LuoYunCloud.
//!
//! The connection is psql's: its library, libpq, knows URLs, variables, password and service files,
//! and TLS (PostgreSQL, "libpq"). This adds defaults, and keeps the password out of psql's arguments,
//! which every user of the machine can read.

use std::borrow::Cow;
use std::env;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::iter::zip;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow, bail};
use indicatif::{ProgressBar, ProgressStyle};
use percent_encoding::percent_decode_str;
use rusqlite::{Connection, OptionalExtension, Statement};

use crate::db::is_this_machine;
use crate::import::{Import, NAMES, SOURCES};
use crate::output::visible;

/// A database of a LuoYunCloud.
pub(crate) struct Source<'a> {
    url_without_password: String,
    pub(crate) password: Option<String>,
    /// Whether all hosts that it or the environment names are this machine. No host is a Unix
    /// socket, which needs no TLS anyway.
    is_here: bool,
    options: &'a Import,
}

/// Parses the URL in `options`. `None` if it is malformed, or if what may be a misplaced password
/// would get into psql's arguments.
pub(crate) fn parse(options: &Import) -> Option<Source<'_>> {
    let decode = |text| Some(percent_decode_str(text).decode_utf8().ok()?.into_owned());
    let (scheme, rest) = options.url.trim().split_once("://")?;
    // In libpq, the first `@` ends the password, unless a `/` precedes it.
    let credentials = rest.split_once('@').filter(|(before, _)| !before.contains('/'));
    let (credentials, rest) = credentials.unwrap_or(("", rest));
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    let mut password = decode(password)?;
    let (location, query) = rest.split_once('?').unwrap_or((rest, ""));
    (matches!(scheme, "postgres" | "postgresql") && !location.contains('@')).then_some(())?;
    let (mut hosts, mut shown) = (Vec::new(), Vec::new());
    for host in location.split('/').next()?.split(',') {
        // An IPv6 address has colons, within brackets.
        let end = host.rfind(']').map_or(0, |at| at + 1);
        let port = host[end..].find(':').map_or(host.len(), |at| end + at);
        host[port..].bytes().skip(1).all(|byte| byte.is_ascii_digit()).then_some(())?;
        hosts.push(decode(&host[..port])?);
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=')?;
        match &*decode(name)? {
            "sslpassword" | "oauth_client_secret" => return None,
            "password" => password = decode(value)?,
            name => {
                // A service may name any host, whatever it is called.
                if matches!(name, "host" | "hostaddr" | "service") {
                    hosts.push(decode(if name == "service" { pair } else { value })?);
                }
                shown.push(pair);
            }
        }
    }
    hosts.extend(env::var("PGHOSTADDR"));
    hosts.extend(env::var("PGSERVICE").map(|name| format!("service={name}")));
    if hosts.iter().all(String::is_empty) {
        hosts.extend(env::var("PGHOST"));
    }
    let hosts = hosts.join(",");
    let mut hosts = hosts.split(',').filter(|host| !host.is_empty()).peekable();
    Some(Source {
        url_without_password: format!("{scheme}://{user}@{location}?{}", shown.join("&")),
        password: Some(password).filter(|password| !password.is_empty()),
        is_here: hosts.peek().is_some() && hosts.all(is_this_machine),
        options,
    })
}

/// Copies the source's tables into temporary tables of `to`, all in the same state. Shows
/// their number meanwhile, if standard error is a terminal.
/// Fails if the source cannot be reached, does not answer in time, would hide rows or lacks a column
/// that an import reads, or the disk is full.
pub(crate) fn copy(from: &Source, to: &Connection) -> Result<()> {
    // Cleared at the end of this function.
    let bar = if from.options.quiet { ProgressBar::hidden() } else { ProgressBar::no_length() };
    bar.set_style(ProgressStyle::with_template("{spinner} {pos} rows of the source")?);
    let script = tables!("source.sql").concat();
    let mut tables = zip(SOURCES, tables!("stage.sql"));
    let mut reading: Option<(_, Statement)> = None;
    let outcome = run(from, &script, |line| {
        match &mut reading {
            Some((_, stage)) if line.contains(&b'\t') => {
                let text = String::from_utf8_lossy(line);
                // The escapes of COPY are those of JSON5, except NULL.
                let row = text.replace('"', "\\\"").replace('\t', "\",\"");
                let row = format!("[\"{row}\"]").replace("\"\\N\"", "null");
                stage.execute((row, matches!(text, Cow::Owned(_))))?;
                bar.inc(1);
            }
            // The name of a table.
            _ => {
                let next =
                    tables.next().map(|(source, stage)| anyhow::Ok((source, to.prepare(stage)?)));
                reading = next.transpose()?;
            }
        }
        Ok(())
    });
    let Some((source, _)) = reading else {
        let (_, message) = outcome.context("cannot connect to the source")?.unwrap_or_default();
        bail!("cannot connect to the source: {message}{}", advice(&message));
    };
    let failed = || format!("cannot read the source's {source}");
    if let Some(failure) = outcome.with_context(failed)? {
        return Err(explain(from, to, source, failure)?.context(failed()));
    }
    for (name, source) in zip(NAMES, SOURCES) {
        to.execute_batch(&format!(include_str!("ids.sql"), name = name, source = source))?;
        let twice = format!("SELECT id FROM {source} GROUP BY id HAVING count(*) > 1");
        if let Some(id) = to.query_row(&twice, [], |row| row.get::<_, i64>(0)).optional()? {
            bail!("cannot read the source's {source}: The id {id} occurs twice: make it unique.");
        }
    }
    Ok(())
}

/// The error of a query on the table `source`, with what to do.
fn explain(from: &Source, to: &Connection, source: &str, failure: Failure) -> Result<Error> {
    let (code, message) = failure;
    // PostgreSQL does not say which column fails: reads each alone.
    let mut column = None;
    if code.starts_with("22") || matches!(&*code, "42703" | "42P01") {
        let script = include_str!("columns.sql");
        let script: String = to.query_row(script, [source], |row| row.get(0))?;
        let read = run(from, &script, |line| {
            if !line.contains(&b'\t') {
                column = Some(String::from_utf8_lossy(line).into_owned());
            }
            Ok(())
        });
        column = column.filter(|_| matches!(read, Ok(Some(_))));
    }
    Ok(match (&*code, column) {
        ("42501", _) => anyhow!(
            "this user may not read all of it: grant it SELECT on the table and, if that has \
             row-level security, BYPASSRLS: {message}"
        ),
        ("55P03", _) => anyhow!("another session has locked it: {message}"),
        ("42703" | "42P01", Some(column)) => anyhow!(
            "The source has no column {column} in a table {source} that this user may see: is it \
             LuoYunCloud's database?"
        ),
        (_, column) => {
            let place = format!(include_str!("place.sql"), source = source);
            let place: String = to.query_row(&place, [], |row| row.get(0))?;
            let column = column.map(|it| format!(", in the column {it}")).unwrap_or_default();
            anyhow!("{place}{column}: {message}")
        }
    })
}

/// What to do if libpq says `message` of a connection.
fn advice(message: &str) -> &'static str {
    let known = [
        ("certificate verify failed", " (--ca FILE names the authority that signed it)"),
        ("root certificate file", " (install ca-certificates, or name a PEM file with --ca FILE)"),
        ("does not match host name", " (?sslmode=verify-ca checks only who signed it)"),
        ("SSL was required", " (?sslmode=disable: all is readable, the password too)"),
        ("no password supplied", " (PGPASSWORD, ~/.pgpass, or LUOYUN_SOURCE for the whole URL)"),
    ];
    known.iter().find(|(cause, _)| message.contains(cause)).map_or("", |(_, advice)| advice)
}

/// What psql or the server reports: PostgreSQL's error code, or an empty text, and the message.
type Failure = (String, String);

/// Runs `script` in psql, in a transaction, and passes each line that it prints to `take`. psql ends
/// with this process. Returns what psql reports if it fails.
/// Fails with the error of `take`, if psql prints nothing for too long, or is missing.
fn run(
    source: &Source,
    script: &str,
    mut take: impl FnMut(&[u8]) -> Result<()>,
) -> Result<Option<Failure>> {
    let (lines, output) = UnixStream::pair()?;
    let limit = Duration::from_secs(source.options.timeout);
    lines.set_read_timeout(Some(limit))?;
    let own_roots = env::home_dir().unwrap_or_default().join(".postgresql/root.crt");
    let roots = openssl_probe::probe().cert_file.filter(|_| !own_roots.exists());
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "psql", "-Xqw"]);
    command.arg(format!("--set=lock_timeout={}", limit.as_millis() * 9 / 10));
    command.arg(format!("--dbname={}", source.url_without_password));
    for (name, default) in [
        // Debian's psql would take that of a cluster on this machine.
        ("PGPORT", "5432".into()),
        ("PGAPPNAME", "luoyun-admin".into()),
        ("PGCONNECT_TIMEOUT", "10".into()),
        ("PGSSLMODE", if source.is_here { "disable" } else { "verify-full" }.into()),
        ("PGSSLROOTCERT", roots.map_or_else(OsString::new, OsString::from)),
    ] {
        if env::var_os(name).is_none_or(|value| value.is_empty()) {
            command.env(name, default);
        }
    }
    command.envs(source.password.iter().map(|password| ("PGPASSWORD", password)));
    command.envs(source.options.ca.iter().map(|ca| ("PGSSLROOTCERT", ca)));
    command.env_remove("LUOYUN_SOURCE").env_remove("PG_COLOR");
    command.env("PGCLIENTENCODING", "UTF8").env("LC_ALL", "C");
    command.stdin(Stdio::piped()).stdout(OwnedFd::from(output)).stderr(Stdio::piped());
    let mut psql = command.spawn().context("cannot run setpriv: install util-linux")?;
    // Otherwise `lines` would not end with psql.
    drop(command);
    // Shorter than the buffer of a pipe. If psql has ended, its message says why.
    let script = include_str!("begin.sql").to_owned() + script;
    let _ = psql.stdin.take().map(|mut stdin| stdin.write_all(script.as_bytes()));
    let taken = BufReader::new(lines).split(b'\n').try_for_each(|line| {
        let late = |_| anyhow!("no answer within {} s (--timeout waits longer)", limit.as_secs());
        take(&line.map_err(late)?)
    });
    let _ = taken.is_err().then(|| psql.kill());
    let output = psql.wait_with_output()?;
    taken?;
    match output.status.code() {
        Some(0) => Ok(None),
        Some(127) => bail!("psql is missing: install postgresql-client"),
        _ if output.stderr.is_empty() => bail!("psql was ended ({}): try again", output.status),
        _ => Ok(Some(failure(&String::from_utf8_lossy(&output.stderr)))),
    }
}

/// Parses what psql has written: `SEVERITY:  CODE: MESSAGE` in one of several lines, or anything
/// else. The codes of warnings begin with 01.
fn failure(text: &str) -> Failure {
    let mut reported = text.lines().filter_map(|line| line.split_once(":  ")?.1.split_once(": "));
    let found = reported.find(|(code, _)| code.len() == 5 && !code.starts_with("01"));
    if let Some((code, message)) = found {
        return (code.to_owned(), visible(message));
    }
    let lines = text.lines().map(|it| visible(it.trim_start_matches("psql: error: ").trim()));
    (String::new(), lines.collect::<Vec<_>>().join("\n"))
}
