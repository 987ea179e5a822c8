//! Converts the source's rows to those of the API, in temporary tables and views.
//!
//! The converted rows are consistent: user names are unique, and the owner and the node of an
//! instance exist or are NULL.

use anyhow::Result;
use rusqlite::Connection;

use crate::import::columns::{Table, add_functions, tables};
use crate::output::{IDS_SHOWN, some_ids};

/// The rows that the source has, as the database has to have them: `wanted_users`, `wanted_nodes`
/// and `wanted_instances`. Of users whose names are equal without the white space around them, the
/// one is taken who can log in with it.
fn wanted(Table { name, source, columns, .. }: &Table) -> String {
    let values = columns.iter().map(|it| format!(", {} AS {}", it.value, it.name));
    let rows = format!("SELECT r.id{}", values.collect::<String>());
    if name != "users" {
        return format!("CREATE TEMP VIEW wanted_{name} AS {rows} FROM {source} r;");
    }
    format!(
        "CREATE TEMP TABLE wanted_users AS SELECT * FROM (
             {rows}, fingerprint(r.id, ifnull(r.password, '!')) AS fingerprint,
             row_number() OVER (PARTITION BY bare(r.username)
                                ORDER BY r.username <> bare(r.username), r.id) AS number
             FROM auth_user r WHERE octet_length(bare(r.username)) BETWEEN 1 AND 4096
         ) WHERE number = 1;
         CREATE UNIQUE INDEX temp.users_by_id ON wanted_users (id);"
    )
}

/// A query for the kind, the count and the first `?1` ids of odd values.
fn notes(tables: &[Table]) -> String {
    let mut parts = Vec::new();
    let mut add = |text: String, rows: String| {
        parts.push(format!("SELECT {}, '{text}', {rows}", parts.len()));
    };
    for Table { name, source, columns, .. } in tables {
        let odd = |kind| format!("id FROM odd WHERE source = '{source}' AND kind = '{kind}'");
        add(format!("{name} left out, as their id is not a number from 1 up"), odd("id"));
        for column in columns {
            for (note, condition) in &column.notes {
                let condition = condition.replace("{value}", &column.value);
                let is_partial = name == "users" && !note.starts_with("left out");
                let kept =
                    if is_partial { " AND r.id IN (SELECT id FROM wanted_users)" } else { "" };
                add(
                    format!("{name} {note}"),
                    format!("r.id FROM {source} r WHERE {condition}{kept}"),
                );
            }
        }
        let text = format!("{name} with bytes that are not UTF-8: each is U+FFFD here");
        add(text, odd("text") + " GROUP BY id");
    }
    format!(
        "WITH notes (position, note, id) AS ({})
         SELECT note, total, group_concat(ifnull(id, 'NULL'), ', ' ORDER BY id)
         FROM (SELECT position, note, id, count(*) OVER (PARTITION BY position) AS total,
                      row_number() OVER (PARTITION BY position ORDER BY id) AS number FROM notes)
         WHERE number <= ?1 GROUP BY position ORDER BY position",
        parts.join(" UNION ALL ")
    )
}

/// Converts the copies of the source's tables in `db`. Returns a line for each kind of odd values.
/// Fails if the disk is full.
pub(crate) fn convert(db: &Connection) -> Result<Vec<String>> {
    let tables = tables()?;
    add_functions(db)?;
    db.execute_batch(&tables.iter().map(wanted).collect::<String>())?;
    let mut notes = db.prepare(&notes(&tables))?;
    let lines = notes.query_map([IDS_SHOWN], |row| {
        let (note, total, ids): (String, i64, String) = row.try_into()?;
        Ok(format!("{note}: {total} {}", some_ids(total, &ids)))
    })?;
    Ok(lines.collect::<Result<_, _>>()?)
}
