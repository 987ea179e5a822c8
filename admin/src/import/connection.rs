//! The connection to the source, as libpq would make it (PostgreSQL, "Connection Strings",
//! "Environment Variables" and "The Password File"), except that connections to other machines
//! require TLS and verify the certificate.

use std::collections::BTreeMap;
use std::env;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::db::is_this_machine;
use crate::import::{pgpass, tls};

/// The folder of PostgreSQL's Unix socket on Debian and Ubuntu.
const SOCKET_FOLDER: &str = "/var/run/postgresql";

/// Timeout of each TCP connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

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
pub(crate) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// Parses `url`, the URL of a PostgreSQL database.
    /// Fails if it is malformed. The error does not quote it, as it may contain a misplaced
    /// password.
    pub(crate) fn parse(url: &str) -> Result<Self> {
        parse_url(url).map(Self).context(
            "The source is not a PostgreSQL URL: it must be postgres://USER@HOST:PORT/DATABASE, \
             with parameters as ?sslmode=verify-full if needed, and other characters as %XX.",
        )
    }

    /// Whether there is a password among them.
    pub(crate) fn have_password(&self) -> bool {
        self.0.contains_key("password")
    }

    /// The configuration, with what the environment and the password file add, and how to
    /// encrypt, if at all. `ca` is the value of `--ca`.
    /// Fails if a parameter is unknown or invalid, or a certificate cannot be read.
    pub(crate) fn configure(
        mut self,
        ca: Option<&Path>,
    ) -> Result<(Config, Option<MakeRustlsConnect>)> {
        for (name, variable) in VARIABLES.split_whitespace().filter_map(|it| it.split_once('=')) {
            if let Ok(value) = env::var(variable) {
                self.0.entry(name.to_owned()).or_insert(value);
            }
        }
        self.0.retain(|_, value| !value.is_empty());
        let mut take = |name| self.0.remove(name);
        let (mode, root, passfile) = (take("sslmode"), take("sslrootcert"), take("passfile"));
        if let Some(count) = take("keepalives_count") {
            self.0.insert("keepalives_retries".to_owned(), count);
        }
        let user = || whoami::username().context("this user has no name: name one in the URL");
        let user = self.0.remove("user").map_or_else(user, Ok)?;
        let folder = Path::new(SOCKET_FOLDER).exists().then_some(SOCKET_FOLDER);
        let address = self.0.get("hostaddr").cloned();
        // TLS needs the name of each host.
        let host = address.clone().unwrap_or(folder.unwrap_or("localhost").to_owned());
        let host = self.0.entry("host".to_owned()).or_insert(host).clone();
        let reached = address.unwrap_or(host.clone());

        let mut config = self.parsed()?;
        let is_here = reached.split(',').all(is_here);
        let root = ca.or(root.as_deref().map(Path::new));
        let is_system = root == Some(Path::new("system"));
        let tls = match mode.as_deref() {
            Some("disable") => None,
            None | Some("allow" | "prefer") if is_here && !is_system => None,
            _ if reached.split(',').all(is_socket) => None,
            Some("verify-ca") if !is_system => Some(tls::config(root, false)?),
            None | Some("allow" | "prefer" | "require" | "verify-ca" | "verify-full") => {
                Some(tls::config(root, true)?)
            }
            Some(_) => bail!(
                "The source's sslmode must be disable, allow, prefer, require, verify-ca or \
                 verify-full."
            ),
        };
        config.ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable });
        let database = config.get_dbname().unwrap_or(&user).to_owned();
        if config.get_application_name().is_none() {
            config.application_name("luoyun-admin");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_password().is_none() {
            let ports = config.get_ports();
            let port = |at| ports.get(at).or(ports.first()).copied().unwrap_or(5432);
            let find = |(at, host): (usize, &str)| {
                let host = if host == SOCKET_FOLDER { "localhost" } else { host };
                pgpass::find(passfile.as_deref(), host, port(at), &database, &user)
            };
            let mut found = host.split(',').enumerate().map(find);
            // There is one password for all hosts, so it has to be that of each.
            let first =
                found.next().flatten().filter(|it| found.all(|found| found.as_ref() == Some(it)));
            first.map(|password| config.password(password));
        }
        config.user(user).dbname(database);
        Ok((config, tls.map(MakeRustlsConnect::new)))
    }

    fn parsed(&self) -> Result<Config> {
        let quote = |value: &str| value.replace('\\', r"\\").replace('\'', r"\'");
        let parameters = self.0.iter().map(|(name, value)| format!("{name}='{}' ", quote(value)));
        let config = parameters.collect::<String>().parse();
        config.context("cannot use the parameters of the source (URL or environment)")
    }
}

fn is_socket(host: &str) -> bool {
    host.starts_with('/')
}

/// Whether a connection to `host` stays on this machine, also if it is a name.
fn is_here(host: &str) -> bool {
    let is_loopback = |address: SocketAddr| address.ip().to_canonical().is_loopback();
    let resolve = || (host, 0).to_socket_addrs().into_iter().flatten();
    is_socket(host) || is_this_machine(host) && resolve().all(is_loopback)
}

/// The parameters in a URL; `None` if it is malformed.
fn parse_url(url: &str) -> Option<BTreeMap<String, String>> {
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
