//! Converts the source's rows to those of the API, in temporary tables and views.
//!
//! The converted rows are consistent: user names are unique, and the owner and the node of an
//! instance exist or are NULL.

use rusqlite::{Connection, Result};

use crate::output::{IDS_SHOWN, some_ids};

/// `auth_user`, `node` and `instance` are copies of the source's tables: all values are text,
/// except ids and times. The stored password `!` matches no password. LuoYunCloud only checks
/// whether `is_locked` is true. An inet as text may end with its netmask.
const CONVERTED: &str = "
    CREATE TEMP TABLE source_users (
        id INTEGER PRIMARY KEY, username TEXT NOT NULL UNIQUE, password TEXT NOT NULL,
        is_locked INTEGER NOT NULL, last_login INTEGER, fingerprint BLOB NOT NULL
    );
    INSERT OR IGNORE INTO source_users
    SELECT id, username, ifnull(password, '!'),
           ifnull(is_locked, 'false') NOT IN ('false', 'f', '0'), last_login,
           fingerprint(id, ifnull(password, '!'))
    FROM auth_user WHERE username <> '' ORDER BY id;

    CREATE TEMP VIEW wanted_nodes AS
    SELECT id, hostname,
           nullif(trim(substr(ip, 1, instr(ip || '/', '/') - 1), char(9, 10, 13, 32)), '') AS ip
    FROM node;

    CREATE TEMP VIEW wanted_instances AS
    SELECT id, (SELECT id FROM source_users WHERE id = user_id) AS user_id,
           (SELECT id FROM node WHERE id = node_id) AS node_id, ifnull(name, '') AS name, summary,
           iif(status = CAST(status AS INTEGER) || '', CAST(status AS INTEGER), 0) AS status,
           CASE WHEN vdi_port = CAST(vdi_port AS INTEGER) || ''
                     AND CAST(vdi_port AS INTEGER) BETWEEN 1 AND 65535
                THEN CAST(vdi_port AS INTEGER) END AS vdi_port
    FROM instance";

/// Each kind of odd values, with the number of rows and the first `?1` ids.
const NOTES: &str = "
    WITH notes (position, note, id) AS (
        SELECT 1, 'users left out, as they have no name', id
        FROM auth_user WHERE ifnull(username, '') = ''
        UNION ALL SELECT 2, 'users left out, as an earlier one has their name', id
        FROM auth_user WHERE username <> '' AND id NOT IN (SELECT id FROM source_users)
        UNION ALL SELECT 3, 'users not locked, as is_locked is NULL', id
        FROM source_users JOIN auth_user r USING (id) WHERE r.is_locked IS NULL
        UNION ALL SELECT 4, 'users locked, as is_locked is neither true nor false', id
        FROM source_users JOIN auth_user r USING (id)
        WHERE r.is_locked NOT IN ('true', 't', '1', 'false', 'f', '0')
        UNION ALL SELECT 5, 'users who cannot log in, as they have no password', id
        FROM source_users JOIN auth_user r USING (id) WHERE r.password IS NULL
        UNION ALL SELECT 6, 'nodes without a name', id FROM node WHERE hostname IS NULL
        UNION ALL SELECT 7, 'nodes without an IP address: their instances have no host', id
        FROM wanted_nodes WHERE ip IS NULL
        UNION ALL SELECT 8, 'instances without an owner: nobody sees them', id
        FROM instance WHERE user_id IS NULL
        UNION ALL SELECT 9, 'instances whose owner does not exist: nobody sees them', id
        FROM instance WHERE user_id NOT IN (SELECT id FROM source_users)
        UNION ALL SELECT 10, 'instances without a node: they have no host', id
        FROM instance WHERE node_id IS NULL
        UNION ALL SELECT 11, 'instances whose node does not exist: they have no host', id
        FROM instance WHERE node_id NOT IN (SELECT id FROM node)
        UNION ALL SELECT 12, 'instances without a name', id FROM instance WHERE name IS NULL
        UNION ALL SELECT 13, 'instances without a status: it is 0, unknown', id
        FROM instance WHERE (status = CAST(status AS INTEGER) || '') IS NOT 1
        UNION ALL SELECT 14, 'instances without a port, as theirs is not from 1 to 65535', id
        FROM wanted_instances JOIN instance r USING (id)
        WHERE wanted_instances.vdi_port IS NULL AND r.vdi_port <> '0'
    )
    SELECT note, total, group_concat(id, ', ' ORDER BY id)
    FROM (SELECT position, note, id, count(*) OVER (PARTITION BY position) AS total,
                 row_number() OVER (PARTITION BY position ORDER BY id) AS number FROM notes)
    WHERE number <= ?1 GROUP BY position ORDER BY position";

/// Converts the copies of the source's tables in `db`. Returns a line for each kind of odd values.
/// Fails if the disk is full.
pub(crate) fn convert(db: &Connection) -> Result<Vec<String>> {
    db.execute_batch(CONVERTED)?;
    let mut notes = db.prepare(NOTES)?;
    let lines = notes.query_map([IDS_SHOWN], |row| {
        let (note, total, ids): (String, i64, String) = row.try_into()?;
        Ok(format!("{note}: {total} {}", some_ids(total, &ids)))
    })?;
    lines.collect()
}
