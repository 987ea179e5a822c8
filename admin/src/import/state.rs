//! The state file: digests of the passwords that were imported.
//!
//! An import has to know whether a password has changed in the source since the last import,
//! although a login may have replaced its copy in the database. So the state file has a salted
//! digest of each value that the source stored. Such a value is often a plain SHA-1, so guesses
//! can be tested against its digest about as fast. Therefore the digests are not in the database,
//! and only the owner can read the file.
//!
//! The digests are those of one state of one database: its `user_version` is a random number that
//! the import has written with its rows. In a database with another number (a new one, or a
//! restored backup), all passwords are copied.
//!
//! The import's temporary tables belong to the same connection.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow, ensure};
use luoyun_values::text::trim;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rusqlite::functions::FunctionFlags;
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustls::pki_types::ServerName;
use sha2::{Digest, Sha256};

use crate::db::{Database, file};
use crate::output::visible;
use crate::owner;

/// How long an import and a dry run wait for each other.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// What is encoded in the name of a server's state file.
const FILE_NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.');

/// Opens the state file `path`, and creates it if it is missing. Except in a dry run, which creates
/// and locks nothing, it is locked for other imports, in a transaction. The SQL function
/// `fingerprint(ID, PASSWORD)` returns the salted digest of a user's password, as the source stores
/// it.
/// Fails if the file cannot be created or read, or another import has locked it.
pub(crate) fn open(path: &Path, is_dry_run: bool) -> Result<Connection> {
    let open = || {
        let db = if is_dry_run { open_to_read(path) } else { open_locked(path) }?;
        db.busy_timeout(BUSY_TIMEOUT)?;
        add_functions(&db)?;
        Ok(db)
    };
    open().map_err(|it: Error| match it.downcast_ref().and_then(rusqlite::Error::sqlite_error_code) {
        Some(ErrorCode::DatabaseBusy) => anyhow!("Another import into this database is running."),
        Some(ErrorCode::NotADatabase) => anyhow!(
            "{} is not a state file of an import. Without it, the next import copies all passwords \
             from the source.",
            path.display()
        ),
        _ => explain(path, it),
    })
}

/// Copies the digests for a database with `version` into `known_passwords`; returns whether the last
/// import with this file was into it.
pub(crate) fn recall(state: &Connection, version: i64) -> Result<bool> {
    let is_known = format!("{version} IN (SELECT version FROM versions)");
    state.execute_batch(&format!(include_str!("recall.sql"), is_known = is_known))?;
    Ok(state.query_row(&format!("SELECT {is_known}"), [], |row| row.get(0))?)
}

/// Chooses the next version of the database. Saves it before the database has it, so that it is
/// known even if the import is killed before [`save`].
pub(crate) fn announce(state: &Connection) -> Result<i64> {
    let sql = "INSERT INTO versions VALUES (1 + abs(random() % 2147483647)) RETURNING version";
    let version = explained(state, state.query_row(sql, [], |row| row.get(0)))?;
    explained(state, state.execute_batch("COMMIT; BEGIN"))?;
    Ok(version)
}

/// Saves the digests in `wanted_users`, which the database has in `version`, and commits.
pub(crate) fn save(state: &Connection, version: i64) -> Result<()> {
    explained(state, state.execute_batch(&format!(include_str!("save.sql"), version = version)))
}

/// The error of a statement on the state file names it.
fn explained<T>(state: &Connection, result: rusqlite::Result<T>) -> Result<T> {
    let path = state.path().unwrap_or_default().as_ref();
    result.map_err(|error| explain(path, error.into()))
}

/// The error of the state file `path`, with advice.
fn explain(path: &Path, error: Error) -> Error {
    let error = error.downcast().map_or_else(|error| error, |error| file::explain(path, error));
    error.context(format!("cannot use the state file {} (--state names another)", path.display()))
}

/// The default path of the state file for imports into `db`.
/// Fails if there is no home folder.
pub(crate) fn default_path(db: &Database) -> Result<PathBuf> {
    let url = match db {
        Database::Server(server) => server.url.split_once("://").map_or("", |(_, url)| url),
        // The same for other paths of the file.
        Database::File(file) => {
            return Ok(fs::canonicalize(&file.path)?.with_added_extension("import"));
        }
    };
    // XDG Base Directory Specification.
    let folder = env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|it| it.is_absolute());
    let folder = folder.or_else(|| Some(env::home_dir()?.join(".local/state")));
    let folder = folder.context("There is no home folder: name a file with --state.")?;
    let name = format!("luoyun-admin/{}.import", utf8_percent_encode(url, FILE_NAME));
    Ok(folder.join(name))
}

fn open_locked(path: &Path) -> Result<Connection> {
    let path = &owner::resolve(path);
    ensure!(!path.is_dir(), "it is a folder");
    owner::create_folder(owner::folder_of(path))?;
    owner::claim(path, &path.file_name().unwrap_or_default().to_string_lossy())?;
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    db.busy_timeout(Duration::ZERO)?;
    // The exclusive mode keeps the lock between two transactions.
    db.execute_batch("PRAGMA main.locking_mode = EXCLUSIVE; BEGIN IMMEDIATE")?;
    db.execute_batch(include_str!("state.sql"))?;
    Ok(db)
}

/// Nothing is locked after a statement, so that a long dry run does not delay the commit of an
/// import.
fn open_to_read(path: &Path) -> Result<Connection> {
    if fs::metadata(path).is_ok_and(|file| file.len() > 0) {
        return Ok(Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?);
    }
    let db = Connection::open_in_memory()?;
    db.execute_batch(include_str!("state.sql"))?;
    Ok(db)
}

/// Adds the functions to `db`, which has the table `salt`. Except `fingerprint`, each is NULL for
/// NULL.
fn add_functions(db: &Connection) -> rusqlite::Result<()> {
    for (name, function) in [
        ("bare", |text| Some(trim(text).to_owned().into())),
        ("host", |text| Some(host(text)?.to_owned().into())),
        ("number", |text| {
            text.parse().ok().filter(|it: &i64| it.to_string() == text).map(Value::from)
        }),
        ("is_known", |text| Some(luoyun_password::is_known(text).into())),
        ("visible", |text| Some(visible(text).into())),
    ] as [(&str, fn(&str) -> Option<Value>); 5]
    {
        db.create_scalar_function(name, 1, FunctionFlags::SQLITE_DETERMINISTIC, move |row| {
            Ok(row.get_raw(0).as_str_or_null()?.and_then(function))
        })?;
    }
    // `fingerprint(ID, PASSWORD)`: the id makes the digests of equal passwords differ.
    let salt: Vec<u8> = db.query_row("SELECT salt FROM salt", [], |row| row.get(0))?;
    db.create_scalar_function("fingerprint", 2, FunctionFlags::SQLITE_DETERMINISTIC, move |row| {
        let (id, password): (i64, String) = (row.get(0)?, row.get(1)?);
        let salted = Sha256::new_with_prefix(&salt).chain_update(id.to_be_bytes());
        Ok(salted.chain_update(password).finalize().to_vec())
    })
}

/// The IP address or host name in the text, without brackets and a netmask. `None` if it has
/// anything else.
fn host(text: &str) -> Option<&str> {
    let text = trim(text);
    let address = text.split_once('/').filter(|(_, mask)| mask.parse::<u8>().is_ok());
    let text = address.map_or(text, |(address, _)| address);
    let text = text.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(text);
    ServerName::try_from(text).is_ok().then_some(text)
}
