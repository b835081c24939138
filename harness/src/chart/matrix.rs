//! What each collector delivered: a row per collector and configuration, a column per phase and sink,
//! said in words and by colour. Takes all cells.

use std::path::Path;

use anyhow::Result;
use plotters::style::{Color, WHITE};

use super::canvas::{Align, Area};
use super::page::{self, Legend, Page};
use super::palette::{EQUAL, FAILED, FAINT, GRID, INK, UNEQUAL, UNSEEN};
use crate::cells::{Cell, Entry};
use crate::figures::count;
use crate::results::{Phase, Results, Run, SinkKind, Verdict};

/// Draws `name`.
pub(super) fn draw(
    results: &Results,
    folder: &Path,
    name: &str,
    cells: &[&Cell<'_>],
) -> Result<()> {
    let below = "All runs of a column together, over its rates and cores: every record was compared \
                 with what was expected of the line. ✓ n = equal in n runs.";
    let heading = "What was delivered";
    let mut page = Page::new(results, heading, below, Legend::Empty, cells)?;
    let mut columns: Vec<(Phase, SinkKind)> = cells
        .iter()
        .map(|cell| (cell.task.phase, cell.task.sink))
        .collect();
    columns.sort_unstable();
    columns.dedup();
    let mut entries: Vec<Entry> = Vec::new();
    for cell in cells {
        if !entries.contains(&cell.entry) {
            entries.push(cell.entry.clone());
        }
    }
    let names = page.names.clone();
    entries.sort_by_key(|entry| {
        (
            names.iter().position(|it| *it == entry.collector),
            entry.clone(),
        )
    });

    let body = page.body;
    let row = ((body.height() - 84.0) / entries.len().max(1) as f64).min(130.0);
    let size = (row * 0.4).clamp(16.0, 28.0);
    let mut left = 0.0f64;
    for entry in &entries {
        let label = format!("{} {}", page.title(&entry.collector), entry.config);
        left = left.max(page.canvas.text_width(&label, page::bold(size, INK))?);
    }
    let left = body.left + left.min(340.0) + 20.0;
    let width = ((body.right - left) / columns.len().max(1) as f64).min(320.0);

    for (index, (phase, sink)) in columns.iter().enumerate() {
        let x = left + width * index as f64;
        let is_first = index == 0 || columns[index - 1].0 != *phase;
        if is_first {
            let of_phase = columns.iter().filter(|column| column.0 == *phase).count();
            let room = width * of_phase as f64 - 12.0;
            let point = (x + 6.0, body.top + 20.0);
            let face = page::bold(26.0, INK);
            page.canvas
                .text_within(super::phase_name(*phase), point, Align::Left, face, room)?;
        }
        let middle = (x + width / 2.0, body.top + 58.0);
        let sink = super::sink_name(*sink);
        page.canvas.text_within(
            sink,
            middle,
            Align::Center,
            page::font(24.0, FAINT),
            width - 6.0,
        )?;
    }
    for (index, entry) in entries.iter().enumerate() {
        let top = body.top + 84.0 + row * index as f64;
        let mut face = page::font(size, INK);
        face.is_bold = entry.is_ves();
        let label = format!("{} {}", page.title(&entry.collector), entry.config);
        let room = left - body.left - 16.0;
        let middle = (left - 14.0, top + row / 2.0);
        page.canvas
            .text_within(&label, middle, Align::Right, face, room)?;
        for (index, column) in columns.iter().enumerate() {
            let x = left + width * index as f64;
            let runs: Vec<&Run> = cells
                .iter()
                .filter(|cell| cell.entry == *entry)
                .filter(|cell| (cell.task.phase, cell.task.sink) == *column)
                .flat_map(|cell| cell.runs.iter().copied())
                .collect();
            let area = Area {
                left: x + 2.0,
                top: top + 2.0,
                right: x + width - 2.0,
                bottom: top + row - 2.0,
            };
            field(&mut page, area, &runs)?;
        }
    }
    page.save(folder, name)
}

fn field(page: &mut Page<'_>, area: Area, runs: &[&Run]) -> Result<()> {
    let with = |verdict: Verdict| runs.iter().filter(|run| run.verdict == verdict).count();
    let share = |count: usize| {
        if count == runs.len() {
            String::new()
        } else {
            format!(" {count}/{}", runs.len())
        }
    };
    let sum = |of: fn(&Run) -> u64| runs.iter().map(|run| of(run)).sum::<u64>();
    let is_narrow = area.width() < 110.0;
    let counts = [
        (sum(|run| run.lost), "lost"),
        (sum(|run| run.duplicated), "duplicated"),
        (sum(|run| run.corrupted), "corrupted"),
        (sum(|run| run.reordered), "reordered"),
    ];
    let mut deviations: Vec<String> = Vec::new();
    for (number, what) in counts.into_iter().filter(|(number, _)| *number > 0) {
        if !is_narrow {
            deviations.push(format!("{} {what}", count(number)));
        } else if deviations.is_empty() {
            deviations.extend([count(number), what.to_owned()]);
        } else if deviations.len() == 2 {
            // No room for more: the report's table has the others.
            deviations.push("+ more".to_owned());
        }
    }
    let words = |text: &str| -> Vec<String> {
        if is_narrow {
            text.split(' ').map(str::to_owned).collect()
        } else {
            vec![text.to_owned()]
        }
    };
    let (mut lines, fill, ink) = if runs.is_empty() {
        (words("not run"), WHITE, FAINT)
    } else if with(Verdict::Failed) > 0 {
        (
            vec![format!("failed{}", share(with(Verdict::Failed)))],
            FAILED,
            WHITE,
        )
    } else if with(Verdict::Unequal) > 0 {
        (
            vec![format!("unequal{}", share(with(Verdict::Unequal)))],
            UNEQUAL,
            INK,
        )
    } else if with(Verdict::Unverifiable) > 0 {
        (words("no output"), UNSEEN, FAINT)
    } else {
        (vec![format!("✓ {}", runs.len())], EQUAL, INK)
    };
    let is_all_unequal = fill == UNEQUAL && with(Verdict::Unequal) == runs.len();
    if is_narrow && is_all_unequal && !deviations.is_empty() {
        // The colour and the counts say it; there is no room for a word more.
        lines.clear();
    }
    lines.extend(deviations);
    page.canvas.fill(area, fill.to_rgba())?;
    page.canvas.frame(area, GRID.to_rgba(), 1.5)?;
    let step = (area.height() / lines.len() as f64).min(28.0);
    let size = (step * 1.05).min(24.0);
    let top = f64::midpoint(area.top, area.bottom) - step * (lines.len() as f64 - 1.0) / 2.0;
    for (index, line) in lines.iter().enumerate() {
        let middle = (
            f64::midpoint(area.left, area.right),
            top + step * index as f64,
        );
        let mut face = page::font(size, ink);
        face.is_bold = index == 0 && ink != FAINT;
        page.canvas
            .text_within(line, middle, Align::Center, face, area.width() - 8.0)?;
    }
    Ok(())
}
