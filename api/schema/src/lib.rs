//! The statements that create the tables in an empty database: the files in `migrations`, compiled
//! in. They create what is missing, and change nothing else.

#![forbid(unsafe_code)]

/// Sets WAL mode, for a local file only. A libSQL server rejects it.
pub const LOCAL: &str = include_str!("../../../migrations/local.sql");

/// The tables, indexes and triggers. Each statement ends with a semicolon and an empty line.
const FILES: [&str; 2] = [
    include_str!("../../../migrations/0001_cloud.sql"),
    include_str!("../../../migrations/0002_logins.sql"),
];

/// The table that is created last: if it exists, the others do.
pub const LAST_TABLE: &str = "login_failures";

/// The statements, in the order in which to run them.
pub fn statements() -> impl Iterator<Item = &'static str> {
    let all = FILES.into_iter().flat_map(|file| file.split_inclusive(";\n\n"));
    all.filter(|statement| statement.contains("CREATE"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_statement_of_the_files_is_found() {
        let begins = |sql: &str| sql.lines().filter(|line| line.starts_with("CREATE")).count();
        assert_eq!(statements().count(), FILES.map(begins).iter().sum());
        for statement in statements() {
            assert_eq!(begins(statement), 1, "{statement}");
            assert!(statement.trim_end().ends_with(';'), "{statement}");
        }
        assert!(statements().last().unwrap().contains(&format!("EXISTS {LAST_TABLE} (")));
    }
}
