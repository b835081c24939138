//! The scene of one case: a folder with logs in it, the collector with what it may do to its state,
//! its sink, and the ledger of what was written. A case drives it from one thread, so that what
//! happens is the same for the same seed; the collector is the only one who has a time of its own.

mod writing;

use std::fmt;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use ves_load::Random;

use super::case::Case;
use super::ledger::{Ledger, Tally};
use super::log::Log;
use super::mount::Mount;
use super::proxy::{Mood, Proxy};
use crate::collector::DURABLE;
use crate::collector::installed::{Installed, Site};
use crate::collector::process::{self, Process};
use crate::dataset::Dataset;
use crate::interrupt::Interrupt;
use crate::results::SinkKind;
use crate::sink::Sink;
use crate::verify::expectation::Expectation;

/// Time between two looks at anything.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// Records that come twice come soon after those that came once.
const LAST_LOOK: Duration = Duration::from_millis(300);
/// The file sink is looked at so often.
const SINK_INTERVAL: Duration = Duration::from_millis(20);

/// What all cells of a run share.
#[derive(Debug)]
pub(super) struct Stage<'a> {
    pub(super) dataset: &'a Dataset,
    pub(super) interrupt: &'a Interrupt,
    pub(super) seed: u64,
    /// Lines a second of a flow.
    pub(super) rate: u32,
    /// Short versions of the cases.
    pub(super) is_quick: bool,
    /// Nothing came for so long: nothing will.
    pub(super) patience: Duration,
    /// A cell that takes so long hangs.
    pub(super) limit: Duration,
    /// Folders of cells stay where they are, for a look.
    pub(super) keeps_folders: bool,
}

/// A case that says nothing about a collector, and why.
#[derive(Debug)]
pub(super) struct NotApplicable(String);

impl fmt::Display for NotApplicable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for NotApplicable {}

/// Ends a case that says nothing about this collector or on this machine.
///
/// # Errors
/// Always.
pub(super) fn not_applicable(reason: impl Into<String>) -> Result<()> {
    Err(NotApplicable(reason.into()).into())
}

/// One case with one collector.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    stage: &'a Stage<'a>,
    installed: &'a Installed,
    /// Below it: `logs`, `state`, `out`, and the collector's configuration.
    folder: PathBuf,
    watch: &'static str,
    kind: SinkKind,
    pub(super) random: Random,
    pub(super) ledger: Ledger,
    // Ended in this order: a collector before its sink, and both before what they stand on.
    process: Option<Process>,
    proxy: Option<Proxy>,
    sink: Option<Sink>,
    mounts: Vec<Mount>,
    /// Words before the command of the collector.
    pub(super) wrapper: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
    notes: Vec<String>,
    next: usize,
    began: Instant,
}

impl<'a> Scene<'a> {
    /// Sets it in an empty folder.
    ///
    /// # Errors
    /// When the collector has no such sink, or something cannot be made.
    pub(super) fn new(
        stage: &'a Stage<'a>,
        installed: &'a Installed,
        case: &Case,
        folder: &Path,
    ) -> Result<Scene<'a>> {
        let definition = &installed.definition;
        if !definition.config.contains_key(DURABLE) {
            not_applicable("it has no configuration that keeps its state")?;
        }
        if !definition.has_sink(DURABLE, case.sink) {
            let sink = format!("{:?}", case.sink).to_lowercase();
            not_applicable(format!("it has no {sink} sink here"))?;
        }
        for name in ["logs", "state", "out"] {
            let path = folder.join(name);
            fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
        }
        let sink = Sink::open(case.sink, &folder.join("out"), 0, SINK_INTERVAL)?;
        let seed = stage.seed ^ u64::from(case.number) << 32;
        let proxy = match sink.address() {
            Some(address) => Some(Proxy::start(address, seed)?),
            None => None,
        };
        Ok(Scene {
            stage,
            installed,
            folder: folder.to_owned(),
            watch: case.watch,
            kind: case.sink,
            random: Random::new(seed),
            ledger: Ledger::default(),
            process: None,
            proxy,
            sink: Some(sink),
            mounts: Vec::new(),
            wrapper: Vec::new(),
            environment: Vec::new(),
            notes: Vec::new(),
            next: 0,
            began: Instant::now(),
        })
    }

    /// The length of a part of the case: in the short version and in the whole one.
    pub(super) fn by<T>(&self, quick: T, full: T) -> T {
        if self.stage.is_quick { quick } else { full }
    }

    /// Something that a reader of the result should know.
    pub(super) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    pub(super) fn notes(&self) -> String {
        self.notes.join("; ")
    }

    /// A path in the folder of the logs.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join("logs").join(name)
    }

    /// The folder of the collector's state.
    pub(super) fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// Mounts a small file system over the folder `state` or `out`, before anything is in it.
    ///
    /// # Errors
    /// Where that is not allowed the case is not applicable.
    pub(super) fn mount(&mut self, name: &str, bytes: u64) -> Result<()> {
        match Mount::tmpfs(&self.folder.join(name), bytes) {
            Ok(mount) => self.mounts.push(mount),
            Err(error) => not_applicable(format!("a disk to fill is needed: {error:#}"))?,
        }
        Ok(())
    }

    /// The file system that was mounted.
    ///
    /// # Errors
    /// When none was.
    pub(super) fn disk(&self) -> Result<&Mount> {
        self.mounts.last().context("nothing was mounted")
    }

    /// A new log of that name.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn log(&mut self, name: &str) -> Result<Log> {
        let stream = self.ledger.stream();
        Log::open(&self.path(name), stream)
    }

    fn expectation(&self) -> &'a Expectation {
        let fidelity = self.installed.definition.fidelity;
        self.stage.dataset.expectation(fidelity)
    }

    /// Starts it; its state is what an earlier start left.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn start(&mut self) -> Result<()> {
        let sink = self.sink.as_ref().context("the sink is closed")?;
        let address = self.proxy.as_ref().map(Proxy::address);
        let site = Site {
            folder: &self.folder,
            log: &self.path(self.watch),
            sink: self.kind,
            sink_path: sink.path(),
            sink_address: address,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
        };
        let mut prepared = self.installed.prepare(DURABLE, &site)?;
        prepared.wrap(&self.wrapper);
        prepared
            .environment
            .extend(self.environment.iter().cloned());
        self.process = Some(Process::start(&prepared, &self.folder, None, 0)?);
        Ok(())
    }

    fn process(&mut self) -> Result<&mut Process> {
        self.process
            .as_mut()
            .context("the collector is not running")
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it is not running.
    pub(super) fn signal(&mut self, signal: Signal) -> Result<()> {
        self.process()?.signal(signal);
        Ok(())
    }

    /// Whether it has ended.
    pub(super) fn has_ended(&mut self) -> bool {
        self.process.as_mut().is_none_or(Process::has_ended)
    }

    /// Ends it in order.
    ///
    /// # Errors
    /// When it does not, or not in order.
    pub(super) fn stop(&mut self) -> Result<()> {
        ensure!(!self.has_ended(), "it ended by itself");
        let signal = process::signal(&self.installed.definition.stop_signal)?;
        self.signal(signal)?;
        self.wait_for_end(signal)
    }

    /// Waits for its end after it was sent that signal.
    ///
    /// # Errors
    /// When it does not end, or not in order.
    pub(super) fn wait_for_end(&mut self, signal: Signal) -> Result<()> {
        let timeout = Duration::from_secs(self.installed.definition.stop_timeout_s);
        let process = self.process()?;
        let end = process.wait(timeout);
        self.keep_words();
        self.process = None;
        let end = end.with_context(|| format!("it did not end within {timeout:?} of {signal}"))?;
        ensure!(
            end.is_orderly(Some(signal)),
            "it ended with {} when it was sent {signal}",
            end.status
        );
        Ok(())
    }

    /// Ends it at once.
    ///
    /// # Errors
    /// When it is not running.
    pub(super) fn kill(&mut self) -> Result<()> {
        let process = self.process()?;
        process.signal(Signal::SIGKILL);
        let _ = process.wait(Duration::from_secs(10));
        self.keep_words();
        self.process = None;
        Ok(())
    }

    /// Keeps what it said beside what it said before.
    fn keep_words(&self) {
        let words = fs::read(self.folder.join("stderr.txt")).unwrap_or_default();
        let path = self.folder.join("said.txt");
        let file = fs::File::options().create(true).append(true).open(path);
        // What it said is for the reader; the counts do not need it.
        let _ = file.and_then(|mut file| file.write_all(&words));
    }

    /// The last lines that it said.
    pub(super) fn last_words(&self) -> String {
        self.keep_words();
        let words = fs::read(self.folder.join("said.txt")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words);
        let lines: Vec<&str> = words.lines().rev().take(2).collect();
        let lines: Vec<&str> = lines.into_iter().rev().collect();
        let text: String = lines.join(" / ").chars().take(400).collect();
        text.replace(&self.folder.display().to_string(), "…")
    }

    /// How the network between it and its sink is.
    ///
    /// # Errors
    /// When the sink is a file.
    pub(super) fn network(&self, mood: Mood) -> Result<()> {
        let proxy = self.proxy.as_ref().context("a file has no network")?;
        proxy.set(mood);
        Ok(())
    }

    /// How often that network cut a connection.
    pub(super) fn cuts(&self) -> u64 {
        self.proxy.as_ref().map_or(0, Proxy::cuts)
    }

    /// Waits.
    ///
    /// # Errors
    /// When a signal came.
    pub(super) fn pause(&self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        loop {
            self.stage.interrupt.check()?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(LOOK_INTERVAL));
        }
    }

    /// Waits until all that was written has come, or nothing has for `patience`. Returns whether it
    /// has come.
    ///
    /// # Errors
    /// When the collector has ended, the case has run out of time, or a signal came.
    pub(super) fn settle(&mut self, patience: Duration) -> Result<bool> {
        let expectation = self.expectation();
        let expected = self.ledger.expected(expectation);
        let mut before = (u64::MAX, u64::MAX);
        let mut changed = Instant::now();
        loop {
            self.stage.interrupt.check()?;
            let sink = self.sink.as_ref().context("the sink is closed")?;
            let seen = (sink.records(), sink.bytes());
            if seen != before {
                changed = Instant::now();
                before = seen;
                // The count is a hint: what came may be the same line twice.
                if seen.0 >= expected {
                    let tally = self.ledger.judge(expectation, &sink.so_far()?);
                    if tally.lost == 0 {
                        return Ok(true);
                    }
                }
            }
            if changed.elapsed() >= patience {
                return Ok(false);
            }
            if self.has_ended() {
                bail!("it ended by itself");
            }
            if self.began.elapsed() >= self.stage.limit {
                bail!("the case took longer than {:?}", self.stage.limit);
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Waits until all that was written has come, as long as is fair to collectors that look at
    /// files once in a few seconds. Returns whether it has come.
    ///
    /// # Errors
    /// As [`Scene::settle`].
    pub(super) fn catch_up(&mut self) -> Result<bool> {
        self.settle(Duration::from_secs(8))
    }

    /// Ends the case: waits for what is still to come, ends the collector, and counts. The first part
    /// of the result tells whether it ended well; the counts are there in any case.
    ///
    /// # Errors
    /// When the sink cannot be read, and when a signal came.
    pub(super) fn finish(&mut self) -> Result<(Result<()>, Tally)> {
        let mut end = Ok(());
        if self.process.is_some() {
            end = self.settle(self.stage.patience).map(drop);
            self.pause(LAST_LOOK)?;
            let stopped = self.stop();
            end = end.and(stopped);
        }
        let sink = self.sink.take().context("the sink is closed")?;
        self.proxy = None;
        let capture = sink.close()?;
        self.stage.interrupt.check()?;
        Ok((end, self.ledger.judge(self.expectation(), &capture)))
    }
}

impl Drop for Scene<'_> {
    fn drop(&mut self) {
        self.process = None;
        self.proxy = None;
        if let Some(sink) = self.sink.take() {
            // Nobody looks at what came any more; its threads end here.
            let _ = sink.close();
        }
    }
}
