//! Runs of the same work put together: a cell is one collector with one configuration in one phase
//! with one sink, cores and rate. Says what a cell may be quoted for and gives its figures with their
//! intervals. Takes [`Results`]; writes nothing.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::results::{Phase, Results, Run, SinkKind, Verdict};
use crate::statistics::{Estimate, estimate, median};

/// What a collector is asked to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Task {
    pub(crate) phase: Phase,
    pub(crate) sink: SinkKind,
    pub(crate) cores: String,
    pub(crate) rate: Option<u32>,
}

/// A collector with one of its configurations.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Entry {
    pub(crate) collector: String,
    pub(crate) config: String,
}

impl Entry {
    pub(crate) fn is_ves(&self) -> bool {
        self.collector == "ves"
    }

    pub(crate) fn is_tuned(&self) -> bool {
        self.config != "default"
    }
}

/// All runs of an entry at a task, in the order in which they ran.
#[derive(Clone, Debug)]
pub(crate) struct Cell<'a> {
    pub(crate) task: Task,
    pub(crate) entry: Entry,
    pub(crate) runs: Vec<&'a Run>,
    /// Figures that were asked for: tables and charts ask for the same ones.
    figures: RefCell<BTreeMap<Metric, Option<Estimate>>>,
}

/// What a cell may be quoted for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum State {
    /// Its figures.
    Good,
    /// It did not keep up with the rate: how many lines a second it managed. Its CPU is that of other
    /// work and is not ranked.
    Saturated { lines_per_s: Option<f64> },
    /// At least one run lost, changed or repeated records, crashed or hung: no speed.
    Bad { wrong: String },
}

/// A figure of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Metric {
    StartMs,
    LinesPerS,
    CpuPerMLines,
    CpuPercent,
    LatencyP50,
    LatencyP90,
    LatencyP99,
    LatencyP999,
    LatencyMax,
    UncorrectedP50,
    UncorrectedP99,
    SlipP50,
    SlipP99,
    SlipMax,
    CatchUp,
    RssAnon,
    RssPeak,
    Rss,
    RssFile,
    Pss,
    GeneratorCpuPercent,
    SinkCpuPercent,
    RunDelay,
}

impl Metric {
    /// What it is of a run, in the unit that it is shown in.
    pub(crate) fn of(self, run: &Run) -> Option<f64> {
        let ms = |us: Option<u64>| us.map(|us| us as f64 / 1e3);
        let mib = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64 / f64::from(1 << 20));
        let percent = |cpu_s: Option<f64>| {
            Some(100.0 * cpu_s? / run.window_s.filter(|window| *window > 0.0)?)
        };
        match self {
            Metric::StartMs => run.start_ms,
            Metric::LinesPerS => run.lines_per_s,
            Metric::CpuPerMLines => run.cpu_s_per_m_lines,
            Metric::CpuPercent => run.cpu_percent,
            Metric::LatencyP50 => ms(run.latency_p50_us),
            Metric::LatencyP90 => ms(run.latency_p90_us),
            Metric::LatencyP99 => ms(run.latency_p99_us),
            Metric::LatencyP999 => ms(run.latency_p999_us),
            Metric::LatencyMax => ms(run.latency_max_us),
            Metric::UncorrectedP50 => ms(run.latency_uncorrected_p50_us),
            Metric::UncorrectedP99 => ms(run.latency_uncorrected_p99_us),
            Metric::SlipP50 => ms(run.slip_p50_us),
            Metric::SlipP99 => ms(run.slip_p99_us),
            Metric::SlipMax => ms(run.slip_max_us),
            Metric::CatchUp => run.catch_up_s,
            Metric::RssAnon => mib(run.rss_anon_bytes),
            Metric::RssPeak => mib(run.rss_peak_bytes),
            Metric::Rss => mib(run.rss_bytes),
            Metric::RssFile => mib(run.rss_file_bytes),
            Metric::Pss => mib(run.pss_bytes),
            Metric::GeneratorCpuPercent => percent(run.generator_cpu_s),
            Metric::SinkCpuPercent => percent(run.sink_cpu_s),
            Metric::RunDelay => run.run_delay_s,
        }
    }

    /// Its name and unit, as a column is headed.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Metric::StartMs => "start to first record, ms",
            Metric::LinesPerS => "lines/s",
            Metric::CpuPerMLines => "CPU-s per 1 M lines",
            Metric::CpuPercent => "CPU, % of a core",
            Metric::LatencyP50 => "p50, ms",
            Metric::LatencyP90 => "p90, ms",
            Metric::LatencyP99 => "p99, ms",
            Metric::LatencyP999 => "p99.9, ms",
            Metric::LatencyMax => "max, ms",
            Metric::UncorrectedP50 => "uncorrected p50, ms",
            Metric::UncorrectedP99 => "uncorrected p99, ms",
            Metric::SlipP50 => "slip p50, ms",
            Metric::SlipP99 => "slip p99, ms",
            Metric::SlipMax => "slip max, ms",
            Metric::CatchUp => "catch-up, s",
            Metric::RssAnon => "RssAnon steady, MiB",
            Metric::RssPeak => "VmHWM peak, MiB",
            Metric::Rss => "VmRSS, MiB",
            Metric::RssFile => "RssFile, MiB",
            Metric::Pss => "PSS, MiB",
            Metric::GeneratorCpuPercent => "generator CPU, % of a core",
            Metric::SinkCpuPercent => "sink CPU, % of a core",
            Metric::RunDelay => "waited for a core, s",
        }
    }

    /// Whether more of it is better.
    pub(crate) fn is_more_better(self) -> bool {
        self == Metric::LinesPerS
    }

    /// Whether it says nothing of a collector that does another amount of work.
    pub(crate) fn is_per_rate(self) -> bool {
        matches!(self, Metric::CpuPerMLines | Metric::CpuPercent)
    }

    /// The figures of a phase that collectors are compared by.
    pub(crate) fn compared(phase: Phase) -> &'static [Metric] {
        match phase {
            Phase::Verify => &[],
            Phase::Startup => &[
                Metric::StartMs,
                Metric::CpuPercent,
                Metric::RssAnon,
                Metric::RssPeak,
            ],
            Phase::Drain => &[
                Metric::CpuPerMLines,
                Metric::LinesPerS,
                Metric::RssAnon,
                Metric::RssPeak,
            ],
            Phase::Rate => &[
                Metric::CpuPerMLines,
                Metric::LatencyP50,
                Metric::LatencyP99,
                Metric::LatencyP999,
                Metric::RssAnon,
                Metric::RssPeak,
            ],
            Phase::Wake => &[Metric::LatencyP50, Metric::LatencyP99, Metric::LatencyMax],
        }
    }
}

impl Cell<'_> {
    /// What it may be quoted for. One bad run is enough to take a cell's speed away: what is fast
    /// only when it loses nothing by luck is not fast.
    pub(crate) fn state(&self) -> State {
        let bad = |run: &&&Run| matches!(run.verdict, Verdict::Unequal | Verdict::Failed);
        let wrong: Vec<&&Run> = self.runs.iter().filter(bad).collect();
        if let Some(first) = wrong.first() {
            let share = if self.runs.len() == 1 {
                String::new()
            } else {
                format!(" in {} of {} runs", wrong.len(), self.runs.len())
            };
            let what = if first.verdict == Verdict::Failed {
                "failed"
            } else {
                "not equal"
            };
            let reason = if first.reason.is_empty() {
                deviations(first)
            } else {
                first.reason.clone()
            };
            let colon = if reason.is_empty() { "" } else { ": " };
            return State::Bad {
                wrong: format!("{what}{share}{colon}{reason}"),
            };
        }
        let behind = self
            .runs
            .iter()
            .filter(|run| run.sustained == Some(false))
            .count();
        if behind * 2 >= self.runs.len().max(1) {
            return State::Saturated {
                lines_per_s: median(&self.values(Metric::LinesPerS)),
            };
        }
        State::Good
    }

    /// The values of its runs, whatever its state.
    pub(crate) fn values(&self, metric: Metric) -> Vec<f64> {
        self.runs
            .iter()
            .filter_map(|run| metric.of(run))
            .filter(|value| value.is_finite())
            .collect()
    }

    /// The values of its runs with their rounds, whatever its state.
    pub(crate) fn values_by_round(&self, metric: Metric) -> Vec<(u32, f64)> {
        self.runs
            .iter()
            .filter_map(|run| Some((run.round, metric.of(run)?)))
            .filter(|(_, value)| value.is_finite())
            .collect()
    }

    /// The figure, when the cell's state allows it to be shown.
    pub(crate) fn figure(&self, metric: Metric) -> Option<Estimate> {
        match self.state() {
            State::Bad { .. } => None,
            State::Good | State::Saturated { .. } => {
                let mut figures = self.figures.borrow_mut();
                *figures
                    .entry(metric)
                    .or_insert_with(|| estimate(&self.values(metric)))
            }
        }
    }

    /// The figure, when it may be set against those of others.
    pub(crate) fn ranked(&self, metric: Metric) -> Option<Estimate> {
        if metric.is_per_rate() && matches!(self.state(), State::Saturated { .. }) {
            return None;
        }
        self.figure(metric)
    }

    /// Whether nobody looked at what it delivered.
    pub(crate) fn is_unverifiable(&self) -> bool {
        self.runs
            .iter()
            .any(|run| run.verdict == Verdict::Unverifiable)
    }

    /// The flags of its runs, each with the number of runs that have it.
    pub(crate) fn flags(&self) -> BTreeMap<String, usize> {
        let mut flags = BTreeMap::new();
        for run in &self.runs {
            for flag in run.flags.split_whitespace() {
                *flags.entry(flag.to_owned()).or_insert(0) += 1;
            }
        }
        let behind = self
            .runs
            .iter()
            .filter(|run| run.sustained == Some(false))
            .count();
        if behind > 0 && !matches!(self.state(), State::Saturated { .. }) {
            flags.insert("fell-behind".to_owned(), behind);
        }
        flags
    }

    /// Its flags in words, with `2/5` behind one that not all runs have; empty without any.
    pub(crate) fn marks(&self) -> String {
        let mut marks: Vec<String> = Vec::new();
        if self.is_unverifiable() {
            marks.push("unverifiable".to_owned());
        }
        for (flag, count) in self.flags() {
            let all = self.runs.len();
            marks.push(if count == all {
                flag
            } else {
                format!("{flag} {count}/{all}")
            });
        }
        marks.join(", ")
    }

    /// Whether most of its runs measured the harness rather than the collector.
    pub(crate) fn is_harness_bound(&self) -> bool {
        self.flags()
            .get("harness-bound")
            .is_some_and(|count| count * 2 >= self.runs.len())
    }
}

/// What went wrong with the records of a run: `12 lost, 3 duplicated`; empty when nothing did.
pub(crate) fn deviations(run: &Run) -> String {
    let counts = [
        (run.lost, "lost"),
        (run.duplicated, "duplicated"),
        (run.corrupted, "corrupted"),
        (run.reordered, "reordered"),
    ];
    let parts: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    parts.join(", ")
}

/// How many of a run's records have a latency: at a fixed rate those of the window's lines, else all.
pub(crate) fn timed(run: &Run) -> f64 {
    let expected = run.expected as f64;
    match (run.rate, run.window_s) {
        (Some(rate), Some(window_s)) if run.lines > 0 => {
            expected.min(f64::from(rate) * window_s * expected / run.lines as f64)
        }
        _ => expected,
    }
}

/// All cells, by task, and in each first VES, then the others in the manifest's order.
pub(crate) fn cells(results: &Results) -> Vec<Cell<'_>> {
    let mut cells: Vec<Cell<'_>> = Vec::new();
    let mut runs: Vec<&Run> = results.runs.iter().collect();
    runs.sort_by_key(|run| run.position);
    for run in runs {
        let task = Task {
            phase: run.phase,
            sink: run.sink,
            cores: run.cores.clone(),
            rate: run.rate,
        };
        let entry = Entry {
            collector: run.collector.clone(),
            config: run.config.clone(),
        };
        match cells
            .iter_mut()
            .find(|cell| cell.task == task && cell.entry == entry)
        {
            Some(cell) => cell.runs.push(run),
            None => cells.push(Cell {
                task,
                entry,
                runs: vec![run],
                figures: RefCell::default(),
            }),
        }
    }
    let order = collectors(results);
    cells.sort_by_key(|cell| {
        let place = order.iter().position(|name| *name == cell.entry.collector);
        (cell.task.clone(), place, cell.entry.clone())
    });
    cells
}

/// The names of the collectors that ran, VES first, then in the manifest's order.
pub(crate) fn collectors(results: &Results) -> Vec<String> {
    let mut names: Vec<String> = results
        .manifest
        .collectors
        .iter()
        .map(|it| it.name.clone())
        .collect();
    names.extend(results.runs.iter().map(|run| run.collector.clone()));
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| {
        seen.insert(name.clone()) && results.runs.iter().any(|run| run.collector == *name)
    });
    names.sort_by_key(|name| name != "ves");
    names
}

/// How a collector is written.
pub(crate) fn title(results: &Results, name: &str) -> String {
    let facts = results
        .manifest
        .collectors
        .iter()
        .find(|facts| facts.name == name);
    facts.map_or_else(|| name.to_owned(), |facts| facts.title.clone())
}
