//! The source of an import: the PostgreSQL database of a LuoYunCloud.

use std::error::Error as StdError;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow, bail};
use futures_util::TryStreamExt;
use indicatif::ProgressBar;
use rusqlite::ErrorCode;
use tokio::runtime::Builder;
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSql, ToSql, Type};
use tokio_postgres::{Client, Config, Row};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::import::columns::{Kind, Table, tables};
use crate::import::tls;

/// Any value, as the bytes that the server has sent.
struct Bytes<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Bytes<'a> {
    fn from_sql(_: &Type, bytes: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(bytes))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// Copies the source's tables into temporary tables of `to`, all in the same state. `progress`
/// counts the rows. The table `odd` gets the rows whose id is no id, which are not copied, and
/// those with text that is not UTF-8.
/// Fails if the source cannot be reached, does not answer within `limit`, would hide rows or lacks
/// a column that an import reads, or the disk is full.
pub(crate) fn copy(
    (config, tls): (Config, MakeRustlsConnect),
    limit: Duration,
    to: &rusqlite::Connection,
    progress: &ProgressBar,
) -> Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        let connected = match timeout(limit, config.connect(tls)).await {
            Ok(connected) => connected.map_err(tls::explain),
            Err(_) => Err(no_answer(limit)),
        };
        let (client, connection) = connected.context("cannot connect to the source")?;
        // Communicates in the background.
        tokio::spawn(connection);
        Source { client, limit, to, progress }.copy().await
    });
    // Does not wait for a name server.
    runtime.shutdown_background();
    result
}

struct Source<'a> {
    client: Client,
    limit: Duration,
    to: &'a rusqlite::Connection,
    progress: &'a ProgressBar,
}

impl Source<'_> {
    async fn copy(&self) -> Result<()> {
        const NO_SNAPSHOT: &str = "cannot take a snapshot of the source";
        let begin = self.client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY");
        self.within(begin).await.context(NO_SNAPSHOT)?;
        let wait = (self.limit.as_millis() * 9 / 10).max(1).to_string();
        let wait: [(&(dyn ToSql + Sync), _); 1] = [(&wait, Type::TEXT)];
        let settings = self.client.query_typed(include_str!("settings.sql"), &wait);
        self.within(settings).await.context(NO_SNAPSHOT)?;
        let known = self.within(self.client.query_typed(include_str!("catalogue.sql"), &[])).await;
        let known = known.context("cannot read the source's catalogue")?;
        let tables = tables()?;
        let queries =
            tables.iter().map(|table| query(table, &known)).collect::<Result<Vec<_>>>()?;
        self.to.execute_batch("CREATE TEMP TABLE odd (source, kind, id)")?;
        for (table, query) in tables.iter().zip(queries) {
            self.progress.set_message(format!("reading {}", table.source));
            let copied = self.copy_table(table, &query).await;
            copied.with_context(|| format!("cannot read the source's {}", table.source))?;
        }
        Ok(())
    }

    /// Copies each row as it arrives, as the rows may not fit into memory.
    async fn copy_table(&self, table: &Table, query: &str) -> Result<()> {
        let Table { source, columns, .. } = table;
        let count = format!("SELECT count(*) FROM {source}");
        let count = self.within(self.client.query_typed(&count, &[])).await?;
        self.progress.inc_length(count[0].try_get::<_, i64>(0)?.try_into()?);

        self.to.execute_batch(&table.definition(source))?;
        let parameters = vec!["?"; columns.len() + 1].join(", ");
        let mut insert = self.to.prepare(&format!("INSERT INTO {source} VALUES ({parameters})"))?;
        let mut add_odd = self.to.prepare("INSERT INTO odd VALUES (?1, ?2, ?3)")?;

        let rows = self.client.query_typed_raw(query, Vec::<(i64, Type)>::new());
        let mut rows = pin!(self.within(rows).await?);
        let mut last_id = None;
        loop {
            let next = self.within(rows.try_next()).await;
            let after =
                || last_id.map_or_else(String::new, |id| format!("after the row with id {id}"));
            let Some(row) = next.with_context(after)? else { return Ok(()) };
            self.progress.inc(1);
            let id: Option<i64> = row.try_get(0)?;
            if id.is_none_or(|id| id < 1) {
                add_odd.execute((source, "id", id))?;
                continue;
            }
            for (at, column) in row.columns().iter().enumerate() {
                if *column.type_() == Type::INT8 {
                    insert.raw_bind_parameter(at + 1, row.try_get::<_, Option<i64>>(at)?)?;
                    continue;
                }
                let bytes: Option<Bytes> = row.try_get(at)?;
                let text = bytes.map(|bytes| String::from_utf8_lossy(bytes.0));
                if matches!(text, Some(std::borrow::Cow::Owned(_))) {
                    add_odd.execute((source, "text", id))?;
                }
                insert.raw_bind_parameter(at + 1, text.as_deref())?;
            }
            match insert.raw_execute() {
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                    bail!("The id {} occurs twice: make it unique there.", id.unwrap_or_default())
                }
                result => result?,
            };
            last_id = id;
        }
    }

    /// Waits for a reply, until the limit.
    async fn within<T>(
        &self,
        reply: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T> {
        let Ok(reply) = timeout(self.limit, reply).await else { return Err(no_answer(self.limit)) };
        reply.map_err(|error| {
            let advice = match error.code() {
                Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
                    "this user may not read all of it: grant it SELECT on the table and, if that \
                     has row-level security, BYPASSRLS"
                }
                Some(&SqlState::LOCK_NOT_AVAILABLE) => "another session has locked it",
                _ => return error.into(),
            };
            Error::from(error).context(advice)
        })
    }
}

/// The error that there was no answer within `limit`.
fn no_answer(limit: Duration) -> Error {
    anyhow!("no answer within {} s (--timeout waits longer)", limit.as_secs())
}

/// SQL for a date or time, in seconds.
const SECONDS: &str =
    "CASE WHEN isfinite({column}) THEN extract(epoch FROM {column}) ELSE 'NaN' END";

/// SQL for a time, as [`Kind::Time`] defines it.
const TIME: &str = include_str!("time.sql");

/// The query for the rows of a table, by id. The types of the columns have changed between versions
/// of LuoYunCloud, so they are read as text, except ids and Unix times (in seconds).
fn query(table: &Table, known: &[Row]) -> Result<String> {
    let mut values = Vec::new();
    let columns = table.columns.iter().map(|column| (column.name.as_str(), &column.kind));
    for (name, kind) in [("id", &Kind::Id)].into_iter().chain(columns) {
        let source = table.source.as_str();
        let is_it = |row: &&Row| (row.get(1), row.get(2)) == (source, name);
        let Some(found) = known.iter().find(is_it) else {
            bail!(
                "The source has no column {name} in a table {source} that this user may see: is \
                 it LuoYunCloud's database?"
            )
        };
        let (encoding, of_type): (&str, &str) = (found.get(0), found.get(3));
        let is_integer = matches!(of_type, "smallint" | "integer" | "bigint");
        let is_number = is_integer || matches!(of_type, "real" | "double precision" | "numeric");
        let is_date = of_type.starts_with("timestamp") || of_type == "date";
        let value = match kind {
            Kind::Id if is_integer => "{column}::bigint",
            Kind::Id => include_str!("id.sql"),
            Kind::Time if is_number => &TIME.replace("{seconds}", "{column}"),
            Kind::Time if is_date => &TIME.replace("{seconds}", SECONDS),
            Kind::Time => {
                bail!("The source's {source}.{name} is of the type {of_type}, not a time.")
            }
            Kind::Text if matches!(of_type, "inet" | "cidr") => "host({column})",
            Kind::Text => "{column}::text",
        };
        // PostgreSQL would refuse to send bytes that are not UTF-8 as text.
        let is_unchecked = matches!(kind, Kind::Text) && encoding == "SQL_ASCII";
        let value = if is_unchecked { &format!("convert_to({value}, 'SQL_ASCII')") } else { value };
        values.push(value.replace("{column}", name));
    }
    Ok(format!("SELECT {} FROM {} ORDER BY id", values.join(", "), table.source))
}
