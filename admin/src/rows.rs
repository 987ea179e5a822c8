//! Lists of rows, for people or as JSON, and rows by name or id.

use std::fmt::{self, Display, Formatter};
use std::io::{self, BufWriter, Write};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::db::{Database, each_page};
use crate::output::{visible, write_table};

/// What a message calls a row of a table, the table, the column with the name, and that of
/// instances which refers to the table.
pub(crate) type Kind = (&'static str, &'static str, &'static str, &'static str);
pub(crate) const USER: Kind = ("user", "users", "username", "user_id");
pub(crate) const NODE: Kind = ("node", "nodes", "hostname", "node_id");

/// A user or a node that exists.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Existing {
    /// The name
    pub(crate) name: Option<String>,
    /// The id, as `list` shows it, instead of the name
    #[arg(long, allow_negative_numbers = true)]
    pub(crate) id: Option<i64>,
}

impl Display for Existing {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match (&self.name, self.id) {
            (None, Some(id)) => write!(f, "with the id {id}"),
            (name, _) => f.write_str(&visible(name.as_deref().unwrap_or_default())),
        }
    }
}

#[derive(Args)]
pub(crate) struct Format {
    /// Print an array of JSON objects
    #[arg(long)]
    pub(crate) json: bool,
}

/// Writes a list of all rows of `sql` to standard output: as a JSON array, or as a table with
/// `columns`, such as `ID=id, STATUS=status+string`: a header and the fields of the object that it
/// shows. `sql` selects JSON objects, as [`each_page`] takes them. `values` are for `?2` and the
/// following parameters.
pub(crate) fn list(
    db: &Database,
    sql: &str,
    values: &[Value],
    columns: &str,
    Format { json }: Format,
) -> Result<()> {
    let mut rows: Vec<Box<RawValue>> = Vec::new();
    let query = |page: &str, key| db.query(page, &[&[json!(key)], values].concat());
    let take = |page: String| Ok(serde_json::from_str::<Vec<_>>(&page).map(|it| rows.extend(it))?);
    each_page(sql, query, take)?;
    let rows: Vec<_> = rows.iter().map(|row| row.get()).collect();
    let mut out = BufWriter::new(io::stdout().lock());
    if json {
        writeln!(out, "[{}]", rows.join(",\n "))?;
    } else {
        let (headers, fields): (Vec<_>, Vec<_>) =
            columns.split(", ").filter_map(|column| column.split_once('=')).unzip();
        let mut lines = vec![headers.join("\t")];
        for row in rows {
            let row: Value = serde_json::from_str(row)?;
            let cell = |fields: &&str| {
                fields.split('+').map(|field| cell(&row[field])).collect::<Vec<_>>().join(" ")
            };
            lines.push(fields.iter().map(cell).collect::<Vec<_>>().join("\t"));
        }
        write_table(&mut out, &lines)?;
    }
    Ok(out.flush()?)
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null | Value::Bool(false) => "-".to_owned(),
        // The only flag of a row.
        Value::Bool(true) => "locked".to_owned(),
        Value::String(text) => visible(text),
        other => other.to_string(),
    }
}

/// The id and the name of the row whose name or id was given.
/// Fails if there is none, or more than one, or the database fails.
pub(crate) fn find(db: &Database, kind: Kind, row: &Existing) -> Result<(i64, Option<String>)> {
    let (noun, table, column, _) = kind;
    let sql = format!("SELECT id, {column} FROM {table} WHERE {column} = ?1 OR id = ?2");
    let mut found: Vec<_> = db.query(&sql, &[json!(row.name), json!(row.id)])?;
    if found.len() > 1 {
        // Only an import adds nodes with equal hostnames.
        bail!("There are {} {table} called {row}: name one by its id (--help).", found.len());
    }
    let missing = || format!("There is no {noun} {row}. luoyun-admin {noun} list shows all.");
    found.pop().with_context(missing)
}

/// Sets the column `target` of a row.
/// Fails as [`find`].
pub(crate) fn set(
    db: &Database,
    kind: Kind,
    row: &Existing,
    target: &str,
    value: Value,
) -> Result<()> {
    let (_, table, column, _) = kind;
    let only = "CASE count(*) WHEN 1 THEN max(id) END";
    let id = format!("SELECT {only} FROM {table} WHERE {column} = ?1 OR id = ?2");
    let sql = format!("UPDATE {table} SET {target} = ?3 WHERE id = ({id}) RETURNING id");
    // Again, if another program has made the name unique in between.
    while !db.execute(&sql, &[json!(row.name), json!(row.id), value.clone()])? {
        find(db, kind, row)?;
    }
    Ok(())
}

/// Removes a row. The assignments `detach` are for the instances that refer to it.
/// Fails as [`find`]; without `cascade` with `refusal`, if there are such instances that are not
/// deleted.
pub(crate) fn remove(
    db: &Database,
    kind: Kind,
    row: &Existing,
    cascade: bool,
    refusal: impl Fn(&str) -> String,
    detach: &str,
) -> Result<()> {
    let (_, table, _, column) = kind;
    let id = [json!(find(db, kind, row)?.0)];
    let instances = format!("SELECT 1 FROM instances WHERE {column} = ?1");
    db.batch(|run| {
        let is_free = format!("?2 OR NOT EXISTS ({instances} AND status <> 100)");
        let sql = format!("UPDATE instances SET {detach} WHERE {column} = ?1 AND ({is_free})");
        run(&sql, &[&id[..], &[json!(cascade)]].concat())?;
        let sql = format!("DELETE FROM {table} WHERE id = ?1 AND NOT EXISTS ({instances})");
        run(&sql, &id)
    })?;
    let count = format!(include_str!("instances_with.sql"), column = column);
    match &db.query::<Vec<(String,)>>(&count, &id)?[..] {
        [(instances,)] => bail!(refusal(instances)),
        _ => Ok(()),
    }
}
