//! The columns that an import reads, converts, compares and writes. Everything else about them is
//! generated from [`TABLES`].

use rusqlite::functions::FunctionFlags;
use rusqlite::types::ToSql;
use rusqlite::{Connection, Result};
use rustls::pki_types::ServerName;

use self::Kind::{Id, Text, Time};
use crate::output::visible;

/// A table here, and the source's table that an import makes it equal to.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) source: &'static str,
    /// The column that determines the order of writes: in the order of an index, a server writes
    /// 100,000 instances up to 3 times as fast.
    pub(crate) order: &'static str,
    /// All columns that come from the source, except `id`.
    pub(crate) columns: &'static [Column],
}

/// A column, which has the same name here and in the source. In SQL, `r` is a row as the source
/// has it, where all values are text except ids and times.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// SQL for the value here.
    pub(crate) value: &'static str,
    /// SQL for the value to write, from the value `w.NAME` and ours, `o.NAME`; `""` for the former.
    merged: &'static str,
    /// A line for each kind of odd values: what is said of their rows, `: ` and an SQL condition,
    /// where `{value}` is the value here. "left out" is said of rows that are not imported,
    /// everything else of rows that are.
    notes: &'static str,
}

/// How a column is read.
pub(crate) enum Kind {
    /// A whole number; 0 if the source has any other text.
    Id,
    Text,
    /// Unix time in seconds; [`NO_TIME`] if it is outside the years 1 to 9999.
    Time,
}

/// The first second of the year 10000, in Unix time.
pub(crate) const NO_TIME: i64 = 253_402_300_800;

/// Longest user name, in bytes: with it and the longest password, a login's body is still below
/// its limit if each byte is percent-encoded (docs/contract.md).
pub(crate) const MAX_NAME_BYTES: usize = 4096;

pub(crate) const TABLES: [Table; 3] = [
    Table {
        name: "users",
        source: "auth_user",
        order: "id",
        columns: &[
            column("username", Text, "bare(r.username)").notes(
                "left out, as they have no name: ifnull({value}, '') = ''
                left out, as their name is longer than 4096 bytes: octet_length({value}) > 4096
                left out, as an earlier one has their name: \
                    octet_length({value}) BETWEEN 1 AND 4096 AND r.username = {value} \
                    AND r.id NOT IN (SELECT id FROM wanted_users)
                left out, as another one has their name without white space around it: \
                    octet_length({value}) BETWEEN 1 AND 4096 AND r.username <> {value} \
                    AND r.id NOT IN (SELECT id FROM wanted_users)
                whose name lost the white space around it, as in a login: r.username <> {value}
                with invisible characters in their name: visible({value}) <> {value}",
            ),
            // LuoYunCloud only checks whether it is true.
            column("is_locked", Text, "ifnull(flag(r.is_locked), r.is_locked IS NOT NULL)").notes(
                "not locked, as is_locked is NULL: r.is_locked IS NULL
                locked, as is_locked is neither true nor false: \
                    r.is_locked IS NOT NULL AND flag(r.is_locked) IS NULL",
            ),
            // NULL if ours is kept, as the source's has not changed. `!` matches no password.
            column(
                "password",
                Text,
                "CASE WHEN NOT EXISTS (SELECT 1 FROM temp.our_users o WHERE o.id = r.id
                      AND (o.password = ifnull(r.password, '!')
                           OR fingerprint(r.id, ifnull(r.password, '!')) = (SELECT fingerprint
                              FROM temp.known_passwords k WHERE k.user_id = r.id)))
                 THEN ifnull(r.password, '!') END",
            )
            .merged("ifnull(w.password, o.password)")
            .notes(
                "who cannot log in, as they have no password: ifnull(r.password, '') = ''
                who cannot log in, as the format of their password is not known: \
                    r.password <> '' AND NOT is_known(r.password)",
            ),
            // The later one: logins go on here.
            column("last_login", Time, "nullif(r.last_login, 253402300800)")
                .merged(
                    "max(ifnull(w.last_login, o.last_login), ifnull(o.last_login, w.last_login))",
                )
                .notes(
                    "without a last login, as theirs is not in the years 1 to 9999: \
                        r.last_login = 253402300800",
                ),
        ],
    },
    Table {
        name: "nodes",
        source: "node",
        order: "id",
        columns: &[
            column("hostname", Text, "r.hostname")
                .notes("without a name: ifnull(r.hostname, '') = ''"),
            column("ip", Text, "host(r.ip)").notes(
                "without an IP address: their instances have no host: ifnull(bare(r.ip), '') = ''
                whose ip is no address and no host name: their instances have no host: \
                    bare(r.ip) <> '' AND {value} IS NULL
                whose ip lost white space, brackets or a netmask: r.ip <> {value}",
            ),
        ],
    },
    Table {
        name: "instances",
        source: "instance",
        order: "user_id",
        columns: &[
            column("user_id", Id, "(SELECT id FROM wanted_users WHERE id = r.user_id)").notes(
                "without an owner: nobody sees them: r.user_id IS NULL
                whose owner does not exist: nobody sees them: \
                    r.user_id IS NOT NULL AND {value} IS NULL",
            ),
            column("node_id", Id, "(SELECT id FROM node WHERE id = r.node_id)").notes(
                "without a node: they have no host: r.node_id IS NULL
                whose node does not exist: they have no host: \
                    r.node_id IS NOT NULL AND {value} IS NULL",
            ),
            column("name", Text, "ifnull(r.name, '')").notes("without a name: {value} = ''"),
            column("summary", Text, "r.summary"),
            column("status", Text, "ifnull(number(r.status), 0)")
                .notes("without a status: it is 0, unknown: number(r.status) IS NULL"),
            column(
                "vdi_port",
                Text,
                "iif(number(r.vdi_port) BETWEEN 1 AND 65535, number(r.vdi_port), NULL)",
            )
            .notes(
                "without a port, as theirs is not from 1 to 65535: \
                        r.vdi_port <> '0' AND {value} IS NULL",
            ),
        ],
    },
];

const fn column(name: &'static str, kind: Kind, value: &'static str) -> Column {
    Column { name, kind, value, merged: "", notes: "" }
}

impl Table {
    /// The names of all columns, with commas.
    pub(crate) fn all_columns(&self) -> String {
        let names = self.columns.iter().map(|column| format!(", {}", column.name));
        format!("id{}", names.collect::<String>())
    }
}

impl Column {
    const fn merged(self, merged: &'static str) -> Self {
        Self { merged, ..self }
    }

    const fn notes(self, notes: &'static str) -> Self {
        Self { notes, ..self }
    }

    /// SQL for the value to write, from `w`, the source's, and `o`, ours.
    pub(crate) fn to_write(&self) -> String {
        if self.merged.is_empty() { format!("w.{}", self.name) } else { self.merged.to_owned() }
    }

    /// The kinds of odd values: what is said of their rows, and an SQL condition.
    pub(crate) fn odd_values(&self) -> impl Iterator<Item = (&str, String)> {
        let notes = self.notes.lines().filter_map(|line| line.trim().rsplit_once(": "));
        notes.map(|(note, condition)| (note, condition.replace("{value}", self.value)))
    }
}

/// Adds the functions to `db` that [`TABLES`] use, except `fingerprint`.
pub(crate) fn add_functions(db: &Connection) -> Result<()> {
    add(db, "bare", |text| Some(bare(text).to_owned()))?;
    add(db, "flag", flag)?;
    add(db, "host", host)?;
    add(db, "number", |text| text.parse::<i64>().ok().filter(|number| number.to_string() == text))?;
    add(db, "is_known", |text| Some(luoyun_password::is_known(text)))?;
    add(db, "visible", |text| Some(visible(text)))
}

/// Adds `function`, which is NULL for NULL.
fn add<T: ToSql + 'static>(
    db: &Connection,
    name: &str,
    function: fn(&str) -> Option<T>,
) -> Result<()> {
    db.create_scalar_function(name, 1, FunctionFlags::SQLITE_DETERMINISTIC, move |arguments| {
        Ok(arguments.get_raw(0).as_str_or_null()?.and_then(function))
    })
}

/// The text without the characters that a login drops around a user name (docs/contract.md).
pub(crate) fn bare(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || c.is_control())
}

/// Whether the text is true or false (PostgreSQL, "Boolean Type"); `None` if neither.
fn flag(text: &str) -> Option<bool> {
    let text = bare(text).to_lowercase();
    match text.as_str() {
        "1" | "on" | "y" | "ye" | "yes" | "t" | "tr" | "tru" | "true" => Some(true),
        "0" | "of" | "off" | "n" | "no" | "f" | "fa" | "fal" | "fals" | "false" => Some(false),
        _ => None,
    }
}

/// The IP address or host name in the text, without brackets and a netmask. `None` if it has
/// anything else.
fn host(text: &str) -> Option<String> {
    let text = bare(text);
    let text = match text.split_once('/') {
        Some((address, mask)) if mask.parse::<u8>().is_ok() => address,
        _ => text,
    };
    let text = text.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(text);
    ServerName::try_from(text).is_ok().then(|| text.to_owned())
}
