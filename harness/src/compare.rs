//! `ves-harness compare`: collectors under identical load, in interleaved rounds, each run checked.

pub(crate) mod plan;
pub(crate) mod profile;
mod residency;
pub(crate) mod run;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use ves_load::Spec;

use crate::cli::CompareArgs;
use crate::collector::installed::{self, Installed};
use crate::cores;
use crate::dataset::Dataset;
use crate::interrupt::Interrupt;
use crate::manifest;
use crate::report;
use crate::results::{Phase, Run, SinkKind, Table, Verdict};
use plan::{Entrant, Planned, plan};
use profile::{Cell, Profile};
use run::Bench;

/// Folders in a report for what is kept of each run.
pub(crate) const REPORT_FOLDERS: [&str; 3] = ["configs", "latency", "said"];

/// Runs the subcommand.
pub(crate) fn run(args: &CompareArgs) -> Result<()> {
    let interrupt = Interrupt::catch()?;
    let profile = args.profile();
    let (installed, facts) = installed::find(&args.competitors, &args.peers, &args.bin)?;
    let spec = crate::generate::load_spec(args.spec.as_deref())?;
    let dataset = make_dataset(&spec, args.seed, &profile)?;
    let mut manifest = manifest::describe(args, &profile, &dataset, facts)?;
    let folder = report_folder(args, &manifest.date, &manifest.host, &manifest.git_commit)?;
    manifest.write(&folder)?;
    let base = tempfile::Builder::new()
        .prefix("ves-harness-")
        .tempdir_in(&args.work)
        .with_context(|| format!("make a folder in {}", args.work.display()))?;
    let bench = Bench {
        dataset: &dataset,
        profile: &profile,
        base: base.path().to_owned(),
        report: folder.clone(),
        interrupt: &interrupt,
        cores: two_cores(),
        position: 0.into(),
    };
    let mut tables = Tables::create(&folder)?;
    let result = measure(args, &bench, &installed, &mut tables);
    manifest.is_complete = result.is_ok();
    manifest.write(&folder)?;
    // What was measured before a signal or an error is a report too.
    let rendered = report::render(&folder);
    let unequal = result?;
    rendered?;
    println!("{}", folder.join("report.md").display());
    if unequal > 0 && args.strict {
        bail!("{unequal} runs did not deliver what they should have: see the report");
    }
    Ok(())
}

fn make_dataset(spec: &Spec, seed: u64, profile: &Profile) -> Result<Dataset> {
    let count = profile.lines();
    eprintln!("generating {count} lines");
    Dataset::generate(spec, seed, count)
}

/// The folder of the report, which is new.
fn report_folder(args: &CompareArgs, date: &str, host: &str, commit: &str) -> Result<PathBuf> {
    let folder = args.out.clone().unwrap_or_else(|| {
        let commit = commit.get(..8).unwrap_or("unknown");
        Path::new("reports").join(format!("{date}-{host}-{commit}"))
    });
    ensure!(
        !folder.join("runs.csv").exists(),
        "{} holds a report already: reports are not written over, name another folder by --out",
        folder.display()
    );
    for name in REPORT_FOLDERS {
        let path = folder.join(name);
        fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
    }
    Ok(folder)
}

/// The core of the collector and that of the harness; none on a machine with one core.
pub(crate) fn two_cores() -> Option<(usize, usize)> {
    let cores = cores::allowed().ok()?;
    let (own, collector) = (cores.first()?, cores.last()?);
    (own != collector).then_some((*collector, *own))
}

/// The files that grow with every run.
struct Tables {
    runs: Table,
    samples: Table,
}

impl Tables {
    fn create(folder: &Path) -> Result<Tables> {
        Ok(Tables {
            runs: Table::create(&folder.join("runs.csv"))?,
            samples: Table::create(&folder.join("samples.csv"))?,
        })
    }

    fn append(&mut self, done: &run::Done) -> Result<()> {
        self.runs.append(std::slice::from_ref(&done.run))?;
        self.samples.append(&done.samples)
    }
}

/// Makes all runs. Gives how many of them did not deliver what they should have.
fn measure(
    args: &CompareArgs,
    bench: &Bench<'_>,
    installed: &[Installed],
    tables: &mut Tables,
) -> Result<usize> {
    let mut position = 0;
    let mut unequal = 0;
    let mut is_equal = Vec::new();
    let entrants = entrants(args, installed);
    for entrant in &entrants {
        let Some(collector) = installed.get(entrant.collector) else {
            continue;
        };
        for sink in [SinkKind::File, SinkKind::Http, SinkKind::Tcp] {
            if !collector.definition.has_sink(&entrant.config, sink) {
                continue;
            }
            position += 1;
            let cell = Cell {
                phase: Phase::Verify,
                sink,
                rate: None,
                is_pinned: false,
                rounds: 1,
            };
            let done = bench.run(collector, &entrant.config, &cell, 1, position)?;
            tables.append(&done)?;
            eprintln!("{}", summary(&done.run));
            if done.run.verdict == Verdict::Equal {
                is_equal.push((entrant.clone(), sink));
            } else {
                unequal += 1;
            }
        }
    }
    // Null has no output: it counts as the file sink, with which it shares all but the last step.
    let can = |entrant: &Entrant, cell: &Cell| {
        let collector = installed.get(entrant.collector);
        let has_sink =
            collector.is_some_and(|found| found.definition.has_sink(&entrant.config, cell.sink));
        let proof = match cell.sink {
            SinkKind::Null => SinkKind::File,
            sink => sink,
        };
        has_sink && is_equal.contains(&(entrant.clone(), proof))
    };
    let planned = plan(bench.profile, &entrants, args.seed, can);
    let progress = progress_bar(planned.len());
    for run in &planned {
        position += 1;
        unequal += measure_one(bench, installed, run, position, tables, &progress)?;
    }
    progress.finish_and_clear();
    Ok(unequal)
}

fn measure_one(
    bench: &Bench<'_>,
    installed: &[Installed],
    planned: &Planned,
    position: u32,
    tables: &mut Tables,
    progress: &ProgressBar,
) -> Result<usize> {
    let entrant = &planned.entrant;
    let collector = installed
        .get(entrant.collector)
        .context("a collector that is not there")?;
    let (cell, config) = (&planned.cell, &entrant.config);
    progress.set_message(describe(&collector.definition.name, config, cell));
    let done = bench.run(collector, config, cell, planned.round, position)?;
    tables.append(&done)?;
    // On a terminal the bar moves below it; elsewhere there is no bar.
    progress.suspend(|| eprintln!("{}", summary(&done.run)));
    progress.inc(1);
    std::thread::sleep(bench.profile.settle);
    let is_good = matches!(done.run.verdict, Verdict::Equal | Verdict::Unverifiable);
    Ok(usize::from(!is_good))
}

/// Every installed collector with each of its configurations that is asked for.
fn entrants(args: &CompareArgs, installed: &[Installed]) -> Vec<Entrant> {
    let mut entrants = Vec::new();
    for (index, collector) in installed.iter().enumerate() {
        for config in collector.definition.timed_configs() {
            if args.config.is_empty() || args.config.contains(config) {
                entrants.push(Entrant {
                    collector: index,
                    config: config.clone(),
                });
            }
        }
    }
    entrants
}

fn progress_bar(count: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{pos}/{len} [{bar:30}] {eta} left  {msg}");
    let bar = ProgressBar::new(count as u64);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn describe(name: &str, config: &str, cell: &Cell) -> String {
    let rate = cell
        .rate
        .map_or_else(String::new, |rate| format!(" {rate}/s"));
    format!("{name} {config} {:?} {:?}{rate}", cell.phase, cell.sink)
}

/// A run in a line of text.
fn summary(run: &Run) -> String {
    let mut text = format!("{:<48}", run.id);
    let mut add = |part: String| {
        text.push(' ');
        text.push_str(&part);
    };
    match run.verdict {
        Verdict::Unequal => add(format!("NOT EQUAL: {}", run.reason)),
        Verdict::Failed => add(format!("FAILED: {}", run.reason)),
        Verdict::Equal | Verdict::Unverifiable => {
            add(format!("{:?}", run.verdict).to_lowercase());
            if run.phase == Phase::Verify {
                return text;
            }
            if let Some(cpu) = run.cpu_s_per_m_lines {
                add(format!("{cpu:.3} CPU-s/1M"));
            }
            if let Some(rate) = run.lines_per_s {
                add(format!("{rate:.0} lines/s"));
            }
            if let (Some(p50), Some(p99)) = (run.latency_p50_us, run.latency_p99_us) {
                let millis = |us: u64| us as f64 / 1000.0;
                add(format!(
                    "p50 {:.2} ms p99 {:.2} ms",
                    millis(p50),
                    millis(p99)
                ));
            }
            if run.sustained == Some(false) {
                add("saturated".to_owned());
            }
            if let Some(start) = run.start_ms.filter(|_| run.phase == Phase::Startup) {
                add(format!("start {start:.1} ms"));
            }
            if let Some(cpu) = run.cpu_percent {
                add(format!("{cpu:.2} % CPU"));
            }
            if let Some(rss) = run.rss_peak_bytes {
                add(format!("{:.1} MB", rss as f64 / 1e6));
            }
        }
    }
    if !run.flags.is_empty() {
        add(format!("[{}]", run.flags));
    }
    text
}
