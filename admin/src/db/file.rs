//! A database file.

use std::iter;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, params_from_iter};
use serde_json::Value;

use super::{Cells, failure};

/// The name that Spin gives to the database, in the state folder.
const SPINS_NAME: &str = "sqlite_db.db";

/// How long a statement waits for another program to end its transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a checkpoint waits for the transactions of other programs.
const CHECKPOINT_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection to a database file.
pub(crate) struct File {
    db: Connection,
    name: String,
}

impl File {
    /// Opens the file `path`. Creates the file and the tables if it has the name of Spin's database:
    /// a server that has not been used yet has none.
    /// Fails if it does not exist otherwise, or cannot be opened.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        if path.is_dir() {
            bail!("{name} is a folder: --db names a file, such as {name}/sqlite_db.db.");
        }
        let is_spins = path.file_name().is_some_and(|name| name == SPINS_NAME)
            && path.parent().is_some_and(Path::is_dir);
        if !path.exists() && !is_spins {
            bail!(
                "There is no database at {name}. The server creates it when it first starts (make \
                 up DEMO=0); --db names another one."
            );
        }
        // Without SQLITE_OPEN_CREATE, a mistyped name creates no database.
        let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        flags.set(OpenFlags::SQLITE_OPEN_CREATE, is_spins);
        let db = Connection::open_with_flags(path, flags)
            .with_context(|| format!("cannot open the database {name}"))?;
        db.busy_timeout(BUSY_TIMEOUT)?;
        let mut file = Self { db, name };
        let is_unreadable = matches!(
            file.db.query_row("SELECT 1 FROM sqlite_schema", [], |_| Ok(())),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::CannotOpen)
        );
        if is_unreadable && !PathBuf::from(format!("{}-wal", file.name)).exists() {
            // Without a log, a folder that nobody may write to does not hide the file.
            let uri = file.name.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
            file.db = Connection::open_with_flags(format!("file:{uri}?immutable=1"), flags)?;
        }
        let sql = "SELECT count(*) > 0 AND sum(sql LIKE '%session_epoch%') = 0
                   FROM sqlite_schema WHERE type = 'table'";
        if file.query(sql, &[])?.iter().flatten().any(|it| *it == 1) {
            bail!("{} is the database of another program: --db names the API's.", file.name);
        }
        let find = "SELECT 1 FROM sqlite_schema WHERE name = ?1";
        if is_spins && file.query(find, &[luoyun_schema::LAST_TABLE.into()])?.is_empty() {
            let mut all = iter::once(luoyun_schema::LOCAL).chain(luoyun_schema::statements());
            all.try_for_each(|statement| file.query(statement, &[]).map(drop))?;
        }
        // Overwrites password hashes that are replaced or deleted.
        file.query("PRAGMA secure_delete = ON", &[])?;
        Ok(file)
    }

    /// As [`super::Database::query`].
    pub(super) fn query(&self, sql: &str, values: &[Value]) -> Result<Vec<Cells>> {
        let query = || {
            let mut statement = self.db.prepare(sql)?;
            let columns = statement.column_count();
            let values = params_from_iter(values.iter().map(argument));
            let rows = statement
                .query_map(values, |row| (0..columns).map(|at| cell(row.get_ref(at)?)).collect())?;
            rows.collect()
        };
        let result: rusqlite::Result<_> = query();
        result.map_err(|error| match error.sqlite_error_code() {
            Some(code) => failure(&self.name, &format!("{code:?}"), &error.to_string()),
            None => anyhow!(error),
        })
    }

    /// Moves the write-ahead log into the file and truncates it, as it may contain replaced
    /// password hashes. Does nothing if there is no log or another program blocks the checkpoint;
    /// the last program to close the file checkpoints too.
    pub(super) fn checkpoint(&self) {
        let _ = self.db.busy_timeout(CHECKPOINT_TIMEOUT);
        let _ = self.query("PRAGMA wal_checkpoint(TRUNCATE)", &[]);
        let _ = self.db.busy_timeout(BUSY_TIMEOUT);
    }
}

fn argument(value: &Value) -> ToSqlOutput<'_> {
    match value {
        Value::String(text) => text.as_str().into(),
        Value::Null => rusqlite::types::Null.into(),
        other => other.as_i64().unwrap_or_else(|| i64::from(other == true)).into(),
    }
}

fn cell(value: ValueRef) -> rusqlite::Result<Value> {
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => number.into(),
        other => String::from_utf8_lossy(other.as_bytes()?).into(),
    })
}
