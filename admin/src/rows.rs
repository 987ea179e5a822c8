//! Lists of rows, for people or as JSON, and rows by name or id.

use std::fmt::{self, Display, Formatter};
use std::io::{self, BufWriter, Write};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::db::Database;
use crate::output::{visible, write_table};

/// What a message calls a row of a table, the table, the column with the name, and that of
/// instances which refers to the table.
pub(crate) type Kind = (&'static str, &'static str, &'static str, &'static str);
pub(crate) const USER: Kind = ("user", "users", "username", "user_id");
pub(crate) const NODE: Kind = ("node", "nodes", "hostname", "node_id");

/// A user or a node that exists.
#[derive(Args, Clone)]
#[group(required = true, multiple = false)]
pub(crate) struct Existing {
    /// The name
    pub(crate) name: Option<String>,
    /// The id, as `list` shows it, instead of the name
    #[arg(long, allow_negative_numbers = true)]
    pub(crate) id: Option<i64>,
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

#[derive(Args)]
pub(crate) struct Format {
    /// Print an array of JSON objects
    #[arg(long)]
    pub(crate) json: bool,
}

/// Rows that one query reads: a summary may have 4 KiB, and sqld limits its replies to 10 MB.
const PAGE_ROWS: usize = 1000;

/// Writes a list of all rows of `sql` to standard output: as a JSON array, or as a table with
/// `columns`, such as `ID=id, STATUS=status+string`: a header and the fields of the object that it
/// shows. `sql` selects at most `?2` pairs of an id above `?1`, ascending, and a JSON object.
/// `values` are for `?3` and the following parameters.
pub(crate) fn list(
    db: &mut Database,
    sql: &str,
    values: &[Value],
    columns: &str,
    Format { json }: Format,
) -> Result<()> {
    let mut rows: Vec<(i64, String)> = Vec::new();
    let mut is_last = false;
    while !is_last {
        let after = json!(rows.last().map_or(i64::MIN, |(id, _)| *id));
        let page: Vec<_> = db.query(sql, &[&[after, json!(PAGE_ROWS)], values].concat())?;
        is_last = page.len() < PAGE_ROWS;
        rows.extend(page);
    }
    let rows: Vec<_> = rows.into_iter().map(|(_, row)| row).collect();
    let mut out = BufWriter::new(io::stdout().lock());
    if json {
        writeln!(out, "[{}]", rows.join(",\n "))?;
    } else {
        let (headers, fields): (Vec<_>, Vec<_>) =
            columns.split(", ").filter_map(|column| column.split_once('=')).unzip();
        let mut lines = vec![headers.join("\t")];
        for row in rows {
            let row: Value = serde_json::from_str(&row)?;
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
pub(crate) fn find(
    db: &mut Database,
    (noun, table, column, _): Kind,
    row: &Existing,
) -> Result<(i64, Option<String>)> {
    let sql = format!("SELECT id, {column} FROM {table} WHERE {column} = ?1 OR id = ?2");
    let mut found: Vec<_> = db.query(&sql, &[json!(row.name), json!(row.id)])?;
    if found.len() > 1 {
        // Only an import adds nodes with equal hostnames.
        bail!("There are {} {table} called {row}: name one by its id (--help).", found.len());
    }
    let missing = || format!("There is no {noun} {row}. luoyun-admin {noun} list shows all.");
    found.pop().with_context(missing)
}

/// Fails if there is a row with `name` already. `advice` is what to do then.
pub(crate) fn refuse_existing(
    db: &mut Database,
    (noun, table, column, _): Kind,
    name: &str,
    advice: &str,
) -> Result<()> {
    let sql = format!("SELECT id FROM {table} WHERE {column} = ?1");
    if !db.query::<Vec<(i64,)>>(&sql, &[json!(name)])?.is_empty() {
        bail!("There is a {noun} {} already. {advice}", visible(name));
    }
    Ok(())
}

/// Sets columns of a row. `assignments` is SQL with `?3`, which `value` is for.
/// Fails as [`find`].
pub(crate) fn set(
    db: &mut Database,
    kind: Kind,
    row: &Existing,
    assignments: &str,
    value: Value,
) -> Result<()> {
    let (_, table, column, _) = kind;
    let only = "CASE count(*) WHEN 1 THEN max(id) END";
    let id = format!("SELECT {only} FROM {table} WHERE {column} = ?1 OR id = ?2");
    let sql = format!("UPDATE {table} SET {assignments} WHERE id = ({id}) RETURNING id");
    if !db.execute(&sql, &[json!(row.name), json!(row.id), value])? {
        find(db, kind, row)?;
    }
    Ok(())
}

/// Removes a row. The assignments `detach` are for the instances that refer to it.
/// Fails as [`find`]; without `cascade` with `refusal`, if there are such instances that are not
/// deleted.
pub(crate) fn remove(
    db: &mut Database,
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
