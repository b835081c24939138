//! What every chart has around its data: title, legend, footer, panels with axes and with the notes
//! on what a panel cannot show. Gives the areas that are left for the data.

use std::path::Path;

use anyhow::Result;
use plotters::style::{Color, RGBColor};

use super::axis::Axis;
use super::canvas::{Align, Area, Canvas, Font, HEIGHT, WIDTH};
use super::palette::{FAINT, GRID, INK, Look};
use crate::cells::{Cell, State, collectors, title};
use crate::results::Results;

const MARGIN: f64 = 48.0;

/// A chart that is being drawn.
#[derive(Debug)]
pub(crate) struct Page<'a> {
    pub(crate) canvas: Canvas,
    pub(crate) results: &'a Results,
    /// The collectors, VES first.
    pub(crate) names: Vec<String>,
    /// What is left for the data.
    pub(crate) body: Area,
}

/// How the lines of the legend are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Legend {
    /// Curves: a line with the mark, `default` dashed.
    Lines,
    /// Marks: `default` paler, saturated hollow.
    Marks,
    /// No legend: names stand beside the data. What `default` looks like is said.
    Bars,
    /// Nothing to explain.
    Empty,
}

/// Text of the given size.
pub(crate) fn font(size: f64, color: RGBColor) -> Font {
    Font {
        size,
        is_bold: false,
        color: color.to_rgba(),
    }
}

/// Bold text of the given size.
pub(crate) fn bold(size: f64, color: RGBColor) -> Font {
    Font {
        size,
        is_bold: true,
        color: color.to_rgba(),
    }
}

impl<'a> Page<'a> {
    /// A page with its title, a line below it, its legend for the entries of `cells`, and footer.
    pub(crate) fn new(
        results: &'a Results,
        heading: &str,
        below: &str,
        legend: Legend,
        cells: &[&Cell<'_>],
    ) -> Result<Page<'a>> {
        let (width, height) = (f64::from(WIDTH), f64::from(HEIGHT));
        let mut page = Page {
            canvas: Canvas::new(),
            results,
            names: collectors(results),
            body: Area {
                left: MARGIN,
                top: 0.0,
                right: width - MARGIN,
                bottom: 0.0,
            },
        };
        let room = page.body.width();
        let left = page.body.left;
        page.canvas
            .text_within(heading, (left, 50.0), Align::Left, bold(46.0, INK), room)?;
        page.canvas
            .text_within(below, (left, 98.0), Align::Left, font(26.0, FAINT), room)?;
        page.body.top = page.legend(legend, cells, 140.0)?;
        page.body.bottom = page.footer(cells, height - 14.0)?;
        Ok(page)
    }

    /// How a collector's name is written.
    pub(crate) fn title(&self, name: &str) -> String {
        title(self.results, name)
    }

    /// How a collector looks.
    pub(crate) fn look(&self, name: &str) -> Look {
        Look::of(name, &self.names)
    }

    /// Name and configuration.
    pub(crate) fn label(&self, cell: &Cell<'_>) -> String {
        format!(
            "{} {}",
            self.title(&cell.entry.collector),
            cell.entry.config
        )
    }

    /// The names of cells: without the configuration where all that a collector has in `all` are
    /// meant.
    pub(crate) fn grouped(&self, cells: &[&Cell<'_>], all: &[&Cell<'_>]) -> String {
        let mut names = Vec::new();
        for cell in cells {
            let name = &cell.entry.collector;
            let count =
                |of: &[&Cell<'_>]| of.iter().filter(|it| it.entry.collector == *name).count();
            names.push(if count(cells) == count(all) {
                self.title(name)
            } else {
                format!("{} {}", self.title(name), cell.entry.config)
            });
        }
        names.dedup();
        names.join(", ")
    }

    /// Writes the page to `folder`.
    pub(crate) fn save(&self, folder: &Path, name: &str) -> Result<()> {
        self.canvas.save(&folder.join(name))
    }

    fn legend(&mut self, legend: Legend, cells: &[&Cell<'_>], top: f64) -> Result<f64> {
        const ROW: f64 = 36.0;
        let type_size = font(26.0, INK);
        let has = |is_tuned: bool| cells.iter().any(|cell| cell.entry.is_tuned() == is_tuned);
        let (mut x, mut y) = (self.body.left, top + 4.0);
        let mut keys: Vec<(String, Option<Look>, Key)> = Vec::new();
        if matches!(legend, Legend::Lines | Legend::Marks) {
            for name in self.names.clone() {
                if cells.iter().any(|cell| cell.entry.collector == name) {
                    keys.push((self.title(&name), Some(self.look(&name)), Key::Name));
                }
            }
        }
        let both = has(true) && has(false);
        match legend {
            Legend::Lines if both => {
                keys.push(("tuned".to_owned(), None, Key::Solid));
                keys.push(("default".to_owned(), None, Key::Dashed));
            }
            Legend::Marks if both => {
                keys.push(("tuned".to_owned(), None, Key::Dark));
                keys.push(("default".to_owned(), None, Key::Pale));
            }
            Legend::Bars if both => {
                keys.push(("tuned".to_owned(), None, Key::Bar));
                keys.push(("default".to_owned(), None, Key::Hatched));
            }
            _ => {}
        }
        let is_behind = |cell: &&&Cell<'_>| matches!(cell.state(), State::Saturated { .. });
        if matches!(legend, Legend::Marks | Legend::Lines)
            && cells.iter().any(|cell| is_behind(&cell))
        {
            keys.push(("saturated".to_owned(), None, Key::Hollow));
        }
        let has_interval = cells.iter().any(|cell| cell.runs.len() > 1);
        if matches!(legend, Legend::Marks | Legend::Bars) && has_interval {
            let text = if legend == Legend::Bars {
                "95 % interval"
            } else {
                "median, 95 % interval"
            };
            keys.push((text.to_owned(), None, Key::Interval));
        }
        if keys.is_empty() {
            return Ok(top);
        }
        for (text, look, key) in keys {
            let face = Font {
                is_bold: look.is_some_and(|look| look.is_ves),
                ..type_size
            };
            let width = 66.0 + self.canvas.text_width(&text, face)?;
            if x > self.body.left && x + width > self.body.right {
                (x, y) = (self.body.left, y + ROW);
            }
            self.key(legend, look, key, (x, y))?;
            self.canvas.text(&text, (x + 56.0, y), Align::Left, face)?;
            x += width + 26.0;
        }
        Ok(y + ROW * 0.75)
    }

    fn key(
        &mut self,
        legend: Legend,
        look: Option<Look>,
        key: Key,
        (x, y): (f64, f64),
    ) -> Result<()> {
        let ink = FAINT.to_rgba();
        let canvas = &mut self.canvas;
        let (start, middle, end) = ((x, y), (x + 23.0, y), (x + 46.0, y));
        let bar = Area {
            left: x,
            top: y - 10.0,
            right: x + 46.0,
            bottom: y + 10.0,
        };
        match key {
            Key::Name => {
                let Some(look) = look else { return Ok(()) };
                let color = look.tone(true);
                if legend == Legend::Lines {
                    canvas.line(start, end, color, if look.is_ves { 6.0 } else { 3.5 })?;
                }
                look.mark(canvas, middle, 10.0, color, false)
            }
            Key::Solid => canvas.line(start, end, ink, 3.5),
            Key::Dashed => canvas.dashes(&[start, end], ink, 3.5, (12.0, 7.0)),
            Key::Dark => canvas.circle(middle, 9.0, ink, None),
            Key::Pale => canvas.circle(middle, 9.0, FAINT.mix(0.5), None),
            Key::Hollow => canvas.circle(middle, 9.0, ink, Some(3.0)),
            Key::Interval => {
                canvas.line(start, end, ink, 3.0)?;
                canvas.line((x, y - 8.0), (x, y + 8.0), ink, 3.0)?;
                canvas.line((x + 46.0, y - 8.0), (x + 46.0, y + 8.0), ink, 3.0)
            }
            Key::Bar => canvas.fill(bar, ink),
            Key::Hatched => {
                canvas.fill(bar, FAINT.mix(0.25))?;
                canvas.hatch(bar, FAINT.mix(0.7))
            }
        }
    }

    /// Date, host, versions and numbers of runs at the bottom; gives its top.
    fn footer(&mut self, cells: &[&Cell<'_>], bottom: f64) -> Result<f64> {
        let manifest = &self.results.manifest;
        let mut parts = vec![manifest.date.clone(), manifest.host.clone()];
        parts.push(format!("profile {}", manifest.profile));
        parts.extend(
            manifest
                .collectors
                .iter()
                .filter(|facts| cells.iter().any(|cell| cell.entry.collector == facts.name))
                .map(|facts| format!("{} {}", facts.title, facts.version)),
        );
        let counts = || cells.iter().map(|cell| cell.runs.len());
        if let (Some(least), Some(most)) = (counts().min(), counts().max()) {
            parts.push(if least == most {
                format!("n = {least} a cell")
            } else {
                format!("n = {least} to {most} a cell")
            });
        }
        let dirty = if manifest.git_is_dirty {
            " with changes"
        } else {
            ""
        };
        parts.push(format!(
            "commit {}{dirty}",
            manifest
                .git_commit
                .get(..10)
                .unwrap_or(&manifest.git_commit)
        ));
        if !manifest.is_complete {
            parts.insert(0, "INCOMPLETE".to_owned());
        }
        let face = font(20.0, FAINT);
        let lines = wrap(&self.canvas, &parts, " · ", face, self.body.width())?;
        let top = bottom - lines.len() as f64 * 26.0;
        let (left, right) = (self.body.left, self.body.right);
        self.canvas
            .line((left, top - 8.0), (right, top - 8.0), GRID.to_rgba(), 1.5)?;
        for (index, line) in lines.iter().enumerate() {
            let y = top + 13.0 + index as f64 * 26.0;
            self.canvas
                .text_within(line, (left, y), Align::Left, face, right - left)?;
        }
        Ok(top - 16.0)
    }

    /// Writes what a panel cannot show as a curve or dot, below its title; gives the height used.
    pub(crate) fn notes(&mut self, area: Area, notes: &[String]) -> Result<f64> {
        let face = font(20.0, FAINT);
        let lines = wrap(&self.canvas, notes, "; ", face, area.width())?;
        for (index, line) in lines.iter().enumerate() {
            let y = area.top + 14.0 + index as f64 * 25.0;
            self.canvas
                .text_within(line, (area.left, y), Align::Left, face, area.width())?;
        }
        Ok(lines.len() as f64 * 25.0)
    }

    /// Draws a grid with labels around `area`.
    pub(crate) fn axes(
        &mut self,
        area: Area,
        x: &[(f64, String)],
        y: &[(f64, String)],
        size: f64,
    ) -> Result<()> {
        let face = font(size, FAINT);
        let grid = GRID.to_rgba();
        for (place, label) in x {
            self.canvas
                .line((*place, area.top), (*place, area.bottom), grid, 1.5)?;
            let point = (*place, area.bottom + size * 0.75);
            self.canvas.text(label, point, Align::Center, face)?;
        }
        for (place, label) in y {
            self.canvas
                .line((area.left, *place), (area.right, *place), grid, 1.5)?;
            self.canvas
                .text(label, (area.left - 10.0, *place), Align::Right, face)?;
        }
        let ink = FAINT.to_rgba();
        self.canvas
            .line((area.left, area.top), (area.left, area.bottom), ink, 2.0)?;
        self.canvas.line(
            (area.left, area.bottom),
            (area.right, area.bottom),
            ink,
            2.0,
        )
    }
}

/// The ticks of an axis at their places on the page.
pub(crate) fn placed(axis: &Axis, gap: f64) -> Vec<(f64, String)> {
    axis.ticks(gap)
        .into_iter()
        .map(|(value, label)| (axis.place(value), label))
        .collect()
}

/// What the notes of a panel say of its cells: those without a curve first.
pub(crate) fn state_notes(page: &Page<'_>, cells: &[&Cell<'_>]) -> Vec<String> {
    let named = |heading: &str, of: Vec<&Cell<'_>>| {
        (!of.is_empty()).then(|| format!("{heading}: {}", page.grouped(&of, cells)))
    };
    let of = |wanted: fn(&Cell<'_>) -> bool| -> Vec<&Cell<'_>> {
        cells.iter().copied().filter(|cell| wanted(cell)).collect()
    };
    [
        named(
            "no figures, failed or unequal",
            of(|it| matches!(it.state(), State::Bad { .. })),
        ),
        named(
            "saturated",
            of(|it| matches!(it.state(), State::Saturated { .. })),
        ),
        named("harness-bound", of(|it| it.is_harness_bound())),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// How a panel is divided for `count` panels: rows and columns.
pub(crate) fn arrangement(count: usize) -> (usize, usize) {
    match count {
        0 | 1 => (1, 1),
        2 | 3 => (1, count),
        4 => (2, 2),
        5 | 6 => (2, 3),
        _ => (count.div_ceil(3), 3),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Name,
    Solid,
    Dashed,
    Dark,
    Pale,
    Hollow,
    Interval,
    Bar,
    Hatched,
}

/// Parts put into lines that are no wider than `width`; a part that is too long alone is broken at
/// its spaces.
fn wrap(
    canvas: &Canvas,
    parts: &[String],
    between: &str,
    face: Font,
    width: f64,
) -> Result<Vec<String>> {
    let mut lines: Vec<String> = Vec::new();
    let mut add = |text: &str, between: &str| -> Result<()> {
        if let Some(line) = lines.last_mut() {
            let longer = format!("{line}{between}{text}");
            if canvas.text_width(&longer, face)? <= width {
                *line = longer;
                return Ok(());
            }
        }
        lines.push(text.to_owned());
        Ok(())
    };
    for part in parts {
        if canvas.text_width(part, face)? <= width {
            add(part, between)?;
        } else {
            for (index, word) in part.split(' ').enumerate() {
                add(word, if index == 0 { between } else { " " })?;
            }
        }
    }
    Ok(lines)
}
