//! The functions of the SQL that compares.

use luoyun_values::text::trim;
use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::ToSql;
use rustls::pki_types::ServerName;

use crate::import::source::whole;
use crate::output::visible;

/// Adds the functions to `db`, except `fingerprint`. Each is NULL for NULL.
pub(crate) fn add_all(db: &Connection) -> rusqlite::Result<()> {
    add(db, "bare", |text| Some(trim(text).to_owned()))?;
    add(db, "host", host)?;
    add(db, "number", |text| text.parse::<i64>().ok().filter(|number| number.to_string() == text))?;
    add(db, "whole", whole)?;
    add(db, "seconds", seconds)?;
    add(db, "is_known", |text| Some(luoyun_password::is_known(text)))?;
    add(db, "visible", |text| Some(visible(text)))
}

fn add<T: ToSql + 'static>(
    db: &Connection,
    name: &str,
    function: fn(&str) -> Option<T>,
) -> rusqlite::Result<()> {
    db.create_scalar_function(name, 1, FunctionFlags::SQLITE_DETERMINISTIC, move |arguments| {
        Ok(arguments.get_raw(0).as_str_or_null()?.and_then(function))
    })
}

/// The IP address or host name in the text, without brackets and a netmask. `None` if it has
/// anything else.
fn host(text: &str) -> Option<String> {
    let text = trim(text);
    let text = match text.split_once('/') {
        Some((address, mask)) if mask.parse::<u8>().is_ok() => address,
        _ => text,
    };
    let text = text.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(text);
    ServerName::try_from(text).is_ok().then(|| text.to_owned())
}

/// The Unix time in the text, without fractions, if it is in the years 1 to 9999.
#[allow(clippy::cast_possible_truncation, reason = "it is within the limits")]
fn seconds(text: &str) -> Option<i64> {
    let number: f64 = text.parse().ok()?;
    (-62_135_596_800.0..253_402_300_800.0).contains(&number).then(|| number.floor() as i64)
}
