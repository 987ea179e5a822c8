//! What differs between the source's rows and ours, and what makes ours equal.

use anyhow::{Context, Result};
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};

use crate::target::explain;

/// A table of ours, and the temporary ones that it is to be equal to.
struct Table {
    name: &'static str,
    key: &'static str,
    /// The source's rows.
    source: &'static str,
    /// What ours are to be; where it is no table, a view of the source's and ours.
    wanted: &'static str,
    columns: &'static [&'static str],
}

const TABLES: [Table; 4] = [
    Table {
        name: "users",
        key: "id",
        source: "source_users",
        wanted: "wanted_users",
        columns: &["username", "password", "is_locked", "last_login"],
    },
    Table {
        name: "nodes",
        key: "id",
        source: "source_nodes",
        wanted: "source_nodes",
        columns: &["hostname", "ip"],
    },
    Table {
        name: "instances",
        key: "id",
        source: "source_instances",
        wanted: "source_instances",
        columns: &["user_id", "node_id", "name", "summary", "status", "vdi_port"],
    },
    Table {
        name: "imported_passwords",
        key: "user_id",
        source: "source_users",
        wanted: "source_users",
        columns: &["fingerprint"],
    },
];

/// A user's password is taken over where it has changed at the source since the last
/// import, and a last login where it is later than the one here.
const WANTED_USERS: &str = "
    CREATE TEMP VIEW wanted_users AS
    SELECT s.id, s.username, s.is_locked,
           CASE WHEN p.fingerprint = s.fingerprint THEN ifnull(u.password, s.password)
                ELSE s.password END AS password,
           CASE WHEN u.last_login IS NULL OR s.last_login > u.last_login THEN s.last_login
                ELSE u.last_login END AS last_login
    FROM temp.source_users s
    LEFT JOIN main.users u ON u.id = s.id
    LEFT JOIN main.imported_passwords p ON p.user_id = s.id";

/// Two users may have swapped names, and each has to be unique at each step.
const PARK_NAMES: &str = "
    UPDATE main.users SET username = 'import ' || hex(randomblob(16))
    WHERE id IN (SELECT d.id FROM temp.users_difference d
                 JOIN temp.source_users s ON s.id = d.id JOIN main.users u ON u.id = d.id
                 WHERE d.kind = 'changed' AND s.username <> u.username)";

/// Rows that are compared at a time. Who reads keeps a login from committing, and a
/// login that waits for that keeps all others from reading.
const AT_A_TIME: i64 = 5000;

/// What differs, counted.
pub(crate) struct Difference(Vec<Counts>);

struct Counts {
    name: &'static str,
    /// Rows of ours.
    ours: i64,
    /// Rows of the source.
    source: i64,
    inserted: i64,
    changed: i64,
    vanished: i64,
}

impl Difference {
    /// Whether anything differs.
    pub(crate) fn is_any(&self) -> bool {
        self.0.iter().any(|counts| counts.inserted + counts.changed + counts.vanished > 0)
    }

    /// The table that has rows and would have none.
    pub(crate) fn emptied(&self) -> Option<&'static str> {
        let emptied = |counts: &&Counts| counts.source == 0 && counts.ours > 0;
        self.shown().find(emptied).map(|counts| counts.name)
    }

    /// What concerns an operator: not what is remembered.
    fn shown(&self) -> impl Iterator<Item = &Counts> {
        self.0.iter().filter(|counts| counts.name != "imported_passwords")
    }

    /// The counts as a table, for people.
    pub(crate) fn table(&self) -> Vec<Vec<String>> {
        let heads = ["", "INSERTED", "CHANGED", "VANISHED", "EQUAL"];
        let mut lines = vec![heads.map(str::to_owned).to_vec()];
        for counts in self.shown() {
            let equal = counts.source - counts.inserted - counts.changed;
            let numbers = [counts.inserted, counts.changed, counts.vanished, equal];
            let mut line = vec![counts.name.to_owned()];
            line.extend(numbers.map(|number| number.to_string()));
            lines.push(line);
        }
        lines
    }
}

impl Table {
    /// Finds what differs, and keeps the ids in a temporary table.
    fn find(&self, db: &Connection) -> rusqlite::Result<Counts> {
        let Self { name, key, source, wanted, columns } = self;
        db.execute_batch(&format!(
            "CREATE TEMP TABLE {name}_difference (id INTEGER PRIMARY KEY, kind TEXT NOT NULL)"
        ))?;
        let differs = columns.iter().map(|column| format!("o.{column} IS NOT w.{column}"));
        let differs = differs.collect::<Vec<_>>().join(" OR ");
        piecewise(
            db,
            &format!("SELECT id FROM temp.{source} WHERE id > ?1 ORDER BY id"),
            &format!(
                "INSERT INTO temp.{name}_difference
                 SELECT w.id, CASE WHEN o.{key} IS NULL THEN 'inserted' ELSE 'changed' END
                 FROM temp.{wanted} w LEFT JOIN main.{name} o ON o.{key} = w.id
                 WHERE w.id > ?1 AND w.id <= ?2 AND (o.{key} IS NULL OR {differs})"
            ),
        )?;
        piecewise(
            db,
            &format!("SELECT {key} AS id FROM main.{name} WHERE {key} > ?1 ORDER BY {key}"),
            &format!(
                "INSERT INTO temp.{name}_difference
                 SELECT {key}, 'vanished' FROM main.{name}
                 WHERE {key} > ?1 AND {key} <= ?2 AND {key} NOT IN (SELECT id FROM temp.{source})"
            ),
        )?;
        let sql = format!(
            "SELECT (SELECT count(*) FROM main.{name}), (SELECT count(*) FROM temp.{source}),
                    count(*) FILTER (WHERE kind = 'inserted'),
                    count(*) FILTER (WHERE kind = 'changed'),
                    count(*) FILTER (WHERE kind = 'vanished')
             FROM temp.{name}_difference"
        );
        db.query_row(&sql, [], |row| {
            Ok(Counts {
                name,
                ours: row.get(0)?,
                source: row.get(1)?,
                inserted: row.get(2)?,
                changed: row.get(3)?,
                vanished: row.get(4)?,
            })
        })
    }

    fn make_equal(&self, tx: &Transaction) -> rusqlite::Result<()> {
        let Self { name, key, wanted, .. } = self;
        let ids = |kind| format!("(SELECT id FROM temp.{name}_difference WHERE kind = '{kind}')");
        let columns = self.columns.join(", ");
        let assignments = self.columns.iter().map(|column| format!("{column} = w.{column}"));
        let assignments = assignments.collect::<Vec<_>>().join(", ");
        for sql in [
            format!("DELETE FROM main.{name} WHERE {key} IN {}", ids("vanished")),
            format!(
                "UPDATE main.{name} AS o SET {assignments} FROM temp.{wanted} w
                 WHERE w.id = o.{key} AND o.{key} IN {}",
                ids("changed")
            ),
            format!(
                "INSERT INTO main.{name} ({key}, {columns})
                 SELECT id, {columns} FROM temp.{wanted} WHERE id IN {}",
                ids("inserted")
            ),
        ] {
            tx.execute(&sql, [])?;
        }
        Ok(())
    }
}

/// Runs `sql` once for each few ids that `ids` finds behind `?1`, as the range from
/// behind `?1` up to `?2`.
fn piecewise(db: &Connection, ids: &str, sql: &str) -> rusqlite::Result<()> {
    let mut last = db.prepare(&format!("SELECT max(id) FROM ({ids} LIMIT {AT_A_TIME})"))?;
    let mut piece = db.prepare(sql)?;
    let mut begin = i64::MIN;
    while let Some(end) = last.query_row([begin], |row| row.get::<_, Option<i64>>(0))? {
        piece.execute([begin, end])?;
        begin = end;
    }
    Ok(())
}

/// Finds what differs, and changes nothing.
///
/// # Errors
/// Where the database fails.
pub(crate) fn find(db: &Connection) -> Result<Difference> {
    let find = || {
        db.execute_batch(WANTED_USERS)?;
        TABLES.iter().map(|table| table.find(db)).collect::<rusqlite::Result<_>>()
    };
    find().map(Difference).map_err(explain).context("cannot compare the source with the database")
}

/// Makes equal what [`find`] found to differ, in one transaction: only from its commit
/// on does a server see any of it.
///
/// # Errors
/// Where the database fails, or somebody added a row that is in the way, since `find`.
pub(crate) fn apply(db: &mut Connection) -> Result<()> {
    const FAILED: &str = "cannot write the database";
    const IN_THE_WAY: &str = "somebody has just added a row that is in the way: import again";
    let mut apply = || {
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        tx.execute(PARK_NAMES, [])?;
        for table in TABLES {
            table.make_equal(&tx)?;
        }
        tx.commit()
    };
    apply().map_err(|error| {
        let is_in_the_way = error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation);
        let error = explain(error);
        if is_in_the_way { error.context(IN_THE_WAY) } else { error.context(FAILED) }
    })
}
