//! Converts the source's rows to those of the API, in temporary tables and views.
//!
//! The converted rows are consistent: user names are unique, and the owner and the node of an
//! instance exist or are NULL.

use anyhow::Result;
use rusqlite::Connection;

use crate::import::columns::{Table, add_functions, tables};
use crate::output::{count_sql, some_ids};

/// The rows that the source has, as the database has to have them: `wanted_users`, `wanted_nodes`
/// and `wanted_instances`. Of users whose names are equal without the white space around them, the
/// one is taken who can log in with it.
fn wanted(Table { name, source, columns, .. }: &Table) -> String {
    let values = columns.iter().map(|it| format!(", {} AS {}", it.value, it.name));
    let rows = format!("SELECT r.id{}", values.collect::<String>());
    if name != "users" {
        return format!("CREATE TEMP VIEW wanted_{name} AS {rows} FROM {source} r;");
    }
    format!(include_str!("wanted_users.sql"), rows = rows)
}

/// A line for each kind of odd values, with the number of its rows and the first ids.
fn notes(db: &Connection, tables: &[Table]) -> rusqlite::Result<Vec<String>> {
    let mut lines = Vec::new();
    let mut add = |note: String, rows: String| -> rusqlite::Result<()> {
        let (count, ids): (i64, Option<String>) =
            db.query_row(&count_sql(&rows), [], |row| row.try_into())?;
        lines.extend(ids.map(|ids| format!("{note}: {count} {}", some_ids(count, &ids))));
        Ok(())
    };
    for Table { name, source, columns, .. } in tables {
        let odd =
            |kind| format!("SELECT id FROM odd WHERE source = '{source}' AND kind = '{kind}'");
        add(format!("{name} left out, as their id is not a number from 1 up"), odd("id"))?;
        for column in columns {
            for (note, condition) in &column.notes {
                let condition = condition.replace("{value}", &column.value);
                let is_partial = name == "users" && !note.starts_with("left out");
                let kept =
                    if is_partial { "AND r.id IN (SELECT id FROM wanted_users)" } else { "" };
                let rows = format!("SELECT r.id FROM {source} r WHERE {condition} {kept}");
                add(format!("{name} {note}"), rows)?;
            }
        }
        let text = format!("{name} with bytes that are not UTF-8: each is U+FFFD here");
        add(text, odd("text") + " GROUP BY id")?;
    }
    Ok(lines)
}

/// Converts the copies of the source's tables in `db`. Returns a line for each kind of odd values.
/// Fails if the disk is full.
pub(crate) fn convert(db: &Connection) -> Result<Vec<String>> {
    let tables = tables()?;
    add_functions(db)?;
    db.execute_batch(&tables.iter().map(wanted).collect::<String>())?;
    Ok(notes(db, &tables)?)
}
