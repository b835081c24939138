//! README.md holds what it says: its commands run, its configurations are accepted, the output that it
//! shows is what comes, its metrics and files are there.
//!
//! Blocks run one after the other in a folder that looks like this repository, with the built program
//! on PATH and as `target/release/ves`. Absolute paths of the system lead below that folder. A comment
//! above a block says where that is not enough:
//!
//! - `<!-- test prefix: WORDS -->`: WORDS are put before each line.
//! - `<!-- test suffix: WORDS -->`: WORDS are put behind each line.
//! - `<!-- test until: COMMAND -->`: the block runs until COMMAND succeeds; then it gets Ctrl-C and
//!   has to end well.
//! - `<!-- test said by: COMMAND -->`: the block is what COMMAND prints; a line that ends in `...` may
//!   go on.
//! - `<!-- test alike: COMMAND -->`: the same but for its numbers.
//! - `<!-- test run by: FILE -->`: FILE of this repository runs the block; here it is only parsed.
//! - `<!-- test lines: COMMAND -->`: COMMAND succeeds with each line as its last argument.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "util/blocks.rs"]
mod blocks;
#[path = "util/kit.rs"]
mod util;
#[path = "util/watched.rs"]
#[expect(dead_code, reason = "shared with the tests of the metrics")]
mod watched;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use blocks::{Block, blocks};
use rustix::process::{Pid, Signal, kill_process_group};
use util::{Bench, PATIENCE, becomes_so, wait_until};
use watched::Watched;

/// Where the system keeps what the README names. These lead below the folder.
const SYSTEM: [&str; 5] = [
    "/etc/",
    "/srv/",
    "/usr/share/doc/",
    "/var/lib/",
    "/var/log/",
];

/// The program, which keeps its state below the folder: for root the default is a folder of the system.
const VES: &str = r#"#!/bin/sh -eu
case "$*" in
  *--state-dir* | *--no-state* | *--dry-run*) ;;
  "collect "*) shift; set -- collect --state-dir "$SYSTEM/var/lib/ves" "$@" ;;
esac
exec "$BUILT" "$@"
"#;

/// Stands in for cargo: what it would build is what is tested. Other packages of the workspace are
/// run by the real one.
const CARGO: &str = r#"#!/bin/sh -eu
case "$*" in
  "build --release") test -x target/release/ves ;;
  "run --release -- "*) shift 3; exec ves "$@" ;;
  "run --release -p "*) shift 2; exec "$REAL_CARGO" run --quiet --locked --manifest-path "$REPOSITORY/Cargo.toml" "$@" ;;
  *) echo "no stand-in for: cargo $*" >&2; exit 64 ;;
esac
"#;

/// Stands in for systemd: what the unit of a job would start is tried.
const SYSTEMCTL: &str = r#"#!/bin/sh -eu
[ "$1 $2" = "enable --now" ]
start=$(sed -n 's/^ExecStart=[^ ]* //p' "$REPOSITORY/scripts/package/ves@.service")
start=$(printf '%s' "$start" | sed "s|%i|${3#ves@}|; s|/etc/|$SYSTEM/etc/|")
exec ves $start --dry-run
"#;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page() -> String {
    fs::read_to_string(repository().join("README.md")).unwrap()
}

/// The folder in which blocks run.
struct Site {
    bench: Bench,
}

impl Site {
    fn new() -> Site {
        let site = Site {
            bench: Bench::new(),
        };
        let folder = site.folder();
        let programs = site.bench.path("bin");
        fs::create_dir_all(folder.join("target/release")).unwrap();
        fs::create_dir_all(&programs).unwrap();
        for entry in fs::read_dir(repository()).unwrap() {
            let entry = entry.unwrap();
            if !["target", ".git"].contains(&entry.file_name().to_str().unwrap()) {
                symlink(entry.path(), folder.join(entry.file_name())).unwrap();
            }
        }
        for (path, script) in [
            (programs.join("ves"), VES),
            (programs.join("ves-log-collector"), VES),
            (programs.join("cargo"), CARGO),
            (programs.join("systemctl"), SYSTEMCTL),
            (folder.join("target/release/ves"), VES),
        ] {
            fs::write(&path, script).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        for folder in SYSTEM.map(|folder| site.system(folder)) {
            fs::create_dir_all(folder).unwrap();
        }
        let logs = PathBuf::from(site.system("/var/log/")).join("nginx");
        fs::create_dir(&logs).unwrap();
        let sample = repository().join("datasets/nginx-sample.log");
        fs::copy(sample, logs.join("access.log")).unwrap();
        fs::create_dir(site.bench.path("tmp")).unwrap();
        let job = site.adapted("watch_path = '/var/log/nginx/*.log'\n");
        fs::write(site.system("/etc/ves.toml"), job).unwrap();
        let examples = repository().join("scripts/package/examples");
        if examples.exists() {
            fs::create_dir(site.system("/usr/share/doc/ves")).unwrap();
            symlink(examples, site.system("/usr/share/doc/ves/examples")).unwrap();
        }
        site
    }

    /// Where blocks run.
    fn folder(&self) -> PathBuf {
        self.bench.path("repository")
    }

    /// Where a folder of the system is here.
    fn system(&self, folder: &str) -> String {
        format!("{}{folder}", self.bench.path("system").display())
    }

    /// The text with paths that lead here.
    fn adapted(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for folder in SYSTEM {
            text = text.replace(folder, &self.system(folder));
        }
        text
    }

    fn shell(&self, script: &str) -> Command {
        let mut command = Command::new("bash");
        let path = std::env::var("PATH").unwrap();
        let path = format!("{}:{path}", self.bench.path("bin").display());
        command
            .args(["-euo", "pipefail", "-c", &self.adapted(script)])
            .current_dir(self.folder())
            .env("PATH", path)
            .env("BUILT", env!("CARGO_BIN_EXE_ves"))
            .env("TMPDIR", self.bench.path("tmp"))
            .env("REAL_CARGO", env!("CARGO"))
            .env("REPOSITORY", repository())
            .env("SYSTEM", self.bench.path("system"))
            .stdin(Stdio::null());
        command
    }

    /// Runs a script to its end.
    fn run(&self, script: &str) -> Output {
        self.shell(script).output().unwrap()
    }

    /// Runs a script until a condition holds, then ends it as Ctrl-C does.
    fn run_until(&self, script: &str, condition: &str) -> Result<(), String> {
        // The shell itself goes on: its last command ends the block.
        let script = format!("trap : INT\n{script}");
        let said = self.bench.path("said");
        let log = fs::File::create(&said).unwrap();
        let mut command = self.shell(&script);
        command.process_group(0).stdout(log.try_clone().unwrap());
        let mut child = Ended(command.stderr(log).spawn().unwrap());
        let mut has_ended = false;
        let holds = becomes_so(PATIENCE, || {
            has_ended = child.0.try_wait().unwrap().is_some();
            has_ended || self.run(condition).status.success()
        });
        let group = Pid::from_child(&child.0);
        let _ = kill_process_group(group, Signal::INT);
        let status = {
            let mut status = None;
            wait_until("the end of the block", || {
                status = child.0.try_wait().unwrap();
                status.is_some()
            });
            status.unwrap()
        };
        if holds && !has_ended && status.success() {
            return Ok(());
        }
        let said = fs::read_to_string(said).unwrap();
        Err(format!("{status}, ended too early: {has_ended}\n{said}"))
    }
}

/// Ended when dropped.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
            let _ = self.0.wait();
        }
    }
}

/// The lines of commands, those joined that end in a backslash.
fn commands(text: &str) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    let lines = joined
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    lines.map(str::to_owned).collect()
}

fn script(block: &Block) -> String {
    let prefix = block.order("prefix").unwrap_or_default();
    let suffix = block.order("suffix").unwrap_or_default();
    let lines = commands(&block.text);
    let lines = lines
        .iter()
        .map(|line| format!("{prefix} {line} {suffix}\n"));
    lines.collect()
}

fn check(is_good: bool, output: &Output) -> Result<(), String> {
    if is_good {
        return Ok(());
    }
    let texts = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    Err(format!("{}\n{}{}", output.status, texts[0], texts[1]))
}

/// That each line of `text` is in `said`, in order.
fn check_said(text: &str, said: &str) -> Result<(), String> {
    let mut lines = said.lines();
    for wanted in text.lines() {
        let is_it = |line: &str| match wanted.strip_suffix("...") {
            Some(start) => line.starts_with(start),
            None => line == wanted,
        };
        if !lines.any(is_it) {
            return Err(format!("{wanted:?} is not in\n{said}"));
        }
    }
    Ok(())
}

/// The text with `N` for each number.
fn without_numbers(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match character {
            '0'..='9' if out.ends_with('N') => {}
            '0'..='9' => out.push('N'),
            '.' | 'k' | 'M' if out.ends_with('N') => {}
            other => out.push(other),
        }
    }
    out
}

/// That a file of this repository runs the program of each line, and that a shell understands it.
fn is_run_by(text: &str, runner: &str) -> Result<(), String> {
    let runs = fs::read_to_string(repository().join(runner)).map_err(|error| error.to_string())?;
    for line in commands(text) {
        let words = line.split([' ', '"']);
        let program = words.filter_map(|word| word.rsplit_once('/')).next();
        let (_, program) = program.ok_or_else(|| format!("no program in {line}"))?;
        if !runs.contains(program) {
            return Err(format!("{runner} does not run {program}"));
        }
    }
    let parsed = Command::new("bash")
        .args(["-n", "-c", text])
        .output()
        .unwrap();
    check(parsed.status.success(), &parsed)
}

/// Tests a block. `said` is what the one before it printed on standard output.
fn test(block: &Block, site: &Site, said: &mut String) -> Result<(), String> {
    let file = |name: &str| {
        let path = site.folder().join(name);
        fs::write(&path, site.adapted(&block.text)).unwrap();
        path.display().to_string()
    };
    let succeeds = |script: &str| {
        let output = site.run(script);
        check(output.status.success(), &output)
    };
    match block.language.as_str() {
        "sh" => {
            let script = script(block);
            if let Some(runner) = block.order("run by") {
                return is_run_by(&block.text, runner);
            }
            if let Some(condition) = block.order("until") {
                return site.run_until(&script, condition);
            }
            let output = site.run(&script);
            *said = String::from_utf8_lossy(&output.stdout).into_owned();
            check(output.status.success(), &output)
        }
        "ini" => {
            let starts = block
                .text
                .lines()
                .filter_map(|line| line.strip_prefix("ExecStart="));
            let mut starts = starts.filter_map(|command| command.split_once(' '));
            let (_, arguments) = starts.next().ok_or("it starts nothing")?;
            succeeds(&format!("ves {arguments} --dry-run"))
        }
        "json" => check_said(&block.text, said),
        "toml" => succeeds(&format!("ves check {}", file("example.toml"))),
        "yaml" if block.text.contains("scrape_configs:") => {
            succeeds(&format!("promtool check config {}", file("prometheus.yml")))
        }
        "yaml" if block.text.contains("groups:") => {
            succeeds(&format!("promtool check rules {}", file("rules.yml")))
        }
        "yaml" => succeeds(&format!("ves check {}", file("example.yaml"))),
        "text" => {
            if let Some(command) = block.order("said by") {
                let output = site.run(&format!("{{ {command}; }} 2>&1 || true"));
                let said = String::from_utf8_lossy(&output.stdout);
                return check_said(&site.adapted(&block.text), &said);
            }
            if let Some(command) = block.order("alike") {
                let output = site.run(&format!("{{ {command}; }} 2>&1"));
                let said = String::from_utf8_lossy(&output.stdout);
                return check_said(&without_numbers(&block.text), &without_numbers(&said));
            }
            let command = block.order("lines").ok_or("nothing tells what it is")?;
            for line in block.text.lines() {
                let quoted = line.replace('\'', r"'\''");
                succeeds(&format!("{command} '{quoted}'"))?;
            }
            Ok(())
        }
        language => Err(format!("nobody knows how to test {language:?}")),
    }
}

#[test]
fn every_block_is_true() {
    let site = Site::new();
    let mut said = String::new();
    let mut kinds = BTreeSet::new();
    for block in blocks(&page()) {
        let known = [
            "prefix", "suffix", "until", "said by", "alike", "run by", "lines",
        ];
        let unknown = block.orders().find(|order| !known.contains(order));
        assert_eq!(unknown, None, "README.md:{}", block.line);
        let tested = test(&block, &site, &mut said);
        let (line, text) = (block.line, &block.text);
        assert!(
            tested.is_ok(),
            "README.md:{line}:\n{text}{}",
            tested.unwrap_err()
        );
        kinds.insert(block.language);
    }
    let all = ["json", "sh", "text", "toml", "yaml"].iter();
    let missing: Vec<&&str> = all.filter(|kind| !kinds.contains(**kind)).collect();
    assert!(missing.is_empty(), "no block of {missing:?} was found");
}

/// Flags with their defaults, from the help.
fn flags() -> Vec<(String, Option<String>)> {
    let help = Command::new(env!("CARGO_BIN_EXE_ves"))
        .args(["collect", "-h"])
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    // Descriptions go on below the flag where the terminal is narrow.
    let mut flags: Vec<(String, String)> = Vec::new();
    for line in help.lines() {
        let bare = line
            .trim_start()
            .trim_start_matches("-h, ")
            .trim_start_matches("-V, ");
        if let Some(rest) = bare.strip_prefix("--") {
            let end = rest.find([' ', '\n']).unwrap_or(rest.len());
            flags.push((rest[..end].to_owned(), rest[end..].to_owned()));
        } else if let Some((_, text)) = flags.last_mut() {
            text.push(' ');
            text.push_str(bare);
        }
    }
    let default = |text: String| {
        let (_, rest) = text.split_once("[default: ")?;
        let words: Vec<&str> = rest.split(']').next()?.split_whitespace().collect();
        Some(words.join(" "))
    };
    flags
        .into_iter()
        .map(|(name, text)| (name, default(text)))
        .collect()
}

#[test]
fn the_reference_of_the_configuration_has_every_key_with_its_default() {
    let page = page();
    let flags = flags();
    assert!(flags.len() > 25, "{flags:?}");
    for (flag, default) in flags {
        let key = match flag.as_str() {
            "config" | "dry-run" | "help" | "version" => continue,
            "watch" => "watch_path".to_owned(),
            "ship" => "ship_url".to_owned(),
            other => other.replace('-', "_"),
        };
        let start = format!("| `{key}` |");
        let row = page.lines().find(|line| line.starts_with(&start));
        let row = row.unwrap_or_else(|| panic!("README.md has no row for {key}"));
        let is_told = default
            .as_ref()
            .is_none_or(|default| row.contains(default.as_str()));
        assert!(
            is_told,
            "the default of {key} is {default:?}, not as in {row}"
        );
    }
}

#[test]
fn the_metrics_that_it_names_are_exported() {
    let bench = Bench::new();
    fs::write(bench.path("logs/a.log"), util::line(1)).unwrap();
    let _ves = bench.collect("*.log", &["--metrics", "0", "--metrics-per-file"]);
    let watched = Watched::of(&bench);
    let mut text = String::new();
    wait_until("everything that is exported", || {
        text = watched.get("/metrics").body;
        text.contains("ves_checkpoint_age") && text.contains("ves_file_lag_bytes{")
    });
    let page = page();
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let words = page.split(|character| !is_part(character));
    let named: BTreeSet<&str> = words
        .filter(|word| word.starts_with("ves_") || word.starts_with("process_"))
        .collect();
    assert!(named.len() > 10, "{named:?}");
    for name in named {
        let is_there = text.lines().any(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with([' ', '{']))
        });
        // The last part of a package's name, and of a histogram.
        let is_other = name == "ves_0" || text.contains(&format!("# TYPE {name} histogram"));
        assert!(is_there || is_other, "{name} is not exported");
    }
}

#[test]
fn the_files_that_it_links_to_are_there() {
    let page = page();
    let targets = page
        .split("](")
        .skip(1)
        .map(|rest| rest.split(')').next().unwrap());
    let mut count = 0;
    for target in targets.filter(|target| !target.contains("://")) {
        let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
        let path = repository().join(if path.is_empty() { "README.md" } else { path });
        assert!(path.exists(), "{target} is not there");
        if !anchor.is_empty() {
            let text = fs::read_to_string(&path).unwrap();
            let headings = text.lines().filter(|line| line.starts_with('#'));
            let is_there = headings.map(anchor_of).any(|heading| heading == anchor);
            assert!(is_there, "{target} has no such heading");
        }
        count += 1;
    }
    assert!(count > 8, "{count}");
}

/// The anchor that a forge makes of a heading.
fn anchor_of(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}
