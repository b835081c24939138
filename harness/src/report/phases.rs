//! The tables of the phases: backlog, fixed rates, latency, start, wake-up, memory, cost. A cell
//! without a figure says why in its place.

use super::markdown::Table;
use super::{pictures, place, title_of};
use crate::cells::{Cell, Metric, State, Task, timed};
use crate::chart::{Picture, Subject};
use crate::comparison::{ratio, ves_beside};
use crate::figures::{grouped, interval, plain};
use crate::results::{Phase, Results, Run};
use crate::statistics::estimate;

/// What a collector costs: CPU and memory for a backlog, per sink and cores.
pub(super) fn headline(results: &Results, cells: &[Cell<'_>], drawn: &[Picture]) -> String {
    let mut text = String::from("## CPU and memory for a backlog\n\n");
    let of = of_phase(cells, Phase::Drain);
    if of.is_empty() {
        return text + "No backlog was measured.\n\n";
    }
    text += "A log that is there already, read to its end as fast as each collector can. Medians with \
             95 % intervals; \"x VES\" is the median of the ratios within rounds. Compare the \
             CPU-seconds per 1 M lines: lines per second depend on how many cores are used.\n\n";
    let metrics = [
        Metric::CpuPerMLines,
        Metric::RssAnon,
        Metric::RssPeak,
        Metric::LinesPerS,
    ];
    for (task, of) in by_task(&of) {
        text += &format!("### {}\n\n", place(&task));
        text += &table(results, cells, &of, &metrics).text();
    }
    text + &pictures(drawn, Subject::Cost) + &pictures(drawn, Subject::Throughput)
}

/// A live file at fixed rates: CPU, memory, and who kept up.
pub(super) fn rates(results: &Results, cells: &[Cell<'_>], drawn: &[Picture]) -> String {
    let of = of_phase(cells, Phase::Rate);
    if of.is_empty() {
        return String::new();
    }
    let mut text = String::from("## A live file at a fixed rate\n\n");
    text += "CPU of the window, per 1 M lines and of one core. A collector that did not keep up is \
             \"saturated\": its CPU is that of less work and is not ranked.\n\n";
    let metrics = [
        Metric::CpuPerMLines,
        Metric::CpuPercent,
        Metric::CatchUp,
        Metric::RssAnon,
        Metric::RssPeak,
    ];
    for (task, of) in by_task(&of) {
        text += &format!("### {}\n\n", place(&task));
        text += &table(results, cells, &of, &metrics).text();
    }
    text + &pictures(drawn, Subject::Rates)
}

/// Latency at fixed rates, with what did not come, and the same without the correction.
pub(super) fn latency(results: &Results, cells: &[Cell<'_>], drawn: &[Picture]) -> String {
    let of: Vec<&Cell<'_>> = of_phase(cells, Phase::Rate)
        .into_iter()
        .filter(|cell| !cell.values(Metric::LatencyP50).is_empty())
        .collect();
    if of.is_empty() {
        return String::new();
    }
    let mut text = String::from("## Latency\n\n");
    text += "From the planned write of a line to its record at the sink, in milliseconds: a stall of \
             the writer or of the collector counts for every line that was due meanwhile. A line that \
             did not come before the deadline counts with the time waited for it, and a percentile \
             that reaches such lines is a lower bound (≥). \"Uncorrected\" is from the actual write, \
             and \"slip\" is how late the writes were. The interval at which a collector flushes by \
             its configuration is in all of it.\n\n";
    for (task, of) in by_task(&of) {
        text += &format!("### {}\n\n", place(&task));
        let mut table = Table::new([
            "collector",
            "p50",
            "p90",
            "p99",
            "p99.9",
            "max",
            "lines that did not come in time",
            "uncorrected p50",
            "uncorrected p99",
            "slip p50 / p99 / max",
            "n",
            "marks",
        ]);
        for cell in of {
            table.row(latency_row(results, cell));
        }
        text += &table.text();
    }
    text + &pictures(drawn, Subject::Latency)
}

fn latency_row(results: &Results, cell: &Cell<'_>) -> Vec<String> {
    let name = title_of(results, &cell.entry);
    let n = cell.runs.len().to_string();
    if let State::Bad { wrong } = cell.state() {
        let mut row = vec![name, wrong];
        row.resize(10, String::new());
        row.extend([n, cell.marks()]);
        return row;
    }
    let bounded = |metric: Metric, share: f64| -> String {
        let Some(figure) = cell.figure(metric) else {
            return String::new();
        };
        let reaches = |run: &&Run| {
            let missing = run.censored.unwrap_or(0);
            missing > 0 && missing as f64 / timed(run).max(1.0) > 1.0 - share - 1e-12
        };
        let sign = if cell.runs.iter().any(reaches) {
            "≥ "
        } else {
            ""
        };
        format!("{sign}{}", interval(&figure))
    };
    let median = |metric: Metric| cell.figure(metric).map(|it| plain(it.median));
    let missing: u64 = cell.runs.iter().filter_map(|run| run.censored).sum();
    let lines: f64 = cell.runs.iter().map(|run| timed(run)).sum();
    let missing = if missing == 0 {
        "0".to_owned()
    } else {
        let percent = 100.0 * missing as f64 / lines.max(1.0);
        format!(
            "{} ({} %)",
            grouped(i64::try_from(missing).unwrap_or(i64::MAX)),
            plain(percent)
        )
    };
    let slip = [Metric::SlipP50, Metric::SlipP99, Metric::SlipMax]
        .map(|metric| median(metric).unwrap_or_else(|| "?".to_owned()));
    let mut marks = vec![cell.marks()];
    if let State::Saturated { .. } = cell.state() {
        marks.insert(0, saturated(cell));
    }
    marks.retain(|mark| !mark.is_empty());
    vec![
        name,
        bounded(Metric::LatencyP50, 0.5),
        bounded(Metric::LatencyP90, 0.9),
        bounded(Metric::LatencyP99, 0.99),
        bounded(Metric::LatencyP999, 0.999),
        bounded(Metric::LatencyMax, 1.0),
        missing,
        median(Metric::UncorrectedP50).unwrap_or_default(),
        median(Metric::UncorrectedP99).unwrap_or_default(),
        slip.join(" / "),
        n,
        marks.join(", "),
    ]
}

/// Start of the process, and what it uses with nothing to do.
pub(super) fn startup(results: &Results, cells: &[Cell<'_>], drawn: &[Picture]) -> String {
    let of = of_phase(cells, Phase::Startup);
    if of.is_empty() {
        return String::new();
    }
    let mut text = String::from("## Start-up, and nothing to do\n\n");
    text += "From the start of the process to the first record at the sink; then CPU and memory while \
             nothing is written.\n\n";
    let metrics = [
        Metric::StartMs,
        Metric::CpuPercent,
        Metric::RssAnon,
        Metric::RssPeak,
    ];
    for (task, of) in by_task(&of) {
        text += &format!("### {}\n\n", place(&task));
        text += &table(results, cells, &of, &metrics).text();
    }
    text + &pictures(drawn, Subject::Startup)
}

/// A lone line after a while without any.
pub(super) fn wake(results: &Results, cells: &[Cell<'_>]) -> String {
    let of = of_phase(cells, Phase::Wake);
    if of.is_empty() {
        return String::new();
    }
    let mut text = String::from("## A lone line after a quiet while\n\n");
    text += "Latency in milliseconds of single lines, each after a while without any.\n\n";
    let metrics = [Metric::LatencyP50, Metric::LatencyP99, Metric::LatencyMax];
    for (task, of) in by_task(&of) {
        text += &format!("### {}\n\n", place(&task));
        text += &table(results, cells, &of, &metrics).text();
    }
    text
}

/// All columns of memory. Pages of mapped files are in VmRSS and not in RssAnon.
pub(super) fn memory(results: &Results, cells: &[Cell<'_>], drawn: &[Picture]) -> String {
    let metrics = [
        Metric::RssAnon,
        Metric::RssFile,
        Metric::Rss,
        Metric::Pss,
        Metric::RssPeak,
    ];
    let of: Vec<&Cell<'_>> = cells
        .iter()
        .filter(|cell| matches!(cell.task.phase, Phase::Drain | Phase::Rate))
        .filter(|cell| {
            metrics
                .iter()
                .any(|metric| !cell.values(*metric).is_empty())
        })
        .collect();
    if of.is_empty() {
        return String::new();
    }
    let mut text = String::from("## Memory\n\n");
    text += "In MiB, medians of the last half of the window, and the peak that the kernel keeps. Pages \
             of mapped files are in VmRSS and RssFile, not in RssAnon: VES maps the log, others read \
             it into memory of their own, so neither column alone is fair.\n\n";
    for (task, of) in by_task(&of) {
        text += &format!("### {}\n\n", place(&task));
        text += &table(results, cells, &of, &metrics).text();
    }
    text + &pictures(drawn, Subject::Memory)
}

/// What the harness itself used, and how long collectors waited for a core.
pub(super) fn harness(results: &Results, cells: &[Cell<'_>]) -> String {
    let mut table = Table::new([
        "where",
        "collector",
        "generator CPU, % of a core",
        "sink CPU, % of a core",
        "collector waited for a core, s",
        "achieved lines/s",
    ]);
    for cell in cells
        .iter()
        .filter(|cell| matches!(cell.task.phase, Phase::Drain | Phase::Rate))
    {
        let median = |values: Vec<f64>| {
            crate::statistics::median(&values)
                .map(plain)
                .unwrap_or_default()
        };
        let used = [Metric::GeneratorCpuPercent, Metric::SinkCpuPercent];
        if used.iter().all(|metric| cell.values(*metric).is_empty()) {
            continue;
        }
        table.row([
            place(&cell.task),
            title_of(results, &cell.entry),
            median(cell.values(Metric::GeneratorCpuPercent)),
            median(cell.values(Metric::SinkCpuPercent)),
            median(cell.values(Metric::RunDelay)),
            median(
                cell.runs
                    .iter()
                    .filter_map(|run| run.rate_achieved)
                    .collect(),
            ),
        ]);
    }
    if table.is_empty() {
        return String::new();
    }
    "## What the harness used\n\nMedians. The harness runs on the same machine; where it needs too much \
     of it, the cell is marked harness-bound.\n\n"
        .to_owned()
        + &table.text()
}

/// Money for a million lines, of CPU alone.
pub(super) fn cost(results: &Results, cells: &[Cell<'_>]) -> String {
    let manifest = &results.manifest;
    let mut table = Table::new([
        "where",
        "collector",
        "USD per 1 M lines",
        "USD per 1 000 M lines",
        "marks",
    ]);
    for cell in of_phase(cells, Phase::Drain) {
        let usd = |cpu_s: f64| cpu_s / 3_600.0 * manifest.usd_per_cpu_hour;
        let name = title_of(results, &cell.entry);
        match cell.figure(Metric::CpuPerMLines) {
            Some(figure) => table.row([
                place(&cell.task),
                name,
                format!("{:.2e}", usd(figure.median)),
                plain(usd(figure.median) * 1e3),
                cell.marks(),
            ]),
            None => table.row([place(&cell.task), name, why_none(cell)]),
        }
    }
    if table.is_empty() {
        return String::new();
    }
    format!(
        "## Cost\n\nCPU-seconds of the backlog at {} USD per CPU-hour ({}). Only CPU: no network, no \
         storage, no memory.\n\n",
        plain(manifest.usd_per_cpu_hour),
        manifest.usd_source,
    ) + &table.text()
}

/// The cells of a phase.
fn of_phase<'a, 'b>(cells: &'a [Cell<'b>], phase: Phase) -> Vec<&'a Cell<'b>> {
    cells
        .iter()
        .filter(|cell| cell.task.phase == phase)
        .collect()
}

fn by_task<'a, 'b>(cells: &[&'a Cell<'b>]) -> Vec<(Task, Vec<&'a Cell<'b>>)> {
    let mut tasks: Vec<(Task, Vec<&Cell<'_>>)> = Vec::new();
    for cell in cells {
        match tasks.iter_mut().find(|(task, _)| *task == cell.task) {
            Some((_, of)) => of.push(cell),
            None => tasks.push((cell.task.clone(), vec![cell])),
        }
    }
    tasks
}

/// A row per cell with `metrics`, the first of them also as a ratio to VES.
fn table(results: &Results, all: &[Cell<'_>], of: &[&Cell<'_>], metrics: &[Metric]) -> Table {
    let mut head = vec!["collector".to_owned()];
    for (index, metric) in metrics.iter().enumerate() {
        head.push(metric.title().to_owned());
        if index == 0 {
            head.push("x VES".to_owned());
        }
    }
    head.extend(["n".to_owned(), "marks".to_owned()]);
    let width = head.len();
    let mut table = Table::new(head);
    let Some(first) = metrics.first() else {
        return table;
    };
    for cell in of {
        let mut row = vec![title_of(results, &cell.entry)];
        if let State::Bad { wrong } = cell.state() {
            row.extend([wrong, String::new()]);
        } else {
            for (index, metric) in metrics.iter().enumerate() {
                row.push(match (cell.ranked(*metric), cell.state()) {
                    (Some(figure), _) => interval(&figure),
                    (None, State::Saturated { .. }) if metric.is_per_rate() => {
                        if index == 0 {
                            saturated(cell)
                        } else {
                            "not ranked".to_owned()
                        }
                    }
                    _ => String::new(),
                });
                if index == 0 {
                    row.push(beside_ves(all, cell, *first));
                }
            }
        }
        row.resize(width - 2, String::new());
        row.extend([cell.runs.len().to_string(), cell.marks()]);
        table.row(row);
    }
    table
}

fn beside_ves(all: &[Cell<'_>], cell: &Cell<'_>, metric: Metric) -> String {
    if cell.entry.is_ves() {
        return String::new();
    }
    let figure = ves_beside(all, cell).and_then(|ves| ratio(cell, ves, metric));
    figure.map_or_else(String::new, |ratio| {
        if !ratio.has_interval() {
            format!("{} (one round)", plain(ratio.median))
        } else if ratio.covers(1.0) {
            format!("{}: no difference shown", interval(&ratio))
        } else {
            interval(&ratio)
        }
    })
}

fn saturated(cell: &Cell<'_>) -> String {
    match estimate(&cell.values(Metric::LinesPerS)) {
        Some(rate) => format!("saturated at {} lines/s", plain(rate.median)),
        None => "saturated".to_owned(),
    }
}

fn why_none(cell: &Cell<'_>) -> String {
    match cell.state() {
        State::Bad { wrong } => wrong,
        State::Saturated { .. } => saturated(cell),
        State::Good => "not measured".to_owned(),
    }
}
