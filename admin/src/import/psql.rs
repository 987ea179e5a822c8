//! The connection to the source is psql's: its library, libpq, knows URLs, variables, password and
//! service files, and TLS (PostgreSQL, "libpq"). This adds defaults, and keeps the password out of
//! psql's arguments, which every user of the machine can read.

use std::env;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use percent_encoding::percent_decode_str;

use crate::db::is_this_machine;
use crate::output::visible;

/// The URL of a source.
pub(crate) struct Url {
    without_password: String,
    pub(crate) password: Option<String>,
    /// Whether all hosts that it or the environment names are this machine. No host is a Unix
    /// socket, which needs no TLS anyway.
    is_here: bool,
    /// A file of certificates to trust instead of others.
    ca: Option<PathBuf>,
}

/// What psql or the server reports: PostgreSQL's error code, or an empty text, and the message.
pub(crate) type Failure = (String, String);

/// Runs `script` in psql, for the database at `url`, in a transaction, and passes each line that it
/// prints to `take`. psql ends with this process. Returns what psql reports if it fails.
/// Fails with the error of `take`, if psql prints nothing for `limit`, or is missing.
pub(crate) fn run(
    url: &Url,
    limit: Duration,
    script: &str,
    mut take: impl FnMut(&[u8]) -> Result<()>,
) -> Result<Option<Failure>> {
    let (lines, output) = UnixStream::pair()?;
    lines.set_read_timeout(Some(limit))?;
    let own_roots = env::home_dir().unwrap_or_default().join(".postgresql/root.crt");
    let roots = openssl_probe::probe().cert_file.filter(|_| !own_roots.exists());
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "psql", "-Xqw"]);
    command.arg(format!("--set=lock_timeout={}", (limit.as_millis() * 9 / 10).max(1)));
    command.arg(format!("--dbname={}", url.without_password));
    for (name, default) in [
        // Debian's psql would take that of a cluster on this machine.
        ("PGPORT", "5432".into()),
        ("PGAPPNAME", "luoyun-admin".into()),
        ("PGCONNECT_TIMEOUT", "10".into()),
        ("PGSSLMODE", if url.is_here { "disable" } else { "verify-full" }.into()),
        ("PGSSLROOTCERT", roots.map_or_else(OsString::new, OsString::from)),
    ] {
        if env::var_os(name).is_none_or(|value| value.is_empty()) {
            command.env(name, default);
        }
    }
    command.envs(url.password.iter().map(|password| ("PGPASSWORD", password)));
    command.envs(url.ca.iter().map(|ca| ("PGSSLROOTCERT", ca)));
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
        let seconds = limit.as_secs();
        let late = |_| anyhow!("no answer within {seconds} s (--timeout waits longer)");
        take(&line.map_err(late)?)
    });
    if taken.is_err() {
        let _ = psql.kill();
    }
    let output = psql.wait_with_output()?;
    taken?;
    match output.status.code() {
        Some(0) => Ok(None),
        Some(127) => bail!("psql is missing: install postgresql-client"),
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

/// Parses `url`. `ca` is a file of certificates to trust instead of others. `None` if it is
/// malformed, or if what may be a misplaced password would get into psql's arguments.
pub(crate) fn parse(url: &str, ca: Option<PathBuf>) -> Option<Url> {
    let decode = |text| Some(percent_decode_str(text).decode_utf8().ok()?.into_owned());
    let (scheme, rest) = url.split_once("://")?;
    // In libpq, the first `@` ends the password, unless a `/` precedes it.
    let at = rest.find(['@', '/']).filter(|at| rest[*at..].starts_with('@'));
    let (credentials, rest) = at.map_or(("", rest), |at| rest.split_at(at));
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    let mut password = decode(password)?;
    let (location, query) = rest.split_once('?').unwrap_or((rest, ""));
    let location = location.strip_prefix('@').unwrap_or(location);
    if !matches!(scheme, "postgres" | "postgresql") || location.contains('@') {
        return None;
    }
    let mut hosts = Vec::new();
    for host in location.split('/').next()?.split(',') {
        // An IPv6 address has colons, within brackets.
        let end = host.rfind(']').map_or(0, |at| at + 1);
        let port = host[end..].find(':').map_or(host.len(), |at| end + at);
        host[port..].bytes().skip(1).all(|byte| byte.is_ascii_digit()).then_some(())?;
        hosts.push(decode(&host[..port])?);
    }
    let mut shown = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=')?;
        match &*decode(name)? {
            "sslpassword" | "oauth_client_secret" => return None,
            "password" => password = decode(value)?,
            name => {
                // A service may name any host.
                if matches!(name, "host" | "hostaddr" | "service") {
                    hosts.push(decode(value)?);
                }
                shown.push(pair);
            }
        }
    }
    hosts.extend(["PGHOSTADDR", "PGSERVICE"].iter().filter_map(|name| env::var(name).ok()));
    if hosts.iter().all(String::is_empty) {
        hosts.extend(env::var("PGHOST"));
    }
    let hosts = hosts.join(",");
    let mut hosts = hosts.split(',').filter(|host| !host.is_empty()).peekable();
    Some(Url {
        without_password: format!("{scheme}://{user}@{location}?{}", shown.join("&")),
        password: Some(password).filter(|password| !password.is_empty()),
        is_here: hosts.peek().is_some() && hosts.all(is_this_machine),
        ca,
    })
}
