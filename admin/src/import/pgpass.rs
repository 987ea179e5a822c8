//! The password file of PostgreSQL's clients (PostgreSQL, "The Password File"): lines of
//! `host:port:database:user:password`, where `*` matches anything and `\` escapes a `:` or a `\`.

use std::env;
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// The password in the first line that matches the connection. `None` if there is none, or other
/// users can read the file.
pub(crate) fn find(host: &str, port: u16, database: &str, user: &str) -> Option<String> {
    let path = env::var_os("PGPASSFILE")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".pgpass")))?;
    let metadata = fs::metadata(&path).ok()?;
    if metadata.mode() & 0o077 != 0 {
        let shown = path.display();
        let _ = writeln!(
            std::io::stderr(),
            "luoyun-admin: {shown} is ignored, as others can read it: chmod 600 {shown}"
        );
        return None;
    }
    let text = fs::read_to_string(&path).ok()?;
    find_in(&text, [host, &port.to_string(), database, user])
}

fn find_in(text: &str, wanted: [&str; 4]) -> Option<String> {
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut rest = line;
        for wanted in wanted {
            let mut is_escaped = false;
            let (field, after) = rest.split_once(|c| {
                let is_end = c == ':' && !is_escaped;
                is_escaped = c == '\\' && !is_escaped;
                is_end
            })?;
            if field != "*" && unescape(field) != wanted {
                return None;
            }
            rest = after;
        }
        Some(unescape(rest))
    })
}

fn unescape(field: &str) -> String {
    let mut characters = field.chars();
    let next =
        || characters.next().map(|c| if c == '\\' { characters.next().unwrap_or(c) } else { c });
    std::iter::from_fn(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
# db.example:5432:luoyun:ada:commented out
db.example:5432:luoyun:ada:first
db.example:*:*:ada:any \\: and \\\\ here: too
\\*:5432:luoyun:grace:a star
too:short
*:*:*:grace:anywhere";

    #[test]
    fn the_first_line_that_matches_counts() {
        for (wanted, password) in [
            (["db.example", "5432", "luoyun", "ada"], Some("first")),
            (["db.example", "5433", "luoyun", "ada"], Some("any : and \\ here: too")),
            (["other.example", "5432", "luoyun", "ada"], None),
            (["*", "5432", "luoyun", "grace"], Some("a star")),
            (["other.example", "5432", "luoyun", "grace"], Some("anywhere")),
            (["too", "short", "", ""], None),
        ] {
            assert_eq!(find_in(FILE, wanted).as_deref(), password, "{wanted:?}");
        }
    }
}
