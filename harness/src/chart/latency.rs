//! Latency over the share of lines: a curve per collector, a panel per rate, both axes the same in
//! all panels. Takes the cells of one sink and their `.hgrm` files.

use std::path::Path;

use anyhow::Result;

use super::axis::Axis;
use super::canvas::{Align, Area};
use super::page::{self, Legend, Page, placed};
use super::palette::{FAINT, INK};
use crate::cells::{Cell, State, timed};
use crate::figures::{grouped, plain, trim};
use crate::percentiles::{Curve, merge};
use crate::results::Results;

struct Line<'a> {
    cell: &'a Cell<'a>,
    /// `1 / (1 - share)` and milliseconds.
    points: Vec<(f64, f64)>,
    /// Share of the lines that did not come before the deadline.
    censored: f64,
}

/// Draws `name`; `folder` is the report's, for the curves and for the picture.
pub(super) fn draw(
    results: &Results,
    folder: &Path,
    name: &str,
    heading: &str,
    cells: &[&Cell<'_>],
) -> Result<()> {
    let mut panels: Vec<(Option<u32>, Vec<Line<'_>>, Vec<&Cell<'_>>)> = Vec::new();
    for cell in cells {
        if panels
            .last()
            .is_none_or(|(rate, ..)| *rate != cell.task.rate)
        {
            panels.push((cell.task.rate, Vec::new(), Vec::new()));
        }
        let line = line(folder, cell)?;
        if let Some((_, lines, all)) = panels.last_mut() {
            all.push(cell);
            lines.extend(line);
        }
    }
    let below = "From the planned write of a line to its record at the sink; lines that did not come \
                 count with the time waited. Median of the runs at each share.";
    let mut page = Page::new(results, heading, below, Legend::Lines, cells)?;
    let values = || {
        panels
            .iter()
            .flat_map(|(_, lines, _)| lines)
            .flat_map(|line| &line.points)
    };
    let x_axis = Axis::log(values().map(|(rest, _)| *rest).chain([2.0, 1e3])).starting_at(2.0);
    let y_axis = Axis::log(values().map(|(_, ms)| *ms));
    let (rows, columns) = page::arrangement(panels.len());
    for ((rate, lines, all), area) in panels.iter().zip(page.body.grid(rows, columns, 36.0)) {
        let heading = rate.map_or_else(
            || "unlimited".to_owned(),
            |rate| format!("{} lines/s", grouped(i64::from(rate))),
        );
        panel(&mut page, area, &heading, lines, all, (x_axis, y_axis))?;
    }
    page.save(folder, name)
}

fn line<'a>(folder: &Path, cell: &'a Cell<'a>) -> Result<Option<Line<'a>>> {
    if matches!(cell.state(), State::Bad { .. }) {
        return Ok(None);
    }
    let mut curves = Vec::new();
    for run in &cell.runs {
        curves.extend(Curve::read(folder, run)?);
    }
    if curves.is_empty() {
        curves = cell
            .runs
            .iter()
            .filter_map(|run| Curve::from_row(run))
            .collect();
    }
    let points = merge(&curves);
    let lines: f64 = cell.runs.iter().map(|run| timed(run)).sum();
    let missing: u64 = cell.runs.iter().filter_map(|run| run.censored).sum();
    let censored = missing as f64 / lines.max(1.0);
    Ok((!points.is_empty()).then_some(Line {
        cell,
        points,
        censored,
    }))
}

fn panel(
    page: &mut Page<'_>,
    area: Area,
    heading: &str,
    lines: &[Line<'_>],
    cells: &[&Cell<'_>],
    (x_axis, y_axis): (Axis, Axis),
) -> Result<()> {
    let title_at = (area.left, area.top + 18.0);
    page.canvas
        .text(heading, title_at, Align::Left, page::bold(30.0, INK))?;
    let end = page.canvas.text_width(heading, page::bold(30.0, INK))? + 20.0;
    let unit = "latency, ms, over the share of lines";
    let room = area.width() - end;
    let face = page::font(22.0, FAINT);
    page.canvas
        .text_within(unit, (area.left + end, title_at.1), Align::Left, face, room)?;

    let mut notes = page::state_notes(page, cells);
    let late: Vec<&Cell<'_>> = lines
        .iter()
        .filter(|line| line.censored > 0.0)
        .map(|line| line.cell)
        .collect();
    if !late.is_empty() {
        let most = lines.iter().map(|line| line.censored).fold(0.0, f64::max) * 100.0;
        notes.push(format!(
            "at least this slow, up to {} % did not come in time: {}",
            trim(&plain(most)),
            page.grouped(&late, cells)
        ));
    }
    let used = page.notes(area.inset(0.0, 36.0, 0.0, 0.0), &notes)?;
    let plot = area.inset(72.0, 36.0 + used + 14.0, 24.0, 36.0);
    let x_axis = x_axis.between(plot.left, plot.right);
    let y_axis = y_axis.between(plot.bottom, plot.top);
    let mut x_ticks = Vec::new();
    let shares = [
        (2.0, "50 %"),
        (10.0, "90"),
        (1e2, "99"),
        (1e3, "99.9"),
        (1e4, "99.99"),
        (1e5, "99.999"),
    ];
    for (rest, label) in shares {
        if rest <= x_axis.high * 1.001 {
            x_ticks.push((x_axis.place(rest), label.to_owned()));
        }
    }
    page.axes(plot, &x_ticks, &placed(&y_axis, 30.0), 22.0)?;
    if lines.is_empty() {
        let middle = (
            f64::midpoint(plot.left, plot.right),
            f64::midpoint(plot.top, plot.bottom),
        );
        return page
            .canvas
            .text("no figures", middle, Align::Center, page::font(28.0, FAINT));
    }
    // VES last, so that nothing covers it.
    for (index, line) in lines.iter().enumerate().rev() {
        let look = page.look(&line.cell.entry.collector);
        let color = look.tone(true);
        let place = |point: &(f64, f64)| (x_axis.place(point.0), y_axis.place(point.1));
        let points: Vec<(f64, f64)> = line.points.iter().map(place).collect();
        let width = if look.is_ves { 6.0 } else { 3.5 };
        if line.cell.entry.is_tuned() {
            page.canvas.path(&points, color, width)?;
        } else {
            page.canvas.dashes(&points, color, width, (16.0, 9.0))?;
        }
        // Marks at different places, so that they can be told apart where curves meet.
        let hollow = matches!(line.cell.state(), State::Saturated { .. });
        let step = 18;
        for point in points.iter().skip(3 + index * 5 % step).step_by(step) {
            look.mark(&mut page.canvas, *point, 9.0, color, hollow)?;
        }
        if let Some(last) = points.last() {
            look.mark(&mut page.canvas, *last, 9.0, color, hollow)?;
        }
    }
    Ok(())
}
