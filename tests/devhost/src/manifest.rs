//! `spin.toml`, as far as devhost can honour it.
//!
//! Every table refuses the keys it does not know, so that a manifest which asks
//! for more than devhost does is an error that names what it asked for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

/// What devhost does with `spin.toml`.
#[derive(Debug)]
pub(crate) struct Manifest {
    pub(crate) routes: Vec<(String, Target)>,
    pub(crate) components: BTreeMap<String, Component>,
    pub(crate) variables: BTreeMap<String, Variable>,
}

/// What answers on a route.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// The component with this name.
    Component(String),
    /// Always the same response.
    Static(StaticResponse),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StaticResponse {
    #[serde(default = "ok")]
    pub(crate) status_code: u16,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) body: String,
}

fn ok() -> u16 {
    200
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Component {
    /// The module's file; relative to the manifest in the file, resolved here.
    pub(crate) source: PathBuf,
    #[serde(default)]
    pub(crate) key_value_stores: Vec<String>,
    #[serde(default)]
    pub(crate) sqlite_databases: Vec<String>,
    #[serde(default)]
    pub(crate) variables: BTreeMap<String, String>,
    #[serde(default)]
    allowed_outbound_hosts: Vec<String>,
    #[serde(rename = "description")]
    _description: Option<String>,
    #[serde(rename = "build")]
    _build: Option<Build>,
}

/// For `spin build`, which devhost leaves to make.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Build {
    #[serde(rename = "command")]
    _command: String,
    #[serde(rename = "watch", default)]
    _watch: Vec<String>,
    #[serde(rename = "workdir")]
    _workdir: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Variable {
    pub(crate) default: Option<String>,
    #[serde(default)]
    required: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    spin_manifest_version: u32,
    #[serde(rename = "application")]
    _application: Application,
    #[serde(default)]
    variables: BTreeMap<String, Variable>,
    trigger: Triggers,
    component: BTreeMap<String, Component>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Application {
    #[serde(rename = "name")]
    _name: String,
    #[serde(rename = "version")]
    _version: Option<String>,
    #[serde(rename = "description")]
    _description: Option<String>,
    #[serde(rename = "authors", default)]
    _authors: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Triggers {
    http: Vec<Trigger>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Trigger {
    route: String,
    component: Option<String>,
    static_response: Option<StaticResponse>,
}

impl Manifest {
    /// Reads the manifest at `path`.
    ///
    /// # Errors
    /// Where the file cannot be read, or asks for what devhost does not do.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, folder).with_context(|| format!("devhost cannot run {}", path.display()))
    }

    fn parse(text: &str, folder: &Path) -> Result<Self> {
        let file: File = toml::from_str(text)?;
        ensure!(
            file.spin_manifest_version == 2,
            "spin_manifest_version is {}, not 2",
            file.spin_manifest_version
        );

        let mut routes = Vec::new();
        for trigger in file.trigger.http {
            let route = trigger.route;
            let target = match (trigger.component, trigger.static_response) {
                (Some(name), None) => {
                    ensure!(
                        file.component.contains_key(&name),
                        "the route {route} names the component {name}, which there is not"
                    );
                    Target::Component(name)
                }
                (None, Some(response)) => Target::Static(response),
                _ => bail!("the route {route} takes either a component or a static_response"),
            };
            routes.push((route, target));
        }

        let mut components = file.component;
        for (name, component) in &mut components {
            ensure!(
                component.allowed_outbound_hosts.is_empty(),
                "the component {name} has allowed_outbound_hosts; devhost lets nothing out"
            );
            component.source = folder.join(&component.source);
        }
        Ok(Self { routes, components, variables: file.variables })
    }

    /// The variables of the component called `name`: its templates filled in
    /// from the application's variables, with `given` before their defaults.
    ///
    /// # Errors
    /// Where a variable is given or used but not declared, or has no value.
    pub(crate) fn variables_of(
        &self,
        name: &str,
        given: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>> {
        let value = |variable: &str| -> Result<String> {
            let declared = self
                .variables
                .get(variable)
                .with_context(|| format!("no variable {variable} is declared"))?;
            let value = given.get(variable).or(declared.default.as_ref());
            value.cloned().with_context(|| {
                let kind = if declared.required { "required " } else { "" };
                format!("the {kind}variable {variable} has no value")
            })
        };
        if let Some(unknown) = given.keys().find(|key| !self.variables.contains_key(*key)) {
            bail!("--variable {unknown}: no such variable is declared");
        }
        let templates = self.components.get(name).map(|component| &component.variables);
        templates
            .into_iter()
            .flatten()
            .map(|(key, template)| Ok((key.clone(), fill(template, value)?)))
            .collect()
    }
}

/// `template` with each `{{ name }}` replaced.
fn fill(template: &str, value: impl Fn(&str) -> Result<String>) -> Result<String> {
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) =
            after.split_once("}}").with_context(|| format!("{template:?} lacks a }}}}"))?;
        filled.push_str(before);
        filled.push_str(&value(name.trim())?);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = r#"
        spin_manifest_version = 2
        [application]
        name = "a"
        [variables]
        ttl = { default = "60" }
        [[trigger.http]]
        route = "/x"
        component = "x"
        [component.x]
        source = "x.wasm"
        variables = { seconds = "{{ ttl }}", text = "a {{ttl}} b" }
    "#;

    fn error(text: &str) -> String {
        format!("{:#}", Manifest::parse(text, Path::new("")).unwrap_err())
    }

    #[test]
    fn variables_are_filled_in() {
        let manifest = Manifest::parse(MINIMAL, Path::new("")).unwrap();
        let variables = manifest.variables_of("x", &BTreeMap::new()).unwrap();
        assert_eq!(variables["seconds"], "60");
        assert_eq!(variables["text"], "a 60 b");
        let given = BTreeMap::from([("ttl".to_owned(), "5".to_owned())]);
        assert_eq!(manifest.variables_of("x", &given).unwrap()["seconds"], "5");
        let unknown = BTreeMap::from([("no".to_owned(), String::new())]);
        assert!(manifest.variables_of("x", &unknown).is_err());
    }

    #[test]
    fn what_cannot_be_honoured_is_named() {
        assert!(error(&format!("{MINIMAL}\nfiles = ['a']")).contains("files"));
        assert!(error(&MINIMAL.replace("trigger.http", "trigger.redis")).contains("redis"));
        assert!(error(&MINIMAL.replace("version = 2", "version = 1")).contains("not 2"));
        assert!(error(&MINIMAL.replace("component = \"x\"", "component = \"y\"")).contains('y'));
        let outbound = format!("{MINIMAL}\nallowed_outbound_hosts = ['https://example.com']");
        assert!(error(&outbound).contains("allowed_outbound_hosts"));
    }
}
