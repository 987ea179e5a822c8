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
    /// For `spin build`, which devhost leaves to make.
    #[serde(rename = "build")]
    _build: Option<toml::Table>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Variable {
    pub(crate) default: Option<String>,
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
#[allow(dead_code, reason = "for people, and for other hosts")]
struct Application {
    name: String,
    version: Option<String>,
    authors: Option<Vec<String>>,
    description: Option<String>,
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
        for component in components.values_mut() {
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
            value.cloned().with_context(|| format!("the variable {variable} has no value"))
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
