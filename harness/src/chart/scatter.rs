//! CPU over throughput: a dot per run, a cross of the intervals per cell, hollow where a collector
//! was saturated; a panel per sink. Takes the cells of the fixed rates.

use std::path::Path;

use anyhow::Result;

use super::axis::Axis;
use super::canvas::{Align, Area};
use super::page::{self, Legend, Page, placed};
use super::palette::{FAINT, INK};
use crate::cells::{Cell, Metric, State};
use crate::figures::short;
use crate::results::{Results, SinkKind};

/// Draws `name`.
pub(super) fn draw(
    results: &Results,
    folder: &Path,
    name: &str,
    heading: &str,
    cells: &[&Cell<'_>],
) -> Result<()> {
    let below = "CPU of the whole process tree in the window over lines a second that came through. \
                 Dots of the same rate stand side by side in steps, to be seen.";
    let mut page = Page::new(results, heading, below, Legend::Marks, cells)?;
    let mut sinks: Vec<SinkKind> = cells.iter().map(|cell| cell.task.sink).collect();
    sinks.dedup();
    let shown = |cell: &&&Cell<'_>| !matches!(cell.state(), State::Bad { .. });
    let values = |metric: Metric| -> Vec<f64> {
        cells
            .iter()
            .filter(shown)
            .flat_map(|cell| cell.values(metric))
            .collect()
    };
    let x_axis = Axis::log(values(Metric::LinesPerS));
    let y_axis = Axis::log(values(Metric::CpuPercent));
    let (rows, columns) = page::arrangement(sinks.len());
    for (sink, area) in sinks.iter().zip(page.body.grid(rows, columns, 36.0)) {
        let cells: Vec<&Cell<'_>> = cells
            .iter()
            .copied()
            .filter(|cell| cell.task.sink == *sink)
            .collect();
        panel(&mut page, area, *sink, &cells, (x_axis, y_axis))?;
    }
    page.save(folder, name)
}

fn panel(
    page: &mut Page<'_>,
    area: Area,
    sink: SinkKind,
    cells: &[&Cell<'_>],
    (x_axis, y_axis): (Axis, Axis),
) -> Result<()> {
    let heading = format!("to {}", super::sink_name(sink));
    let title_at = (area.left, area.top + 18.0);
    page.canvas
        .text(&heading, title_at, Align::Left, page::bold(30.0, INK))?;
    let end = page.canvas.text_width(&heading, page::bold(30.0, INK))? + 20.0;
    let face = page::font(22.0, FAINT);
    let room = area.width() - end;
    let unit = "CPU, % of a core, over lines/s";
    page.canvas
        .text_within(unit, (area.left + end, title_at.1), Align::Left, face, room)?;
    let used = page.notes(area.inset(0.0, 36.0, 0.0, 0.0), &by_rate_notes(page, cells))?;
    let plot = area.inset(72.0, 36.0 + used + 14.0, 30.0, 36.0);
    // Room for the dots that are moved sideways.
    let x_axis = x_axis.between(plot.left + 24.0, plot.right - 24.0);
    let y_axis = y_axis.between(plot.bottom, plot.top);
    page.axes(plot, &placed(&x_axis, 90.0), &placed(&y_axis, 34.0), 22.0)?;

    let mut entries: Vec<_> = cells.iter().map(|cell| cell.entry.clone()).collect();
    entries.sort();
    entries.dedup();
    let step = (48.0 / entries.len().max(1) as f64).min(10.0);
    for cell in cells.iter().rev() {
        if matches!(cell.state(), State::Bad { .. }) {
            continue;
        }
        let look = page.look(&cell.entry.collector);
        let is_hollow = matches!(cell.state(), State::Saturated { .. });
        let place = entries
            .iter()
            .position(|entry| *entry == cell.entry)
            .unwrap_or(0);
        let shift = (place as f64 - (entries.len() as f64 - 1.0) / 2.0) * step;
        let color = look.tone(cell.entry.is_tuned());
        for run in &cell.runs {
            let figures = (Metric::LinesPerS.of(run), Metric::CpuPercent.of(run));
            if let (Some(rate), Some(percent)) = figures {
                let point = (x_axis.place(rate) + shift, y_axis.place(percent));
                let radius = if look.is_ves { 10.0 } else { 8.0 };
                look.mark(&mut page.canvas, point, radius, color, is_hollow)?;
            }
        }
        let figures = (
            cell.figure(Metric::LinesPerS),
            cell.figure(Metric::CpuPercent),
        );
        if let (Some(rate), Some(percent)) = figures {
            let (x, y) = (
                x_axis.place(rate.median) + shift,
                y_axis.place(percent.median),
            );
            let ink = INK.into();
            let (left, right) = (
                x_axis.place(rate.low) + shift,
                x_axis.place(rate.high) + shift,
            );
            let (low, high) = (y_axis.place(percent.low), y_axis.place(percent.high));
            page.canvas
                .line((left.min(x - 5.0), y), (right.max(x + 5.0), y), ink, 2.0)?;
            page.canvas
                .line((x, low.max(y + 5.0)), (x, high.min(y - 5.0)), ink, 2.0)?;
        }
    }
    Ok(())
}

/// The notes of a panel, with the rates at which they hold.
fn by_rate_notes(page: &Page<'_>, cells: &[&Cell<'_>]) -> Vec<String> {
    let named = |heading: &str, wanted: fn(&Cell<'_>) -> bool| {
        let mut names: Vec<(String, Vec<String>)> = Vec::new();
        for cell in cells.iter().filter(|cell| wanted(cell)) {
            let rate = cell
                .task
                .rate
                .map_or_else(String::new, |rate| short(f64::from(rate)));
            let name = page.label(cell);
            match names.iter_mut().find(|(its, _)| *its == name) {
                Some((_, rates)) => rates.push(rate),
                None => names.push((name, vec![rate])),
            }
        }
        let texts: Vec<String> = names
            .into_iter()
            .map(|(name, rates)| format!("{name} at {} lines/s", rates.join(", ")))
            .collect();
        (!texts.is_empty()).then(|| format!("{heading}: {}", texts.join(", ")))
    };
    let bad = named("no figures, failed or unequal", |it| {
        matches!(it.state(), State::Bad { .. })
    });
    let bound = named("harness-bound", |it| it.is_harness_bound());
    bad.into_iter().chain(bound).collect()
}
