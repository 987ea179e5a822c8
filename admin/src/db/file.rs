//! A database file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};
use rustix::fs::{Access, StatVfs, access, statvfs};
use rustix::io::Errno;
use serde_json::Value;

use super::{Run, failure};
use crate::owner;

/// How long a statement waits for another program to end its transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a checkpoint waits for the transactions of other programs.
const CHECKPOINT_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection to a database file.
pub(crate) struct File {
    db: Connection,
    pub(crate) path: PathBuf,
}

impl File {
    /// Opens the file `path`, and adds the tables and columns that it lacks. Creates the file if it
    /// has the name of Spin's database: a server that has not been used yet has none.
    /// Fails if it does not exist otherwise, cannot be opened, or the server could not write it.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let path = owner::resolve(path);
        let name = path.display().to_string();
        if path.is_dir() {
            bail!("{name} is a folder: --db names a file, such as {name}/sqlite_db.db.");
        }
        // The name that Spin gives to the database, in the state folder.
        let is_spins = path.ends_with("sqlite_db.db") && owner::folder_of(&path).is_dir();
        if is_spins {
            owner::claim(&path, "sqlite_")?;
        } else if !path.try_exists().with_context(|| format!("cannot open {name}"))? {
            let advice = "The server creates it when it first starts (make up DEMO=0)";
            bail!("There is no database at {name}. {advice}; --db names another one.");
        }
        // Without SQLITE_OPEN_CREATE, a mistyped name creates no database.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(&path, flags).map_err(|it| explain(&path, it))?;
        db.busy_timeout(BUSY_TIMEOUT)?;
        let file = Self { db, path };
        let tables = file.query(luoyun_schema::FIND_TABLES, &[])?;
        let tables: Vec<(String, String)> = serde_json::from_value(tables)?;
        if is_spins && tables.is_empty() {
            file.query(luoyun_schema::LOCAL, &[])?;
        }
        if !luoyun_schema::is_ours(&tables) {
            bail!("{name} is the database of another program: --db names the API's.");
        }
        if is_spins || !tables.is_empty() {
            luoyun_schema::complete(&tables, |statement| file.query(statement, &[]).map(drop))?;
        }
        // Overwrites password hashes that are replaced or deleted.
        file.query("PRAGMA secure_delete = ON", &[])?;
        Ok(file)
    }

    /// The rows of a statement; see [`super::Database::query`].
    pub(super) fn query(&self, sql: &str, values: &[Value]) -> Result<Value> {
        let query = || -> rusqlite::Result<Value> {
            let mut statement = self.db.prepare(sql)?;
            let columns = statement.column_count();
            let values = rusqlite::params_from_iter(values.iter().map(argument));
            let rows = statement.query_map(values, |row| {
                (0..columns).map(|at| cell(row.get_ref(at)?)).collect::<Result<Value, _>>()
            })?;
            rows.collect()
        };
        query().map_err(|error| explain(&self.path, error))
    }

    /// As [`super::Database::batch`].
    pub(super) fn batch(&self, work: impl FnOnce(&mut Run) -> Result<()>) -> Result<()> {
        self.query("PRAGMA foreign_keys = OFF", &[])?;
        // Rolled back if it is not committed.
        let transaction = Transaction::new_unchecked(&self.db, TransactionBehavior::Immediate);
        let transaction = transaction.map_err(|error| explain(&self.path, error))?;
        work(&mut |sql, values| self.query(sql, values).map(drop))?;
        transaction.commit().map_err(|error| explain(&self.path, error))
    }
}

impl Drop for File {
    /// Moves the write-ahead log into the file and truncates it after a change, as it may contain
    /// replaced password hashes. Does nothing if there is no log or another program blocks the
    /// checkpoint; the last program to close the file checkpoints too.
    fn drop(&mut self) {
        if self.db.total_changes() > 0 {
            let _ = self.db.busy_timeout(CHECKPOINT_TIMEOUT);
            let _ = self.query("PRAGMA wal_checkpoint(TRUNCATE)", &[]);
        }
    }
}

/// The error of a statement on the file `path`, with advice.
pub(crate) fn explain(path: &Path, error: rusqlite::Error) -> anyhow::Error {
    let Some(code) = error.sqlite_error_code() else { return anyhow!(error) };
    let folder = owner::folder_of(path);
    let cannot = [path, folder].map(|path| access(path, Access::READ_OK | Access::WRITE_OK).err());
    let is_full = |disk: StatVfs| disk.f_bavail == 0 || disk.f_files > 0 && disk.f_favail == 0;
    // SQLite gives these for any of the causes.
    let is_vague =
        matches!(code, ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::SystemIoFailure);
    let code = if is_vague && cannot.contains(&Some(Errno::ROFS)) {
        "ReadOnlyFileSystem".to_owned()
    } else if is_vague && cannot == [None; 2] && statvfs(folder).is_ok_and(is_full) {
        "DiskFull".to_owned()
    } else {
        format!("{code:?}")
    };
    failure(&path.display().to_string(), &code, &error.to_string())
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
