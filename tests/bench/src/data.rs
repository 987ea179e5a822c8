//! Data sets, and servers that use them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use api_tests::dataset::{self, Size};
use api_tests::server::prepare_state;
use api_tests::{Server, Setup};
use rusqlite::{Connection, params};
use sha1::{Digest, Sha1};
use tempfile::TempDir;

/// The login form of the user `bench`.
pub(crate) const LOGIN: &str = "username=bench&password=password";

/// The size of the data set for all load tests.
pub(crate) const LOAD_SIZE: Size = Size { instances: 10_000, users: 1_000, sessions: 1_000 };

/// The id of an instance that the user `bench` owns in a data set of any size.
pub(crate) const INSTANCE_ID: u32 = 10;

/// The API's manifest: without overrides, every variable has its default.
pub(crate) const DEFAULTS: &str = "spin.toml";

/// The key of a session of the user `bench`: number 0 is for reads, the others are for logouts.
pub(crate) fn session_key(number: usize) -> String {
    format!("{number:040x}")
}

/// A temporary state folder of a server.
pub(crate) struct State(TempDir);

impl State {
    /// An empty state folder, created as `make up` does.
    pub(crate) fn empty() -> Result<Self> {
        let folder = TempDir::new()?;
        prepare_state(folder.path());
        Ok(Self(folder))
    }

    /// A state folder with a data set of `size`, and `keys` sessions of the user `bench`.
    pub(crate) fn filled(size: Size, keys: usize) -> Result<Self> {
        let state = Self::empty()?;
        let mut db = state.database()?;
        dataset::fill(&db, &state.key_value(), size);
        let transaction = db.transaction()?;
        for number in 0..keys {
            let digest = base16ct::lower::encode_string(&Sha1::digest(session_key(number)));
            transaction.execute(
                "INSERT INTO sessions (digest, user_id, expires_at) VALUES (?1, 1, 4000000000)",
                [&digest],
            )?;
            transaction.execute(
                "INSERT INTO kv.spin_key_value (store, key, value) VALUES ('default', ?1, ?2)",
                params![format!("session:{digest}"), b"1 4000000000 7"],
            )?;
        }
        transaction.commit()?;
        Ok(state)
    }

    /// A state folder with a data set of `size`, in the schema of the release in the folder
    /// `checkout`.
    pub(crate) fn filled_for(checkout: &Path, size: Size) -> Result<Self> {
        let state = Self::empty()?;
        let db = state.database()?;
        dataset::fill_tables(&db, &tables_of(checkout)?, &state.key_value(), size);
        // The SHA-1 of "password": every release accepts this form.
        let weak = "5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8";
        db.execute("UPDATE users SET password = ?1 WHERE id = 1", [weak])?;
        Ok(state)
    }

    /// A state folder for the component `bare`: a WAL database without tables, and one entry.
    pub(crate) fn bare() -> Result<Self> {
        let state = Self::empty()?;
        state.set_journals("WAL", "WAL")?;
        let key_value = Connection::open(state.key_value())?;
        key_value.execute_batch(
            "CREATE TABLE spin_key_value (
                 store TEXT NOT NULL,
                 key   TEXT NOT NULL,
                 value BLOB NOT NULL,
                 PRIMARY KEY (store, key)
             );
             INSERT INTO spin_key_value VALUES ('default', 'entry', CAST('1 4000000000 7' AS BLOB))",
        )?;
        Ok(state)
    }

    /// Sets the journal modes of the database and of the key-value store: `WAL` or `DELETE`.
    pub(crate) fn set_journals(&self, database: &str, key_value: &str) -> Result<()> {
        let files =
            [(self.database()?, database), (Connection::open(self.key_value())?, key_value)];
        for (db, mode) in files {
            let pragma = format!("PRAGMA journal_mode = {mode}");
            let actual: String = db.query_row(&pragma, [], |row| row.get(0))?;
            ensure!(actual.eq_ignore_ascii_case(mode), "the journal mode is {actual}, not {mode}");
        }
        Ok(())
    }

    /// Opens the database; call this before a server starts on it.
    pub(crate) fn database(&self) -> Result<Connection> {
        Ok(Connection::open(self.0.path().join("sqlite_db.db"))?)
    }

    fn key_value(&self) -> PathBuf {
        self.0.path().join("sqlite_key_value.db")
    }

    /// Starts the API on this state, with the lowest password cost.
    pub(crate) fn serve(&self) -> Result<Server> {
        self.start(None, &[])
    }

    /// Starts the application of `manifest` on this state; `variables` override its defaults.
    pub(crate) fn serve_manifest(
        &self,
        manifest: &str,
        variables: &[(&str, &str)],
    ) -> Result<Server> {
        self.start(Some(manifest), variables)
    }

    fn start(&self, manifest: Option<&str>, variables: &[(&str, &str)]) -> Result<Server> {
        let state_dir = Some(self.0.path());
        let setup = Setup { bare: true, state_dir, manifest, variables, ..Setup::default() };
        Ok(Server::start_process(setup, TempDir::new()?))
    }
}

/// The schema of the release in the folder `checkout`: its migrations, in the order in which a
/// host runs them.
fn tables_of(checkout: &Path) -> Result<String> {
    let folder = checkout.join("migrations");
    let files = fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))?;
    let mut files = files.map(|file| Ok(file?.path())).collect::<Result<Vec<_>>>()?;
    files.retain(|file| !file.ends_with("demo.sql"));
    files.sort_by_key(|file| (!file.ends_with("local.sql"), file.clone()));
    let texts = files.iter().map(|file| Ok(fs::read_to_string(file)?));
    texts.collect()
}
