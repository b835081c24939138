//! `verdicts.json`: what each cell may be quoted for, for programs that read reports.

use serde::Serialize;

use crate::cells::{Cell, Metric, State, deviations};
use crate::results::{Phase, SinkKind};

/// One cell.
#[derive(Debug, Serialize)]
pub(super) struct CellVerdict {
    phase: Phase,
    sink: SinkKind,
    cores: String,
    rate: Option<u32>,
    collector: String,
    config: String,
    runs: usize,
    /// `good`, `saturated` or `bad`.
    state: &'static str,
    is_verifiable: bool,
    wrong: Vec<String>,
    lost: u64,
    duplicated: u64,
    corrupted: u64,
    reordered: u64,
    flags: Vec<String>,
    cpu_s_per_m_lines: Option<f64>,
    lines_per_s: Option<f64>,
}

/// All cells.
pub(super) fn verdicts(cells: &[Cell<'_>]) -> Vec<CellVerdict> {
    cells
        .iter()
        .map(|cell| {
            let sum = |of: fn(&crate::results::Run) -> u64| {
                cell.runs.iter().map(|run| of(run)).sum::<u64>()
            };
            let wrong = cell
                .runs
                .iter()
                .flat_map(|run| [run.reason.clone(), deviations(run)]);
            let mut wrong: Vec<String> = wrong.filter(|text| !text.is_empty()).collect();
            wrong.sort();
            wrong.dedup();
            CellVerdict {
                phase: cell.task.phase,
                sink: cell.task.sink,
                cores: cell.task.cores.clone(),
                rate: cell.task.rate,
                collector: cell.entry.collector.clone(),
                config: cell.entry.config.clone(),
                runs: cell.runs.len(),
                state: match cell.state() {
                    State::Good => "good",
                    State::Saturated { .. } => "saturated",
                    State::Bad { .. } => "bad",
                },
                is_verifiable: !cell.is_unverifiable(),
                wrong,
                lost: sum(|run| run.lost),
                duplicated: sum(|run| run.duplicated),
                corrupted: sum(|run| run.corrupted),
                reordered: sum(|run| run.reordered),
                flags: cell.flags().into_keys().collect(),
                cpu_s_per_m_lines: cell.ranked(Metric::CpuPerMLines).map(|it| it.median),
                lines_per_s: cell.figure(Metric::LinesPerS).map(|it| it.median),
            }
        })
        .collect()
}
