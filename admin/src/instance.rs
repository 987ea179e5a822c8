//! The commands on instances.

use std::ffi::OsStr;

use anyhow::{Result, bail, ensure};
use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, Args, Subcommand};
use luoyun_values::status::{STATUSES, Status, status_string};
use luoyun_values::text::trim;
use serde_json::{Value, json};

use crate::db::Database;
use crate::output;
use crate::rows::{self, Existing, Format, Kind, NODE, USER};

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
    #[command(mut_group("Properties", |group| group.required(true).args(NO_PROPERTIES)))]
    #[command(
        after_long_help = "Examples:\n  luoyun-admin instance set 2252 --status started --vdi-port 5901\n  luoyun-admin instance set 2252 --owner grace --no-summary"
    )]
    Set {
        /// The instance's id
        #[arg(allow_negative_numbers = true)]
        id: i64,
        #[command(flatten)]
        properties: Properties,
        /// Remove its owner
        #[arg(long, conflicts_with = "owner")]
        no_owner: bool,
        /// Remove its node
        #[arg(long, conflicts_with_all = ["node", "node_id"])]
        no_node: bool,
        /// Remove its summary
        #[arg(long, conflicts_with = "summary")]
        no_summary: bool,
        /// Remove the port of its remote desktop
        #[arg(long, conflicts_with = "vdi_port")]
        no_vdi_port: bool,
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
        owner: Option<String>,
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
    pub(crate) owner: Option<String>,
    /// The node that it runs on
    #[arg(long, value_name = "HOSTNAME")]
    pub(crate) node: Option<String>,
    /// The node's id, instead of the hostname
    #[arg(long, value_name = "ID", conflicts_with = "node", allow_negative_numbers = true)]
    pub(crate) node_id: Option<i64>,
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

/// The options of `set` that remove a property.
const NO_PROPERTIES: [&str; 4] = ["no_owner", "no_node", "no_summary", "no_vdi_port"];

/// Runs a command on instances.
pub(crate) fn run(db: &Database, command: Command) -> Result<()> {
    match command {
        Command::Add { properties, id } => {
            let id = json!(id);
            let values = [values(db, properties)?, vec![id.clone()]].concat();
            let added: Vec<(i64,)> = db.query(include_str!("add_instance.sql"), &values)?;
            let [row] = added[..] else {
                bail!("There is an instance {id} already, perhaps a deleted one (list --all).");
            };
            output::write_id([row])
        }
        Command::Set { id, properties, no_owner, no_node, no_summary, no_vdi_port } => {
            let removed = [no_owner, no_node, no_summary, no_vdi_port].map(Value::from);
            let values = [&values(db, properties)?[..], &[json!(id)], &removed].concat();
            ensure!(db.execute(include_str!("set_instance.sql"), &values)?, missing(id));
            Ok(())
        }
        Command::Remove { id } => {
            let sql =
                "UPDATE instances SET status = 100 WHERE id = ?1 AND status <> 100 RETURNING id";
            if !db.execute(sql, &[json!(id)])? {
                let find = "SELECT id FROM instances WHERE id = ?1";
                ensure!(db.execute(find, &[json!(id)])?, missing(id));
                bail!("The instance {id} is deleted already.");
            }
            Ok(())
        }
        Command::List { owner, all, format } => {
            let owner = find(db, USER, owner, None)?;
            let strings = STATUSES.iter().map(|it| (it.number.to_string(), it.string));
            let strings = strings.collect::<Value>().to_string();
            let strings = [json!(strings), json!(status_string(-1))];
            let columns = "ID=id, OWNER=owner, NODE=node, HOST=vdi_host, PORT=vdi_port, \
                           STATUS=status+status_string, NAME=name";
            let values = [&[owner, json!(all)][..], &strings].concat();
            rows::list(db, include_str!("instances.sql"), &values, columns, format)
        }
    }
}

/// The id of the row with this name or id, NULL if none is given.
fn find(db: &Database, kind: Kind, name: Option<String>, id: Option<i64>) -> Result<Value> {
    let is_given = name.is_some() || id.is_some();
    let row = is_given.then(|| rows::find(db, kind, &Existing { name, id })).transpose()?;
    Ok(json!(row.map(|(id, _)| id)))
}

/// The values of the columns, NULL for those that are not given.
/// Fails if the owner or the node does not exist.
fn values(db: &Database, new: Properties) -> Result<Vec<Value>> {
    let Properties { name, summary, status, vdi_type, vdi_port, .. } = new;
    let owner = find(db, USER, new.owner, None)?;
    let node = find(db, NODE, new.node, new.node_id)?;
    let other = [json!(name), json!(summary), json!(status), json!(vdi_type), json!(vdi_port)];
    Ok([&[owner, node][..], &other].concat())
}

fn missing(id: i64) -> String {
    format!("There is no instance {id}. luoyun-admin instance list --all shows all.")
}

/// Parses a status, given as a number or as a word, and names the words for completions and
/// `--help`.
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
        let words = STATUSES.map(|status| status.word).join(", ");
        let parse = move |text: &str| {
            let known = STATUSES.iter().find(|status| status.word == text).map(|it| it.number);
            let number = text.parse().ok().filter(|number| *number >= 0);
            known.or(number).ok_or(format!("a status is a number, or one of {words}"))
        };
        TypedValueParser::parse_ref(&parse, command, argument, value)
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
