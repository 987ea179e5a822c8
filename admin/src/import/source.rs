//! The source of an import: the PostgreSQL database of a LuoYunCloud.

use std::iter;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;
use postgres::config::{Host, SslMode};
use postgres::fallible_iterator::FallibleIterator;
use postgres::types::{ToSql, Type};
use postgres::{Client, Config, NoTls};
use rusqlite::Connection;
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

/// Copies the source's tables into temporary tables of `target`, all in the same state. `progress`
/// counts the rows.
/// Fails if the source cannot be reached or lacks a column that an import reads, or the disk is
/// full.
pub(crate) fn copy(
    config: Config,
    ca: Option<&Path>,
    target: &Connection,
    progress: &ProgressBar,
) -> Result<()> {
    let mut client = connect(config, ca)?;
    client
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        .context("cannot take a snapshot of the source")?;
    let mut queries = Vec::new();
    for (table, columns) in TABLES {
        queries.push((table, columns, query(&mut client, table, columns)?));
    }
    let sql = "SELECT (SELECT count(*) FROM auth_user) + (SELECT count(*) FROM node)
                    + (SELECT count(*) FROM instance)";
    let count = client.query_one(sql, &[]).context("cannot count the source's rows")?;
    progress.set_length(count.try_get::<_, i64>(0)?.try_into()?);
    progress.set_message("reading the source");
    for (table, columns, query) in queries {
        let copied = copy_table(&mut client, &query, table, columns, target, progress);
        copied.with_context(|| format!("cannot read the source's {table}"))?;
    }
    Ok(())
}

fn connect(mut config: Config, ca: Option<&Path>) -> Result<Client> {
    set_defaults(&mut config);
    if config.get_ssl_mode() == SslMode::Disable {
        return config.connect(NoTls).context("cannot connect to the source");
    }
    config.connect(MakeRustlsConnect::new(tls::config(ca)?)).context(
        "cannot connect to the source over TLS (--ca FILE trusts its certificate, \
         ?sslmode=disable turns TLS off)",
    )
}

/// The query for the rows of `table`, by id. The types of the columns have changed between versions
/// of LuoYunCloud, so they are read as text, except ids and Unix times (in seconds).
fn query(client: &mut Client, table: &str, columns: &[&str]) -> Result<String> {
    let sql = "SELECT a.attname::text, t.typname::text
               FROM pg_attribute a
               JOIN pg_class c ON c.oid = a.attrelid
               JOIN pg_type t ON t.oid = a.atttypid
               WHERE c.relname = $1 AND pg_table_is_visible(c.oid)
                 AND a.attnum > 0 AND NOT a.attisdropped";
    let known = client.query(sql, &[&table]).context("cannot read the source's catalogue")?;
    let mut values = Vec::new();
    for &column in columns {
        let Some(found) = known.iter().find(|known| known.get::<_, &str>(0) == column) else {
            bail!(
                "The source has no column {column} in a table {table} that this user may see: is \
                 it LuoYunCloud's database?"
            )
        };
        values.push(match (column, found.get(1)) {
            ("id" | "user_id" | "node_id", _) => format!("{column}::bigint"),
            ("last_login", "timestamp" | "timestamptz" | "date") => {
                "CASE WHEN isfinite(last_login) \
                 THEN floor(extract(epoch FROM last_login))::bigint END"
                    .to_owned()
            }
            ("last_login", "int2" | "int4" | "int8" | "float4" | "float8" | "numeric") => {
                "floor(last_login)::bigint".to_owned()
            }
            ("last_login", other) => {
                bail!("The source's {table}.last_login is of the type {other}, not a time.")
            }
            _ => format!("{column}::text"),
        });
    }
    Ok(format!("SELECT {} FROM {table} ORDER BY id", values.join(", ")))
}

/// Copies each row as it arrives, as the rows may not fit into memory.
fn copy_table(
    client: &mut Client,
    query: &str,
    table: &str,
    columns: &[&str],
    target: &Connection,
    progress: &ProgressBar,
) -> Result<()> {
    let (columns, parameters) = (columns[1..].join(", "), vec!["?"; columns.len()].join(", "));
    target
        .execute_batch(&format!("CREATE TEMP TABLE {table} (id INTEGER PRIMARY KEY, {columns})"))?;
    let mut insert = target.prepare(&format!("INSERT INTO {table} VALUES ({parameters})"))?;
    let mut rows = client.query_raw(query, iter::empty::<&(dyn ToSql + Sync)>())?;
    while let Some(row) = rows.next()? {
        for (at, column) in row.columns().iter().enumerate() {
            match *column.type_() {
                Type::INT8 => insert.raw_bind_parameter(at + 1, row.try_get::<_, Option<i64>>(at)?),
                _ => insert.raw_bind_parameter(at + 1, row.try_get::<_, Option<&str>>(at)?),
            }?;
        }
        insert.raw_execute()?;
        progress.inc(1);
    }
    Ok(())
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
