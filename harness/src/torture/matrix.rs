//! The matrix as a picture: a row per case, a column per collector, in two halves beside each other.
//! What came is said in words and by colour.

use std::path::Path;

use anyhow::Result;
use plotters::style::{Color, RGBColor, WHITE};

use super::outcome::{Outcome, Verdict};
use super::report::Run;
use crate::chart::canvas::{Align, Area, Canvas, HEIGHT, WIDTH};
use crate::chart::page::{bold, font};
use crate::chart::palette::{EQUAL, FAILED, FAINT, GRID, INK, UNEQUAL, UNSEEN};
use crate::figures::{grouped, short};

/// Records that came twice where that may be, and where it need not be.
const REPEATED: RGBColor = RGBColor(222, 240, 214);
const DUPLICATED: RGBColor = RGBColor(250, 232, 160);

const MARGIN: f64 = 40.0;
const TOP: f64 = 130.0;
const HEAD: f64 = 34.0;
const GAP: f64 = 36.0;
const FOOT: f64 = 44.0;
/// A name with its number, and a field, at the most.
const NAME: f64 = 250.0;
const FIELD_MAX: f64 = 320.0;

/// Draws `matrix.png`.
///
/// # Errors
/// When it cannot be written.
pub(super) fn draw(run: &Run<'_>, folder: &Path) -> Result<()> {
    let (width, height) = (f64::from(WIDTH), f64::from(HEIGHT));
    let mut canvas = Canvas::new();
    let room = width - 2.0 * MARGIN;
    let heading = "Torture: what was delivered";
    canvas.text_within(heading, (MARGIN, 44.0), Align::Left, bold(42.0, INK), room)?;
    let below = "Every record was compared with what was expected of its line, and counted per file. \
                 ✓ = each came once, as it should, in order.";
    let point = (MARGIN, 88.0);
    canvas.text_within(below, point, Align::Left, font(24.0, FAINT), room)?;
    let rows = run.rows();
    let halves = if rows.len() > 12 { 2 } else { 1 };
    let in_half = rows.len().div_ceil(halves).max(1);
    let area = Area {
        left: MARGIN,
        top: TOP,
        right: width - MARGIN,
        bottom: height - FOOT - 8.0,
    };
    let parts = area.grid(1, halves, GAP);
    for (part, rows) in parts.iter().zip(rows.chunks(in_half)) {
        half(&mut canvas, run, *part, rows, in_half)?;
    }
    let versions: Vec<String> = run
        .columns()
        .iter()
        .map(|facts| format!("{} {}", facts.title, facts.version))
        .collect();
    let foot = format!("{} · {}", run.how(), versions.join(" · "));
    let point = (MARGIN, height - FOOT / 2.0);
    canvas.text_within(&foot, point, Align::Left, font(20.0, FAINT), room)?;
    canvas.save(&folder.join("matrix.png"))
}

fn half(
    canvas: &mut Canvas,
    run: &Run<'_>,
    area: Area,
    rows: &[(u32, &str, &str)],
    in_half: usize,
) -> Result<()> {
    let columns = run.columns();
    let row = ((area.height() - HEAD) / in_half as f64).min(60.0);
    let left = area.left + NAME;
    let field = ((area.right - left) / columns.len().max(1) as f64).min(FIELD_MAX);
    for (index, facts) in columns.iter().enumerate() {
        let middle = left + field * (index as f64 + 0.5);
        let face = bold(22.0, INK);
        let point = (middle, area.top + HEAD / 2.0);
        canvas.text_within(&facts.title, point, Align::Center, face, field - 6.0)?;
    }
    for (index, (number, name, _)) in rows.iter().enumerate() {
        let top = area.top + HEAD + row * index as f64;
        let face = font((row * 0.6).clamp(15.0, 22.0), INK);
        let point = (area.left, top + row / 2.0);
        let label = format!("{number:>2}  {name}");
        canvas.text_within(&label, point, Align::Left, face, NAME - 10.0)?;
        for (index, facts) in columns.iter().enumerate() {
            let x = left + field * index as f64;
            let cell = Area {
                left: x + 1.5,
                top: top + 1.5,
                right: x + field - 1.5,
                bottom: top + row - 1.5,
            };
            draw_cell(canvas, cell, run.outcome(*number, &facts.name))?;
        }
    }
    Ok(())
}

fn draw_cell(canvas: &mut Canvas, area: Area, outcome: Option<&Outcome>) -> Result<()> {
    let (text, fill, ink) = match outcome {
        None => ("not run".to_owned(), WHITE, FAINT),
        Some(outcome) => match outcome.verdict {
            Verdict::Clean => ("✓".to_owned(), EQUAL, INK),
            Verdict::Repeated => (format!("✓ {}", counts(outcome, "repeated")), REPEATED, INK),
            Verdict::Duplicated => (counts(outcome, "twice"), DUPLICATED, INK),
            Verdict::Wrong => (counts(outcome, "twice"), UNEQUAL, INK),
            Verdict::Failed if outcome.counts().is_empty() => ("failed".to_owned(), FAILED, WHITE),
            Verdict::Failed => {
                let text = format!("failed: {}", counts(outcome, "twice"));
                (text, FAILED, WHITE)
            }
            Verdict::NotApplicable => ("n/a".to_owned(), UNSEEN, FAINT),
        },
    };
    canvas.fill(area, fill.to_rgba())?;
    canvas.frame(area, GRID.to_rgba(), 1.0)?;
    let middle = (
        f64::midpoint(area.left, area.right),
        f64::midpoint(area.top, area.bottom),
    );
    let face = font((area.height() * 0.6).clamp(15.0, 22.0), ink);
    // Several counts in a narrow field: the first one, which weighs most.
    let is_narrow = canvas.text_width(&text, face)? * 0.75 > area.width() - 8.0;
    let text = match text.split_once(", ") {
        Some((first, _)) if is_narrow => format!("{first}, …"),
        _ => text,
    };
    canvas.text_within(&text, middle, Align::Center, face, area.width() - 8.0)
}

/// The counts that are not zero, short enough for a field.
fn counts(outcome: &Outcome, twice: &str) -> String {
    let name = |what: &str| match what {
        "duplicated" => twice.to_owned(),
        "reordered" => "order".to_owned(),
        other => other.to_owned(),
    };
    let counts = outcome.counts();
    let parts: Vec<String> = counts
        .iter()
        .map(|(count, what)| format!("{} {}", shown(*count), name(what)))
        .collect();
    parts.join(", ")
}

/// Exact while there is room for it.
fn shown(count: u64) -> String {
    match i64::try_from(count) {
        Ok(count @ ..10_000) => grouped(count),
        _ => short(count as f64),
    }
}
