//! The commands on instances.

use std::ffi::OsStr;

use anyhow::{Context, Result, bail};
use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, Args, Subcommand};
use luoyun_values::status::{DELETED, STATUSES, Status, status_string};
use luoyun_values::text::trim;
use serde_json::{Value, json};

use crate::db::Database;
use crate::output;
use crate::rows::{self, Existing, Format, NODE, USER};

/// Manage instances, the virtual machines: add, set, remove, list
#[derive(Subcommand)]
pub(crate) enum Command {
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
#[derive(Args)]
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
#[derive(Args, Default)]
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

/// Runs a command on instances.
pub(crate) fn run(db: &mut Database, command: Command) -> Result<()> {
    match command {
        Command::Add { properties, id } => add(db, id, properties),
        Command::Set { id, properties, removed } => db.transaction(|db| {
            status(db, id)?.with_context(|| missing(id))?;
            let (columns, mut values) = given(db, properties, &removed)?;
            values.push(json!(id));
            let assignments = columns.join(" = ?, ");
            db.execute(&format!("UPDATE instances SET {assignments} = ? WHERE id = ?"), &values)
        }),
        Command::Remove { id } => db.transaction(|db| {
            if status(db, id)?.with_context(|| missing(id))? == DELETED {
                bail!("The instance {id} is deleted already.");
            }
            let sql = "UPDATE instances SET status = ?2 WHERE id = ?1";
            db.execute(sql, &[json!(id), json!(DELETED)])
        }),
        Command::List { owner, all, format } => {
            let owner = owner.map(|owner| rows::find(db, USER, &owner)).transpose()?;
            let strings = STATUSES
                .iter()
                .map(|it| format!("WHEN {} THEN '{}' ", it.number, it.string.replace('\'', "''")));
            let (strings, other) = (strings.collect::<String>(), status_string(-1));
            let sql = format!(include_str!("instances.sql"), strings = strings, other = other);
            let columns = "ID=id, OWNER=owner, NODE=node, HOST=vdi_host, PORT=vdi_port, \
                           STATUS=status+status_string, NAME=name";
            rows::list(db, &sql, &[json!(owner), json!(all)], columns, format.json)
        }
    }
}

fn add(db: &mut Database, id: Option<i64>, new: Properties) -> Result<()> {
    let id = db.transaction(|db| {
        let (columns, mut values) = given(db, new, &Removed::default())?;
        if let Some(id) = id
            && status(db, id)?.is_some()
        {
            bail!("There is an instance {id} already, perhaps a deleted one (--all lists them).");
        }
        let (columns, parameters) = (columns.join(", "), "?, ".repeat(values.len()));
        values.push(json!(id));
        let sql = format!("INSERT INTO instances ({columns}, id) VALUES ({parameters}?)");
        db.query(&(sql + " RETURNING id"), &values)
    })?;
    output::write_id(&id)
}

/// The columns with a new value, and these values.
/// Fails if the owner or the node does not exist.
fn given(
    db: &mut Database,
    new: Properties,
    removed: &Removed,
) -> Result<(Vec<&'static str>, Vec<Value>)> {
    let owner = new.owner.map(|owner| rows::find(db, USER, &owner)).transpose()?;
    let node = new.node.or(new.node_id).map(|node| rows::find(db, NODE, &node)).transpose()?;
    let null = |given: bool| given.then_some(Value::Null);
    let given = [
        ("user_id", owner.map(Value::from).or(null(removed.no_owner))),
        ("node_id", node.map(Value::from).or(null(removed.no_node))),
        ("name", new.name.map(Value::from)),
        ("summary", new.summary.map(Value::from).or(null(removed.no_summary))),
        ("status", new.status.map(Value::from)),
        ("vdi_type", new.vdi_type.map(Value::from)),
        ("vdi_port", new.vdi_port.map(Value::from).or(null(removed.no_vdi_port))),
    ];
    Ok(given.into_iter().filter_map(|(column, value)| Some((column, value?))).unzip())
}

/// The status of the instance `id`, if it exists.
fn status(db: &mut Database, id: i64) -> Result<Option<i64>> {
    let found = db.query("SELECT status FROM instances WHERE id = ?1", &[json!(id)])?;
    Ok(found.first().map(|(status,)| *status))
}

fn missing(id: i64) -> String {
    format!("There is no instance {id}. luoyun-admin instance list --all shows all.")
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

fn name(text: &str) -> Result<String, &'static str> {
    let is_name = !trim(text).is_empty() && !text.contains(char::is_control);
    let reason = "a name must not be blank or contain control characters";
    is_name.then(|| text.to_owned()).ok_or(reason)
}
