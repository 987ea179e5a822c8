//! The functions of the SQL that compares.

use luoyun_values::text::trim;
use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::ToSql;
use rustls::pki_types::ServerName;
use sha2::{Digest, Sha256};

use crate::output::visible;

/// Adds the functions to `db`, which has the table `salt`. Except `fingerprint`, each is NULL for
/// NULL.
pub(crate) fn add_all(db: &Connection) -> rusqlite::Result<()> {
    add(db, "bare", |text| Some(trim(text).to_owned()))?;
    add(db, "host", host)?;
    add(db, "number", |text| text.parse::<i64>().ok().filter(|number| number.to_string() == text))?;
    add(db, "is_known", |text| Some(luoyun_password::is_known(text)))?;
    add(db, "visible", |text| Some(visible(text)))?;
    // `fingerprint(ID, PASSWORD)`: the id makes the digests of equal passwords differ.
    let salt: Vec<u8> = db.query_row("SELECT salt FROM salt", [], |row| row.get(0))?;
    db.create_scalar_function("fingerprint", 2, FunctionFlags::SQLITE_DETERMINISTIC, move |row| {
        let (id, password): (i64, String) = (row.get(0)?, row.get(1)?);
        let salted = Sha256::new_with_prefix(&salt).chain_update(id.to_be_bytes());
        Ok(salted.chain_update(password).finalize().to_vec())
    })
}

fn add<T: ToSql + 'static>(
    db: &Connection,
    name: &str,
    function: fn(&str) -> Option<T>,
) -> rusqlite::Result<()> {
    db.create_scalar_function(name, 1, FunctionFlags::SQLITE_DETERMINISTIC, move |row| {
        Ok(row.get_raw(0).as_str_or_null()?.and_then(function))
    })
}

/// The IP address or host name in the text, without brackets and a netmask. `None` if it has
/// anything else.
fn host(text: &str) -> Option<String> {
    let text = trim(text);
    let address = text.split_once('/').filter(|(_, mask)| mask.parse::<u8>().is_ok());
    let text = address.map_or(text, |(address, _)| address);
    let text = text.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(text);
    ServerName::try_from(text).is_ok().then(|| text.to_owned())
}
