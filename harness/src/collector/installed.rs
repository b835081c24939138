//! A collector's program on this machine: where it is, what it is, and how a run of it looks.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use super::Definition;
use super::template::{Values, render};
use crate::manifest::shown_path;
use crate::results::{CollectorFacts, SinkKind};
use crate::verify::expectation::{Fidelity, HOST};

/// A collector that can be run.
#[derive(Clone, Debug)]
pub(crate) struct Installed {
    pub(crate) definition: Definition,
    pub(crate) program: PathBuf,
}

/// Where a run reads and writes.
#[derive(Clone, Debug)]
pub(crate) struct Site<'a> {
    /// A fresh folder of the run.
    pub(crate) folder: &'a Path,
    pub(crate) log: &'a Path,
    pub(crate) sink: SinkKind,
    pub(crate) sink_path: PathBuf,
    pub(crate) sink_address: Option<SocketAddr>,
    /// How many cores it may use.
    pub(crate) cores: usize,
}

/// The command of a run, its configuration written.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    /// Name and text of each rendered file.
    pub(crate) files: Vec<(String, String)>,
}

impl Prepared {
    /// Has another program start it: the words before its own.
    pub(crate) fn wrap(&mut self, wrapper: &[String]) {
        let Some((program, arguments)) = wrapper.split_first() else {
            return;
        };
        let own = self.program.display().to_string();
        let mut all = arguments.to_vec();
        all.push(own);
        all.append(&mut self.arguments);
        self.arguments = all;
        self.program = PathBuf::from(program);
    }
}

/// The collectors of `folder` with these names, or all, that are on this machine, and what a report
/// says of each. `named` are programs that were given.
///
/// # Errors
/// When a name is not known, a program that was given is not there, or none is installed.
pub(crate) fn find(
    folder: &Path,
    names: &[String],
    named: &[(String, PathBuf)],
) -> Result<(Vec<Installed>, Vec<CollectorFacts>)> {
    let mut definitions = Definition::read_all(folder)?;
    let known: Vec<String> = definitions.iter().map(|it| it.name.clone()).collect();
    for name in names.iter().chain(named.iter().map(|(name, _)| name)) {
        ensure!(
            known.contains(name),
            "no collector {name:?}: there are {}",
            known.join(", ")
        );
    }
    if !names.is_empty() {
        definitions.retain(|definition| names.contains(&definition.name));
    }
    let mut installed = Vec::new();
    let mut all_facts = Vec::new();
    for definition in &definitions {
        let path = named.iter().rfind(|(name, _)| *name == definition.name);
        let path = path.map(|(_, path)| path.as_path());
        let found = Installed::find(definition, path);
        if found.is_none() {
            ensure!(
                path.is_none(),
                "--bin {}={}: there is no such file",
                definition.name,
                path.unwrap_or(Path::new("")).display()
            );
            eprintln!(
                "{} is not installed: {}",
                definition.title, definition.install
            );
        }
        all_facts.push(facts(definition, found.as_ref()));
        installed.extend(found);
    }
    ensure!(!installed.is_empty(), "none of the collectors is installed");
    Ok((installed, all_facts))
}

impl Installed {
    /// Looks for the program, or takes the one that is named.
    pub(crate) fn find(definition: &Definition, named: Option<&Path>) -> Option<Installed> {
        let program = match named {
            Some(path) => fs::canonicalize(path).ok(),
            None => definition
                .programs
                .iter()
                .find_map(|program| find_program(program)),
        }?;
        Some(Installed {
            definition: definition.clone(),
            program,
        })
    }

    /// Writes the configuration of a run into its folder.
    ///
    /// # Errors
    /// When a template cannot be rendered or written, or there is no such sink.
    pub(crate) fn prepare(&self, config: &str, site: &Site<'_>) -> Result<Prepared> {
        let definition = &self.definition;
        let variant = definition
            .config
            .get(config)
            .with_context(|| format!("{} has no {config} configuration", definition.name))?;
        let mut values = self.values(site);
        let state = site.folder.join("state");
        fs::create_dir_all(&state).with_context(|| format!("create {}", state.display()))?;
        let sink = variant
            .sinks
            .get(&site.sink)
            .with_context(|| format!("{} has no such sink", definition.name))?;
        let sink = render(sink, &values).context("in the text of the sink")?;
        values.insert("sink", sink);
        let mut files = Vec::new();
        for name in &variant.files {
            let path = definition.folder.join(name);
            let template =
                fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
            let text =
                render(&template, &values).with_context(|| format!("in {}", path.display()))?;
            let target = site.folder.join(name);
            fs::write(&target, &text).with_context(|| format!("write {}", target.display()))?;
            if !values.contains_key("config") {
                values.insert("config", target.display().to_string());
            }
            files.push((name.clone(), text));
        }
        let extra: &[String] = match site.sink {
            SinkKind::Null => &definition.null_arguments,
            _ => &[],
        };
        let mut arguments = Vec::new();
        for argument in definition.start.iter().chain(extra) {
            arguments.push(render(argument, &values).context("in start")?);
        }
        let mut environment = Vec::new();
        for (name, value) in &variant.environment {
            environment.push((name.clone(), render(value, &values)?));
        }
        Ok(Prepared {
            program: self.program.clone(),
            arguments,
            environment,
            files,
        })
    }

    fn values(&self, site: &Site<'_>) -> Values {
        let address = site.sink_address;
        let port = address.map_or_else(String::new, |address| address.port().to_string());
        let host = address.map_or_else(String::new, |address| address.ip().to_string());
        Values::from([
            ("program", self.program.display().to_string()),
            ("folder", site.folder.display().to_string()),
            ("state", site.folder.join("state").display().to_string()),
            ("watch", site.log.display().to_string()),
            ("watch_folder", display(site.log.parent())),
            ("watch_name", display(site.log.file_name().map(Path::new))),
            ("sink_path", site.sink_path.display().to_string()),
            ("sink_host", host),
            ("sink_port", port),
            ("cores", site.cores.to_string()),
            ("host", HOST.to_owned()),
        ])
    }

    fn version(&self) -> String {
        let values = Values::from([("program", self.program.display().to_string())]);
        let arguments = self.definition.version.iter();
        let arguments: Result<Vec<String>> = arguments.map(|text| render(text, &values)).collect();
        let output = arguments.and_then(|arguments| {
            let output = Command::new(&self.program)
                .args(arguments)
                .stdin(Stdio::null())
                .output()?;
            Ok(output)
        });
        let Ok(output) = output else {
            return "unknown".to_owned();
        };
        let text = if output.stdout.is_empty() {
            output.stderr
        } else {
            output.stdout
        };
        version_in(&String::from_utf8_lossy(&text))
    }
}

fn display(path: Option<&Path>) -> String {
    path.unwrap_or(Path::new("")).display().to_string()
}

/// What a report says about a collector, installed or not.
pub(crate) fn facts(definition: &Definition, installed: Option<&Installed>) -> CollectorFacts {
    let mut facts = CollectorFacts {
        name: definition.name.clone(),
        title: definition.title.clone(),
        is_installed: installed.is_some(),
        how_to_install: definition.install.clone(),
        version: String::new(),
        path: String::new(),
        sha256: String::new(),
        binary_bytes: 0,
        closure_bytes: 0,
        fidelity: match definition.fidelity {
            Fidelity::Full => "full".to_owned(),
            Fidelity::Raw => "raw".to_owned(),
        },
        notes: definition.notes.clone(),
        sinks: definition.sinks(),
    };
    if let Some(installed) = installed {
        let program = &installed.program;
        facts.version = installed.version();
        facts.path = shown_path(program);
        facts.sha256 = sha256(program).unwrap_or_default();
        facts.binary_bytes = fs::metadata(program).map_or(0, |metadata| metadata.len());
        facts.closure_bytes = closure_bytes(program).unwrap_or(facts.binary_bytes);
    }
    facts
}

/// The first word that looks like a version, as in `Fluent Bit v5.1.1`; the first line where there is
/// none.
fn version_in(text: &str) -> String {
    let looks_like_one = |word: &&str| {
        let digits = word.split('.').next().unwrap_or_default();
        word.contains('.') && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    let words = text.split_whitespace();
    let words = words.map(|word| {
        word.trim_start_matches(['v', '('])
            .trim_end_matches([',', ';', ':', ')'])
    });
    let version = words.into_iter().find(looks_like_one);
    let line = || text.lines().find(|line| !line.trim().is_empty());
    version.or_else(line).unwrap_or("unknown").trim().to_owned()
}

fn find_program(program: &str) -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    if program == "{harness}" {
        return Some(own);
    }
    let built = own.parent()?.display().to_string();
    let program = program.replace("{target}", &built);
    if program.contains('/') {
        return fs::canonicalize(program).ok();
    }
    // System programs are where only root's PATH leads.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders
        .map(|folder| folder.join(&program))
        .find(|path| path.is_file())
        .and_then(|path| fs::canonicalize(path).ok())
}

fn sha256(path: &Path) -> Result<String> {
    let mut file = fs::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        hasher.update(buffer.get(..count).unwrap_or_default());
    }
    let digest = hasher.finalize();
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The size of the program and of each library that the loader takes for it.
fn closure_bytes(program: &Path) -> Result<u64> {
    let output = Command::new("ldd").arg(program).output()?;
    if !output.status.success() {
        bail!("a static program, or no ldd");
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let libraries = text.split_whitespace().filter(|word| word.starts_with('/'));
    let mut files = BTreeSet::from([program.to_owned()]);
    files.extend(libraries.filter_map(|library| fs::canonicalize(library).ok()));
    let sizes = files
        .iter()
        .map(|file| fs::metadata(file).map(|metadata| metadata.len()));
    sizes.sum::<std::io::Result<u64>>().map_err(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_print() {
        for (text, version) in [
            ("Fluent Bit v5.1.1\nGit commit: abc\n", "5.1.1"),
            ("syslog-ng 3 (3.38.1)\nConfig version: 3.35\n", "3.38.1"),
            (
                "rsyslogd  8.2302.0 (aka 2023.02) compiled with:\n",
                "8.2302.0",
            ),
            ("vector 0.58.0 (x86_64-unknown-linux-gnu)", "0.58.0"),
            ("ves 0.1.0", "0.1.0"),
            ("\nunreleased build\n", "unreleased build"),
            ("", "unknown"),
        ] {
            assert_eq!(version_in(text), version, "{text}");
        }
    }
}
