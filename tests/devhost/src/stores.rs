//! What Spin lends a component: `key-value`, `sqlite` and `variables` of
//! `fermyon:spin@2.0.0`, over files in Spin's own format.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{OptionalExtension, params};
use tokio::task::{block_in_place, spawn_blocking};
use wasmtime::component::{ComponentType, Lift, Linker, Lower, Resource, ResourceType};

use crate::engine::Guest;
use crate::manifest::Component;

/// The one store and the one database that Spin has without a runtime config.
const DEFAULT: &str = "default";

/// The files behind the stores of all components.
pub(crate) struct Stores {
    database: PathBuf,
    key_value: Mutex<rusqlite::Connection>,
}

impl Stores {
    /// Opens the files in `state_dir`, under the names that Spin gives them.
    ///
    /// # Errors
    /// Where a file cannot be made or opened.
    pub(crate) fn open(state_dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(state_dir)
            .with_context(|| format!("cannot make {}", state_dir.display()))?;
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
        Ok(Self { database: state_dir.join("sqlite_db.db"), key_value: Mutex::new(key_value) })
    }

    /// Runs what `--sqlite` was given: one statement, or `@` and a file of them.
    pub(crate) fn run_sql(&self, given: &str) -> Result<()> {
        let db = rusqlite::Connection::open(&self.database)
            .with_context(|| format!("cannot open {}", self.database.display()))?;
        let done = match given.strip_prefix('@') {
            Some(file) => {
                let sql = std::fs::read_to_string(file)
                    .with_context(|| format!("--sqlite: cannot read {file}"))?;
                db.execute_batch(&sql)
            }
            None => db.execute(given, []).map(drop),
        };
        done.with_context(|| format!("--sqlite {given}"))
    }

    /// Sets an entry of the default key-value store.
    pub(crate) fn set(&self, key: &str, value: &[u8]) -> rusqlite::Result<()> {
        self.key_value(|db| {
            db.prepare_cached(
                "INSERT INTO spin_key_value (store, key, value) VALUES (?1, ?2, ?3)
                 ON CONFLICT (store, key) DO UPDATE SET value = excluded.value",
            )?
            .execute(params![DEFAULT, key, value])
            .map(drop)
        })
    }

    fn get(&self, key: &str) -> rusqlite::Result<Option<Vec<u8>>> {
        self.key_value(|db| {
            db.prepare_cached("SELECT value FROM spin_key_value WHERE store = ?1 AND key = ?2")?
                .query_row(params![DEFAULT, key], |row| row.get(0))
                .optional()
        })
    }

    fn delete(&self, key: &str) -> rusqlite::Result<()> {
        self.key_value(|db| {
            db.prepare_cached("DELETE FROM spin_key_value WHERE store = ?1 AND key = ?2")?
                .execute(params![DEFAULT, key])
                .map(drop)
        })
    }

    fn key_value<T>(
        &self,
        work: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        work(&self.key_value.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What the component of a request may open, and the handles it has open.
pub(crate) struct Grants {
    pub(crate) component: Arc<Component>,
    pub(crate) variables: Arc<BTreeMap<String, String>>,
    pub(crate) stores: Arc<Stores>,
    pub(crate) calls: BTreeMap<&'static str, u32>,
    pub(crate) sql: Vec<String>,
}

impl Grants {
    fn count(&mut self, call: &'static str) {
        *self.calls.entry(call).or_default() += 1;
    }
}

/// A guest's handle to a key-value store.
struct Store;

/// A guest's handle to a database: as in Spin, a connection of its own, opened
/// when it is first used.
#[derive(Clone, Default)]
struct Connection(Arc<Mutex<Option<rusqlite::Connection>>>);

#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
#[allow(dead_code, reason = "the interface's variants, used here or not")]
enum KeyValueError {
    #[component(name = "store-table-full")]
    StoreTableFull,
    #[component(name = "no-such-store")]
    NoSuchStore,
    #[component(name = "access-denied")]
    AccessDenied,
    #[component(name = "other")]
    Other(String),
}

impl KeyValueError {
    #[allow(clippy::needless_pass_by_value, reason = "for map_err")]
    fn other(cause: rusqlite::Error) -> Self {
        Self::Other(cause.to_string())
    }
}

#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
#[allow(dead_code, reason = "the interface's variants, used here or not")]
enum SqliteError {
    #[component(name = "no-such-database")]
    NoSuchDatabase,
    #[component(name = "access-denied")]
    AccessDenied,
    #[component(name = "invalid-connection")]
    InvalidConnection,
    #[component(name = "database-full")]
    DatabaseFull,
    #[component(name = "io")]
    Io(String),
}

#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum Value {
    #[component(name = "integer")]
    Integer(i64),
    #[component(name = "real")]
    Real(f64),
    #[component(name = "text")]
    Text(String),
    #[component(name = "blob")]
    Blob(Vec<u8>),
    #[component(name = "null")]
    Null,
}

#[derive(ComponentType, Lower)]
#[component(record)]
struct Row {
    values: Vec<Value>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
struct QueryResult {
    columns: Vec<String>,
    rows: Vec<Row>,
}

#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
#[allow(dead_code, reason = "the interface's variants, used here or not")]
enum VariableError {
    #[component(name = "invalid-name")]
    InvalidName(String),
    #[component(name = "undefined")]
    Undefined(String),
    #[component(name = "provider")]
    Provider(String),
    #[component(name = "other")]
    Other(String),
}

/// Adds what our components import; a component that imports more does not link,
/// and the error names the import.
pub(crate) fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    add_key_value(linker)?;
    add_sqlite(linker)?;
    let mut variables = linker.instance("fermyon:spin/variables@2.0.0")?;
    variables.func_wrap("get", |mut guest, (name,): (String,)| {
        let grants = &mut guest.data_mut().grants;
        grants.count("variables.get");
        let value = grants.variables.get(&name).cloned();
        Ok((value.ok_or(VariableError::Undefined(name)),))
    })
}

fn add_key_value(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut key_value = linker.instance("fermyon:spin/key-value@2.0.0")?;
    key_value.resource("store", ResourceType::host::<Store>(), |mut guest, rep| {
        guest.data_mut().table.delete(Resource::<Store>::new_own(rep))?;
        Ok(())
    })?;
    key_value.func_wrap("[static]store.open", |mut guest, (label,): (String,)| {
        let Guest { grants, table, .. } = guest.data_mut();
        grants.count("store.open");
        if !grants.component.key_value_stores.contains(&label) {
            return Ok((Err(KeyValueError::AccessDenied),));
        }
        if label != DEFAULT {
            return Ok((Err(KeyValueError::NoSuchStore),));
        }
        Ok((Ok(table.push(Store)?),))
    })?;
    key_value.func_wrap(
        "[method]store.get",
        |mut guest, (store, key): (Resource<Store>, String)| {
            let stores = counted(guest.data_mut(), "store.get", &store)?;
            let value = block_in_place(|| stores.get(&key));
            Ok((value.map_err(KeyValueError::other),))
        },
    )?;
    key_value.func_wrap(
        "[method]store.set",
        |mut guest, (store, key, value): (Resource<Store>, String, Vec<u8>)| {
            let stores = counted(guest.data_mut(), "store.set", &store)?;
            let done = block_in_place(|| stores.set(&key, &value));
            Ok((done.map_err(KeyValueError::other),))
        },
    )?;
    key_value.func_wrap(
        "[method]store.delete",
        |mut guest, (store, key): (Resource<Store>, String)| {
            let stores = counted(guest.data_mut(), "store.delete", &store)?;
            let done = block_in_place(|| stores.delete(&key));
            Ok((done.map_err(KeyValueError::other),))
        },
    )
}

/// Counts a call on a handle and checks the handle.
fn counted(
    guest: &mut Guest,
    call: &'static str,
    store: &Resource<Store>,
) -> wasmtime::Result<Arc<Stores>> {
    guest.grants.count(call);
    guest.table.get(store)?;
    Ok(guest.grants.stores.clone())
}

fn add_sqlite(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut sqlite = linker.instance("fermyon:spin/sqlite@2.0.0")?;
    sqlite.resource("connection", ResourceType::host::<Connection>(), |mut guest, rep| {
        let handle = Resource::<Connection>::new_own(rep);
        guest.data_mut().table.delete(handle)?;
        Ok(())
    })?;
    sqlite.func_wrap("[static]connection.open", |mut guest, (label,): (String,)| {
        let Guest { grants, table, .. } = guest.data_mut();
        grants.count("connection.open");
        if !grants.component.sqlite_databases.contains(&label) {
            return Ok((Err(SqliteError::AccessDenied),));
        }
        if label != DEFAULT {
            return Ok((Err(SqliteError::NoSuchDatabase),));
        }
        Ok((Ok(table.push(Connection::default())?),))
    })?;
    sqlite.func_wrap_async(
        "[method]connection.execute",
        |mut guest, (handle, sql, values): (Resource<Connection>, String, Vec<Value>)| {
            Box::new(async move {
                let Guest { grants, table, .. } = guest.data_mut();
                grants.count("connection.execute");
                grants.sql.push(sql.clone());
                let connection = table.get(&handle)?.clone();
                let path = grants.stores.database.clone();
                let work = move || execute(&connection, &path, &sql, &values);
                let result = spawn_blocking(work).await?;
                Ok((result.map_err(|cause| SqliteError::Io(cause.to_string())),))
            })
        },
    )
}

fn execute(
    Connection(connection): &Connection,
    path: &Path,
    sql: &str,
    values: &[Value],
) -> rusqlite::Result<QueryResult> {
    let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
    let db = match connection.take() {
        Some(db) => db,
        None => rusqlite::Connection::open(path)?,
    };
    let db = connection.insert(db);

    let mut statement = db.prepare(sql)?;
    let columns = statement.column_names().map(str::to_owned).collect();
    let width = statement.column_count();
    let rows = statement
        .query_map(rusqlite::params_from_iter(values), |row| {
            let values = (0..width).map(|at| Ok(Value::from(row.get_ref(at)?)));
            Ok(Row { values: values.collect::<rusqlite::Result<_>>()? })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(QueryResult { columns, rows })
}

impl From<ValueRef<'_>> for Value {
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

impl rusqlite::ToSql for Value {
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
