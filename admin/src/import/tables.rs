//! The tables, whose SQL is in files of their own.

/// Longest user name, in bytes: with it and the longest password, a login's body is still below
/// its limit if each byte is percent-encoded (docs/contract.md).
pub(crate) const MAX_NAME_BYTES: usize = 4096;

/// A table here, and the source's table that an import makes it equal to.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) source: &'static str,
    /// Prints the source's name, and then its rows, in psql.
    pub(crate) read: &'static str,
    /// Copies a row into the staging table: `?1`, an array of texts, with `?2` for `is_replaced`.
    pub(crate) stage: &'static str,
    /// Selects our rows, each as a key and a JSON array.
    pub(crate) ours: &'static str,
    /// Finds, in the staging tables, what differs.
    pub(crate) compare: &'static str,
    /// Inserts or updates the rows in `?1`, an array of such arrays.
    pub(crate) write: &'static str,
}

macro_rules! table {
    ($name:literal, $source:literal) => {
        Table {
            name: $name,
            source: $source,
            read: include_str!(concat!($name, "/source.sql")),
            stage: include_str!(concat!($name, "/stage.sql")),
            ours: include_str!(concat!($name, "/ours.sql")),
            compare: include_str!(concat!($name, "/compare.sql")),
            write: include_str!(concat!($name, "/write.sql")),
        }
    };
}

/// The tables, in the order in which they refer to each other.
pub(crate) static TABLES: [Table; 3] =
    [table!("users", "auth_user"), table!("nodes", "node"), table!("instances", "instance")];
