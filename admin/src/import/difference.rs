//! Compares the source's rows with ours, and makes ours equal.

use anyhow::{Context, Result, bail};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::db::{Database, is_without_reply};
use crate::import::columns::{Table, tables};

/// The first elements of the arrays in `?1`: the ids.
const IDS: &str = "SELECT value ->> 0 FROM json_each(?1)";

/// The numbers of rows per table: ours, the source's, inserted, changed, deleted.
pub(crate) struct Difference(Vec<(String, [i64; 5])>);

impl Difference {
    /// Whether any row differs.
    pub(crate) fn is_any(&self) -> bool {
        self.0.iter().any(|(_, [_, _, differing @ ..])| differing.iter().sum::<i64>() > 0)
    }

    /// Describes the rows that would be deleted, if they are more than a tenth of a table and more
    /// than ten, or all of it.
    pub(crate) fn many_deleted(&self) -> Option<String> {
        let described = self.0.iter().filter_map(|(name, [ours, source, .., deleted])| {
            let is_emptied = *source == 0 && *deleted > 0;
            let none = if is_emptied { &format!("The source has no {name}. ") } else { "" };
            (is_emptied || *deleted > 10 && *deleted > ours / 10)
                .then(|| format!("{none}This import would delete {deleted} of {ours} {name}."))
        });
        let described = described.collect::<Vec<_>>().join(" ");
        (!described.is_empty()).then_some(described)
    }

    /// The counts as the lines of a table, the first with the headers.
    pub(crate) fn table(&self) -> Vec<Vec<String>> {
        let headers = ["", "INSERTED", "CHANGED", "DELETED", "EQUAL"].map(str::to_owned);
        let lines = self.0.iter().map(|(name, [_, source, inserted, changed, deleted])| {
            let equal = source - inserted - changed;
            let numbers = [*inserted, *changed, *deleted, equal].map(|number| number.to_string());
            [std::slice::from_ref(name), &numbers[..]].concat()
        });
        [headers.to_vec()].into_iter().chain(lines).collect()
    }
}

/// The version of the database: each import that writes to it, from any machine, changes it.
pub(crate) fn version(db: &mut Database) -> Result<i64> {
    let version = db.query("SELECT user_version FROM pragma_user_version", &[])?;
    version.first().map(|(version,)| *version).context("the database has no user_version")
}

/// Copies our rows into temporary tables of `staging`.
pub(crate) fn read_ours(db: &mut Database, staging: &Connection) -> Result<()> {
    for table in tables()? {
        let (name, columns) = (&table.name, table.all_columns());
        staging.execute_batch(&table.definition(&format!("our_{name}")))?;
        let insert =
            format!("INSERT INTO our_{name} SELECT {} FROM json_each(?1)", table.elements());
        let mut insert = staging.prepare(&insert)?;
        let page = page(name, "id", &columns);
        let read = |id: i64| {
            let found = db.query(&page, &[json!(id)])?;
            found.into_iter().next().context("an aggregate without a row")
        };
        each_page(read, |rows| Ok(insert.execute([rows]).map(drop)?))?;
    }
    Ok(())
}

/// A query for the next rows of `table` whose `key` is above `?1`: their largest key, and their
/// `columns` as JSON. At most 2000 rows, and 2,000,000 bytes without the last one: sqld 0.24 limits
/// a text to 5 MB.
fn page(table: &str, key: &str, columns: &str) -> String {
    format!(include_str!("page.sql"), table = table, key = key, columns = columns)
}

/// Passes each page to `take`. `read` returns the page after a key, with its last key.
fn each_page(
    mut read: impl FnMut(i64) -> Result<(Option<i64>, String)>,
    mut take: impl FnMut(String) -> Result<()>,
) -> Result<()> {
    let mut last_key = i64::MIN;
    while let (Some(key), rows) = read(last_key)? {
        take(rows)?;
        last_key = key;
    }
    Ok(())
}

/// Finds the rows that differ. Keeps their ids in temporary tables of `staging`.
pub(crate) fn find(staging: &Connection) -> Result<Difference> {
    let counts = tables()?.into_iter().map(|table| table.find(staging));
    counts.collect::<rusqlite::Result<_>>().map(Difference).context("cannot compare")
}

impl Table {
    /// SQL for the elements of each array in a `json_each`, named as the columns.
    fn elements(&self) -> String {
        let columns = self.columns.iter().zip(1..);
        let columns = columns.map(|(column, at)| format!(", value ->> {at} AS {}", column.name));
        format!("value ->> 0 AS id{}", columns.collect::<String>())
    }

    fn find(self, staging: &Connection) -> rusqlite::Result<(String, [i64; 5])> {
        let Self { name, columns, order, .. } = &self;
        let differs = columns.iter().map(|it| format!("o.{} IS NOT {}", it.name, it.to_write()));
        let differs = differs.collect::<Vec<_>>().join(" OR ");
        let compare =
            format!(include_str!("compare.sql"), name = name, order = order, differs = differs);
        staging.execute_batch(&compare)?;
        let count = format!(include_str!("count.sql"), name = name);
        let counts: (i64, i64, i64, i64, i64) =
            staging.query_row(&count, [], |row| row.try_into())?;
        Ok((self.name, counts.into()))
    }
}

/// Makes the rows equal that [`find`] found to differ, in one transaction, and only if no other
/// import has written to the database since it had the version `old`. It then has `new`.
/// Fails if the database fails, or another import has written to it.
pub(crate) fn apply(db: &mut Database, staging: &Connection, old: i64, new: i64) -> Result<()> {
    let Err(error) = write(db, staging, old, new) else { return Ok(()) };
    match version(db) {
        Ok(found) if found == new => Ok(()),
        Ok(found) if found != old => {
            bail!("Another import has written in the meantime: nothing was imported. Try again.")
        }
        _ if is_without_reply(&error) => {
            Err(error.context("it is unknown whether all was imported or nothing: import again"))
        }
        _ => Err(error.context("nothing was imported")),
    }
}

fn write(db: &mut Database, staging: &Connection, old: i64, new: i64) -> Result<()> {
    db.batch(|run| {
        // Stops the batch if the version has changed, by violating NOT NULL.
        let guard = "INSERT INTO users (username, password)
                     SELECT NULL, NULL FROM pragma_user_version WHERE user_version <> ?1";
        run(guard, &[json!(old)])?;
        run(&format!("PRAGMA user_version = {new}"), &[])?;
        let mut send = |rows: &str, key: &str, columns: &str, sql: &str| {
            let mut page = staging.prepare(&page(rows, key, columns))?;
            let read = |key: i64| Ok(page.query_row([key], |row| row.try_into())?);
            each_page(read, |rows| run(sql, &[Value::String(rows)]))
        };
        // Two users may have swapped names, but names have to be unique after each statement.
        let name = "'import ' || hex(randomblob(16))";
        let rename = format!("UPDATE users SET username = {name} WHERE id IN ({IDS})");
        send(include_str!("renamed_users.sql"), "id", "id", &rename)?;
        // If names move from row to row, this order keeps them unique.
        for table in tables()? {
            let (name, columns, elements) = (&table.name, table.all_columns(), table.elements());
            let ids = |kind| {
                format!("(SELECT position, id FROM {name}_difference WHERE kind = '{kind}')")
            };
            let rows = |kind| format!("{} JOIN wanted_{name} USING (id)", ids(kind));
            let sql = format!("DELETE FROM {name} WHERE id IN ({IDS})");
            send(&ids("deleted"), "position", "id", &sql)?;
            let values = table.columns.iter().map(|it| format!("{} = {}", it.name, it.to_write()));
            let sql = format!(
                "UPDATE {name} AS o SET {} FROM (SELECT {elements} FROM json_each(?1)) w
                 WHERE o.id = w.id",
                values.collect::<Vec<_>>().join(", ")
            );
            send(&rows("changed"), "position", &columns, &sql)?;
            let sql =
                format!("INSERT INTO {name} ({columns}) SELECT {elements} FROM json_each(?1)");
            send(&rows("inserted"), "position", &columns, &sql)?;
        }
        for (column, owners) in [("user_id", "users"), ("node_id", "nodes")] {
            // For instances that were added since the comparison.
            let is_missing = format!("{column} NOT IN (SELECT id FROM {owners})");
            run(&format!("UPDATE instances SET {column} = NULL WHERE {is_missing}"), &[])?;
        }
        Ok(())
    })
}
