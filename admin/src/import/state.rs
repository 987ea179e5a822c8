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

use anyhow::{Context, Result, anyhow};
use luoyun_values::text::trim;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rusqlite::functions::FunctionFlags;
use rusqlite::types::ToSql;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustls::pki_types::ServerName;
use sha2::{Digest, Sha256};

use crate::db::Location;
use crate::output::visible;
use crate::owner;

/// How long an import and a dry run wait for each other.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// What is encoded in the name of a server's state file.
const FILE_NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.');

/// The state file, open in a transaction. Except in a dry run, it is locked for other imports.
pub(crate) struct State {
    /// The connection. The file is its main database. The SQL function `fingerprint(ID, PASSWORD)`
    /// returns the salted digest of a user's password, as the source stores it.
    pub(crate) db: Connection,
    path: PathBuf,
}

impl State {
    /// Opens the file `path`, and creates it if it is missing. A dry run creates and locks
    /// nothing.
    /// Fails if the file cannot be created or read, or another import has locked it.
    pub(crate) fn open(path: PathBuf, is_dry_run: bool) -> Result<Self> {
        let opened = if is_dry_run { open_copy(&path) } else { open_locked(&path) };
        let db = opened.map_err(|error| {
            let shown = path.display();
            match error.downcast_ref().and_then(rusqlite::Error::sqlite_error_code) {
                Some(ErrorCode::DatabaseBusy) => {
                    anyhow!("Another import into this database is running.")
                }
                Some(ErrorCode::NotADatabase) => anyhow!(
                    "{shown} is not a state file of an import. Without it, the next import \
                     copies all passwords from the source."
                ),
                _ => error.context(format!("cannot open {shown}")),
            }
        })?;
        add_functions(&db)?;
        Ok(Self { db, path })
    }

    /// Shows the digests for a database with `version` as `known_passwords`; returns whether the
    /// last import with this file was into it.
    pub(crate) fn recall(&self, version: i64) -> Result<bool> {
        let is_known = format!("{version} IN (SELECT version FROM versions)");
        self.db.execute_batch(&format!(
            "CREATE TEMP VIEW known_passwords AS SELECT * FROM imported_passwords WHERE {is_known}"
        ))?;
        Ok(self.db.query_row(&format!("SELECT {is_known}"), [], |row| row.get(0))?)
    }

    /// Chooses the next version of the database. Saves it before the database has it, so that it
    /// is known even if the import is killed before [`Self::save`].
    pub(crate) fn announce(&self) -> Result<i64> {
        let sql = "INSERT INTO versions VALUES (1 + abs(random() % 2147483647)) RETURNING version";
        let version = self.db.query_row(sql, [], |row| row.get(0))?;
        self.commit("COMMIT; BEGIN")?;
        Ok(version)
    }

    fn commit(&self, sql: &str) -> Result<()> {
        let path = self.path.display();
        let failed = || format!("cannot write the state file {path} (--state names another one)");
        self.db.execute_batch(sql).with_context(failed)
    }

    /// Saves the digests in `wanted_users`, which the database has in `version`, and commits.
    pub(crate) fn save(&self, version: i64) -> Result<()> {
        self.commit(&format!(include_str!("save.sql"), version = version))
    }
}

/// The default path of the state file for imports into `location`.
/// Fails if there is no home folder.
pub(crate) fn default_path(location: &Location) -> Result<PathBuf> {
    let url = match location {
        Location::Server(url) => url.split_once("://").map_or(url.as_str(), |(_, url)| url),
        Location::File(path) => {
            // The same for other paths of the file.
            let path = fs::canonicalize(path).unwrap_or(path.clone());
            return Ok(path.with_added_extension("import"));
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
    owner::create_folder(owner::folder_of(path))?;
    owner::claim(path, &path.file_name().unwrap_or_default().to_string_lossy())?;
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    db.busy_timeout(Duration::ZERO)?;
    // The exclusive mode keeps the lock between two transactions.
    db.execute_batch("PRAGMA main.locking_mode = EXCLUSIVE; BEGIN IMMEDIATE")?;
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.execute_batch(include_str!("state.sql"))?;
    Ok(db)
}

/// A copy in memory, so that a long dry run does not delay the commit of an import.
fn open_copy(path: &Path) -> Result<Connection> {
    let db = Connection::open_in_memory()?;
    db.busy_timeout(BUSY_TIMEOUT)?;
    if fs::metadata(path).is_ok_and(|file| file.len() > 0) {
        db.execute("ATTACH ?1 AS saved", [path.to_str()])?;
        db.execute_batch(include_str!("copy_state.sql"))?;
    }
    db.execute_batch(include_str!("state.sql"))?;
    Ok(db)
}

/// Adds the functions to `db`, which has the table `salt`. Except `fingerprint`, each is NULL for
/// NULL.
fn add_functions(db: &Connection) -> rusqlite::Result<()> {
    add(db, "bare", |text| Some(trim(text).to_owned()))?;
    add(db, "host", host)?;
    add(db, "number", |text| text.parse::<i64>().ok().filter(|number| number.to_string() == text))?;
    add(db, "is_known", |text| Some(luoyun_password::is_known(text)))?;
    add(db, "visible", |text| Some(visible(text)))?;
    // `fingerprint(ID, PASSWORD)`: the id makes the digests of equal passwords differ.
    let salt: Vec<u8> = db.query_row("SELECT salt FROM salt", [], |row| row.get(0))?;
    db.create_scalar_function("fingerprint", 2, FunctionFlags::SQLITE_DETERMINISTIC, move |row| {
        let (id, password): (i64, String) = (row.get(0)?, row.get(1)?);
        let salted = Sha256::new_with_prefix(&salt).chain_update(id.to_be_bytes());
        Ok(salted.chain_update(password).finalize().to_vec())
    })
}

fn add<T: ToSql + 'static>(
    db: &Connection,
    name: &str,
    function: fn(&str) -> Option<T>,
) -> rusqlite::Result<()> {
    db.create_scalar_function(name, 1, FunctionFlags::SQLITE_DETERMINISTIC, move |row| {
        Ok(row.get_raw(0).as_str_or_null()?.and_then(function))
    })
}

/// The IP address or host name in the text, without brackets and a netmask. `None` if it has
/// anything else.
fn host(text: &str) -> Option<String> {
    let text = trim(text);
    let address = text.split_once('/').filter(|(_, mask)| mask.parse::<u8>().is_ok());
    let text = address.map_or(text, |(address, _)| address);
    let text = text.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(text);
    ServerName::try_from(text).is_ok().then(|| text.to_owned())
}
