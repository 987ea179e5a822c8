//! The password file of PostgreSQL's clients (PostgreSQL, "The Password File"): lines of
//! `host:port:database:user:password`, where `*` matches anything and `\` escapes a `:` or a `\`.

use std::env;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;

/// The password in the first line that matches the connection. `None` if there is none, or other
/// users can read the file. `wanted` are host, port, database and user; `file` is the file to read instead of `~/.pgpass`.
pub(crate) fn find(file: Option<&str>, wanted: [&str; 4]) -> Option<String> {
    let path = file.map_or_else(|| Some(env::home_dir()?.join(".pgpass")), |it| Some(it.into()))?;
    let shown = path.display();
    let reason = match fs::metadata(&path) {
        Err(_) if file.is_none() => return None,
        Err(error) => Some(error.to_string()),
        Ok(metadata) => {
            (metadata.mode() & 0o077 != 0).then(|| format!("others can read it: chmod 600 {shown}"))
        }
    };
    if let Some(reason) = reason {
        let _ = writeln!(io::stderr(), "luoyun-admin: {shown} is ignored: {reason}");
        return None;
    }
    let text = fs::read_to_string(&path).ok()?;
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut is_escaped = false;
        let fields = line.splitn(5, |c| {
            let is_end = c == ':' && !is_escaped;
            is_escaped = c == '\\' && !is_escaped;
            is_end
        });
        let fields: Vec<_> = fields.collect();
        let (password, fields) = fields.split_last().filter(|_| fields.len() == 5)?;
        let is_match = |(field, wanted): (&&str, &str)| *field == "*" || unescape(field) == wanted;
        fields.iter().zip(wanted).all(is_match).then(|| unescape(password))
    })
}

fn unescape(field: &str) -> String {
    let mut characters = field.chars();
    let next =
        || characters.next().map(|c| if c == '\\' { characters.next().unwrap_or(c) } else { c });
    std::iter::from_fn(next).collect()
}
