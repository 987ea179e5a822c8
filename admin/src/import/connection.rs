//! The connection to the source, as libpq would make it (PostgreSQL, "Connection Strings",
//! "Environment Variables" and "The Password File"), except that connections to other machines
//! require TLS and verify the certificate.

use std::collections::BTreeMap;
use std::env;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;

use anyhow::{Context, Result, bail};
use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::db::is_this_machine;
use crate::import::{pgpass, tls};
use crate::output::visible;

/// The folder of PostgreSQL's Unix socket on Debian and Ubuntu.
const SOCKET_FOLDER: &str = "/var/run/postgresql";

/// Timeout of each TCP connection, in seconds.
const CONNECT_TIMEOUT: &str = "10";

/// The variables with the values of parameters that the URL omits. Those of the last line set
/// parameters that are refused: without them, this would not be the connection that psql makes.
const VARIABLES: &str = "host=PGHOST hostaddr=PGHOSTADDR port=PGPORT dbname=PGDATABASE user=PGUSER
    password=PGPASSWORD passfile=PGPASSFILE sslmode=PGSSLMODE sslrootcert=PGSSLROOTCERT
    sslnegotiation=PGSSLNEGOTIATION application_name=PGAPPNAME connect_timeout=PGCONNECT_TIMEOUT
    options=PGOPTIONS target_session_attrs=PGTARGETSESSIONATTRS channel_binding=PGCHANNELBINDING
    load_balance_hosts=PGLOADBALANCEHOSTS
    service=PGSERVICE require_auth=PGREQUIREAUTH requirepeer=PGREQUIREPEER sslcert=PGSSLCERT
    sslcrl=PGSSLCRL ssl_min_protocol_version=PGSSLMINPROTOCOLVERSION";

/// The parameters of a connection, by name.
pub(crate) type Parameters = BTreeMap<String, String>;

/// Parses `url`, the URL of a PostgreSQL database.
/// Fails if it is malformed. The error does not quote it, as it may contain a misplaced password.
pub(crate) fn parse(url: &str) -> Result<Parameters> {
    parse_url(url).context(
        "The source is not a PostgreSQL URL: it must be postgres://USER@HOST:PORT/DATABASE, with \
         parameters as ?sslmode=verify-full if needed, and other characters as %XX.",
    )
}

/// The configuration with the parameters `given`, and with what the environment and the password
/// file add; and how to encrypt, if it says so. `ca` is the value of `--ca`.
/// Fails if a parameter is unknown or invalid, or a certificate cannot be read.
pub(crate) fn configure(
    mut given: Parameters,
    ca: Option<&Path>,
) -> Result<(Config, MakeRustlsConnect)> {
    for (name, variable) in VARIABLES.split_whitespace().filter_map(|it| it.split_once('=')) {
        if let Ok(value) = env::var(variable) {
            given.entry(name.to_owned()).or_insert(value);
        }
    }
    given.retain(|_, value| !value.is_empty());
    let [mode, root, passfile, address] =
        ["sslmode", "sslrootcert", "passfile", "hostaddr"].map(|name| given.remove(name));
    if let Some(count) = given.remove("keepalives_count") {
        given.insert("keepalives_retries".to_owned(), count);
    }
    let user = given.get("user").cloned().or_else(|| whoami::username().ok()).unwrap_or_default();
    let mut or_default = |name: &str, default: &str| {
        given.entry(name.to_owned()).or_insert_with(|| default.to_owned()).clone()
    };
    let folder = Path::new(SOCKET_FOLDER).exists().then_some(SOCKET_FOLDER);
    // TLS needs the name of each host.
    let host = or_default("host", address.as_deref().or(folder).unwrap_or("localhost"));
    let (port, user) = (or_default("port", "5432"), or_default("user", &user));
    let database = or_default("dbname", &user);
    or_default("application_name", "luoyun-admin");
    or_default("connect_timeout", CONNECT_TIMEOUT);
    let reached = address.as_ref().unwrap_or(&host).clone();
    given.extend(address.map(|address| ("hostaddr".to_owned(), address)));
    let quote = |value: &str| value.replace('\\', r"\\").replace('\'', r"\'");
    let parameters = given.iter().map(|(name, value)| format!("{name}='{}' ", quote(value)));
    let config = parameters.collect::<String>().parse();
    let mut config: Config =
        config.context("cannot use the parameters of the source (URL or environment)")?;

    let root = ca.or(root.as_deref().map(Path::new));
    let is_system = root == Some(Path::new("system"));
    let tls = match mode.as_deref() {
        Some("disable") => None,
        _ if reached.split(',').all(|host| host.starts_with('/')) => None,
        None | Some("allow" | "prefer") if !is_system && reached.split(',').all(is_here) => None,
        Some("verify-ca") if !is_system => Some(tls::config(root, false)?),
        None | Some("allow" | "prefer" | "require" | "verify-ca" | "verify-full") => {
            Some(tls::config(root, true)?)
        }
        Some(mode) => bail!("The source's sslmode {} is unknown.", visible(mode)),
    };
    config.ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable });
    if config.get_password().is_none() {
        let ports: Vec<_> = port.split(',').collect();
        let find = |(at, host): (usize, &str)| {
            let host = if host == SOCKET_FOLDER { "localhost" } else { host };
            let port = ports.get(at).or(ports.first())?;
            pgpass::find(passfile.as_deref(), [host, port, &database, &user])
        };
        let mut found = host.split(',').enumerate().map(find);
        // There is one password for all hosts, so it has to be that of each.
        let first = found.next().flatten();
        first
            .filter(|it| found.all(|other| other.as_ref() == Some(it)))
            .map(|it| config.password(it));
    }
    Ok((config, MakeRustlsConnect::new(tls.unwrap_or_else(tls::unused))))
}

/// Whether a connection to `host` stays on this machine, also if it is a name.
fn is_here(host: &str) -> bool {
    let is_loopback = |address: SocketAddr| address.ip().to_canonical().is_loopback();
    let resolve = || (host, 0).to_socket_addrs().into_iter().flatten();
    host.starts_with('/') || is_this_machine(host) && resolve().all(is_loopback)
}

/// The parameters in a URL; `None` if it is malformed.
fn parse_url(url: &str) -> Option<Parameters> {
    let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"))?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (credentials, hosts) = authority.split_once('@').unwrap_or(("", authority));
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    let (mut names, mut ports) = (Vec::new(), Vec::new());
    for host in hosts.split(',') {
        // An IPv6 address has colons, within brackets.
        let end = host.rfind(']').map_or(0, |at| at + 1);
        let (name, port) = host[end..].split_once(':').unwrap_or((&host[end..], ""));
        let name = if end > 0 { host.strip_prefix('[')?.get(..end - 2)? } else { name };
        names.push(name);
        ports.push(port);
    }
    let (names, ports) = (names.join(","), ports.join(","));
    let given = [("user", user), ("password", password), ("dbname", database)];
    let hosts = [("host", names.as_str()), ("port", &ports)];
    let is_given = |(_, value): &(_, &str)| value.bytes().any(|byte| byte != b',');
    let given = given.into_iter().chain(hosts).filter(is_given).map(Some);
    let query = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('='));
    let decode = |text| Some(percent_decode_str(text).decode_utf8().ok()?.into_owned());
    let is_valid = !names.contains('@') && !url.contains('\0');
    let decoded = given.chain(query).map(|pair| Some((decode(pair?.0)?, decode(pair?.1)?)));
    decoded.collect::<Option<_>>().filter(|_| is_valid)
}
