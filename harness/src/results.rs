//! What was measured, as it is kept: `runs.csv` (a row per run), `samples.csv` (memory and CPU over
//! time) and `manifest.json` (machine, programs, dataset). Reports and charts are made from these
//! three and nothing else, so they can be made again without a new run.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// What a run is for.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Phase {
    /// Few lines, each record compared with what was expected.
    #[default]
    Verify,
    /// From the start of the process to its first record; then nothing to do.
    Startup,
    /// A backlog as fast as possible.
    Drain,
    /// A live file at a fixed rate.
    Rate,
    /// A lone line after a while without any.
    Wake,
}

/// Where records go.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SinkKind {
    /// An NDJSON file on the file system of the run.
    #[default]
    File,
    /// POSTs of NDJSON, each answered with 200.
    Http,
    /// NDJSON over a TCP connection.
    Tcp,
    /// Thrown away by the collector itself.
    Null,
}

/// What a run may be quoted for.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    /// Every expected record came once and as expected.
    Equal,
    /// Something was lost, duplicated or corrupted: no speed is shown.
    Unequal,
    /// There is no output to look at (null).
    Unverifiable,
    /// It crashed, hung or could not be started.
    #[default]
    Failed,
}

/// One run. Times are in seconds and sizes in bytes unless the name says otherwise; a field is
/// empty where the phase has no such figure.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    /// `0001-ves-tuned-drain-file-all`: also the name of its `.hgrm` and log files.
    pub(crate) id: String,
    /// Which round of interleaved runs, from 1.
    pub(crate) round: u32,
    /// Its place in the whole order, from 1.
    pub(crate) position: u32,
    pub(crate) collector: String,
    /// `default` or `tuned`.
    pub(crate) config: String,
    pub(crate) phase: Phase,
    pub(crate) sink: SinkKind,
    /// `one` or `all`: the cores that the collector may use.
    pub(crate) cores: String,
    /// Lines a second, planned.
    pub(crate) rate: Option<u32>,
    pub(crate) verdict: Verdict,
    /// What was wrong, in words.
    pub(crate) reason: String,

    /// Lines in the log.
    pub(crate) lines: u64,
    /// Records that were to come.
    pub(crate) expected: u64,
    /// Of these, how many came.
    pub(crate) delivered: u64,
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) corrupted: u64,
    pub(crate) reordered: u64,

    /// From the start of the process to its first record in the sink.
    pub(crate) start_ms: Option<f64>,
    /// From the first to the last record in the sink.
    pub(crate) span_s: Option<f64>,
    /// Lines of the log (those that are filtered included) over that time.
    pub(crate) lines_per_s: Option<f64>,
    /// Of the whole process tree: in the window of a fixed rate, over the whole life otherwise.
    pub(crate) cpu_s: Option<f64>,
    /// How much of it in the kernel; sampled by ticks, so indicative only.
    pub(crate) cpu_system_s: Option<f64>,
    /// The same by the cgroup's accounting, where one could be made.
    pub(crate) cpu_cgroup_s: Option<f64>,
    pub(crate) cpu_s_per_m_lines: Option<f64>,
    /// Of one core, in the window.
    pub(crate) cpu_percent: Option<f64>,

    /// `VmHWM`.
    pub(crate) rss_peak_bytes: Option<u64>,
    /// Medians of the last half of the window.
    pub(crate) rss_bytes: Option<u64>,
    pub(crate) rss_anon_bytes: Option<u64>,
    pub(crate) rss_file_bytes: Option<u64>,
    pub(crate) pss_bytes: Option<u64>,

    /// From the planned write of a line to its record in the sink, in microseconds. Lines that did
    /// not come count with the time that was waited for them.
    pub(crate) latency_p50_us: Option<u64>,
    pub(crate) latency_p90_us: Option<u64>,
    pub(crate) latency_p99_us: Option<u64>,
    pub(crate) latency_p999_us: Option<u64>,
    pub(crate) latency_max_us: Option<u64>,
    /// Lines that did not come in time.
    pub(crate) censored: Option<u64>,
    /// The same from the actual write.
    pub(crate) latency_uncorrected_p50_us: Option<u64>,
    pub(crate) latency_uncorrected_p99_us: Option<u64>,
    /// By how much the writes were late.
    pub(crate) slip_p50_us: Option<u64>,
    pub(crate) slip_p99_us: Option<u64>,
    pub(crate) slip_max_us: Option<u64>,
    /// Lines a second, achieved by the generator.
    pub(crate) rate_achieved: Option<f64>,
    /// From the last write to the last record.
    pub(crate) catch_up_s: Option<f64>,
    /// Whether the collector kept up: no growing lag, and caught up within a second.
    pub(crate) sustained: Option<bool>,

    /// The harness's own CPU in the window: generator, and sink with its clock.
    pub(crate) generator_cpu_s: Option<f64>,
    pub(crate) sink_cpu_s: Option<f64>,
    /// The length of the window.
    pub(crate) window_s: Option<f64>,
    /// Time that the collector's threads waited for a core.
    pub(crate) run_delay_s: Option<f64>,
    /// Time that the hypervisor took, of all cores, in the window, in percent.
    pub(crate) steal_percent: Option<f64>,
    pub(crate) major_faults: Option<u64>,
    pub(crate) context_switches: Option<u64>,
    /// Of the log in the page cache before the run.
    pub(crate) resident_percent: Option<f64>,
    /// What to hold against the run: `harness-bound`, `steal`, `slip`, `cpu-accounting`, …, separated
    /// by spaces.
    pub(crate) flags: String,
}

/// Memory and CPU of the process tree at one instant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) run: String,
    /// Since the start of the process.
    pub(crate) time_s: f64,
    pub(crate) cpu_s: f64,
    pub(crate) rss_bytes: u64,
    pub(crate) rss_anon_bytes: u64,
    pub(crate) rss_file_bytes: u64,
    pub(crate) pss_bytes: Option<u64>,
}

/// Everything about a comparison that is not a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) date: String,
    pub(crate) host: String,
    pub(crate) profile: String,
    /// The command that was run.
    pub(crate) command: Vec<String>,
    pub(crate) git_commit: String,
    pub(crate) git_is_dirty: bool,
    /// Name and value, in the order in which they are shown.
    pub(crate) machine: Vec<(String, String)>,
    /// What could not be done against noise.
    pub(crate) noise_not_controlled: Vec<String>,
    pub(crate) dataset: String,
    pub(crate) dataset_seed: u64,
    pub(crate) dataset_xxh128: String,
    pub(crate) line_bytes_mean: f64,
    pub(crate) usd_per_cpu_hour: f64,
    /// Where that price is from.
    pub(crate) usd_source: String,
    pub(crate) seed: u64,
    /// Whether all that was planned was run.
    pub(crate) is_complete: bool,
    pub(crate) collectors: Vec<CollectorFacts>,
}

/// A program that was compared, or could not be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CollectorFacts {
    pub(crate) name: String,
    /// As people write it: `Fluent Bit`.
    pub(crate) title: String,
    pub(crate) is_installed: bool,
    /// How to get the official package.
    pub(crate) how_to_install: String,
    pub(crate) version: String,
    pub(crate) path: String,
    pub(crate) sha256: String,
    pub(crate) binary_bytes: u64,
    /// The program with the shared libraries that it loads.
    pub(crate) closure_bytes: u64,
    /// What of the work it can do: `full`, `partial: …`, `raw`.
    pub(crate) fidelity: String,
    /// What a reader has to know about its figures.
    pub(crate) notes: Vec<String>,
    /// Sinks that it has.
    pub(crate) sinks: Vec<SinkKind>,
}

/// Runs, samples and manifest of a report's folder.
#[derive(Clone, Debug)]
pub(crate) struct Results {
    pub(crate) manifest: Manifest,
    pub(crate) runs: Vec<Run>,
    pub(crate) samples: Vec<Sample>,
}

impl Results {
    /// Reads a report's folder.
    ///
    /// # Errors
    /// When a file cannot be read or is not what it should be.
    pub(crate) fn read(folder: &Path) -> Result<Results> {
        let path = folder.join("manifest.json");
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let manifest = serde_json::from_str(&text)
            .with_context(|| format!("{} is not a manifest", path.display()))?;
        Ok(Results {
            manifest,
            runs: read_csv(&folder.join("runs.csv"))?,
            samples: read_csv(&folder.join("samples.csv"))?,
        })
    }
}

impl Manifest {
    /// Writes `manifest.json`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join("manifest.json");
        let text = serde_json::to_string_pretty(self)?;
        std::fs::write(&path, text + "\n").with_context(|| format!("write {}", path.display()))
    }
}

/// A CSV file that grows by a row and is whole after each.
#[derive(Debug)]
pub(crate) struct Table {
    writer: csv::Writer<File>,
}

impl Table {
    /// Makes the file.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn create(path: &Path) -> Result<Table> {
        let writer =
            csv::Writer::from_path(path).with_context(|| format!("create {}", path.display()))?;
        Ok(Table { writer })
    }

    /// Adds rows and puts them into the file.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(crate) fn append<T: Serialize>(&mut self, rows: &[T]) -> Result<()> {
        for row in rows {
            self.writer.serialize(row)?;
        }
        self.writer.flush().context("write a row")
    }
}

fn read_csv<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<Vec<T>> {
    let mut reader =
        csv::Reader::from_path(path).with_context(|| format!("open {}", path.display()))?;
    let rows = reader.deserialize().collect::<csv::Result<Vec<T>>>();
    rows.with_context(|| format!("{} cannot be read", path.display()))
}
