//! The connection to the source is psql's: its library, libpq, knows URLs, variables, password and
//! service files, and TLS (PostgreSQL, "libpq"). This adds defaults, and keeps the password out of
//! psql's arguments, which every user of the machine can read.

use std::env;
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::net::ToSocketAddrs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow, bail};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, percent_encode};

use crate::db::is_this_machine;
use crate::output::visible;

/// Lines that are read before they are taken.
const LINES: usize = 1000;

/// The URL of a source.
pub(crate) struct Url {
    without_password: String,
    pub(crate) password: Option<String>,
    /// Whether all hosts that it or the environment names are this machine. No host is a Unix
    /// socket, which needs no TLS anyway.
    is_here: bool,
}

/// What psql or the server reports: PostgreSQL's error code, or an empty text, and the message.
pub(crate) type Failure = (String, String);

/// Runs `script` in psql, for the database at `url`, and passes each line that it prints to
/// `take`. psql ends with this process. Returns what psql reports if it fails.
/// Fails with the error of `take`, if psql prints nothing for `limit`, or is missing.
pub(crate) fn run(
    url: &Url,
    limit: Duration,
    script: &str,
    mut take: impl FnMut(&[u8]) -> Result<()>,
) -> Result<Option<Failure>> {
    let mut errors = tempfile::tempfile().context("cannot create a temporary file")?;
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
        ("PGSSLROOTCERT", roots.unwrap_or_default()),
    ] {
        if env::var_os(name).is_none_or(|value| value.is_empty()) {
            command.env(name, default);
        }
    }
    command.envs(url.password.iter().map(|password| ("PGPASSWORD", password)));
    command.env_remove("LUOYUN_SOURCE").env_remove("PG_COLOR");
    command.env("PGCLIENTENCODING", "UTF8").env("LC_ALL", "C").stderr(errors.try_clone()?);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut psql = child.context("cannot run setpriv: install util-linux")?;
    // Shorter than the buffer of a pipe. If psql has ended, its message says why.
    let _ = psql.stdin.take().map(|mut stdin| stdin.write_all(script.as_bytes()));
    let pipe = psql.stdout.take().context("psql has no output")?;
    let (sender, lines) = mpsc::sync_channel(LINES);
    thread::spawn(move || {
        BufReader::new(pipe).split(b'\n').try_for_each(|line| sender.send(line)).ok();
    });
    let taken = loop {
        match lines.recv_timeout(limit) {
            Ok(line) => match line.map_err(Error::from).and_then(|line| take(&line)) {
                Ok(()) => {}
                error => break error,
            },
            Err(RecvTimeoutError::Disconnected) => break Ok(()),
            Err(RecvTimeoutError::Timeout) => {
                break Err(anyhow!(
                    "no answer within {} s (--timeout waits longer)",
                    limit.as_secs()
                ));
            }
        }
    };
    if taken.is_err() {
        let _ = psql.kill();
    }
    let status = psql.wait()?;
    taken?;
    match status.code() {
        Some(0) => return Ok(None),
        Some(127) => bail!("psql is missing: install postgresql-client"),
        _ => {}
    }
    let mut text = Vec::new();
    errors.rewind()?;
    errors.read_to_end(&mut text)?;
    Ok(Some(failure(&String::from_utf8_lossy(&text))))
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

impl Url {
    /// Parses `url`. `ca` is a file of certificates to trust instead of others.
    /// Fails if it is malformed, or if what may be a misplaced password would get into psql's
    /// arguments. The error does not quote it.
    pub(crate) fn parse(url: &str, ca: Option<&Path>) -> Result<Self> {
        let mut parsed = parse(url).context(
            "The source is not a PostgreSQL URL: it must be postgres://USER@HOST:PORT/DATABASE, \
             with parameters as ?sslmode=verify-full if needed, and other characters as %XX. \
             (An sslpassword has to be in a service file.)",
        )?;
        if let Some(ca) = ca {
            let separator = if parsed.without_password.ends_with('?') { "" } else { "&" };
            parsed.without_password.extend([separator, "sslrootcert="]);
            let ca = percent_encode(ca.as_os_str().as_bytes(), NON_ALPHANUMERIC);
            parsed.without_password.extend(ca);
        }
        Ok(parsed)
    }
}

fn parse(url: &str) -> Option<Url> {
    let decode = |text| Some(percent_decode_str(text).decode_utf8().ok()?.into_owned());
    let (scheme, rest) = url.split_once("://")?;
    // In libpq, the first `@` ends the password, unless a `/` precedes it.
    let at = rest.find(['@', '/']).filter(|at| rest[*at..].starts_with('@'));
    let (credentials, rest) = at.map_or(("", rest), |at| (&rest[..at], &rest[at + 1..]));
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    let (location, query) = rest.split_once('?').unwrap_or((rest, ""));
    let is_valid = matches!(scheme, "postgres" | "postgresql") && !location.contains('@');
    let mut password = decode(password).filter(|_| is_valid && !url.contains('\0'))?;
    let mut named = Vec::new();
    for host in location.split('/').next()?.split(',') {
        // An IPv6 address has colons, within brackets.
        let end = host.rfind(']').map_or(0, |at| at + 1);
        let port = host[end..].find(':').map_or(host.len(), |at| end + at);
        host[port..].bytes().skip(1).all(|byte| byte.is_ascii_digit()).then_some(())?;
        named.push(decode(&host[..port])?);
    }
    let has_no_host = named.iter().all(String::is_empty);
    let mut shown = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=')?;
        match decode(name)?.as_str() {
            "sslpassword" | "oauth_client_secret" => return None,
            "password" => password = decode(value)?,
            name => {
                // A service may name any host.
                if matches!(name, "host" | "hostaddr" | "service") {
                    named.extend(decode(value)?.split(',').map(str::to_owned));
                }
                shown.push(pair);
            }
        }
    }
    let variables = ["PGHOSTADDR", "PGSERVICE", "PGHOST"];
    let variables =
        variables[..2 + usize::from(has_no_host)].iter().filter_map(|it| env::var(it).ok());
    named.extend(variables.flat_map(|it| it.split(',').map(str::to_owned).collect::<Vec<_>>()));
    named.retain(|host| !host.is_empty());
    let user = at.map_or_else(String::new, |_| format!("{user}@"));
    Some(Url {
        without_password: format!("{scheme}://{user}{location}?{}", shown.join("&")),
        password: Some(password).filter(|password| !password.is_empty()),
        is_here: !named.is_empty() && named.iter().all(|host| is_here(host)),
    })
}

/// Whether a connection to `host` stays on this machine, also if it is a name.
fn is_here(host: &str) -> bool {
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let mut addresses = (name, 0).to_socket_addrs().into_iter().flatten();
    is_this_machine(host) && addresses.all(|address| address.ip().to_canonical().is_loopback())
}
