//! The database: an SQLite file, or a libSQL server.

pub(crate) mod file;
mod server;

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use anyhow::{Result, anyhow, bail};
use clap::error::ErrorKind::ValueValidation;
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::http::Uri;

use self::file::File;
use self::server::Server;
pub(crate) use self::server::is_without_reply;

/// Whether `host`, the host of a URL, is `localhost` or a loopback address.
pub(crate) fn is_this_machine(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    // No other name is looked up, and this one may have been given to another machine.
    let is_known = host == "localhost" || host.parse::<IpAddr>().is_ok();
    let is_loopback = |address: SocketAddr| address.ip().to_canonical().is_loopback();
    is_known && (host, 0).to_socket_addrs().into_iter().flatten().all(is_loopback)
}

/// Runs a statement of a batch.
type Run<'a> = dyn FnMut(&str, &[Value]) -> Result<()> + 'a;

/// A connection to a database.
pub(crate) enum Database {
    File(File),
    Server(Server),
}

impl Database {
    /// Opens the database at `location`, the path of a file or the URL of a server.
    /// Fails if the URL is invalid, or a file is missing or cannot be opened. Only the first
    /// statement connects to a server.
    pub(crate) fn open(location: &str) -> Result<Self> {
        // Turso prints its URLs with this scheme.
        let url = location.trim().replacen("libsql://", "https://", 1);
        let uri: Option<Uri> = url.parse().ok();
        let host = uri.as_ref().and_then(Uri::host);
        let reason = match (url.split_once("://"), host) {
            (None, _) if url.is_empty() => "it is empty",
            (None, _) => return Ok(Self::File(File::open(location.as_ref())?)),
            (Some(("http", _)), Some(host)) if !is_this_machine(host) => {
                "http:// would send the token unencrypted: use https://"
            }
            (Some(("http" | "https", rest)), Some(_)) if rest.contains(['@', '?', '#']) => {
                "the URL must not contain a user, token or parameter: set the token in LIBSQL_TOKEN"
            }
            (Some(("http" | "https", _)), Some(_)) => return Ok(Self::Server(Server::new(&url)?)),
            _ => "the URL of a server must be https://HOST",
        };
        // Not by clap's parser, whose error would quote a misplaced token.
        bail!(clap::Error::raw(ValueValidation, format!("invalid --db: {reason}")))
    }

    /// Runs the statement `sql` with `values` for its `?1`, `?2`, …; returns its rows, a `Vec` or an
    /// array of tuples.
    /// Fails if the database fails, with advice.
    pub(crate) fn query<T: DeserializeOwned>(&self, sql: &str, values: &[Value]) -> Result<T> {
        let rows = match self {
            Self::File(file) => file.query(sql, values),
            Self::Server(server) => server.query(sql, values),
        };
        Ok(serde_json::from_value(rows?)?)
    }

    /// Runs the statement `sql`; returns whether it returns any rows.
    pub(crate) fn execute(&self, sql: &str, values: &[Value]) -> Result<bool> {
        Ok(!self.query::<Vec<Value>>(sql, values)?.is_empty())
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

/// Passes the rows of `rows` to `take`, page by page: each a JSON array, in the order of the keys.
/// `rows` selects a unique number as `key`, and JSON as `line`. `query` runs a statement for the
/// page after the key `?1`, which returns the last key and the page.
///
/// A page has at most 2000 rows, and 2,000,000 bytes without the last one: sqld 0.24 limits a text
/// to 5 MB.
pub(crate) fn each_page(
    rows: &str,
    mut query: impl FnMut(&str, i64) -> Result<[(Option<i64>, String); 1]>,
    mut take: impl FnMut(String) -> Result<()>,
) -> Result<()> {
    let sql = format!(include_str!("page.sql"), rows = rows);
    let mut last_key = i64::MIN;
    while let [(Some(key), page)] = query(&sql, last_key)? {
        take(page)?;
        last_key = key;
    }
    Ok(())
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
