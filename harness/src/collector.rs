//! Collectors as data: a folder under `competitors/` says how a program is found, configured,
//! started and stopped. Adding one takes a folder and nothing here.

pub(crate) mod installed;
pub(crate) mod process;
mod template;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::results::SinkKind;
use crate::verify::expectation::Fidelity;

/// `competitor.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Definition {
    /// The name of its folder.
    #[serde(skip)]
    pub(crate) name: String,
    #[serde(skip)]
    folder: PathBuf,

    /// As people write it.
    pub(crate) title: String,
    /// Names or paths of the program, the first that is there is taken. `{harness}` is the harness
    /// itself, `{target}` the folder that the harness was built into.
    pub(crate) programs: Vec<String>,
    /// How to ask for its version.
    pub(crate) version: Vec<String>,
    /// How to get the official package.
    pub(crate) install: String,
    /// How much of the work it does.
    #[serde(default)]
    pub(crate) fidelity: Fidelity,
    /// How it is started.
    pub(crate) start: Vec<String>,
    /// Arguments for a run into its null sink.
    #[serde(default)]
    null_arguments: Vec<String>,
    /// How it is seen that a run into its null sink is over.
    pub(crate) null_end: NullEnd,
    /// What makes it end in order.
    #[serde(default = "term")]
    pub(crate) stop_signal: String,
    /// How long that may take.
    #[serde(default = "stop_timeout_s")]
    pub(crate) stop_timeout_s: u64,
    /// What a reader has to know about its figures.
    #[serde(default)]
    pub(crate) notes: Vec<String>,
    /// `default`, `tuned` and [`DURABLE`].
    pub(crate) config: BTreeMap<String, Variant>,
}

/// How it is seen that all work is done when there is no output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum NullEnd {
    /// The process ends by itself.
    Exit,
    /// Its descriptor of the log stands at the end of the log, and it has gone quiet.
    ReadPosition,
}

/// The configuration that keeps its state over restarts and waits for its sink as well as the
/// collector can: for `torture`. It is not timed.
pub(crate) const DURABLE: &str = "durable";

/// One way to configure it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Variant {
    /// Templates in its folder, the main one, `{{config}}`, first. Each is rendered under the same
    /// name.
    #[serde(default)]
    pub(crate) files: Vec<String>,
    /// Set in its environment, which is empty otherwise.
    #[serde(default)]
    environment: BTreeMap<String, String>,
    /// Text for `{{sink}}` in the templates, by sink: those that it has.
    pub(crate) sinks: BTreeMap<SinkKind, String>,
}

fn term() -> String {
    "TERM".to_owned()
}

fn stop_timeout_s() -> u64 {
    30
}

impl Definition {
    /// Reads the folder of a collector.
    ///
    /// # Errors
    /// When there is no `competitor.toml`, or it says something that is not understood.
    pub(crate) fn read(folder: &Path) -> Result<Definition> {
        let path = folder.join("competitor.toml");
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let mut definition: Definition =
            toml::from_str(&text).with_context(|| format!("in {}", path.display()))?;
        folder.clone_into(&mut definition.folder);
        definition.name = folder
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        definition
            .check()
            .with_context(|| format!("in {}", path.display()))?;
        Ok(definition)
    }

    /// Reads all folders, by name.
    ///
    /// # Errors
    /// When one cannot be read.
    pub(crate) fn read_all(folder: &Path) -> Result<Vec<Definition>> {
        let entries = std::fs::read_dir(folder).with_context(|| {
            format!(
                "read {}: run this in the project's folder, or name the folder by --competitors",
                folder.display()
            )
        })?;
        let mut folders = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.join("competitor.toml").exists() {
                folders.push(path);
            }
        }
        folders.sort();
        folders
            .iter()
            .map(|folder| Definition::read(folder))
            .collect()
    }

    fn check(&self) -> Result<()> {
        ensure!(
            !self.programs.is_empty(),
            "programs is empty: name at least one"
        );
        ensure!(
            !self.start.is_empty(),
            "start is empty: it is the command that starts the collector"
        );
        ensure!(
            !self.config.is_empty(),
            "no [config.default] and no [config.tuned]: at least one is needed"
        );
        for (name, variant) in &self.config {
            ensure!(
                matches!(name.as_str(), "default" | "tuned" | DURABLE),
                "[config.{name}]: default, tuned and {DURABLE} are possible"
            );
            for file in &variant.files {
                let path = self.folder.join(file);
                ensure!(path.is_file(), "config.{name}.files: no {}", path.display());
            }
        }
        process::signal(&self.stop_signal)?;
        Ok(())
    }

    /// The configurations that are compared.
    pub(crate) fn timed_configs(&self) -> impl Iterator<Item = &String> {
        self.config.keys().filter(|name| *name != DURABLE)
    }

    /// The sinks of a configuration.
    pub(crate) fn has_sink(&self, config: &str, sink: SinkKind) -> bool {
        let variant = self.config.get(config);
        variant.is_some_and(|variant| variant.sinks.contains_key(&sink))
    }

    /// All sinks, of any configuration.
    pub(crate) fn sinks(&self) -> Vec<SinkKind> {
        let all = self
            .timed_configs()
            .filter_map(|name| self.config.get(name))
            .flat_map(|variant| variant.sinks.keys());
        let mut sinks: Vec<SinkKind> = all.copied().collect();
        sinks.sort_unstable();
        sinks.dedup();
        sinks
    }
}
