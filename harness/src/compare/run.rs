//! One run: a fresh folder, a sink, a collector, a load; then what came is compared with what should
//! have, and everything becomes a row.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;

use super::profile::{Cell, Profile, VERIFY_LINES};
use crate::clock::{self, monotonic_ns};
use crate::collector::NullEnd;
use crate::collector::installed::{Installed, Site};
use crate::collector::process::{self, Process};
use crate::cores::Pin;
use crate::dataset::Dataset;
use crate::interrupt::Interrupt;
use crate::latency::{self, Latencies};
use crate::pace::{self, Plan};
use crate::results::{Phase, Run, Sample, SinkKind, Verdict};
use crate::sample::{self, Edge, Sampler, Samples};
use crate::sink::Sink;
use crate::verify::expectation::{Expectation, Fidelity};
use crate::verify::{self, Arrivals, Outcome};

/// Time between two looks at how far a run is.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// Records that come twice come soon after those that came once.
const LAST_LOOK: Duration = Duration::from_millis(200);

/// Memory that a collector may take.
const COLLECTOR_BYTES: usize = 128 << 20;

/// Random bytes in the environment of a collector.
const PADDING_MAX: u64 = 1024;

/// How often the file sink is looked at: where time is measured, and elsewhere.
const SHARP: Duration = Duration::from_micros(100);
const COARSE: Duration = Duration::from_millis(1);

/// What the harness itself may take of a core before a figure counts as bound by it.
const GENERATOR_SHARE_MAX: f64 = 0.25;
const SINK_SHARE_MAX: f64 = 0.35;

/// The lines that come before the plan of a fixed rate, to see that the collector is there: the
/// first of them may be one that is dropped.
const PRIMER_TRIES: usize = 64;

/// Everything that the runs of a comparison have in common.
pub(crate) struct Bench<'a> {
    pub(crate) dataset: &'a Dataset,
    pub(crate) profile: &'a Profile,
    /// On the file system that is measured on.
    pub(crate) base: PathBuf,
    /// Where histograms, configurations and what collectors said are kept.
    pub(crate) report: PathBuf,
    pub(crate) interrupt: &'a Interrupt,
    /// The core of the collector and that of the harness, in pinned runs.
    pub(crate) cores: Option<(usize, usize)>,
    /// The place of the current run in the whole order.
    pub(crate) position: std::cell::Cell<u32>,
}

/// A row and its samples.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) run: Run,
    pub(crate) samples: Vec<Sample>,
}

impl Bench<'_> {
    /// Makes a run. A collector that fails gives a row that says so.
    ///
    /// # Errors
    /// When the harness itself cannot go on, and when a signal came.
    pub(crate) fn run(
        &self,
        installed: &Installed,
        config: &str,
        cell: &Cell,
        round: u32,
        position: u32,
    ) -> Result<Done> {
        self.position.set(position);
        let mut run = row(installed, config, cell, round, position);
        let folder = self.base.join("run");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let own_core = self.cores.filter(|_| cell.is_pinned).map(|(_, own)| own);
        let pin = own_core.map(Pin::to).transpose()?;
        let result = self.attempt(installed, config, cell, &folder, &mut run);
        drop(pin);
        self.keep_words(&folder, &run.id)?;
        self.interrupt.check()?;
        let samples = match result {
            Ok(samples) => samples,
            Err(error) => {
                run.verdict = Verdict::Failed;
                run.reason = format!("{error:#}");
                Vec::new()
            }
        };
        if run.verdict == Verdict::Failed {
            let words = last_words(&folder);
            if !words.is_empty() {
                run.reason = format!("{}; it said: {words}", run.reason);
            }
        }
        fs::remove_dir_all(&folder)?;
        Ok(Done { run, samples })
    }

    fn attempt(
        &self,
        installed: &Installed,
        config: &str,
        cell: &Cell,
        folder: &Path,
        run: &mut Run,
    ) -> Result<Vec<Sample>> {
        match cell.phase {
            Phase::Verify | Phase::Drain if cell.sink == SinkKind::Null => {
                self.drain_to_null(installed, config, cell, folder, run)
            }
            Phase::Verify | Phase::Drain => self.drain(installed, config, cell, folder, run),
            Phase::Startup => self.start_up(installed, config, cell, folder, run),
            Phase::Rate => self.follow(installed, config, cell, folder, run),
            Phase::Wake => self.wake(installed, config, cell, folder, run),
        }
    }

    /// Starts the collector on a log.
    fn start(
        &self,
        installed: &Installed,
        config: &str,
        cell: &Cell,
        folder: &Path,
        log: &Path,
        sink: &Sink,
    ) -> Result<Process> {
        let core = self.cores.filter(|_| cell.is_pinned).map(|(core, _)| core);
        let all = std::thread::available_parallelism().map_or(1, usize::from);
        let site = Site {
            folder,
            log,
            sink: cell.sink,
            sink_path: sink.path(),
            sink_address: sink.address(),
            cores: if core.is_some() { 1 } else { all },
        };
        let prepared = installed.prepare(config, &site)?;
        let configs = self.report.join("configs");
        for (name, text) in &prepared.files {
            let sink = format!("{:?}", cell.sink).to_lowercase();
            let name = format!("{}-{sink}-{name}", installed.definition.name);
            let path = configs.join(name);
            if !path.exists() {
                fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
            }
        }
        Process::start(&prepared, folder, core, self.padding())
    }

    /// Another number of bytes for every run, the same for the same run.
    fn padding(&self) -> usize {
        let seed = xxhash_rust::xxh3::xxh3_64(self.position.get().to_le_bytes().as_slice());
        (seed % PADDING_MAX) as usize
    }

    /// A backlog, until each of its records has come.
    fn drain(
        &self,
        installed: &Installed,
        config: &str,
        cell: &Cell,
        folder: &Path,
        run: &mut Run,
    ) -> Result<Vec<Sample>> {
        let lines = self.backlog_lines(cell.phase);
        let log = self.write_log(lines, run)?;
        self.warm_memory(lines)?;
        let expectation = self.expectation(installed);
        let expected = expectation.count(lines);
        let room = self.dataset.lines(1, lines).len() * 2;
        let sink = Sink::open(cell.sink, folder, room, COARSE)?;
        let mut process = self.start(installed, config, cell, folder, &log, &sink)?;
        let began_ns = process.began_ns;
        let sampler = Sampler::start(&run.id, process.pid(), true)?;
        let waited = self.wait_for(&sink, &mut process, expected);
        std::thread::sleep(LAST_LOOK);
        let samples = sampler.stop();
        let stopped = stop(installed, &mut process, run);
        let seen = sink.first_and_last_ns();
        let capture = sink.close()?;
        waited?;
        stopped?;
        let (outcome, _) = verify::compare(&capture, expectation, lines);
        note_outcome(run, lines, &outcome);
        note_samples(run, &samples);
        if run.verdict == Verdict::Equal {
            note_whole_life_cpu(run, &process, lines);
            if let Some((first, last)) = seen {
                run.start_ms = Some(millis(first.saturating_sub(began_ns)));
                let span = seconds(last.saturating_sub(first));
                run.span_s = Some(span);
                run.lines_per_s = (span > 0.0).then(|| lines as f64 / span);
            }
        }
        Ok(samples.samples)
    }

    /// A backlog whose records nobody sees. The work is over when the process ends by itself, or when
    /// it has read everything and has gone quiet; all of its CPU time until it is gone counts.
    fn drain_to_null(
        &self,
        installed: &Installed,
        config: &str,
        cell: &Cell,
        folder: &Path,
        run: &mut Run,
    ) -> Result<Vec<Sample>> {
        let lines = self.backlog_lines(cell.phase);
        let log = self.write_log(lines, run)?;
        self.warm_memory(lines)?;
        let sink = Sink::open(cell.sink, folder, 0, COARSE)?;
        let mut process = self.start(installed, config, cell, folder, &log, &sink)?;
        let sampler = Sampler::start(&run.id, process.pid(), true)?;
        let until = Instant::now() + drain_timeout(lines);
        let size = fs::metadata(&log)?.len();
        let mut has_read = false;
        let mut quiet_since = Instant::now();
        let mut cpu_before = Duration::ZERO;
        let mut over_ns = monotonic_ns();
        let outcome = loop {
            if process.has_ended() {
                break match installed.definition.null_end {
                    NullEnd::Exit => Ok(()),
                    NullEnd::ReadPosition => Err("it ended before its work was done"),
                };
            }
            if self.interrupt.is_set() {
                break Err("interrupted");
            }
            if Instant::now() >= until {
                break Err("it was not done in time");
            }
            std::thread::sleep(LOOK_INTERVAL);
            if installed.definition.null_end == NullEnd::ReadPosition {
                has_read = has_read || has_read_to(process.pid(), &log, size);
                let cpu = sample::cpu(process.pid());
                // What wakes for nothing takes less than a tenth of a core.
                if cpu.saturating_sub(cpu_before) * 10 > LOOK_INTERVAL || !has_read {
                    quiet_since = Instant::now();
                    over_ns = monotonic_ns();
                }
                cpu_before = cpu;
                if quiet_since.elapsed() > Duration::from_millis(1500) {
                    break Ok(());
                }
            }
        };
        if installed.definition.null_end == NullEnd::Exit {
            over_ns = monotonic_ns();
        }
        let samples = sampler.stop();
        stop(installed, &mut process, run)?;
        if let Err(reason) = outcome {
            bail!("{reason}");
        }
        run.lines = lines as u64;
        run.expected = self.expectation(installed).count(lines);
        run.verdict = Verdict::Unverifiable;
        note_samples(run, &samples);
        note_whole_life_cpu(run, &process, lines);
        let span = seconds(over_ns.saturating_sub(process.began_ns));
        run.span_s = Some(span);
        run.lines_per_s = Some(lines as f64 / span);
        Ok(samples.samples)
    }

    /// A log of one line that is there before the collector is; then nothing.
    fn start_up(
        &self,
        installed: &Installed,
        config: &str,
        cell: &Cell,
        folder: &Path,
        run: &mut Run,
    ) -> Result<Vec<Sample>> {
        let expectation = self.expectation(installed);
        let lines = primer(expectation)?;
        let log = self.write_log(lines, run)?;
        let sink = Sink::open(cell.sink, folder, 0, SHARP)?;
        let mut process = self.start(installed, config, cell, folder, &log, &sink)?;
        let waited = self.wait_for(&sink, &mut process, expectation.count(lines));
        let mut samples = Samples::default();
        if waited.is_ok() {
            self.pause(self.profile.idle_settle)?;
            let sampler = Sampler::start(&run.id, process.pid(), true)?;
            let before = sample::edge(process.pid());
            self.pause(self.profile.idle_window)?;
            let after = sample::edge(process.pid());
            samples = sampler.stop();
            note_window(run, &before, &after);
        }
        let stopped = stop(installed, &mut process, run);
        let seen = sink.first_and_last_ns();
        let capture = sink.close()?;
        waited?;
        stopped?;
        let (outcome, _) = verify::compare(&capture, expectation, lines);
        note_outcome(run, lines, &outcome);
        note_samples(run, &samples);
        if let Some((first, _)) = seen {
            run.start_ms = Some(millis(first.saturating_sub(process.began_ns)));
        }
        Ok(samples.samples)
    }

    /// A live file at a fixed rate.
    fn follow(
        &self,
        installed: &Installed,
        config: &str,
        cell: &Cell,
        folder: &Path,
        run: &mut Run,
    ) -> Result<Vec<Sample>> {
        let expectation = self.expectation(installed);
        let first = primer(expectation)?;
        let log = self.write_log(first, run)?;
        let rate = cell.rate.context("a rate")?;
        let length = (self.profile.warm_up + self.profile.window).as_secs_f64();
        self.warm_memory((length * f64::from(rate)) as usize)?;
        let room = self.dataset.lines(1, self.dataset.count()).len() * 2;
        let sink = Sink::open(cell.sink, folder, room, SHARP)?;
        let mut process = self.start(installed, config, cell, folder, &log, &sink)?;
        self.wait_for(&sink, &mut process, expectation.count(first))?;
        let sampler = Sampler::start(&run.id, process.pid(), false)?;
        let (warm_up, window) = (self.profile.warm_up, self.profile.window);
        let plan = Plan::new(rate, first + 1, warm_up, window);
        let lines = plan.last;
        let file = File::options().append(true).open(&log)?;
        let measured = self.while_written(&plan, &file, process.pid());
        let waited = match &measured {
            Ok(_) => self.wait_for(&sink, &mut process, expectation.count(lines)),
            Err(_) => Ok(()),
        };
        let deadline_ns = monotonic_ns();
        std::thread::sleep(LAST_LOOK);
        let samples = sampler.stop();
        let stopped = stop(installed, &mut process, run);
        let seen = sink.first_and_last_ns();
        let capture = sink.close()?;
        let (written, window) = measured?;
        waited?;
        stopped?;
        let (outcome, arrivals) = verify::compare(&capture, expectation, lines);
        note_outcome(run, lines, &outcome);
        note_samples(run, &samples);
        note_window(run, &window.before, &window.after);
        note_own(run, &written, &plan, &window);
        if let Some((first, last)) = seen {
            run.start_ms = Some(millis(first.saturating_sub(process.began_ns)));
            run.catch_up_s = Some(seconds(last.saturating_sub(written.window_ns.1)));
        }
        let latencies = Latencies::of(&plan, &written, &arrivals, expectation, deadline_ns);
        self.note_latencies(run, &latencies)?;
        let has_caught_up = run.catch_up_s.is_some_and(|time| time <= 1.0);
        run.sustained = Some(has_caught_up && latencies.is_steady() && outcome.lost == 0);
        if run.sustained == Some(false) {
            // What it took in the window was for fewer lines than were written.
            run.lines_per_s = seen.map(|(first, last)| {
                outcome.delivered as f64 / seconds(last.saturating_sub(first)).max(1e-9)
            });
        } else if let Some(cpu) = run.cpu_s {
            run.cpu_s_per_m_lines = Some(cpu / plan.measured_count() as f64 * 1e6);
            run.lines_per_s = run.rate_achieved;
        }
        Ok(samples.samples)
    }

    /// Writes the lines of a plan while this thread looks at both ends of the measured window.
    fn while_written(&self, plan: &Plan, file: &File, pid: i32) -> Result<(pace::Written, Window)> {
        use std::io::Write;
        let emit = |number| {
            let mut file = file;
            file.write_all(self.dataset.line(number))
                .context("write the load")
        };
        std::thread::scope(|scope| {
            let writer = std::thread::Builder::new()
                .name("generator".to_owned())
                .spawn_scoped(scope, || pace::write(plan, self.interrupt, emit))
                .context("start a thread")?;
            sleep_until(plan.at_ns(plan.measured));
            let before = sample::edge(pid);
            let own_before = clock::own_cpu();
            sleep_until(plan.at_ns(plan.last));
            let own = clock::own_cpu().saturating_sub(own_before);
            let after = sample::edge(pid);
            let written = match writer.join() {
                Ok(written) => written?,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            let window = Window { before, after, own };
            Ok((written, window))
        })
    }

    /// Lone lines, each after a quiet time.
    fn wake(
        &self,
        installed: &Installed,
        config: &str,
        cell: &Cell,
        folder: &Path,
        run: &mut Run,
    ) -> Result<Vec<Sample>> {
        use std::io::Write;
        let expectation = self.expectation(installed);
        let mut lines = primer(expectation)?;
        let log = self.write_log(lines, run)?;
        let sink = Sink::open(cell.sink, folder, 0, SHARP)?;
        let mut process = self.start(installed, config, cell, folder, &log, &sink)?;
        self.wait_for(&sink, &mut process, expectation.count(lines))?;
        let mut file = File::options().append(true).open(&log)?;
        let mut written_ns = Vec::new();
        let mut waited = Ok(());
        for _ in 0..self.profile.wakes {
            self.pause(self.profile.quiet)?;
            let first = lines + 1;
            lines = first;
            while expectation.record(lines).is_none() && lines < self.dataset.count() {
                lines += 1;
            }
            written_ns.push((lines, monotonic_ns()));
            file.write_all(self.dataset.lines(first, lines))?;
            waited = self.wait_for(&sink, &mut process, expectation.count(lines));
            if waited.is_err() {
                break;
            }
        }
        let deadline_ns = monotonic_ns();
        let stopped = stop(installed, &mut process, run);
        let capture = sink.close()?;
        waited?;
        stopped?;
        let (outcome, arrivals) = verify::compare(&capture, expectation, lines);
        note_outcome(run, lines, &outcome);
        let latencies = wake_latencies(&written_ns, &arrivals, deadline_ns);
        self.note_latencies(run, &latencies)?;
        Ok(Vec::new())
    }

    fn expectation(&self, installed: &Installed) -> &Expectation {
        let fidelity: Fidelity = installed.definition.fidelity;
        self.dataset.expectation(fidelity)
    }

    fn backlog_lines(&self, phase: Phase) -> usize {
        let wanted = match phase {
            Phase::Verify => VERIFY_LINES,
            _ => self.profile.drain_lines,
        };
        wanted.min(self.dataset.count())
    }

    /// Makes the log of a run, all of it in memory.
    fn write_log(&self, lines: usize, run: &mut Run) -> Result<PathBuf> {
        let log = self.base.join("run").join("access.log");
        fs::write(&log, self.dataset.lines(1, lines))
            .with_context(|| format!("write {}", log.display()))?;
        run.resident_percent = Some(super::residency::warm(&log)?);
        Ok(log)
    }

    /// Has memory ready for what will be written in a run over so many lines: what is still to be added
    /// to the log, its records, and the collector's own.
    fn warm_memory(&self, lines: usize) -> Result<()> {
        let log = self.dataset.lines(1, lines.min(self.dataset.count())).len();
        let bytes = 3 * log + COLLECTOR_BYTES;
        super::residency::warm_memory(&self.base.join("run"), bytes)
    }

    /// Waits until that many records have come, or until nothing more comes for as long as is
    /// allowed.
    ///
    /// # Errors
    /// When the process ended meanwhile, and when a signal came.
    fn wait_for(&self, sink: &Sink, process: &mut Process, expected: u64) -> Result<()> {
        let mut before = 0;
        let mut grown_at = Instant::now();
        // The first record may take longer: the process has to start.
        let mut patience = self.profile.patience.max(Duration::from_secs(20));
        loop {
            self.interrupt.check()?;
            let bytes = sink.bytes();
            if bytes != before {
                (before, grown_at) = (bytes, Instant::now());
                patience = self.profile.patience;
                if sink.records() >= expected {
                    return Ok(());
                }
            }
            if process.has_ended() {
                bail!("it ended before its work was done ({})", end_text(process));
            }
            if grown_at.elapsed() > patience {
                return Ok(());
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
    }

    fn pause(&self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        loop {
            self.interrupt.check()?;
            let rest = until.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return Ok(());
            }
            std::thread::sleep(rest.min(Duration::from_millis(100)));
        }
    }

    fn note_latencies(&self, run: &mut Run, latencies: &Latencies) -> Result<()> {
        let corrected = &latencies.corrected;
        let at = |quantile| Some(corrected.value_at_quantile(quantile));
        run.latency_p50_us = at(0.5);
        run.latency_p90_us = at(0.9);
        run.latency_p99_us = at(0.99);
        run.latency_p999_us = at(0.999);
        run.latency_max_us = Some(corrected.max());
        run.censored = Some(latencies.censored);
        let uncorrected = &latencies.uncorrected;
        run.latency_uncorrected_p50_us = Some(uncorrected.value_at_quantile(0.5));
        run.latency_uncorrected_p99_us = Some(uncorrected.value_at_quantile(0.99));
        let folder = self.report.join("latency");
        latency::write_hgrm(&folder.join(format!("{}.hgrm", run.id)), corrected)?;
        let path = folder.join(format!("{}-uncorrected.hgrm", run.id));
        latency::write_hgrm(&path, uncorrected)
    }

    /// Keeps what the collector said.
    fn keep_words(&self, folder: &Path, id: &str) -> Result<()> {
        for (name, kept) in [("stderr.txt", "stderr"), ("stdout.txt", "stdout")] {
            let Ok(text) = fs::read(folder.join(name)) else {
                continue;
            };
            if !text.is_empty() {
                let path = self.report.join("said").join(format!("{id}.{kept}"));
                let end = text.len().min(64 << 10);
                fs::write(&path, text.get(..end).unwrap_or_default())
                    .with_context(|| format!("write {}", path.display()))?;
            }
        }
        Ok(())
    }
}

/// Both ends of the measured window, and what the harness took between them.
struct Window {
    before: Edge,
    after: Edge,
    own: Duration,
}

fn row(installed: &Installed, config: &str, cell: &Cell, round: u32, position: u32) -> Run {
    let name = |value: &dyn std::fmt::Debug| format!("{value:?}").to_lowercase();
    let collector = installed.definition.name.clone();
    let cores = if cell.is_pinned { "one" } else { "all" };
    let (phase, sink) = (name(&cell.phase), name(&cell.sink));
    let rate = cell
        .rate
        .map_or_else(String::new, |rate| format!("-{rate}"));
    Run {
        id: format!("{position:04}-{collector}-{config}-{phase}-{sink}{rate}-{cores}"),
        round,
        position,
        collector,
        config: config.to_owned(),
        phase: cell.phase,
        sink: cell.sink,
        cores: cores.to_owned(),
        rate: cell.rate,
        ..Run::default()
    }
}

/// The lines that are written before anything is measured: up to the first with a record.
fn primer(expectation: &Expectation) -> Result<usize> {
    let first = (1..=PRIMER_TRIES).find(|&number| expectation.record(number).is_some());
    first.context("the dataset begins with lines that are all dropped")
}

/// The slowest collector that is known takes 30 s for a million lines.
fn drain_timeout(lines: usize) -> Duration {
    Duration::from_secs(30 + lines as u64 / 10_000)
}

/// Ends the collector in order, or at once when it does not.
///
/// # Errors
/// When it ended with an error.
fn stop(installed: &Installed, process: &mut Process, run: &mut Run) -> Result<()> {
    let signal = process::signal(&installed.definition.stop_signal)?;
    run.rss_peak_bytes = sample::rss_peak(process.pid());
    let cpu = sample::cpu(process.pid());
    let had_ended = process.has_ended();
    process.signal(signal);
    let timeout = Duration::from_secs(installed.definition.stop_timeout_s);
    let Some(end) = process.wait(timeout) else {
        process.signal(Signal::SIGKILL);
        process.wait(Duration::from_secs(10));
        flag(run, "killed");
        return Ok(());
    };
    // Two ways to count, by its clock while it ran and by what the kernel hands over at its end:
    // helpers that it did not wait for are only in the first.
    if end.usage.total() + Duration::from_millis(20) < cpu.mul_f64(0.98) {
        flag(run, "cpu-accounting");
    }
    if !end.is_orderly((!had_ended).then_some(signal)) {
        bail!("it ended with an error ({})", end_text(process));
    }
    Ok(())
}

fn end_text(process: &Process) -> String {
    process
        .end()
        .map_or_else(String::new, |end| end.status.to_string())
}

/// The end of what it wrote to standard error, in one line.
fn last_words(folder: &Path) -> String {
    let text = fs::read(folder.join("stderr.txt")).unwrap_or_default();
    let start = text.len().saturating_sub(400);
    let text = String::from_utf8_lossy(text.get(start..).unwrap_or_default());
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}

fn flag(run: &mut Run, name: &str) {
    if !run.flags.is_empty() {
        run.flags.push(' ');
    }
    run.flags.push_str(name);
}

fn note_outcome(run: &mut Run, lines: usize, outcome: &Outcome) {
    run.lines = lines as u64;
    run.expected = outcome.expected;
    run.delivered = outcome.delivered;
    run.lost = outcome.lost;
    run.duplicated = outcome.duplicated;
    run.corrupted = outcome.corrupted;
    run.reordered = outcome.reordered;
    run.verdict = if outcome.is_equal() {
        Verdict::Equal
    } else {
        Verdict::Unequal
    };
    run.reason = outcome.reason();
}

fn note_samples(run: &mut Run, samples: &Samples) {
    // The last half: what is steady, if anything is.
    let half = samples.samples.len() / 2;
    let last = samples.samples.get(half..).unwrap_or_default();
    let median = |values: &mut dyn Iterator<Item = u64>| {
        let mut values: Vec<u64> = values.collect();
        values.sort_unstable();
        values.get(values.len() / 2).copied()
    };
    run.rss_bytes = median(&mut last.iter().map(|sample| sample.rss_bytes));
    run.rss_anon_bytes = median(&mut last.iter().map(|sample| sample.rss_anon_bytes));
    run.rss_file_bytes = median(&mut last.iter().map(|sample| sample.rss_file_bytes));
    let all = samples.samples.iter();
    run.pss_bytes = median(&mut all.filter_map(|sample| sample.pss_bytes));
    run.rss_peak_bytes = run.rss_peak_bytes.max(samples.rss_peak);
}

fn note_whole_life_cpu(run: &mut Run, process: &Process, lines: usize) {
    if let Some(end) = process.end() {
        let cpu = end.usage.total().as_secs_f64();
        run.cpu_s = Some(cpu);
        run.cpu_system_s = Some(end.usage.system.as_secs_f64());
        run.cpu_s_per_m_lines = Some(cpu / lines as f64 * 1e6);
    }
}

fn note_window(run: &mut Run, before: &Edge, after: &Edge) {
    let window = seconds(after.at_ns.saturating_sub(before.at_ns));
    let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64();
    run.window_s = Some(window);
    run.cpu_s = Some(cpu);
    run.cpu_percent = Some(cpu / window * 100.0);
    let delay = after.run_delay.saturating_sub(before.run_delay);
    run.run_delay_s = Some(delay.as_secs_f64());
    run.major_faults = Some(after.major_faults.saturating_sub(before.major_faults));
    let switches = after
        .context_switches
        .saturating_sub(before.context_switches);
    run.context_switches = Some(switches);
    let ticks = after.all_ticks.saturating_sub(before.all_ticks).max(1);
    let steal = after.steal_ticks.saturating_sub(before.steal_ticks);
    let steal = steal as f64 / ticks as f64 * 100.0;
    run.steal_percent = Some(steal);
    if steal > 2.0 {
        flag(run, "steal");
    }
}

/// Notes how the load was written and what the harness took.
fn note_own(run: &mut Run, written: &pace::Written, plan: &Plan, window: &Window) {
    run.slip_p50_us = Some(written.slip.value_at_quantile(0.5));
    run.slip_p99_us = Some(written.slip.value_at_quantile(0.99));
    run.slip_max_us = Some(written.slip.max());
    let achieved = written.rate(plan);
    run.rate_achieved = Some(achieved);
    let generator = written.cpu.as_secs_f64();
    let sink = window.own.saturating_sub(written.cpu).as_secs_f64();
    run.generator_cpu_s = Some(generator);
    run.sink_cpu_s = Some(sink);
    let length = seconds(window.after.at_ns - window.before.at_ns);
    if generator > GENERATOR_SHARE_MAX * length || sink > SINK_SHARE_MAX * length {
        flag(run, "harness-bound");
    }
    let is_late = written.slip.value_at_quantile(0.99) > 5_000;
    if is_late || achieved < 0.995 * f64::from(plan.rate) {
        flag(run, "slip");
    }
}

fn wake_latencies(written: &[(usize, u64)], arrivals: &Arrivals, deadline_ns: u64) -> Latencies {
    let mut latencies = Latencies::empty();
    for &(number, written_ns) in written {
        let arrived = arrivals.at_ns(number);
        let latency = arrived.unwrap_or(deadline_ns).saturating_sub(written_ns) / 1000;
        latencies.corrected.saturating_record(latency);
        latencies.uncorrected.saturating_record(latency);
        latencies.censored += u64::from(arrived.is_none());
    }
    latencies
}

/// Whether a descriptor of the log stands at its end.
fn has_read_to(root: i32, log: &Path, size: u64) -> bool {
    sample::tree(root).into_iter().any(|pid| {
        let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else {
            return false;
        };
        entries.flatten().any(|entry| {
            let is_log = fs::read_link(entry.path()).is_ok_and(|target| target == log);
            is_log && position(pid, &entry.file_name().to_string_lossy()) >= Some(size)
        })
    })
}

fn position(pid: i32, descriptor: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/fdinfo/{descriptor}")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("pos:"))?;
    line.trim().parse().ok()
}

fn sleep_until(at_ns: u64) {
    std::thread::sleep(Duration::from_nanos(at_ns.saturating_sub(monotonic_ns())));
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

fn millis(ns: u64) -> f64 {
    ns as f64 / 1e6
}
