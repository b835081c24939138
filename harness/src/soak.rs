//! `ves-harness soak`: VES for a long time, with a log that is rotated and a process that is killed,
//! into a file. Nothing may be lost or come twice, and memory, descriptors and mappings may not grow.
//!
//! Everything is looked at while it runs, so that neither memory nor disk grow with the time: the
//! writer tells what has to come of each line, the verifier ticks it off and gives the disk of what
//! it has read back.

mod expected;
mod report;
mod trend;
mod verifier;
mod vitals;
mod writer;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;

use crate::cli::SoakArgs;
use crate::collector::installed::{self, Installed, Site};
use crate::collector::process::Process;
use crate::collector::{DURABLE, Definition};
use crate::interrupt::Interrupt;
use crate::manifest;
use crate::results::{SinkKind, Table};
use expected::Expected;
use report::Report;
use verifier::Verifier;
use vitals::Vitals;
use writer::Writer;

/// Time between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// Time between two rows of `soak.csv`.
const ROW_INTERVAL: Duration = Duration::from_secs(1);
/// How long the last lines may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the subcommand.
pub(crate) fn run(args: &SoakArgs) -> Result<()> {
    let interrupt = Interrupt::catch()?;
    let folder = report_folder(args)?;
    let definition = Definition::read(&args.competitors.join("ves"))?;
    let found = Installed::find(&definition, args.bin.as_deref());
    let found = found.context("VES is not there: build it first, or name it by --bin PATH")?;
    let base = tempfile::Builder::new()
        .prefix("ves-soak-")
        .tempdir_in(&args.work)
        .with_context(|| format!("make a folder in {}", args.work.display()))?;
    let expected = Expected::default();
    let mut soak = Soak {
        args,
        interrupt: &interrupt,
        ves: &found,
        base: base.path(),
        process: None,
        life: 0,
        table: Table::create(&folder.join("soak.csv"))?,
        vitals: Vec::new(),
        words: Vec::new(),
        verifier: Verifier::new(base.path().join("out.ndjson"), &expected),
    };
    let is_over = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let log = base.path().join("access.log");
        let writer = Writer::new(args, log, definition.fidelity, &expected);
        let is_over = &is_over;
        let writer = scope.spawn(move || writer.run(is_over));
        let watched = soak.watch();
        is_over.store(true, Ordering::Release);
        let written = writer.join();
        watched.and(written.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    let finished = written.and_then(|written| soak.finish(written).map(|()| written));
    soak.keep_words(&folder)?;
    let report = Report {
        args,
        facts: installed::facts(&definition, Some(&found)),
        vitals: &soak.vitals,
        words: &soak.words,
        lives: soak.life,
        tally: soak.verifier.tally(),
        is_complete: finished.is_ok(),
    };
    let text = report.markdown();
    let path = folder.join("report.md");
    fs::write(&path, &text).with_context(|| format!("write {}", path.display()))?;
    finished?;
    println!("{text}");
    let complaints = report.complaints();
    if !complaints.is_empty() {
        bail!("{}", complaints.join("; "));
    }
    Ok(())
}

/// The folder of the report, which is new.
fn report_folder(args: &SoakArgs) -> Result<PathBuf> {
    let folder = args
        .out
        .clone()
        .unwrap_or_else(|| Path::new("reports").join(format!("{}-soak", manifest::date())));
    ensure!(
        !folder.join("soak.csv").exists(),
        "{} holds a report already: reports are not written over, name another folder by --out",
        folder.display()
    );
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    Ok(folder)
}

/// VES as it runs.
struct Soak<'a> {
    args: &'a SoakArgs,
    interrupt: &'a Interrupt,
    ves: &'a Installed,
    base: &'a Path,
    process: Option<Process>,
    /// How often it was started.
    life: u32,
    table: Table,
    vitals: Vec<Vitals>,
    /// What each start of VES said on standard error.
    words: Vec<String>,
    verifier: Verifier<'a>,
}

impl Soak<'_> {
    fn start(&mut self) -> Result<()> {
        let site = Site {
            folder: self.base,
            log: &self.base.join("access.log"),
            sink: SinkKind::File,
            sink_path: self.base.join("out.ndjson"),
            sink_address: None,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
        };
        let prepared = self.ves.prepare(DURABLE, &site)?;
        self.process = Some(Process::start(&prepared, self.base, None, 0)?);
        self.life += 1;
        Ok(())
    }

    /// Takes note of what a process said that has ended.
    fn hear(&mut self) {
        let words = fs::read(self.base.join("stderr.txt")).unwrap_or_default();
        self.words
            .push(String::from_utf8_lossy(&words).into_owned());
    }

    /// Writes what all processes said into the report's folder.
    fn keep_words(&mut self, folder: &Path) -> Result<()> {
        if self.words.len() < self.life as usize {
            self.hear();
        }
        let mut text = String::new();
        for (life, words) in (1..).zip(&self.words) {
            text += &format!("== start {life}\n{words}");
        }
        // Its folder is another one each time.
        let text = text.replace(&self.base.display().to_string(), "WORK");
        let path = folder.join("stderr.txt");
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    }

    /// Runs VES, kills it now and then for the duration, and looks at it.
    fn watch(&mut self) -> Result<()> {
        let began = Instant::now();
        self.start()?;
        let mut born = Instant::now();
        let mut next_row = began;
        while began.elapsed() < self.args.duration + self.args.calm {
            std::thread::sleep(LOOK_INTERVAL);
            self.look()?;
            if Instant::now() >= next_row {
                next_row += ROW_INTERVAL;
                self.row(began, born)?;
            }
            let kill_every = self.args.kill_every;
            let is_calm = began.elapsed() >= self.args.duration;
            if !kill_every.is_zero() && !is_calm && born.elapsed() >= kill_every {
                if let Some(mut process) = self.process.take() {
                    process.signal(Signal::SIGKILL);
                    let _ = process.wait(Duration::from_secs(10));
                }
                self.hear();
                self.start()?;
                born = Instant::now();
            }
        }
        Ok(())
    }

    fn look(&mut self) -> Result<()> {
        self.interrupt.check()?;
        let process = self.process.as_mut().context("VES is not running")?;
        if process.has_ended() {
            let words = fs::read_to_string(self.base.join("stderr.txt")).unwrap_or_default();
            bail!("VES ended by itself; it said: {}", words.trim());
        }
        self.verifier.look()
    }

    fn row(&mut self, began: Instant, born: Instant) -> Result<()> {
        let process = self.process.as_ref().context("VES is not running")?;
        let Some(mut vitals) = Vitals::of(process.pid()) else {
            return Ok(());
        };
        vitals.time_s = began.elapsed().as_secs_f64().round();
        vitals.life = self.life;
        vitals.age_s = born.elapsed().as_secs_f64();
        let tally = self.verifier.tally();
        (vitals.verified, vitals.duplicated) = (tally.delivered, tally.duplicated);
        self.table.append(std::slice::from_ref(&vitals))?;
        self.vitals.push(vitals);
        Ok(())
    }

    /// Waits for the last lines, ends VES, and reads the rest.
    fn finish(&mut self, written: u64) -> Result<()> {
        let mut size = 0;
        let mut changed = Instant::now();
        let until = Instant::now() + PATIENCE;
        // Quiet for a while: the verifier lags behind on purpose.
        while changed.elapsed() < Duration::from_secs(5) && Instant::now() < until {
            std::thread::sleep(LOOK_INTERVAL);
            self.look()?;
            let now = fs::metadata(self.base.join("out.ndjson")).map_or(0, |it| it.len());
            if now != size {
                size = now;
                changed = Instant::now();
            }
        }
        let mut process = self.process.take().context("VES is not running")?;
        process.signal(Signal::SIGTERM);
        let end = process.wait(Duration::from_secs(30));
        let end = end.context("VES did not end within 30 s of SIGTERM")?;
        ensure!(end.is_orderly(None), "VES ended with {}", end.status);
        self.verifier.finish(written)
    }
}
