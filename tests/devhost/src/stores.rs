//! The stores and the variables of a component: `key-value`, `sqlite` and `variables` of
//! `fermyon:spin@2.0.0`, on files in Spin's own format.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use rusqlite::types::{self, ValueRef};
use rusqlite::{OptionalExtension, StatementStatus, params};
use tokio::task::{block_in_place, spawn_blocking};
use wasmtime::component::{HasSelf, Linker, Resource};

use self::bindings::fermyon::spin::{key_value, sqlite, variables};
use crate::engine::Guest;

mod bindings {
    wasmtime::component::bindgen!({
        path: "wit",
        imports: {
            "fermyon:spin/sqlite.[method]connection.execute": async | trappable,
            "fermyon:spin/sqlite": trappable,
        },
        with: { "fermyon:spin/sqlite.connection": super::Connection },
    });
}

/// The only key-value store and the only database that Spin has without a runtime config.
const DEFAULT: &str = "default";

/// The files behind the stores of all components.
pub(crate) struct Stores {
    database: PathBuf,
    key_value: Mutex<rusqlite::Connection>,
    /// How often they were restarted.
    restarts: AtomicU32,
}

impl Stores {
    /// Opens the files in `state_dir`, under the names that Spin gives them.
    /// Fails if a file cannot be created or opened.
    pub(crate) fn open(state_dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(state_dir)
            .with_context(|| format!("cannot create {}", state_dir.display()))?;
        let path = state_dir.join("sqlite_key_value.db");
        let key_value = rusqlite::Connection::open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
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

    /// Ends all connections, as Redis and libSQL servers do that restart.
    pub(crate) fn restart(&self) {
        self.restarts.fetch_add(1, Ordering::Relaxed);
    }

    fn restarts(&self) -> u32 {
        self.restarts.load(Ordering::Relaxed)
    }

    /// Fails if the stores were restarted after `restarts`.
    fn check_connection(&self, restarts: u32) -> Result<()> {
        ensure!(restarts == self.restarts(), "the server has restarted");
        Ok(())
    }

    /// Runs the argument of `--sqlite`: one statement, or `@` and a file of statements.
    /// Fails if the file cannot be read or a statement fails.
    pub(crate) fn run_sql(&self, argument: &str) -> Result<()> {
        let db = rusqlite::Connection::open(&self.database)
            .with_context(|| format!("cannot open {}", self.database.display()))?;
        let outcome = match argument.strip_prefix('@') {
            Some(file) => {
                let sql = std::fs::read_to_string(file)
                    .with_context(|| format!("--sqlite: cannot read {file}"))?;
                db.execute_batch(&sql)
            }
            None => db.execute(argument, []).map(drop),
        };
        outcome.with_context(|| format!("--sqlite {argument}"))
    }

    fn key_value<T>(
        &self,
        store: &Resource<key_value::Store>,
        query: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T>,
    ) -> Result<T, key_value::Error> {
        let query = || query(&self.key_value.lock().unwrap_or_else(PoisonError::into_inner));
        self.check_connection(store.rep())
            .and_then(|()| Ok(block_in_place(query)?))
            .map_err(|cause| key_value::Error::Other(cause.to_string()))
    }
}

/// Adds the three interfaces. A component with any other import does not link; the error names
/// the import.
pub(crate) fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    bindings::Host_::add_to_linker::<_, HasSelf<_>>(linker, |guest| guest)
}

impl key_value::Host for Guest {}

impl key_value::HostStore for Guest {
    fn open(&mut self, label: String) -> Result<Resource<key_value::Store>, key_value::Error> {
        self.count("store.open");
        let granted = label == DEFAULT && !self.component.key_value_stores.is_empty();
        // All handles refer to the same store.
        let restarts = self.stores.restarts();
        granted.then(|| Resource::new_own(restarts)).ok_or(key_value::Error::AccessDenied)
    }

    fn get(
        &mut self,
        store: Resource<key_value::Store>,
        key: String,
    ) -> Result<Option<Vec<u8>>, key_value::Error> {
        self.count("store.get");
        self.stores.key_value(&store, |db| {
            db.prepare_cached("SELECT value FROM spin_key_value WHERE store = ?1 AND key = ?2")?
                .query_row(params![DEFAULT, key], |row| row.get(0))
                .optional()
        })
    }

    fn set(
        &mut self,
        store: Resource<key_value::Store>,
        key: String,
        value: Vec<u8>,
    ) -> Result<(), key_value::Error> {
        self.count("store.set");
        self.stores.key_value(&store, |db| {
            db.prepare_cached(
                "INSERT INTO spin_key_value (store, key, value) VALUES (?1, ?2, ?3)
                 ON CONFLICT (store, key) DO UPDATE SET value = excluded.value",
            )?
            .execute(params![DEFAULT, key, value])
            .map(drop)
        })
    }

    fn delete(
        &mut self,
        store: Resource<key_value::Store>,
        key: String,
    ) -> Result<(), key_value::Error> {
        self.count("store.delete");
        self.stores.key_value(&store, |db| {
            db.prepare_cached("DELETE FROM spin_key_value WHERE store = ?1 AND key = ?2")?
                .execute(params![DEFAULT, key])
                .map(drop)
        })
    }

    fn drop(&mut self, _: Resource<key_value::Store>) -> wasmtime::Result<()> {
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

/// A database connection, opened at its first statement, as in Spin.
#[derive(Clone, Default)]
#[allow(unreachable_pub, reason = "bindgen! re-exports it")]
pub struct Connection(Arc<Mutex<Option<(rusqlite::Connection, u32)>>>);

impl sqlite::Host for Guest {}

impl sqlite::HostConnection for Guest {
    fn open(
        &mut self,
        label: String,
    ) -> wasmtime::Result<Result<Resource<Connection>, sqlite::Error>> {
        self.count("connection.open");
        if label != DEFAULT || self.component.sqlite_databases.is_empty() {
            return Ok(Err(sqlite::Error::AccessDenied));
        }
        Ok(Ok(self.table.push(Connection::default())?))
    }

    async fn execute(
        &mut self,
        connection: Resource<Connection>,
        sql: String,
        values: Vec<sqlite::Value>,
    ) -> wasmtime::Result<Result<sqlite::QueryResult, sqlite::Error>> {
        self.count("connection.execute");
        self.measured.sql.push(sql.clone());
        let connection = self.table.get(&connection)?.clone();
        let stores = self.stores.clone();
        let query = move || connection.execute(&stores, &sql, values);
        Ok(match spawn_blocking(query).await? {
            Ok((result, steps)) => {
                self.measured.sql_steps += steps;
                Ok(result)
            }
            Err(cause) => Err(sqlite::Error::Io(cause.to_string())),
        })
    }

    fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

impl Connection {
    /// Runs a statement. Returns its result, and the number of instructions that SQLite's virtual
    /// machine executed.
    fn execute(
        &self,
        stores: &Stores,
        sql: &str,
        values: Vec<sqlite::Value>,
    ) -> Result<(sqlite::QueryResult, i32)> {
        let mut connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (db, restarts) = match &mut *connection {
            Some(opened) => opened,
            unopened => {
                unopened.insert((rusqlite::Connection::open(&stores.database)?, stores.restarts()))
            }
        };
        stores.check_connection(*restarts)?;
        let mut statement = db.prepare(sql)?;
        let columns: Vec<_> = statement.column_names().map(str::to_owned).collect();
        let parameters = rusqlite::params_from_iter(values.into_iter().map(types::Value::from));
        let rows = statement
            .query_map(parameters, |row| {
                let values = (0..columns.len()).map(|at| Ok(row.get_ref(at)?.into()));
                Ok(sqlite::RowResult { values: values.collect::<rusqlite::Result<_>>()? })
            })?
            .collect::<rusqlite::Result<_>>()?;
        Ok((sqlite::QueryResult { columns, rows }, statement.get_status(StatementStatus::VmStep)))
    }
}

impl From<ValueRef<'_>> for sqlite::Value {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(integer) => Self::Integer(integer),
            ValueRef::Real(real) => Self::Real(real),
            ValueRef::Text(text) => Self::Text(String::from_utf8_lossy(text).into_owned()),
            ValueRef::Blob(blob) => Self::Blob(blob.to_vec()),
        }
    }
}

impl From<sqlite::Value> for types::Value {
    fn from(value: sqlite::Value) -> Self {
        match value {
            sqlite::Value::Null => Self::Null,
            sqlite::Value::Integer(integer) => Self::Integer(integer),
            sqlite::Value::Real(real) => Self::Real(real),
            sqlite::Value::Text(text) => Self::Text(text),
            sqlite::Value::Blob(blob) => Self::Blob(blob),
        }
    }
}
