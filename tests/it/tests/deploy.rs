//! `deploy/`: its files are well-formed, and fit `spin.toml` and each other.

use std::collections::BTreeSet;
use std::fs;

use api_tests::server::root;
use serde_json::Value;

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn toml(file: &str) -> Value {
    toml::from_str(&read(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The object of this kind in `deploy/spinapp.yaml`.
fn object(kind: &str) -> Value {
    let objects: Vec<Value> = serde_saphyr::from_multiple(&read("deploy/spinapp.yaml")).unwrap();
    objects.into_iter().find(|object| object["kind"] == kind).unwrap()
}

/// The names in all the lists called `field` of the components.
fn opened_stores(manifest: &Value, field: &str) -> BTreeSet<String> {
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
        assert_eq!(configured, opened_stores(&manifest, field), "{table}");
    }
}

#[test]
fn the_readme_names_the_secrets_that_the_runtime_config_takes() {
    let config = read("deploy/runtime-config.toml");
    let readme = read("deploy/README.md");
    let names = placeholders(&config);
    assert!(!names.is_empty());
    for name in names {
        assert!(readme.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn the_spinapp_sets_variables_that_spin_toml_has() {
    let manifest = toml("spin.toml");
    let known = manifest["variables"].as_object().unwrap();
    let app = object("SpinApp");
    let variables = app["spec"]["variables"].as_array().unwrap();
    assert!(!variables.is_empty());
    for variable in variables {
        let name = variable["name"].as_str().unwrap();
        assert!(known.contains_key(name), "{name}");
    }
}

#[test]
fn the_probes_ask_spin_and_not_a_component() {
    let app = object("SpinApp");
    for probe in ["readiness", "liveness"] {
        let path = &app["spec"]["checks"][probe]["httpGet"]["path"];
        assert_eq!(path, "/.well-known/spin/health", "{probe}");
    }
}

#[test]
fn the_route_leads_to_the_spinapp_and_gives_up_in_time() {
    let app = object("SpinApp");
    let route = object("HTTPRoute");
    let rule = &route["spec"]["rules"][0];
    // The operator calls the app's service as it is called itself.
    assert_eq!(rule["backendRefs"][0]["name"], app["metadata"]["name"]);
    assert!(rule["timeouts"]["request"].is_string(), "{rule}");
}

#[test]
fn the_readme_makes_the_secret_that_the_spinapp_loads() {
    let app = object("SpinApp");
    let secret = app["spec"]["runtimeConfig"]["loadFromSecret"].as_str().unwrap();
    let command = format!("kubectl create secret generic {secret} ");
    assert!(read("deploy/README.md").contains(&command), "{command}");
}
