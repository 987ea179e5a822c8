//! The state file: digests of the passwords that were imported.
//!
//! An import has to know whether a password has changed in the source since the last import,
//! although a login may have replaced its copy in the database. So the state file has a salted
//! digest of each value that the source stored. Such a value is often a plain SHA-1, so guesses
//! can be tested against its digest about as fast. Therefore the digests are not in the database,
//! and only the owner can read the file.
//!
//! The import's temporary tables belong to the same connection.

use std::env;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rusqlite::{Connection, OpenFlags};
use sha2::{Digest, Sha256};

use crate::db::Location;

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS salt AS SELECT randomblob(32) AS salt;
    CREATE TABLE IF NOT EXISTS imported_passwords (
        user_id INTEGER PRIMARY KEY, fingerprint BLOB NOT NULL
    ) STRICT;";

/// How long the commit of an import waits for a dry run that reads the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// The state file, open in a transaction, which locks out other imports with this file.
pub(crate) struct State {
    /// The connection. The file is its main database.
    pub(crate) db: Connection,
    salt: Vec<u8>,
}

impl State {
    /// Opens the file `path`, and creates it if it is missing. A dry run creates and locks
    /// nothing.
    /// Fails if the file cannot be created or read, or another import has locked it.
    pub(crate) fn open(path: &Path, is_dry_run: bool) -> Result<Self> {
        let opened = if is_dry_run { open_read_only(path) } else { open_locked(path) };
        let db = opened.map_err(|error| {
            let shown = path.display();
            match error.downcast_ref().and_then(rusqlite::Error::sqlite_error_code) {
                Some(rusqlite::ErrorCode::DatabaseBusy) => {
                    anyhow!("Another import into this database is running.")
                }
                Some(rusqlite::ErrorCode::NotADatabase) => anyhow!(
                    "{shown} is not a state file of an import. Without it, the next import \
                     copies all passwords from the source."
                ),
                _ => error.context(format!("cannot open {shown}")),
            }
        })?;
        let salt = db.query_row("SELECT salt FROM salt", [], |row| row.get(0))?;
        Ok(Self { db, salt })
    }

    /// The salted digest of `stored`, the password of a user as the source stores it.
    pub(crate) fn fingerprint(&self, user_id: i64, stored: &str) -> Vec<u8> {
        let digest = Sha256::new().chain_update(&self.salt);
        // The id makes the digests of equal passwords differ.
        digest.chain_update(user_id.to_be_bytes()).chain_update(stored).finalize().to_vec()
    }

    /// Saves the digests in `source_users`, and commits.
    pub(crate) fn save(&self) -> Result<()> {
        let saved = self.db.execute_batch(
            "DELETE FROM imported_passwords
             WHERE user_id NOT IN (SELECT id FROM temp.source_users);
             REPLACE INTO imported_passwords
             SELECT id, fingerprint FROM temp.source_users s WHERE NOT EXISTS
                 (SELECT 1 FROM imported_passwords
                  WHERE user_id = s.id AND fingerprint = s.fingerprint);
             COMMIT",
        );
        saved.context(
            "cannot save the digests of the imported passwords to the state file (--state)",
        )
    }
}

/// The default path of the state file for imports into `location`. Creates its folder.
/// Fails if there is no home folder, or its folder cannot be created.
pub(crate) fn default_path(location: &Location) -> Result<PathBuf> {
    let url = match location {
        Location::File(path) => return Ok(path.with_extension("import")),
        Location::Server(url) => url,
    };
    // XDG Base Directory Specification.
    let folder = env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let folder = folder.filter(|folder| folder.is_absolute());
    let folder = folder.or_else(|| Some(env::home_dir()?.join(".local/state")));
    let folder = folder.context("There is no home folder: name a file with --state.")?;
    let folder = folder.join("luoyun-admin");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let name = url.split_once("://").map_or(url.as_str(), |(_, name)| name);
    Ok(folder.join(format!("{}.import", name.replace(['/', ':', '[', ']'], "_"))))
}

fn open_locked(path: &Path) -> Result<Connection> {
    match File::options().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => bail!(error),
        _ => {}
    }
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    db.busy_timeout(Duration::ZERO)?;
    db.execute_batch("PRAGMA temp_store = FILE; BEGIN IMMEDIATE")?;
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.execute_batch(TABLES)?;
    Ok(db)
}

fn open_read_only(path: &Path) -> Result<Connection> {
    let is_empty = fs::metadata(path).map_or(true, |file| file.len() == 0);
    let db = if is_empty {
        let db = Connection::open_in_memory()?;
        db.execute_batch(TABLES)?;
        db
    } else {
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?
    };
    db.execute_batch("PRAGMA temp_store = FILE; BEGIN")?;
    Ok(db)
}
