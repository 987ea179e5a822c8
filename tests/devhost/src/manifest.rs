//! The subset of `spin.toml` that devhost supports.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde::de::IgnoredAny;

#[derive(Deserialize)]
pub(crate) struct Manifest {
    #[serde(default)]
    variables: BTreeMap<String, Variable>,
    pub(crate) trigger: Triggers,
    pub(crate) component: BTreeMap<String, Component>,
}

#[derive(Default, Deserialize)]
struct Variable {
    default: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Triggers {
    pub(crate) http: Vec<Trigger>,
}

#[derive(Deserialize)]
pub(crate) struct Trigger {
    pub(crate) route: String,
    #[serde(flatten)]
    pub(crate) target: Target,
}

/// What answers a route.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    Component(String),
    StaticResponse { status_code: u16, headers: HashMap<String, String>, body: String },
}

/// An unknown key is an error that names it: the component needs more than devhost supports.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Component {
    /// The module's file. [`Manifest::read`] makes it relative to the current folder.
    pub(crate) source: PathBuf,
    #[serde(default)]
    pub(crate) key_value_stores: Vec<String>,
    #[serde(default)]
    pub(crate) sqlite_databases: Vec<String>,
    /// Templates in the file; [`Manifest::read`] replaces them with the values.
    #[serde(default)]
    pub(crate) variables: BTreeMap<String, String>,
    /// For `spin build`. With devhost, make builds the components.
    #[serde(rename = "build")]
    _build: Option<IgnoredAny>,
}

impl Manifest {
    /// Reads the manifest at `path`, and fills in the components' variables from `given`, or
    /// else from the defaults.
    /// Fails if the file cannot be read or needs more than devhost supports, or if a variable has
    /// no value.
    pub(crate) fn read(path: &Path, given: &[String]) -> Result<Self> {
        let mut manifest: Self = toml::from_str(&std::fs::read_to_string(path)?)?;
        for variable in given {
            let (name, value) = variable.split_once('=').context("--variable takes NAME=VALUE")?;
            manifest.variables.entry(name.to_owned()).or_default().default = Some(value.to_owned());
        }
        for component in manifest.component.values_mut() {
            component.source = path.with_file_name(&component.source);
            for template in component.variables.values_mut() {
                for (name, variable) in &manifest.variables {
                    let Some(value) = &variable.default else { continue };
                    *template = template.replace(&format!("{{{{ {name} }}}}"), value);
                }
                ensure!(!template.contains("{{"), "{template} has no value");
            }
        }
        Ok(manifest)
    }
}
