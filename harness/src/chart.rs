//! The charts of a report as PNG of 1920 by 1080. Takes results and the report's folder, writes
//! pictures there and gives their names. The same input gives the same bytes: the fonts are built
//! in and nothing depends on the clock.

mod axis;
mod bars;
pub(crate) mod canvas;
mod latency;
mod matrix;
mod memory;
pub(crate) mod page;
pub(crate) mod palette;
mod scatter;

use std::path::Path;

use anyhow::Result;

use crate::cells::{Cell, Metric};
use crate::results::{Phase, Results, SinkKind};

/// A picture in the report's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Picture {
    pub(crate) name: String,
    /// What it shows, for those who cannot see it.
    pub(crate) caption: String,
    /// Where in the report it belongs.
    pub(crate) subject: Subject,
}

/// What a picture shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Cost,
    Throughput,
    Rates,
    Latency,
    Memory,
    Startup,
    Correctness,
}

/// Draws every chart that there are figures for.
///
/// # Errors
/// When a picture cannot be written or a file of percentiles is damaged.
pub(crate) fn draw(results: &Results, cells: &[Cell<'_>], folder: &Path) -> Result<Vec<Picture>> {
    let mut pictures = Vec::new();
    let mut add = |name: String, caption: String, subject: Subject| {
        pictures.push(Picture {
            name,
            caption,
            subject,
        });
    };
    let all: Vec<&Cell<'_>> = cells.iter().collect();
    if all.is_empty() {
        return Ok(pictures);
    }
    for cores in distinct(cells, |cell| cell.task.cores.clone()) {
        let on = cores_name(&cores);
        let of = |phase: Phase| -> Vec<&Cell<'_>> {
            all.iter()
                .copied()
                .filter(|cell| cell.task.phase == phase && cell.task.cores == cores)
                .collect()
        };
        let drain = of(Phase::Drain);
        if !drain.is_empty() {
            let heading = format!("CPU-seconds per 1 M lines of a backlog, {on}: less is better");
            let name = format!("cost-{cores}.png");
            let below = "User and system time of the whole process tree. Logarithmic: a step of the \
                         grid is a factor.";
            let subject = bars::Subject {
                heading: &heading,
                below,
                metric: Metric::CpuPerMLines,
            };
            bars::draw(results, folder, &name, subject, &drain)?;
            add(name, heading, Subject::Cost);

            let heading = format!("Lines per second of a backlog, {on}: more is better");
            let name = format!("drain-{cores}.png");
            let below = "From the first record to the last; lines that are filtered count. Never to \
                         be read without the CPU that it took.";
            let subject = bars::Subject {
                heading: &heading,
                below,
                metric: Metric::LinesPerS,
            };
            bars::draw(results, folder, &name, subject, &drain)?;
            add(name, heading, Subject::Throughput);
        }
        let startup = of(Phase::Startup);
        if !startup.is_empty() {
            let heading = format!("Start of the process to its first record, ms, {on}");
            let name = format!("startup-{cores}.png");
            let below = "The interval at which a collector flushes is in it.";
            let subject = bars::Subject {
                heading: &heading,
                below,
                metric: Metric::StartMs,
            };
            bars::draw(results, folder, &name, subject, &startup)?;
            add(name, heading, Subject::Startup);
        }
        let rates = of(Phase::Rate);
        if !rates.is_empty() {
            let heading = format!("CPU over throughput at fixed rates, {on}");
            let name = format!("rates-{cores}.png");
            scatter::draw(results, folder, &name, &heading, &rates)?;
            add(name, heading, Subject::Rates);
        }
        for sink in distinct(cells, |cell| cell.task.sink) {
            let of_sink = |cells: &[&Cell<'_>]| -> bool {
                cells
                    .iter()
                    .any(|cell| Metric::LatencyP50.of(cell.runs[0]).is_some())
            };
            let live: Vec<&Cell<'_>> = rates
                .iter()
                .copied()
                .filter(|cell| cell.task.sink == sink)
                .collect();
            if !live.is_empty() && of_sink(&live) {
                let heading = format!("Latency to {}, {on}", sink_name(sink));
                let name = format!("latency-{}-{cores}.png", sink_name(sink));
                latency::draw(results, folder, &name, &heading, &live)?;
                add(name, heading, Subject::Latency);
            }
            let here: Vec<&Cell<'_>> = drain
                .iter()
                .copied()
                .filter(|cell| cell.task.sink == sink)
                .chain(live)
                .collect();
            let heading = format!("Memory over time, to {}, {on}", sink_name(sink));
            let name = format!("memory-{}-{cores}.png", sink_name(sink));
            if memory::draw(results, folder, &name, &heading, &here)? {
                add(name, heading, Subject::Memory);
            }
        }
    }
    let name = "correctness.png".to_owned();
    matrix::draw(results, folder, &name, &all)?;
    add(name, "What was delivered".to_owned(), Subject::Correctness);
    Ok(pictures)
}

/// How a sink is called.
pub(crate) fn sink_name(sink: SinkKind) -> &'static str {
    match sink {
        SinkKind::File => "file",
        SinkKind::Http => "http",
        SinkKind::Tcp => "tcp",
        SinkKind::Null => "null",
    }
}

/// How a phase is called.
pub(crate) fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Verify => "verify",
        Phase::Startup => "startup",
        Phase::Drain => "drain",
        Phase::Rate => "rate",
        Phase::Wake => "wake",
    }
}

/// How the cores that a collector may use are called.
pub(crate) fn cores_name(cores: &str) -> String {
    match cores {
        "one" => "one core".to_owned(),
        "all" => "all cores".to_owned(),
        other => format!("cores: {other}"),
    }
}

fn distinct<T: Ord>(cells: &[Cell<'_>], of: impl Fn(&Cell<'_>) -> T) -> Vec<T> {
    let all: std::collections::BTreeSet<T> = cells.iter().map(of).collect();
    all.into_iter().collect()
}
