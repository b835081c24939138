//! One figure as bars with its interval, for every collector and configuration; a panel per sink, on
//! one logarithmic axis. A cell without a figure says why in place of its bar.

use std::path::Path;

use anyhow::Result;
use plotters::style::Color;

use super::axis::Axis;
use super::canvas::{Align, Area};
use super::page::{self, Legend, Page, placed};
use super::palette::{FAINT, INK};
use crate::cells::{Cell, Metric, State};
use crate::figures::short;
use crate::results::{Results, SinkKind};

/// What the bars show.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    pub(super) heading: &'a str,
    pub(super) below: &'a str,
    pub(super) metric: Metric,
}

/// Draws `name`.
pub(super) fn draw(
    results: &Results,
    folder: &Path,
    name: &str,
    subject: Subject<'_>,
    cells: &[&Cell<'_>],
) -> Result<()> {
    let mut page = Page::new(results, subject.heading, subject.below, Legend::Bars, cells)?;
    let mut sinks: Vec<SinkKind> = cells.iter().map(|cell| cell.task.sink).collect();
    sinks.dedup();
    let figures = || cells.iter().filter_map(|cell| cell.figure(subject.metric));
    // A third below the smallest figure, so that its bar can be seen.
    let axis =
        Axis::log(figures().flat_map(|figure| [figure.low / 3.0, figure.median, figure.high]));
    let (rows, columns) = page::arrangement(sinks.len());
    // Names take as much room as the longest needs, the same in all panels.
    let panels = page.body.grid(rows, columns, 40.0);
    for (sink, area) in sinks.iter().zip(panels) {
        let cells: Vec<&Cell<'_>> = cells
            .iter()
            .copied()
            .filter(|cell| cell.task.sink == *sink)
            .collect();
        panel(&mut page, area, subject, *sink, &cells, axis)?;
    }
    page.save(folder, name)
}

fn panel(
    page: &mut Page<'_>,
    area: Area,
    subject: Subject<'_>,
    sink: SinkKind,
    cells: &[&Cell<'_>],
    axis: Axis,
) -> Result<()> {
    let heading = match sink {
        SinkKind::Null => "to null (nobody can check what it would have written)".to_owned(),
        _ => format!("to {}", super::sink_name(sink)),
    };
    let face = page::bold(28.0, INK);
    let title_at = (area.left, area.top + 18.0);
    page.canvas
        .text_within(&heading, title_at, Align::Left, face, area.width())?;

    let rows = area.inset(0.0, 44.0, 0.0, 34.0);
    let row = (rows.height() / cells.len().max(1) as f64).min(112.0);
    let size = (row * 0.8).clamp(15.0, 32.0);
    let mut names = 0.0f64;
    for cell in cells {
        let face = page::font(size, INK);
        names = names.max(page.canvas.text_width(&page.label(cell), face)?);
    }
    let names = names.min(area.width() * 0.4);
    let bottom = rows.top + row * cells.len() as f64;
    // Room for the figure behind the longest bar, and for its marks.
    let right = area.width() * 0.2;
    let plot = rows.inset(names + 16.0, 0.0, right, 0.0);
    let plot = Area { bottom, ..plot };
    let axis = axis.between(plot.left, plot.right);
    page.axes(plot, &placed(&axis, 70.0), &[], 20.0)?;

    for (index, cell) in cells.iter().enumerate() {
        let middle = rows.top + row * (index as f64 + 0.5);
        let look = page.look(&cell.entry.collector);
        let name = page.label(cell);
        let mut face = page::font(size, INK);
        face.is_bold = look.is_ves;
        let end = (plot.left - 12.0, middle);
        page.canvas
            .text_within(&name, end, Align::Right, face, names)?;
        let Some(figure) = cell.figure(subject.metric) else {
            let why = match cell.state() {
                State::Bad { wrong } => wrong,
                State::Good | State::Saturated { .. } => "not measured".to_owned(),
            };
            let start = (plot.left + 10.0, middle);
            let room = area.right - start.0;
            // The lines of the grid would run through the words.
            let behind = page
                .canvas
                .text_width(&why, page::font(size, FAINT))?
                .min(room);
            let half = row * 0.42;
            let under = Area {
                left: start.0 - 4.0,
                top: middle - half,
                right: start.0 + behind + 4.0,
                bottom: middle + half,
            };
            page.canvas.fill(under, plotters::style::WHITE.to_rgba())?;
            page.canvas
                .text_within(&why, start, Align::Left, page::font(size, FAINT), room)?;
            continue;
        };
        let half = row * 0.34;
        let x = axis.place(figure.median);
        let bar = Area {
            left: plot.left,
            top: middle - half,
            right: x,
            bottom: middle + half,
        };
        if cell.entry.is_tuned() {
            page.canvas.fill(bar, look.color.to_rgba())?;
        } else {
            page.canvas.fill(bar, look.color.mix(0.25))?;
            page.canvas.hatch(bar, look.color.mix(0.7))?;
        }
        page.canvas.frame(bar, look.color.to_rgba(), 1.5)?;
        let (low, high) = (axis.place(figure.low), axis.place(figure.high));
        if figure.has_interval() {
            let ink = INK.into();
            page.canvas.line((low, middle), (high, middle), ink, 2.0)?;
            let cap = half * 0.55;
            for end in [low, high] {
                page.canvas
                    .line((end, middle - cap), (end, middle + cap), ink, 2.0)?;
            }
        }
        let start = high.max(x) + 12.0;
        let value = short(figure.median);
        let face = crate::chart::canvas::Font {
            is_bold: true,
            ..page::font(size, INK)
        };
        page.canvas
            .text(&value, (start, middle), Align::Left, face)?;
        let start = start + page.canvas.text_width(&value, face)? + 12.0;
        let mut marks = Vec::new();
        if let State::Saturated { .. } = cell.state() {
            marks.push("saturated".to_owned());
        }
        let said = cell.marks();
        if !said.is_empty() && said != "unverifiable" {
            marks.push(said.replace("unverifiable, ", ""));
        }
        if !marks.is_empty() {
            let face = page::font(size * 0.85, FAINT);
            let room = area.right - start;
            page.canvas
                .text_within(&marks.join(", "), (start, middle), Align::Left, face, room)?;
        }
    }
    Ok(())
}
