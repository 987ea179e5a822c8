//! The database: an SQLite file, or a libSQL server.

mod file;
mod server;

use std::net::{IpAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Result, anyhow};
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::http::Uri;

use self::file::File;
use self::server::Server;
pub(crate) use self::server::is_without_reply;

/// The location of a database.
#[derive(Clone)]
pub(crate) enum Location {
    /// The path of a file.
    File(PathBuf),
    /// The URL of a server, without a slash at its end.
    Server(String),
}

impl FromStr for Location {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Turso prints its URLs with this scheme.
        let url = text.trim().replacen("libsql://", "https://", 1);
        let uri: Option<Uri> = url.parse().ok();
        let host = uri.as_ref().and_then(Uri::host);
        match (url.split_once("://"), host) {
            (None, _) if url.is_empty() => Err("it is empty"),
            (None, _) => Ok(Self::File(text.into())),
            (Some(("http", _)), Some(host)) if !is_this_machine(host) => {
                Err("http:// would send the token unencrypted: use https://")
            }
            (Some(("http" | "https", rest)), Some(_)) if rest.contains(['@', '?', '#']) => Err(
                "the URL must not contain a user, token or parameter: set the token in LIBSQL_TOKEN",
            ),
            (Some(("http" | "https", _)), Some(_)) => {
                Ok(Self::Server(url.trim_end_matches('/').to_owned()))
            }
            _ => Err("the URL of a server must be https://HOST"),
        }
    }
}

/// Whether `host`, the host of a URL, is `localhost` or a loopback address.
pub(crate) fn is_this_machine(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = |ip: IpAddr| ip.to_canonical().is_loopback();
    // The name may have been given to another machine. No other name is looked up.
    let is_here = || {
        (host, 0).to_socket_addrs().into_iter().flatten().all(|address| is_loopback(address.ip()))
    };
    host.parse().map_or_else(|_| host == "localhost" && is_here(), is_loopback)
}

/// Runs a statement of a batch.
type Run<'a> = dyn FnMut(&str, &[Value]) -> Result<()> + 'a;

/// A connection to a database.
pub(crate) enum Database {
    File(File),
    Server(Server),
}

impl Database {
    /// Opens a database that has the API's tables.
    /// Fails if a file is missing or cannot be opened. Only the first statement connects to a
    /// server.
    pub(crate) fn open(location: &Location) -> Result<Self> {
        Ok(match location {
            Location::File(path) => Self::File(File::open(path)?),
            Location::Server(url) => Self::Server(Server::new(url)?),
        })
    }

    /// Runs the statement `sql` with `values` for its `?1`, `?2`, …; returns its rows, a `Vec` or an
    /// array of tuples.
    /// Fails if the database fails, with advice.
    pub(crate) fn query<T: DeserializeOwned>(&mut self, sql: &str, values: &[Value]) -> Result<T> {
        let rows = match self {
            Self::File(file) => file.query(sql, values),
            Self::Server(server) => server.query(sql, values),
        };
        Ok(serde_json::from_value(rows?)?)
    }

    /// Runs the statement `sql`, which changes rows and returns them; returns whether there are any.
    pub(crate) fn execute(&mut self, sql: &str, values: &[Value]) -> Result<bool> {
        let changed: Vec<Value> = self.query(sql, values)?;
        if let Self::File(file) = self {
            file.checkpoint();
        }
        Ok(!changed.is_empty())
    }

    /// Runs the statements that `work` passes to its argument in one transaction, without foreign
    /// keys: with them, SQLite would search all instances for each deleted user.
    ///
    /// A server gets all statements in one request, so that it holds its lock only while it
    /// works, and never for a client that was killed.
    /// Fails with the error of `work` or of the database; the database is then unchanged.
    pub(crate) fn batch(&self, work: impl FnOnce(&mut Run) -> Result<()>) -> Result<()> {
        match self {
            Self::File(file) => file.batch(work),
            Self::Server(server) => server.batch(work),
        }
    }
}

/// The error of a statement that failed with SQLite's `message`, with advice if `code`, the error
/// code of the server or the name of a `rusqlite::ErrorCode`, is known.
fn failure(database: &str, code: &str, message: &str) -> anyhow::Error {
    let advice = match code {
        _ if luoyun_schema::is_incomplete(message) => {
            "It lacks tables or columns of the API: the next login adds them, even a failed one"
        }
        "SQLITE_BUSY" | "TRANSACTION_BUSY" | "DatabaseBusy" | "DatabaseLocked" => {
            "Another program is writing to it: try again later"
        }
        "TRANSACTION_TIMEOUT" => "It took too long while others waited: try again later",
        "ReadOnlyFileSystem" => "Its file system is read-only: copy the file to one that is not",
        "ReadOnly" | "PermissionDenied" | "CannotOpen" => {
            "This user has no permission to write the file, its -wal and -shm, or their folder: \
             run this as the server's user"
        }
        "SQLITE_CONSTRAINT" | "ConstraintViolation" => "Another program has changed it: try again",
        "NotADatabase" => "It is not an SQLite database",
        "DatabaseCorrupt" => "It is damaged: restore a backup (docs/operations.md)",
        "SystemIoFailure" => "The disk of its folder is full or defective",
        "SQLITE_FULL" | "DiskFull" => "The disk of its folder is full",
        _ => return anyhow!("{database}: {message}"),
    };
    anyhow!("{database}: {advice} ({message})")
}
