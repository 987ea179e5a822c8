//! An SQL statement that can be run, or printed for somebody else to run.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

/// A statement of SQLite, and the values of its `?1`, `?2`, ….
pub(crate) struct Statement {
    /// Outside of the values it has no `?`, and white space counts for nothing.
    sql: String,
    values: Vec<Value>,
}

impl Statement {
    /// The statement `sql`, which has no text literal with white space in it.
    pub(crate) fn new(sql: impl Into<String>, values: Vec<Value>) -> Self {
        Self { sql: sql.into(), values }
    }

    /// Runs it with its values bound; returns how many rows it changed.
    ///
    /// # Errors
    /// SQLite's own.
    pub(crate) fn execute(&self, db: &Connection) -> rusqlite::Result<usize> {
        db.execute(&self.sql, params_from_iter(&self.values))
    }

    /// Runs it with its values bound; returns what `read` makes of each of its rows.
    ///
    /// # Errors
    /// SQLite's own.
    pub(crate) fn query<T>(
        &self,
        db: &Connection,
        read: impl FnMut(&rusqlite::Row) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        db.prepare(&self.sql)?.query_map(params_from_iter(&self.values), read)?.collect()
    }

    /// The statement as one line of SQL that any SQLite takes.
    pub(crate) fn to_sql(&self) -> String {
        let one_line = self.sql.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut pieces = one_line.split('?');
        let mut sql = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let end = piece.find(|c: char| !c.is_ascii_digit()).unwrap_or(piece.len());
            let (number, rest) = piece.split_at(end);
            let value = number.parse::<usize>().ok().and_then(|at| self.values.get(at - 1));
            sql.push_str(&literal(value.unwrap_or(&Value::Null)));
            sql.push_str(rest);
        }
        sql.push(';');
        sql
    }
}

/// `text` as a value, NULL where there is none.
pub(crate) fn optional_text(text: Option<impl Into<String>>) -> Value {
    text.map_or(Value::Null, |text| Value::Text(text.into()))
}

/// `number` as a value, NULL where there is none.
pub(crate) fn optional_integer(number: Option<impl Into<i64>>) -> Value {
    number.map_or(Value::Null, |number| Value::Integer(number.into()))
}

fn literal(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => format!("{number:?}"),
        Value::Text(text) => quote(text),
        Value::Blob(bytes) => format!("x'{}'", base16ct::lower::encode_string(bytes)),
    }
}

/// Text as SQL. A shell may end a statement at the end of a line, or break off at a
/// NUL: control characters are put by their number.
fn quote(text: &str) -> String {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(char::is_control) {
        let (plain, tail) = rest.split_at(at);
        if !plain.is_empty() {
            parts.push(in_quotes(plain));
        }
        let mut characters = tail.chars();
        if let Some(control) = characters.next() {
            parts.push(format!("char({})", u32::from(control)));
        }
        rest = characters.as_str();
    }
    if parts.is_empty() {
        return in_quotes(rest);
    }
    if !rest.is_empty() {
        parts.push(in_quotes(rest));
    }
    format!("({})", parts.join(" || "))
}

fn in_quotes(plain: &str) -> String {
    format!("'{}'", plain.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 12] = [
        "",
        "plain",
        "it's",
        "'; DROP TABLE users; --",
        "''",
        "\\'",
        "$1 ?1 :a @b %s",
        "two\nlines\r\n",
        "\n",
        "nul\0in it",
        "\u{7f}\u{85}位版 \u{1f600}",
        "/* not a comment */ -- nor this",
    ];

    #[test]
    fn sqlite_reads_back_every_text() {
        let db = Connection::open_in_memory().unwrap();
        for text in TEXTS {
            let statement = Statement::new("SELECT\n  ?1", vec![Value::Text(text.to_owned())]);
            let sql = statement.to_sql();
            assert!(!sql.contains(char::is_control), "{sql:?}");
            let found: String = db.query_row(&sql, [], |row| row.get(0)).unwrap();
            assert_eq!(found, text, "{sql}");
            let bound = statement.query(&db, |row| row.get::<_, String>(0)).unwrap();
            assert_eq!(bound, [text]);
        }
    }

    #[test]
    fn values_stand_where_their_numbers_do() {
        let values = vec![
            Value::Null,
            Value::Integer(-2),
            Value::Real(0.5),
            Value::Blob(vec![0, 255]),
            Value::Text("?1".to_owned()),
        ];
        let sql = Statement::new("SELECT ?2, ?1,\n ?3, ?4 , ?5, ?2", values).to_sql();
        assert_eq!(sql, "SELECT -2, NULL, 0.5, x'00ff' , '?1', -2;");
    }
}
