//! The files in `deploy/` are consistent with `spin.toml` and the documents.
//! `machines` tests what they do.

use std::collections::BTreeSet;

use api_tests::{read, toml};
use serde_json::Value;

/// The names in the lists `field` of all components.
fn granted_stores(manifest: &Value, field: &str) -> BTreeSet<String> {
    let components = manifest["component"].as_object().unwrap().values();
    let lists = components.filter_map(|component| component[field].as_array());
    lists.flatten().map(|name| name.as_str().unwrap().to_owned()).collect()
}

/// The names between `${` and `}` in `text`.
fn placeholders(text: &str) -> BTreeSet<&str> {
    text.split("${").skip(1).map(|rest| rest.split_once('}').unwrap().0).collect()
}

#[test]
fn every_store_that_a_component_opens_is_in_the_runtime_config() {
    let manifest = toml("spin.toml");
    let config = toml("deploy/runtime-config.toml");
    for (field, table) in
        [("key_value_stores", "key_value_store"), ("sqlite_databases", "sqlite_database")]
    {
        let configured: BTreeSet<_> = config[table].as_object().unwrap().keys().cloned().collect();
        assert_eq!(configured, granted_stores(&manifest, field), "{table}");
    }
}

#[test]
fn the_readme_names_every_environment_variable_of_the_files() {
    let readme = read("deploy/README.md");
    for file in ["runtime-config.toml", "haproxy.cfg", "haproxy-http.cfg"] {
        let text = read(&format!("deploy/{file}"));
        let mut names = placeholders(&text);
        assert!(!names.is_empty(), "{file}");
        names.retain(|name| !text.contains(&format!("presetenv {name} ")));
        names.extend(text.contains("env(REDIS_PASSWORD)").then_some("REDIS_PASSWORD"));
        for name in names {
            assert!(readme.contains(&format!("`{name}`")), "{name}");
        }
    }
}

#[test]
fn every_command_in_the_readme_is_run_by_a_test_or_marked_as_not_tried() {
    let tests = ["machines.rs", "machines/proxy.rs", "machines/servers.rs"]
        .map(|file| read(&format!("tests/it/tests/{file}")))
        .concat();
    let tests = tests.replace("\\\"", "\u{1}");
    // The arguments of run_readme and start.
    let calls = ["run_readme(", ".start("].iter().flat_map(|call| tests.split(call).skip(1));
    let literals = calls.filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next());
    let literals: Vec<String> =
        literals.map(|literal| literal.replace('\u{1}', "\"").replace("\\n", "\n")).collect();
    let readme = read("deploy/README.md");
    let mut tried = 0;
    for fenced in readme.split("\n```").skip(1).step_by(2) {
        let (kind, block) = fenced.split_once('\n').unwrap();
        assert!(["sh tested", "sh not tried", "text"].contains(&kind), "{kind}");
        if kind == "sh tested" {
            let is_run = |literal: &String| literal.len() > 4 && block.starts_with(literal);
            assert!(literals.iter().any(is_run), "no test runs {block}");
            tried += 1;
        }
    }
    assert!(tried > 10, "{tried}");
}

#[test]
fn the_proxys_refusals_have_the_contracts_form() {
    let (proxy, contract) = (read("deploy/haproxy-http.cfg"), read("docs/contract.md"));
    let lines = proxy.lines().filter_map(|line| line.trim().strip_prefix("http-error status "));
    let statuses = lines.map(|line| {
        let (head, json) = line.split_once(" string ").unwrap();
        let fields = "content-type application/json hdr Cache-Control no-store \
                      hdr X-Content-Type-Options nosniff";
        let (status, retry_after) = head.split_once(&format!(" {fields}")).unwrap();
        assert_eq!(retry_after.contains("hdr Retry-After "), ["429", "503"].contains(&status));
        let reply: Value = serde_json::from_str(json.trim_matches('\'')).unwrap();
        assert_eq!((&reply["code"], reply.as_object().unwrap().len()), (&1.into(), 3), "{json}");
        assert!(reply["desc"].is_string(), "{json}");
        let error = reply["error"].as_str().unwrap();
        assert!(contract.contains(&format!("| `{error}` |")), "{error}");
        status
    });
    assert!(statuses.eq(["400", "408", "429", "500", "502", "503", "504"]));
}
