//! The stores and the variables of a component: `key-value`, `sqlite` and `variables` of
//! `fermyon:spin@2.0.0`, on files in Spin's own format.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{OptionalExtension, Params, params_from_iter};
use tokio::task::block_in_place;
use wasmtime::component::{HasSelf, Linker, Resource};

use self::bindings::fermyon::spin::key_value::Store;
use self::bindings::fermyon::spin::sqlite::{QueryResult, RowResult, Value};
use self::bindings::fermyon::spin::{key_value, sqlite, variables};
use crate::engine::Guest;

mod bindings {
    wasmtime::component::bindgen!({
        path: "wit",
        with: { "fermyon:spin/sqlite.connection": super::Connection },
    });
}

type KeyValue<T> = Result<T, key_value::Error>;
type Sqlite<T> = Result<T, sqlite::Error>;

/// The files behind the stores of all components.
pub(crate) struct Stores {
    database: PathBuf,
    key_value: Mutex<rusqlite::Connection>,
    /// How often they were restarted, which ends all connections, as with Redis and libSQL.
    pub(crate) restarts: AtomicU32,
}

impl Stores {
    /// Opens the files in `state_dir`, under the names that Spin gives them.
    /// Fails if a file cannot be created or opened.
    pub(crate) fn open(state_dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(state_dir)?;
        let key_value = rusqlite::Connection::open(state_dir.join("sqlite_key_value.db"))?;
        key_value.execute_batch(
            "CREATE TABLE IF NOT EXISTS spin_key_value (
                 store TEXT NOT NULL,
                 key   TEXT NOT NULL,
                 value BLOB NOT NULL,
                 PRIMARY KEY (store, key)
             )",
        )?;
        let (database, key_value) = (state_dir.join("sqlite_db.db"), Mutex::new(key_value));
        Ok(Self { database, key_value, restarts: AtomicU32::new(0) })
    }

    fn restarts(&self) -> u32 {
        self.restarts.load(Ordering::Relaxed)
    }

    /// Fails if the stores were restarted after `restarts`.
    fn check_connection(&self, restarts: u32) -> Result<()> {
        ensure!(restarts == self.restarts(), "the server has restarted");
        Ok(())
    }

    /// Runs the argument of `--sqlite`: `@` and a file of statements.
    /// Fails if the file cannot be read or a statement fails.
    pub(crate) fn run_sql(&self, argument: &str) -> Result<()> {
        let file = argument.strip_prefix('@').context("--sqlite takes @FILE")?;
        let sql = std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
        let db = rusqlite::Connection::open(&self.database)?;
        db.execute_batch(&sql).with_context(|| format!("--sqlite {argument}"))
    }
}

/// Adds the three interfaces. A component with any other import does not link; the error names
/// the import.
pub(crate) fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    bindings::Host_::add_to_linker::<_, HasSelf<_>>(linker, |guest| guest)
}

impl Guest {
    /// Runs a statement on the key-value store; returns the value in its first row.
    fn key_value(
        &mut self,
        call: &'static str,
        store: &Resource<Store>,
        sql: &str,
        parameters: impl Params,
    ) -> KeyValue<Option<Vec<u8>>> {
        self.count(call);
        let query = || {
            self.stores.check_connection(store.rep())?;
            let db = self.stores.key_value.lock().unwrap_or_else(PoisonError::into_inner);
            let mut statement = db.prepare_cached(sql)?;
            anyhow::Ok(statement.query_row(parameters, |row| row.get(0)).optional()?)
        };
        block_in_place(query).map_err(|cause| key_value::Error::Other(cause.to_string()))
    }
}

impl key_value::Host for Guest {}

impl key_value::HostStore for Guest {
    fn open(&mut self, label: String) -> KeyValue<Resource<Store>> {
        self.count("store.open");
        let granted = self.component.key_value_stores.contains(&label);
        // All handles refer to the same store.
        let restarts = self.stores.restarts();
        granted.then(|| Resource::new_own(restarts)).ok_or(key_value::Error::AccessDenied)
    }

    fn get(&mut self, store: Resource<Store>, key: String) -> KeyValue<Option<Vec<u8>>> {
        let sql = "SELECT value FROM spin_key_value WHERE store = 'default' AND key = ?1";
        self.key_value("store.get", &store, sql, [key])
    }

    fn set(&mut self, store: Resource<Store>, key: String, value: Vec<u8>) -> KeyValue<()> {
        let sql = "INSERT INTO spin_key_value (store, key, value) VALUES ('default', ?1, ?2)
                   ON CONFLICT (store, key) DO UPDATE SET value = excluded.value";
        self.key_value("store.set", &store, sql, (key, value)).map(drop)
    }

    fn delete(&mut self, store: Resource<Store>, key: String) -> KeyValue<()> {
        let sql = "DELETE FROM spin_key_value WHERE store = 'default' AND key = ?1";
        self.key_value("store.delete", &store, sql, [key]).map(drop)
    }

    fn drop(&mut self, _: Resource<Store>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl variables::Host for Guest {
    fn get(&mut self, name: String) -> Result<String, variables::Error> {
        self.count("variables.get");
        let value = self.component.variables.get(&name).cloned();
        value.ok_or(variables::Error::Undefined(name))
    }
}

/// A database connection.
#[allow(unreachable_pub, reason = "bindgen! re-exports it")]
pub struct Connection {
    db: rusqlite::Connection,
    restarts: u32,
}

fn io(cause: impl ToString) -> sqlite::Error {
    sqlite::Error::Io(cause.to_string())
}

impl sqlite::Host for Guest {}

impl sqlite::HostConnection for Guest {
    fn open(&mut self, label: String) -> Sqlite<Resource<Connection>> {
        self.count("connection.open");
        if !self.component.sqlite_databases.contains(&label) {
            return Err(sqlite::Error::AccessDenied);
        }
        let db = rusqlite::Connection::open(&self.stores.database).map_err(io)?;
        self.table.push(Connection { db, restarts: self.stores.restarts() }).map_err(io)
    }

    fn execute(
        &mut self,
        connection: Resource<Connection>,
        sql: String,
        values: Vec<Value>,
    ) -> Sqlite<QueryResult> {
        self.count("connection.execute");
        self.measured.sql.push(sql.clone());
        let query = || {
            let Connection { db, restarts } = self.table.get(&connection)?;
            self.stores.check_connection(*restarts)?;
            let mut statement = db.prepare(&sql)?;
            let columns: Vec<_> = statement.column_names().map(str::to_owned).collect();
            let rows = statement.query(params_from_iter(values))?.mapped(|row| {
                let values = (0..columns.len()).map(|at| row.get(at));
                Ok(RowResult { values: values.collect::<rusqlite::Result<_>>()? })
            });
            let rows = rows.collect::<rusqlite::Result<_>>()?;
            anyhow::Ok(QueryResult { columns, rows })
        };
        block_in_place(query).map_err(io)
    }

    fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

impl FromSql for Value {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(integer) => Self::Integer(integer),
            ValueRef::Real(real) => Self::Real(real),
            ValueRef::Text(text) => Self::Text(String::from_utf8_lossy(text).into_owned()),
            ValueRef::Blob(blob) => Self::Blob(blob.to_vec()),
        })
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(integer) => ValueRef::Integer(*integer),
            Self::Real(real) => ValueRef::Real(*real),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(blob) => ValueRef::Blob(blob),
        }))
    }
}
