//! The subset of `spin.toml` that devhost supports.
//!
//! Every table rejects unknown keys, so a manifest that needs more than devhost supports is an
//! error that names the key.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    spin_manifest_version: u32,
    pub(crate) application: Application,
    #[serde(default)]
    variables: BTreeMap<String, Variable>,
    pub(crate) trigger: Triggers,
    pub(crate) component: BTreeMap<String, Component>,
}

/// What `/.well-known/spin/info` tells.
#[derive(Deserialize, Serialize)]
pub(crate) struct Application {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Variable {
    default: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Triggers {
    pub(crate) http: Vec<Trigger>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Trigger {
    pub(crate) route: String,
    pub(crate) component: Option<String>,
    pub(crate) static_response: Option<StaticResponse>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StaticResponse {
    pub(crate) status_code: u16,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) body: String,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Component {
    /// The module's file. [`Manifest::read`] makes it relative to the current folder.
    pub(crate) source: PathBuf,
    #[serde(default)]
    pub(crate) key_value_stores: Vec<Label>,
    #[serde(default)]
    pub(crate) sqlite_databases: Vec<Label>,
    /// Templates in the file; [`Manifest::read`] replaces them with the values.
    #[serde(default)]
    pub(crate) variables: BTreeMap<String, String>,
    /// For `spin build`. With devhost, make builds the components.
    #[serde(rename = "build")]
    _build: Option<IgnoredAny>,
}

/// The only label of a store that Spin has without a runtime config.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Label {
    Default,
}

impl Manifest {
    /// Reads the manifest at `path`, and fills in the components' variables from `given`, or
    /// else from the defaults.
    /// Fails if the file cannot be read or needs more than devhost supports, or if a variable is
    /// given or used but not declared, or has no value.
    pub(crate) fn read(path: &Path, given: &BTreeMap<String, String>) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, folder, given)
            .with_context(|| format!("devhost cannot run {}", path.display()))
    }

    fn parse(text: &str, folder: &Path, given: &BTreeMap<String, String>) -> Result<Self> {
        let mut manifest: Self = toml::from_str(text)?;
        let version = manifest.spin_manifest_version;
        ensure!(version == 2, "spin_manifest_version is {version}, not 2");

        if let Some(name) = given.keys().find(|name| !manifest.variables.contains_key(*name)) {
            bail!("--variable {name}: no such variable is declared");
        }
        let value = |name: &str| {
            let variable = manifest.variables.get(name);
            let variable = variable.with_context(|| format!("no variable {name} is declared"))?;
            let value = given.get(name).or(variable.default.as_ref());
            value.with_context(|| format!("the variable {name} has no value"))
        };
        for component in manifest.component.values_mut() {
            component.source = folder.join(&component.source);
            for template in component.variables.values_mut() {
                *template = fill(template, value)?;
            }
        }
        Ok(manifest)
    }
}

/// `template` with each `{{ name }}` replaced.
fn fill<'a>(template: &str, value: impl Fn(&str) -> Result<&'a String>) -> Result<String> {
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) =
            after.split_once("}}").with_context(|| format!("{template:?} lacks a }}}}"))?;
        filled.push_str(before);
        filled.push_str(value(name.trim())?);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}
