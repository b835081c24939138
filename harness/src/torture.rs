//! `ves-harness torture`: cases of what happens to logs, sinks and collectors, each run against each
//! collector; what was lost, duplicated, corrupted or out of order becomes a matrix.

mod case;
mod cases;
mod ledger;
mod log;
mod matrix;
mod mount;
mod outcome;
mod proxy;
mod report;
mod scene;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use ves_load::Spec;

use crate::cli::TortureArgs;
use crate::collector::installed::{self, Installed};
use crate::dataset::Dataset;
use crate::interrupt::Interrupt;
use crate::manifest;
use crate::results::{CollectorFacts, Table};
use case::Case;
use outcome::{Outcome, Verdict};
use scene::{NotApplicable, Scene, Stage};

/// The collector that decides whether the run has failed.
const OWN: &str = "ves";

/// How long a case writes at most, in seconds at the rate of the run, and lines that come in bursts.
const FLOW_S_MAX: u32 = 60;
const BURST_LINES_MAX: usize = 60_000;

/// Runs the subcommand.
pub(crate) fn run(args: &TortureArgs) -> Result<()> {
    let chosen = case::choose(&args.cases, &args.skip)?;
    if args.list {
        for case in chosen {
            println!("{:>2}  {:<20} {}", case.number, case.name, case.story);
        }
        return Ok(());
    }
    // Before there are threads: each has the mounts of the one that started it.
    mount::keep_mounts_private();
    let interrupt = Interrupt::catch()?;
    raise_descriptor_limit();
    let (collectors, facts) = find(args)?;
    let lines = FLOW_S_MAX as usize * args.rate as usize;
    let lines = if args.quick { lines / 4 } else { lines } + BURST_LINES_MAX;
    let dataset = Dataset::generate(&Spec::built_in(), args.seed, lines)?;
    let stage = Stage {
        dataset: &dataset,
        interrupt: &interrupt,
        seed: args.seed,
        rate: args.rate,
        is_quick: args.quick,
        patience: Duration::from_secs(15),
        limit: Duration::from_secs(if args.quick { 120 } else { 600 }),
        keeps_folders: args.keep,
    };
    let folder = report_folder(args)?;
    let work = args.work.clone().unwrap_or_else(std::env::temp_dir);
    let mut base = tempfile::Builder::new()
        .prefix("ves-torture-")
        .tempdir_in(&work)
        .with_context(|| format!("make a folder in {}", work.display()))?;
    if args.keep {
        base.disable_cleanup(true);
        eprintln!("{}", base.path().display());
    }
    let began = Instant::now();
    let cells = cells(&chosen, &collectors);
    let result = perform(&stage, base.path(), &folder, &cells, args.jobs as usize);
    // What was found before a signal or an error is a report too.
    let (mut outcomes, error) = result;
    outcomes.sort_by_key(|outcome| (outcome.case, place(&collectors, &outcome.collector)));
    let run = report::Run {
        facts: &facts,
        outcomes: &outcomes,
        seed: args.seed,
        rate: args.rate,
        is_quick: args.quick,
        is_complete: outcomes.len() == cells.len() && error.is_none(),
        took: began.elapsed(),
    };
    if !outcomes.is_empty() {
        run.write(&folder)?;
        print!("{}", run.table());
        println!("{}", folder.join("report.md").display());
    }
    if let Some(error) = error {
        return Err(error);
    }
    let failed = outcomes
        .iter()
        .filter(|outcome| outcome.collector == OWN && outcome.verdict.is_failure());
    let names: Vec<&str> = failed.map(|outcome| outcome.name.as_str()).collect();
    if !names.is_empty() {
        bail!("VES failed {} cases: {}", names.len(), names.join(", "));
    }
    Ok(())
}

/// VES and the peers that are asked for, in this order.
fn find(args: &TortureArgs) -> Result<(Vec<Installed>, Vec<CollectorFacts>)> {
    let mut names = args.peers.clone();
    if names.iter().any(|name| name == "all") {
        names.clear();
    } else {
        names.push(OWN.to_owned());
    }
    let (mut collectors, mut facts) = installed::find(&args.competitors, &names, &args.bin)?;
    // The yardstick follows no file beyond a rotation and keeps no state.
    collectors.retain(|found| {
        found
            .definition
            .config
            .contains_key(crate::collector::DURABLE)
    });
    facts.retain(|facts| !facts.is_installed || place(&collectors, &facts.name) < usize::MAX);
    collectors.sort_by_key(|found| found.definition.name != OWN);
    facts.sort_by_key(|facts| facts.name != OWN);
    ensure!(
        collectors
            .first()
            .is_some_and(|found| found.definition.name == OWN),
        "VES is not there: build it first, or name it by --bin ves=PATH"
    );
    Ok((collectors, facts))
}

fn place(collectors: &[Installed], name: &str) -> usize {
    let mut names = collectors.iter().map(|found| &found.definition.name);
    names.position(|other| other == name).unwrap_or(usize::MAX)
}

/// Thousands of logs that are open at a time are more than the usual soft limit. The collectors
/// inherit it, as they would from a service manager.
fn raise_descriptor_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // A case that needs more says so.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// The folder of the report, which is new.
fn report_folder(args: &TortureArgs) -> Result<PathBuf> {
    let folder = args
        .out
        .clone()
        .unwrap_or_else(|| Path::new("reports").join(format!("{}-torture", manifest::date())));
    ensure!(
        !folder.join("matrix.csv").exists(),
        "{} holds a report already: reports are not written over, name another folder by --out",
        folder.display()
    );
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    Ok(folder)
}

/// A case with a collector.
#[derive(Clone, Copy, Debug)]
struct Cell<'a> {
    case: &'static Case,
    collector: &'a Installed,
}

fn cells<'a>(cases: &[&'static Case], collectors: &'a [Installed]) -> Vec<Cell<'a>> {
    let mut cells = Vec::new();
    for case in cases {
        cells.extend(collectors.iter().map(|collector| Cell { case, collector }));
    }
    cells
}

/// Runs the cells, some at a time. Gives what came of those that were run, and what ended the run
/// before its time.
fn perform(
    stage: &Stage<'_>,
    base: &Path,
    folder: &Path,
    cells: &[Cell<'_>],
    jobs: usize,
) -> (Vec<Outcome>, Option<anyhow::Error>) {
    let mut table = match Table::create(&folder.join("matrix.csv")) {
        Ok(table) => table,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let next = AtomicUsize::new(0);
    let error = Mutex::new(None);
    let (sender, receiver) = std::sync::mpsc::channel();
    let mut outcomes = Vec::new();
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(cells.len()) {
            let (sender, next, error) = (sender.clone(), &next, &error);
            scope.spawn(move || {
                while let Some(cell) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match perform_one(stage, base, cell) {
                        // The receiver is there until all senders are gone.
                        Ok(outcome) => drop(sender.send(outcome)),
                        Err(failure) => {
                            next.store(cells.len(), Ordering::Relaxed);
                            let mut error = error.lock().unwrap_or_else(|it| it.into_inner());
                            error.get_or_insert(failure);
                        }
                    }
                }
            });
        }
        drop(sender);
        for outcome in receiver {
            eprintln!("{}", outcome.line());
            if let Err(failure) = table.append(std::slice::from_ref(&outcome)) {
                next.store(cells.len(), Ordering::Relaxed);
                let mut error = error.lock().unwrap_or_else(|it| it.into_inner());
                error.get_or_insert(failure);
            }
            outcomes.push(outcome);
        }
    });
    let error = error.into_inner().unwrap_or_else(|it| it.into_inner());
    (outcomes, error)
}

/// Runs a cell in a fresh folder. A collector that fails gives an outcome that says so.
///
/// # Errors
/// When the harness itself cannot go on, and when a signal came.
fn perform_one(stage: &Stage<'_>, base: &Path, cell: &Cell<'_>) -> Result<Outcome> {
    let Cell { case, collector } = cell;
    let name = &collector.definition.name;
    let folder = base.join(format!("{}-{name}", case.name));
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    let began = Instant::now();
    let mut outcome = Outcome::of(case, name);
    match Scene::new(stage, collector, case, &folder) {
        Ok(mut scene) => attempt(&mut scene, case, &mut outcome)?,
        Err(error) => outcome.fail(error, String::new()),
    }
    stage.interrupt.check()?;
    outcome.seconds = (began.elapsed().as_secs_f64() * 10.0).round() / 10.0;
    if !stage.keeps_folders {
        fs::remove_dir_all(&folder).with_context(|| format!("delete {}", folder.display()))?;
    }
    Ok(outcome)
}

fn attempt(scene: &mut Scene<'_>, case: &Case, outcome: &mut Outcome) -> Result<()> {
    let driven = (case.drive)(scene);
    if let Err(error) = &driven
        && error.is::<NotApplicable>()
    {
        outcome.verdict = Verdict::NotApplicable;
        outcome.reason = error.to_string();
        return Ok(());
    }
    let (end, tally) = scene.finish()?;
    outcome.note(&tally, case.may_repeat);
    outcome.notes = scene.notes();
    if let Err(error) = driven.and(end) {
        outcome.fail(error, scene.last_words());
    }
    Ok(())
}
