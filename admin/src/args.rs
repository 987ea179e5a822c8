//! The command line. `--help` prints these comments: they are the manual.

#![allow(clippy::doc_markdown, reason = "the comments are plain text")]

use std::ffi::OsStr;
use std::fmt::{self, Display, Formatter};
use std::net::IpAddr;
use std::path::PathBuf;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, Args as ArgGroup, Parser, Subcommand};
use clap_complete::Shell;

use luoyun_password::{MEMORY_KIB, PASSES, Strength};
use luoyun_status::{STATUSES, Status};

use crate::import::{MAX_NAME_BYTES, bare};
use crate::output::visible;

/// Users, nodes and instances of the LuoYunCloud API
///
/// Users log in. Instances are their virtual machines. A node is a machine that
/// instances run on; their remote desktops are at its IP address.
///
/// A command may change the database while the API is running: the next request
/// sees the change.
///
/// Examples:
///   Add a first user, with a virtual machine:
///     luoyun-admin user add ada
///     luoyun-admin node add node1 --ip 10.0.0.2
///     luoyun-admin instance add --owner ada --node node1 --name gallery
///
///   Use a libSQL server:
///     export LIBSQL_TOKEN=$(cat token)
///     luoyun-admin user list --db https://luoyun-ada.turso.io
///
///   Import all data of a LuoYunCloud:
///     luoyun-admin import postgres://luoyun@db.example/luoyun
///
/// Exit codes:
///   0  done
///   1  refused or failed; standard error says why, and what to do
///   2  invalid command line
#[derive(Parser)]
#[command(name = "luoyun-admin", version, verbatim_doc_comment, max_term_width = 80)]
pub(crate) struct Args {
    /// The database: a file, or the URL of a libSQL server (Turso, sqld)
    ///
    /// Spin keeps the file in its state folder and creates it at its first start (make up
    /// DEMO=0). The server's token is read from the environment variable `LIBSQL_TOKEN`. A
    /// server without TLS (`http://`) has to be on this machine.
    #[arg(long, global = true, value_name = "FILE|URL", default_value = ".spin/sqlite_db.db")]
    pub(crate) db: String,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Manage users: add, passwd, lock, unlock, remove, list
    #[command(subcommand)]
    User(User),
    /// Manage nodes, the machines that instances run on: add, set, remove, list
    #[command(subcommand)]
    Node(Node),
    /// Manage instances, the virtual machines: add, set, remove, list
    #[command(subcommand)]
    Instance(Instance),
    /// List and clear the waits after failed logins: list, clear
    #[command(subcommand)]
    Wait(Wait),
    /// Make the database equal to that of a LuoYunCloud
    ///
    /// Reads the tables `auth_user`, `node` and `instance` of a PostgreSQL database,
    /// and makes users, nodes and instances here equal to them, ids included. ROWS
    /// THAT ARE NOT IN THE SOURCE ARE DELETED HERE, also those added with
    /// luoyun-admin. Try --dry-run first.
    ///
    /// It may run while the API is in use, every minute if you like. Equal rows are
    /// not written; if all rows are equal, nothing is. All changes are one
    /// transaction: however the import ends, the database is either unchanged or
    /// equal to the source.
    ///
    /// Columns that are not simply copied (docs/import.md has them all):
    ///   password    Copied only if it has changed in the source since the last import,
    ///               as a login may have stored it in a stronger form here, or `user
    ///               passwd` may have set another one. A copied password ends the
    ///               user's sessions. See --state
    ///   is_locked   As in the source: `user lock` here lasts until the next import.
    ///               NULL means not locked, as in LuoYunCloud
    ///   last_login  The later of the two. A time without a time zone is read as UTC
    ///   vdi_type    Not in the source: 1 (SPICE) for a new instance, else unchanged
    ///   odd values  Converted or left out. The import prints the number of rows of
    ///               each kind, with the first ids
    ///
    /// The connection:
    ///   URL, environment (PGHOST, PGUSER, PGSSLMODE, …) and ~/.pgpass mean what
    ///   they mean to psql, except that connections to another machine use TLS and
    ///   check the server's certificate; sslmode=disable turns that off. Put no
    ///   password into a URL on the command line, which every user of the machine
    ///   can read: put it into PGPASSWORD or ~/.pgpass, or the whole URL into
    ///   LUOYUN_SOURCE.
    ///
    /// Examples:
    ///   Show what an import would change:
    ///     luoyun-admin import --dry-run postgres://luoyun@db.example/luoyun
    ///
    ///   Connect through the Unix socket, as the user of the operating system:
    ///     luoyun-admin import postgres:///luoyun
    ///
    ///   Import every minute with cron, which mails errors:
    ///     * * * * * cd /srv/api && luoyun-admin import --quiet postgres:///luoyun
    #[command(verbatim_doc_comment)]
    Import(Import),
    /// Print a completion script for a shell
    ///
    /// Example:
    ///   cd ~/.local/share/bash-completion/completions
    ///   luoyun-admin completions bash > luoyun-admin
    #[command(verbatim_doc_comment)]
    Completions {
        /// The shell
        shell: Shell,
    },
}

#[derive(Subcommand)]
pub(crate) enum User {
    /// Add a user; prints the new id
    ///
    /// The password is read from the terminal, twice and without echo, or from standard
    /// input, as one line. It is stored in the same form as by a login.
    #[command(after_long_help = "Example:\n  pass show ada | luoyun-admin user add ada")]
    Add {
        /// The user's name
        #[arg(value_parser = username)]
        name: String,
        #[command(flatten)]
        strength: StrengthOptions,
    },
    /// Change a user's password, and end the user's sessions
    ///
    /// The password is read as by `user add`.
    #[command(after_long_help = "Example:\n  luoyun-admin user passwd ada")]
    Passwd {
        #[command(flatten)]
        user: Existing,
        #[command(flatten)]
        strength: StrengthOptions,
    },
    /// Lock a user, and end the user's sessions
    ///
    /// A locked user cannot log in. Lock imported users in the source: an import undoes
    /// this.
    #[command(after_long_help = "Example:\n  luoyun-admin user lock ada")]
    Lock(Existing),
    /// Unlock a user
    #[command(after_long_help = "Example:\n  luoyun-admin user unlock ada")]
    Unlock(Existing),
    /// Remove a user, and end the user's sessions
    ///
    /// Remove imported users in the source: an import adds them again.
    #[command(after_long_help = "Example:\n  luoyun-admin user remove ada --cascade")]
    Remove {
        #[command(flatten)]
        user: Existing,
        /// Mark the user's instances as deleted
        #[arg(long)]
        cascade: bool,
    },
    /// List all users, by id
    ///
    /// The list has the time of the last login, in UTC.
    #[command(after_long_help = "Example:\n  luoyun-admin user list --json | jq -r .[].username")]
    List(Format),
}

/// A user or a node that exists.
#[derive(ArgGroup, Clone)]
#[group(required = true, multiple = false)]
pub(crate) struct Existing {
    /// The name
    pub(crate) name: Option<String>,
    /// The id, as `list` shows it, instead of the name
    #[arg(long, allow_negative_numbers = true)]
    pub(crate) id: Option<i64>,
}

impl Existing {
    pub(crate) fn with_id(id: i64) -> Self {
        Self { name: None, id: Some(id) }
    }
}

impl From<String> for Existing {
    fn from(name: String) -> Self {
        Self { name: Some(name), id: None }
    }
}

impl Display for Existing {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match (&self.name, self.id) {
            (None, Some(id)) => write!(f, "with the id {id}"),
            (name, _) => f.write_str(&visible(name.as_deref().unwrap_or_default())),
        }
    }
}

#[derive(Subcommand)]
pub(crate) enum Node {
    /// Add a node; prints the new id
    #[command(after_long_help = "Example:\n  luoyun-admin node add node1 --ip 10.0.0.2")]
    Add {
        /// Its hostname
        #[arg(value_parser = word)]
        hostname: String,
        /// Its IP address, where the remote desktops of its instances are
        #[arg(long)]
        ip: Option<IpAddr>,
    },
    /// Change the IP address of a node
    #[command(after_long_help = "Example:\n  luoyun-admin node set node1 --ip 10.0.0.3")]
    Set {
        #[command(flatten)]
        node: Existing,
        /// Its IP address, where the remote desktops of its instances are
        #[arg(long)]
        ip: IpAddr,
    },
    /// Remove a node
    #[command(after_long_help = "Example:\n  luoyun-admin node remove node1 --cascade")]
    Remove {
        #[command(flatten)]
        node: Existing,
        /// Leave its instances without a node
        #[arg(long)]
        cascade: bool,
    },
    /// List all nodes, by id
    #[command(after_long_help = "Example:\n  luoyun-admin node list")]
    List(Format),
}

#[derive(Subcommand)]
pub(crate) enum Instance {
    /// Add an instance; prints the new id
    #[command(mut_arg("owner", |owner| owner.required(true)))]
    #[command(mut_arg("name", |name| name.required(true)))]
    #[command(mut_arg("status", |status| status.default_value("new")))]
    #[command(mut_arg("vdi_type", |vdi_type| vdi_type.default_value("1")))]
    #[command(after_long_help = "Example:\n  luoyun-admin instance add --owner ada --name x")]
    Add {
        #[command(flatten)]
        properties: Properties,
        /// Its id, 1 or more [default: the next one]
        #[arg(long, value_parser = clap::value_parser!(i64).range(1..))]
        id: Option<i64>,
    },
    /// Change the given properties of an instance
    #[command(override_usage = "luoyun-admin instance set [OPTIONS] <ID>")]
    #[command(
        after_long_help = "Examples:\n  luoyun-admin instance set 2252 --status started --vdi-port 5901\n  luoyun-admin instance set 2252 --owner grace --no-summary"
    )]
    Set {
        /// The instance's id
        #[arg(allow_negative_numbers = true)]
        id: i64,
        #[command(flatten)]
        properties: Properties,
        #[command(flatten)]
        removed: Removed,
    },
    /// Mark an instance as deleted
    ///
    /// As in LuoYunCloud, the row stays, with status 100, and the API leaves it out of every
    /// reply. `instance set ID --status stopped` restores the instance.
    #[command(after_long_help = "Example:\n  luoyun-admin instance remove 2252")]
    Remove {
        /// The instance's id
        #[arg(allow_negative_numbers = true)]
        id: i64,
    },
    /// List the instances, by id
    #[command(after_long_help = "Example:\n  luoyun-admin instance list --owner ada --all")]
    List {
        /// Only the instances of this user
        #[arg(long, value_name = "USER")]
        owner: Option<Existing>,
        /// Deleted instances too
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        format: Format,
    },
}

/// The properties of an instance.
#[derive(ArgGroup)]
pub(crate) struct Properties {
    /// Its owner, the user whose list contains it
    #[arg(long, value_name = "USER")]
    pub(crate) owner: Option<Existing>,
    /// The node that it runs on
    #[arg(long, value_name = "HOSTNAME")]
    pub(crate) node: Option<Existing>,
    /// The node's id, instead of the hostname
    #[arg(long, value_name = "ID", conflicts_with = "node", allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(i64).map(Existing::with_id))]
    pub(crate) node_id: Option<Existing>,
    /// Its name
    #[arg(long, value_parser = name)]
    pub(crate) name: Option<String>,
    /// Its summary, a text
    #[arg(long, value_name = "TEXT")]
    pub(crate) summary: Option<String>,
    /// A number, or one of the words below
    #[arg(long, value_parser = StatusParser)]
    pub(crate) status: Option<i64>,
    /// The protocol of its remote desktop; 1 is SPICE
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(0..))]
    pub(crate) vdi_type: Option<i64>,
    /// The TCP port of its remote desktop on the node
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) vdi_port: Option<u16>,
}

/// The properties that an instance loses. One of these or of [`Properties`] is required.
#[derive(ArgGroup, Default)]
#[group(required = true, multiple = true)]
#[group(args = ["owner", "node", "node_id", "name", "summary", "status", "vdi_type", "vdi_port"])]
#[allow(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(crate) struct Removed {
    /// Remove its owner
    #[arg(long, conflicts_with = "owner")]
    pub(crate) no_owner: bool,
    /// Remove its node
    #[arg(long, conflicts_with_all = ["node", "node_id"])]
    pub(crate) no_node: bool,
    /// Remove its summary
    #[arg(long, conflicts_with = "summary")]
    pub(crate) no_summary: bool,
    /// Remove the port of its remote desktop
    #[arg(long, conflicts_with = "vdi_port")]
    pub(crate) no_vdi_port: bool,
}

#[derive(ArgGroup)]
pub(crate) struct Import {
    /// The source: postgres://USER@HOST:PORT/DATABASE?PARAMETER=VALUE
    #[arg(env = "LUOYUN_SOURCE", hide_env_values = true)]
    pub(crate) url: String,
    /// Print the counts, but change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print nothing but errors
    #[arg(long)]
    pub(crate) quiet: bool,
    /// Allow it to delete all rows of a table, or more than a tenth and more than ten
    #[arg(long)]
    pub(crate) allow_deletions: bool,
    /// End if the source sends nothing for so long
    #[arg(long, value_name = "SECONDS", default_value = "60",
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) timeout: u64,
    /// Trust only the certificates in this PEM file and those that they sign
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// The state file, with digests of the source's passwords, to detect changed ones
    ///
    /// The first import creates it, readable only by its owner. Keep it as secret as the
    /// source. The next import copies all passwords again if it is missing, after a restore
    /// of the database, and after an import with another state file: always import from the
    /// same machine [default: the database file with the extension .import; for a server, in
    /// ~/.local/state/luoyun-admin]
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,
}

#[derive(Subcommand)]
pub(crate) enum Wait {
    /// List the addresses whose logins have to wait, the longest wait first
    #[command(after_long_help = "Example:\n  luoyun-admin wait list")]
    List(Format),
    /// Let an address, or all, log in again at once
    ///
    /// Of an IPv6 address, the prefix of 64 bits counts, as in the list.
    #[command(after_long_help = "Example:\n  luoyun-admin wait clear 192.0.2.1")]
    #[group(required = true, multiple = false)]
    Clear {
        /// The address
        address: Option<String>,
        /// Clear all waits
        #[arg(long)]
        all: bool,
    },
}

#[derive(ArgGroup)]
pub(crate) struct StrengthOptions {
    /// Memory of Argon2id, in KiB: the server's variable `password_memory_kib`
    #[arg(long, value_name = "KIB", default_value_t = Strength::DEFAULT.memory_kib,
          value_parser = clap::value_parser!(u32).range(range(MEMORY_KIB)))]
    memory_kib: u32,
    /// Passes over the memory: the server's variable `password_passes`
    #[arg(long, value_name = "NUMBER", default_value_t = Strength::DEFAULT.passes,
          value_parser = clap::value_parser!(u32).range(range(PASSES)))]
    passes: u32,
}

impl StrengthOptions {
    pub(crate) fn strength(&self) -> Strength {
        Strength { memory_kib: self.memory_kib, passes: self.passes }
    }
}

fn range(range: std::ops::RangeInclusive<u32>) -> std::ops::RangeInclusive<i64> {
    i64::from(*range.start())..=i64::from(*range.end())
}

#[derive(ArgGroup)]
pub(crate) struct Format {
    /// Print an array of JSON objects
    #[arg(long)]
    pub(crate) json: bool,
}

/// Parses a status, given as a number or as a word.
fn status_number(text: &str) -> Result<i64, String> {
    let known = STATUSES.iter().find(|status| status.word == text).map(|status| status.number);
    let number = text.parse().ok().filter(|number| *number >= 0);
    known.or(number).ok_or_else(|| {
        let words: Vec<_> = STATUSES.iter().map(|status| status.word).collect();
        format!("a status is a number, or one of {}", words.join(", "))
    })
}

/// Parses a status, and names the words for completions and `--help`.
#[derive(Clone)]
struct StatusParser;

impl TypedValueParser for StatusParser {
    type Value = i64;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<i64, clap::Error> {
        TypedValueParser::parse_ref(&status_number, command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let value = |it: &Status| PossibleValue::new(it.word).help(it.number.to_string());
        Some(Box::new(STATUSES.iter().map(value)))
    }
}

/// Rejects user names that cannot log in: a login drops white space and control characters
/// around the name (docs/contract.md).
fn username(text: &str) -> Result<String, String> {
    if text.len() > MAX_NAME_BYTES {
        return Err(format!("a user name must not be longer than {MAX_NAME_BYTES} bytes"));
    }
    let is_bare = !text.is_empty() && bare(text) == text && !text.contains(char::is_control);
    let reason = "a user name must not be empty, start or end with white space, or contain \
                  control characters";
    is_bare.then(|| text.to_owned()).ok_or_else(|| reason.to_owned())
}

fn name(text: &str) -> Result<String, &'static str> {
    let is_name = !text.trim().is_empty() && !text.contains(char::is_control);
    let reason = "a name must not be blank or contain control characters";
    is_name.then(|| text.to_owned()).ok_or(reason)
}

fn word(text: &str) -> Result<String, &'static str> {
    let is_word = !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control());
    is_word.then(|| text.to_owned()).ok_or("a hostname must be one word, without white space")
}
