//! What the bench found, as a table for people and as JSON for programs.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::time::Duration;

use serde::Serialize;

use crate::child::Run;
use crate::cli::{BenchArgs, BenchSink};
use crate::pipeline::Percentiles;
use crate::stats::display::{bytes, count, live_line, millis, percent};
use crate::stats::process::Usage;

/// What VES was given to do.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Load {
    /// Lines that were there already.
    Backlog {
        /// How many.
        lines: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// Lines written one by one.
    Paced {
        /// Per second.
        rate: u32,
        /// How many.
        lines: u64,
        /// How often VES woke up per second.
        wakes_per_second: f64,
        /// By how much they were written late.
        slip: Percentiles,
        /// What came of them, where that could be seen.
        arrivals: Option<Arrivals>,
    },
}

/// What arrived in the sink, as another process saw it.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Arrivals {
    /// From the planned write of a line to the sight of its record.
    pub(crate) latency: Percentiles,
    /// Records that did not come.
    pub(crate) lost: u64,
    /// Lines with more than one record.
    pub(crate) duplicated: u64,
}

/// The results.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Results {
    version: &'static str,
    load: Load,
    sink: &'static str,
    runs: usize,
    seconds: f64,
    lines_per_second: Spread,
    bytes_per_second: f64,
    cpu_percent: f64,
    cpu_seconds_per_million_lines: Spread,
    rss_peak_bytes: u64,
    hand_over: Percentiles,
    flush: Percentiles,
    start_ms: Option<Spread>,
    usd_per_cpu_hour: f64,
    usd_per_million_lines: f64,
}

/// A median with the smallest and the largest.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    /// `None` of nothing.
    fn of(values: impl Iterator<Item = f64>) -> Option<Spread> {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let upper = *values.get(middle)?;
        let median = if values.len() % 2 == 1 {
            upper
        } else {
            (values.get(middle - 1)? + upper) / 2.0
        };
        Some(Spread { median, min, max })
    }
}

impl Results {
    /// The results of at least one run. Latencies are those of the run with the median p99.
    pub(super) fn new(args: &BenchArgs, load: Load, mut runs: Vec<Run>, took: Duration) -> Results {
        let spread = |value: &dyn Fn(&Run) -> f64| {
            let nothing = Spread {
                median: 0.0,
                min: 0.0,
                max: 0.0,
            };
            Spread::of(runs.iter().map(value)).unwrap_or(nothing)
        };
        let is_paced = matches!(load, Load::Paced { .. });
        // A paced run is as long as its load; the process was there a little longer.
        let wall = |run: &Run| if is_paced { took } else { run.wall }.as_secs_f64();
        let lines_per_second = spread(&|run| run.figures.lines_read as f64 / wall(run));
        let per_million = spread(&|run| cpu_s(run) * 1e6 / run.figures.lines_read.max(1) as f64);
        let cpu_percent = spread(&|run| 100.0 * cpu_s(run) / wall(run)).median;
        let bytes_per_second = spread(&|run| run.figures.bytes_read as f64 / wall(run)).median;
        let starts = runs.iter().filter_map(|run| run.start);
        let start_ms = Spread::of(starts.map(|start| start.as_secs_f64() * 1e3));
        let rss = runs
            .iter()
            .filter_map(|run| run.figures.rss_peak_bytes)
            .max();
        let run_count = runs.len();
        runs.sort_by_key(|run| run.figures.hand_over.p99_us);
        let middle = runs.get(run_count / 2).map(|run| &run.figures);
        Results {
            version: env!("CARGO_PKG_VERSION"),
            load,
            sink: match args.sink {
                BenchSink::File => "file",
                BenchSink::Null => "null",
            },
            runs: run_count,
            seconds: took.as_secs_f64(),
            lines_per_second,
            bytes_per_second,
            cpu_percent,
            cpu_seconds_per_million_lines: per_million,
            rss_peak_bytes: rss.unwrap_or_default(),
            hand_over: middle.map(|figures| figures.hand_over).unwrap_or_default(),
            flush: middle.map(|figures| figures.flush).unwrap_or_default(),
            // While following, the first line comes when the load begins.
            start_ms: start_ms.filter(|_| !is_paced),
            usd_per_cpu_hour: args.usd_per_cpu_hour,
            usd_per_million_lines: per_million.median / 3600.0 * args.usd_per_cpu_hour,
        }
    }

    /// As one JSON object.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// As a table.
    pub(crate) fn to_table(&self) -> String {
        let mut text = format!("VES {} bench: {}\n\n", self.version, self.load_text());
        let mut row = |name: &str, value: String| {
            // Writing to a String does not fail.
            let _ = writeln!(text, "  {name:<27} {value}");
        };
        let rate = self.lines_per_second;
        let mut throughput = format!("{} lines/s", count(rate.median));
        if self.runs > 1 {
            let _ = write!(throughput, " ({} to {})", count(rate.min), count(rate.max));
        }
        let per_second = bytes(self.bytes_per_second as u64);
        row("Throughput", format!("{throughput}, {per_second}/s"));
        row("Latency, read to hand-over", percentiles(&self.hand_over));
        self.paced_rows(&mut row);
        row(
            "CPU",
            format!(
                "{} of a core, {:.3} CPU-s per 1M lines",
                percent(self.cpu_percent),
                self.cpu_seconds_per_million_lines.median
            ),
        );
        row("Memory, most", bytes(self.rss_peak_bytes));
        row("Flush of a batch", percentiles(&self.flush));
        if let Some(start) = self.start_ms {
            row("Start to first records", format!("{:.1}ms", start.median));
        }
        row(
            "Cost of 1M lines",
            format!(
                "${:.7} at ${} per CPU-hour",
                self.usd_per_million_lines, self.usd_per_cpu_hour
            ),
        );
        text
    }

    fn load_text(&self) -> String {
        let (runs, seconds, sink) = (self.runs, self.seconds, self.sink);
        match &self.load {
            Load::Backlog { lines, bytes: size } => format!(
                "drain of {} lines ({}) to {sink}, median of {runs} runs in {seconds:.0} s",
                count(*lines as f64),
                bytes(*size)
            ),
            Load::Paced { rate, lines, .. } => format!(
                "{} lines/s followed into {sink}, one write a line, {} lines in {seconds:.0} s",
                count(f64::from(*rate)),
                count(*lines as f64)
            ),
        }
    }

    fn paced_rows(&self, row: &mut dyn FnMut(&str, String)) {
        let Load::Paced {
            slip,
            arrivals,
            wakes_per_second,
            ..
        } = &self.load
        else {
            return;
        };
        if let Some(arrivals) = arrivals {
            let latency = &arrivals.latency;
            let more = millis(latency.p999_us);
            row(
                "Latency, write to sink",
                format!("{}, p99.9 {more}", percentiles(latency)),
            );
            let (lost, duplicated) = (arrivals.lost, arrivals.duplicated);
            row("Lost, duplicated", format!("{lost}, {duplicated}"));
        }
        row("Wakes", format!("{}/s", count(*wakes_per_second)));
        row(
            "Writer late by",
            format!("p50 {}, p99 {}", millis(slip.p50_us), millis(slip.p99_us)),
        );
    }
}

fn cpu_s(run: &Run) -> f64 {
    Duration::from_nanos(run.figures.cpu_ns).as_secs_f64()
}

fn percentiles(latencies: &Percentiles) -> String {
    let at = [latencies.p50_us, latencies.p95_us, latencies.p99_us];
    let [p50, p95, p99] = at.map(millis);
    format!("p50 {p50}, p95 {p95}, p99 {p99}")
}

/// A line on standard error that is redrawn in place; nothing where that is not a terminal.
#[derive(Debug)]
pub(super) struct Progress {
    is_terminal: bool,
}

impl Progress {
    pub(super) fn new() -> Progress {
        Progress {
            is_terminal: std::io::stderr().is_terminal(),
        }
    }

    pub(super) fn show(&mut self, text: &str) {
        if self.is_terminal {
            // Carriage return and "clear to the end of line" redraw in place.
            let _ = write!(std::io::stderr().lock(), "\r{text}\x1b[K");
        }
    }

    /// The live line of a run that has just ended.
    pub(super) fn show_run(&mut self, run: &Run, passed: Duration, of: Duration) {
        let wall = run.wall.as_secs_f64();
        let usage = Usage {
            cpu: Duration::from_nanos(run.figures.cpu_ns),
            cpu_percent: 100.0 * cpu_s(run) / wall,
            rss_bytes: run.figures.rss_peak_bytes.unwrap_or_default(),
        };
        let rate = run.figures.lines_read as f64 / wall;
        let line = live_line(rate, Some(usage), Some(run.figures.hand_over.p99_us));
        let (passed, of) = (passed.as_secs(), of.as_secs());
        self.show(&format!("{line} | {passed} of {of} s"));
    }

    /// The live line of a run that is under way.
    pub(super) fn show_live(&mut self, rate: f64, usage: Option<Usage>, p99_us: Option<u64>) {
        self.show(&live_line(rate, usage, p99_us));
    }

    pub(super) fn clear(&mut self) {
        self.show("");
        if self.is_terminal {
            let _ = std::io::stderr().lock().write_all(b"\r");
        }
    }
}
