//! Resident memory over time, one run of each cell: a backlog on the left, a live file at the highest
//! rate on the right. Takes the cells of one sink and the samples of their runs.

use std::path::Path;

use anyhow::Result;

use super::axis::Axis;
use super::canvas::{Align, Area};
use super::page::{self, Legend, Page, placed};
use super::palette::{FAINT, INK};
use crate::cells::{Cell, State};
use crate::results::{Phase, Results, Run};

/// Draws `name`; gives whether there were samples to draw.
pub(super) fn draw(
    results: &Results,
    folder: &Path,
    name: &str,
    heading: &str,
    cells: &[&Cell<'_>],
) -> Result<bool> {
    let highest = cells
        .iter()
        .filter(|cell| cell.task.phase == Phase::Rate)
        .map(|cell| cell.task.rate)
        .max();
    let mut panels = Vec::new();
    let mut used: Vec<&Cell<'_>> = Vec::new();
    for phase in [Phase::Drain, Phase::Rate] {
        let cells: Vec<&Cell<'_>> = cells
            .iter()
            .copied()
            .filter(|cell| cell.task.phase == phase)
            .filter(|cell| phase != Phase::Rate || Some(cell.task.rate) == highest)
            .collect();
        let lines: Vec<(&Cell<'_>, Vec<(f64, f64)>)> = cells
            .iter()
            .filter(|cell| !matches!(cell.state(), State::Bad { .. }))
            .map(|cell| (*cell, samples(results, cell)))
            .filter(|(_, points)| !points.is_empty())
            .collect();
        if !lines.is_empty() {
            used.extend(&cells);
            panels.push((phase, cells, lines));
        }
    }
    if panels.is_empty() {
        return Ok(false);
    }
    let below = "VmRSS of the process tree from its start, pages of mapped files included; the run \
                 with the middle peak of each cell.";
    let mut page = Page::new(results, heading, below, Legend::Lines, &used)?;
    let y_axis = Axis::log(
        panels
            .iter()
            .flat_map(|(.., lines)| lines)
            .flat_map(|(_, points)| points)
            .map(|it| it.1),
    );
    for ((phase, cells, lines), area) in panels.iter().zip(page.body.grid(1, panels.len(), 48.0)) {
        let heading = match (phase, highest.flatten()) {
            (Phase::Rate, Some(rate)) => {
                format!("{} lines/s", crate::figures::grouped(i64::from(rate)))
            }
            _ => "a backlog".to_owned(),
        };
        panel(&mut page, area, &heading, cells, lines, y_axis)?;
    }
    page.save(folder, name)?;
    Ok(true)
}

/// Seconds and MiB of the run whose peak is in the middle.
fn samples(results: &Results, cell: &Cell<'_>) -> Vec<(f64, f64)> {
    let mut runs: Vec<&Run> = cell
        .runs
        .iter()
        .copied()
        .filter(|run| results.samples.iter().any(|sample| sample.run == run.id))
        .collect();
    runs.sort_by_key(|run| (run.rss_peak_bytes, run.position));
    let Some(middle) = runs.get(runs.len().saturating_sub(1) / 2) else {
        return Vec::new();
    };
    results
        .samples
        .iter()
        .filter(|sample| sample.run == middle.id && sample.rss_bytes > 0)
        .map(|sample| (sample.time_s, sample.rss_bytes as f64 / f64::from(1 << 20)))
        .collect()
}

fn panel(
    page: &mut Page<'_>,
    area: Area,
    heading: &str,
    cells: &[&Cell<'_>],
    lines: &[(&Cell<'_>, Vec<(f64, f64)>)],
    y_axis: Axis,
) -> Result<()> {
    let title_at = (area.left, area.top + 18.0);
    page.canvas
        .text(heading, title_at, Align::Left, page::bold(30.0, INK))?;
    let end = page.canvas.text_width(heading, page::bold(30.0, INK))? + 20.0;
    let unit = "RSS, MiB, over seconds";
    let face = page::font(22.0, FAINT);
    let room = area.width() - end;
    page.canvas
        .text_within(unit, (area.left + end, title_at.1), Align::Left, face, room)?;
    let notes = page::state_notes(page, cells);
    let used = page.notes(area.inset(0.0, 36.0, 0.0, 0.0), &notes)?;
    let plot = area.inset(72.0, 36.0 + used + 14.0, 24.0, 36.0);
    // Some are done in a tenth of the time of others: then short runs need a logarithmic axis.
    let ends: Vec<f64> = lines
        .iter()
        .filter_map(|(_, points)| points.last())
        .map(|point| point.0)
        .collect();
    let longest = ends.iter().copied().fold(0.0, f64::max);
    let shortest = ends.iter().copied().fold(f64::INFINITY, f64::min);
    let x_axis = if longest > 8.0 * shortest.max(1e-3) {
        Axis::log([(shortest / 10.0).max(0.01), longest])
    } else {
        Axis::linear([longest])
    };
    let x_axis = x_axis.between(plot.left, plot.right);
    let y_axis = y_axis.between(plot.bottom, plot.top);
    page.axes(plot, &placed(&x_axis, 70.0), &placed(&y_axis, 34.0), 22.0)?;
    for (cell, points) in lines.iter().rev() {
        let look = page.look(&cell.entry.collector);
        let color = look.tone(true);
        let points: Vec<(f64, f64)> = points
            .iter()
            .filter(|(s, _)| *s >= x_axis.low)
            .map(|(s, mib)| (x_axis.place(*s), y_axis.place(*mib)))
            .collect();
        let width = if look.is_ves { 6.0 } else { 3.5 };
        if cell.entry.is_tuned() {
            page.canvas.path(&points, color, width)?;
        } else {
            page.canvas.dashes(&points, color, width, (16.0, 9.0))?;
        }
        if let Some(last) = points.last() {
            let is_hollow = matches!(cell.state(), State::Saturated { .. });
            look.mark(&mut page.canvas, *last, 11.0, color, is_hollow)?;
        }
    }
    Ok(())
}
