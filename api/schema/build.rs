//! Reads the files in `migrations`, so that no component carries comments or a parser: an array of
//! statements, each with the table that it creates, or "", and what adds each column to the table.

use std::error::Error;
use std::fmt::Write;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let mut array = "&[".to_owned();
    for name in ["0001_cloud", "0002_logins"] {
        let path = format!("../../migrations/{name}.sql");
        println!("cargo::rerun-if-changed={path}");
        let text = fs::read_to_string(path)?;
        let lines = text.split_inclusive('\n').filter(|line| !line.starts_with("--"));
        for statement in lines.collect::<String>().split_inclusive(";\n\n").map(str::trim) {
            let created = statement.split_once("CREATE TABLE IF NOT EXISTS ");
            let table = created.and_then(|(_, rest)| rest.split(' ').next()).unwrap_or_default();
            let columns =
                statement.lines().filter(|line| !table.is_empty() && line.starts_with("    "));
            let columns = columns.map(|line| {
                format!("ALTER TABLE {table} ADD COLUMN {}", line.trim().trim_end_matches(','))
            });
            write!(array, "({table:?}, {statement:?}, &{:?}),", columns.collect::<Vec<_>>())?;
        }
    }
    fs::write(format!("{}/statements.rs", env::var("OUT_DIR")?), array + "]")?;
    Ok(())
}
