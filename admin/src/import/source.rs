//! The source of an import: the PostgreSQL database of a LuoYunCloud.

use std::iter;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;
use postgres::config::{Host, SslMode};
use postgres::fallible_iterator::FallibleIterator;
use postgres::types::ToSql;
use postgres::{Client, Config, Row};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::db::is_this_machine;
use crate::import::{pgpass, tls};

/// The folder of PostgreSQL's Unix socket on Debian and Ubuntu.
const SOCKET_FOLDER: &str = "/var/run/postgresql";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The source's tables, and the columns that an import reads.
const TABLES: [(&str, &[&str]); 3] = [
    ("auth_user", &["id", "username", "password", "is_locked", "last_login"]),
    ("node", &["id", "hostname", "ip"]),
    ("instance", &["id", "user_id", "node_id", "name", "summary", "status", "vdi_port"]),
];

/// A snapshot of the source.
pub(crate) struct Source {
    client: Client,
    last_login_type: String,
    progress: ProgressBar,
}

/// Parses `url`, the URL of a PostgreSQL database.
/// Fails if it is malformed. The error does not quote it, as it may contain a misplaced
/// password.
pub(crate) fn parse(url: &str) -> Result<Config> {
    let is_url = url.starts_with("postgres://") || url.starts_with("postgresql://");
    url.parse().ok().filter(|_| is_url).context(
        "The source is not a PostgreSQL URL: it must be postgres://USER@HOST:PORT/DATABASE, with \
         ?sslmode=disable or ?sslmode=require if needed, and other characters as %XX.",
    )
}

impl Source {
    /// Connects to the source and takes a snapshot, so that all tables are read in the same state.
    /// `progress` counts its rows.
    /// Fails if the source cannot be reached or lacks a column that an import reads.
    pub(crate) fn connect(
        mut config: Config,
        ca: Option<&Path>,
        progress: &ProgressBar,
    ) -> Result<Self> {
        set_defaults(&mut config);
        let connect = MakeRustlsConnect::new(match config.get_ssl_mode() {
            SslMode::Disable => tls::unused_config(),
            _ => tls::config(ca)?,
        });
        let mut client = config.connect(connect).with_context(|| match config.get_ssl_mode() {
            SslMode::Disable => "cannot connect to the source".to_owned(),
            _ => "cannot connect to the source over TLS (--ca FILE trusts its certificate, \
                  ?sslmode=disable turns TLS off)"
                .to_owned(),
        })?;
        client
            .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            .context("cannot take a snapshot of the source")?;
        let mut last_login_type = String::new();
        for (table, expected) in TABLES {
            let columns = columns(&mut client, table)?;
            for &name in expected {
                match columns.iter().find(|(known, _)| known == name) {
                    Some((_, kind)) if name == "last_login" => last_login_type.clone_from(kind),
                    Some(_) => {}
                    None => bail!(
                        "The source has no column {name} in a table {table} that this user may \
                         see: is it LuoYunCloud's database?"
                    ),
                }
            }
        }
        let sql = "SELECT (SELECT count(*) FROM auth_user) + (SELECT count(*) FROM node)
                        + (SELECT count(*) FROM instance)";
        let count = client.query_one(sql, &[]).context("cannot count the source's rows")?;
        progress.set_length(count.try_get::<_, i64>(0)?.try_into()?);
        progress.set_message("reading the source");
        Ok(Self { client, last_login_type, progress: progress.clone() })
    }

    // The column types have changed between versions of LuoYunCloud, so all columns except ids
    // are read as text.

    /// Passes each user to `take`, by id: id, `username`, `password`, `is_locked` and
    /// `last_login` (Unix time, in seconds).
    pub(crate) fn users(&mut self, take: impl FnMut(&Row) -> Result<()>) -> Result<()> {
        let last_login = match self.last_login_type.as_str() {
            "timestamp" | "timestamptz" | "date" => {
                "CASE WHEN isfinite(last_login) \
                 THEN floor(extract(epoch FROM last_login))::bigint END"
            }
            "int2" | "int4" | "int8" | "float4" | "float8" | "numeric" => {
                "floor(last_login)::bigint"
            }
            other => bail!("The source's auth_user.last_login is of the type {other}, not a time."),
        };
        let sql = format!(
            "SELECT id::bigint, username::text, password::text, is_locked::text, {last_login}
             FROM auth_user ORDER BY id"
        );
        self.each(&sql, take).context("cannot read the source's auth_user")
    }

    /// Passes each node to `take`, by id: id, `hostname` and `ip`.
    pub(crate) fn nodes(&mut self, take: impl FnMut(&Row) -> Result<()>) -> Result<()> {
        let sql = "SELECT id::bigint, hostname::text, ip::text FROM node ORDER BY id";
        self.each(sql, take).context("cannot read the source's node")
    }

    /// Passes each instance to `take`, by id: id, `user_id`, `node_id`, `name`, `summary`,
    /// `status` and `vdi_port`.
    pub(crate) fn instances(&mut self, take: impl FnMut(&Row) -> Result<()>) -> Result<()> {
        let sql = "SELECT id::bigint, user_id::bigint, node_id::bigint, name::text,
                          summary::text, status::text, vdi_port::text
                   FROM instance ORDER BY id";
        self.each(sql, take).context("cannot read the source's instance")
    }

    /// Passes each row to `take` as it arrives, as the rows may not fit into memory.
    fn each(&mut self, sql: &str, mut take: impl FnMut(&Row) -> Result<()>) -> Result<()> {
        let mut rows = self.client.query_raw(sql, iter::empty::<&(dyn ToSql + Sync)>())?;
        while let Some(row) = rows.next()? {
            self.progress.inc(1);
            take(&row)?;
        }
        Ok(())
    }
}

/// The names and types of a table's columns; empty if the table does not exist.
fn columns(client: &mut Client, table: &str) -> Result<Vec<(String, String)>> {
    let rows = client
        .query(
            "SELECT a.attname::text, t.typname::text
             FROM pg_attribute a
             JOIN pg_class c ON c.oid = a.attrelid
             JOIN pg_type t ON t.oid = a.atttypid
             WHERE c.relname = $1 AND pg_table_is_visible(c.oid)
               AND a.attnum > 0 AND NOT a.attisdropped",
            &[&table],
        )
        .context("cannot read the source's catalogue")?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Sets what the URL omits, with the defaults of PostgreSQL's clients, except that connections to
/// other machines require TLS.
fn set_defaults(config: &mut Config) {
    if config.get_hosts().is_empty() {
        if Path::new(SOCKET_FOLDER).exists() {
            config.host_path(SOCKET_FOLDER);
        } else {
            config.host("localhost");
        }
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    if config.get_application_name().is_none() {
        config.application_name("luoyun-admin");
    }
    if config.get_ssl_mode() == SslMode::Prefer {
        let is_here = config.get_hosts().iter().all(is_local);
        config.ssl_mode(if is_here { SslMode::Disable } else { SslMode::Require });
    }
    if config.get_password().is_none()
        && let Some(password) = find_password(config)
    {
        config.password(password);
    }
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => is_this_machine(name),
    }
}

fn find_password(config: &Config) -> Option<String> {
    let from_environment = std::env::var("PGPASSWORD").ok();
    from_environment.filter(|password| !password.is_empty()).or_else(|| {
        let user = config.get_user().unwrap_or_default();
        let port = config.get_ports().first().copied().unwrap_or(5432);
        config.get_hosts().iter().find_map(|host| {
            let host = match host {
                Host::Tcp(name) => name.clone(),
                Host::Unix(folder) if folder == Path::new(SOCKET_FOLDER) => "localhost".to_owned(),
                Host::Unix(folder) => folder.display().to_string(),
            };
            pgpass::find(&host, port, config.get_dbname().unwrap_or(user), user)
        })
    })
}
