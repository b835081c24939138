//! The first section: where VES is not the best. Every figure in which another collector is better,
//! in which no difference is shown, or which VES does not have. Computed, never chosen.

use super::markdown::Table;
use super::{place, title_of};
use crate::cells::Cell;
use crate::comparison::{Comparison, Outcome, comparisons, ves_beside};
use crate::figures::{interval, mebibytes, plain};
use crate::results::Results;

/// The section.
///
/// A program that forwards lines without parsing them is a yardstick and does not compete: it stands in
/// the tables, but not here.
pub(super) fn section(results: &Results, cells: &[Cell<'_>]) -> String {
    let mut all = comparisons(cells);
    all.retain(|it| !is_raw(results, &it.entry.collector));
    let sizes = sizes(results);
    let count = all.len() + sizes.compared;
    let mut text = String::from("## Where VES is not the best\n\n");
    if !cells.iter().any(|cell| cell.entry.is_ves()) {
        return text + "VES was not run, so nothing is compared with it.\n\n";
    }
    if count == 0 {
        return text
            + "There is no figure of another collector to compare VES with: none was installed, or \
               none delivered what was expected.\n\n"
            + &uncompared(results, cells);
    }
    let of = |wanted: fn(&Outcome) -> bool| -> Vec<&Comparison> {
        all.iter().filter(|it| wanted(&it.outcome)).collect()
    };
    let better = of(|outcome| *outcome == Outcome::OtherBetter);
    let none = of(|outcome| matches!(outcome, Outcome::VesHasNone { .. }));
    let open = of(|outcome| *outcome == Outcome::NotShown);
    let (single, open): (Vec<_>, Vec<_>) = open
        .into_iter()
        .partition(|it| it.ratio.is_none_or(|ratio| !ratio.has_interval()));
    let worse = better.len() + none.len() + sizes.rows.len();
    if worse + open.len() + single.len() == 0 {
        text += &format!(
            "Nowhere in this comparison: in all {count} figures that can be compared, VES's is better \
             and the interval of the ratio shows it. A figure is one metric of one other collector \
             and configuration in one phase, with one sink, cores and rate.\n\n"
        );
        return text + &uncompared(results, cells);
    }
    text += &format!(
        "Of {count} figures that can be compared (one metric of one other collector and \
         configuration in one phase, with one sink, cores and rate), another collector is better in \
         {}, VES has none that may be shown in {}, no difference is shown in {}, and {} rest on a \
         single run or on no common round, so that no interval can tell. The others are better for \
         VES.\n\n",
        better.len() + sizes.rows.len(),
        none.len(),
        open.len(),
        single.len(),
    );
    if !better.is_empty() || !sizes.rows.is_empty() {
        text += "Another collector is better:\n\n";
        let mut table = table(results, &better);
        for row in &sizes.rows {
            table.row(row.clone());
        }
        text += &table.text();
    }
    if !none.is_empty() {
        text += "VES has no figure that may be shown:\n\n";
        text += &table(results, &none).text();
    }
    if !open.is_empty() {
        text += "No difference shown (the interval of the ratio holds 1):\n\n";
        text += &table(results, &open).text();
    }
    if !single.is_empty() {
        text += "Too few runs to show a difference:\n\n";
        text += &table(results, &single).text();
    }
    text + &uncompared(results, cells)
}

fn table(results: &Results, comparisons: &[&Comparison]) -> Table {
    let mut table = Table::new([
        "where",
        "figure",
        "collector",
        "its median",
        "VES",
        "its / VES",
        "why none",
    ]);
    for it in comparisons {
        let ratio = it.ratio.map(|ratio| interval(&ratio));
        let why = match &it.outcome {
            Outcome::VesHasNone { why } => why.clone(),
            _ => String::new(),
        };
        let ves = it.ves.map_or_else(
            || "none".to_owned(),
            |figure| format!("{} ({})", interval(&figure), it.ves_config),
        );
        table.row([
            place(&it.task),
            it.metric.title().to_owned(),
            title_of(results, &it.entry),
            interval(&it.theirs),
            ves,
            ratio.unwrap_or_else(|| "no common round".to_owned()),
            why,
        ]);
    }
    table
}

fn is_raw(results: &Results, collector: &str) -> bool {
    let mut facts = results.manifest.collectors.iter();
    facts.any(|facts| facts.name == collector && facts.fidelity == "raw")
}

/// Sizes of programs: no runs, so no intervals.
struct Sizes {
    compared: usize,
    /// Rows of [`table`] for those that are smaller than VES.
    rows: Vec<[String; 7]>,
}

fn sizes(results: &Results) -> Sizes {
    let facts = &results.manifest.collectors;
    let mut sizes = Sizes {
        compared: 0,
        rows: Vec::new(),
    };
    let Some(ves) = facts
        .iter()
        .find(|facts| facts.name == "ves" && facts.is_installed)
    else {
        return sizes;
    };
    for other in facts
        .iter()
        .filter(|facts| facts.name != "ves" && facts.is_installed)
        .filter(|facts| !is_raw(results, &facts.name))
    {
        let figures = [
            ("program, MiB", other.binary_bytes, ves.binary_bytes),
            (
                "program with its libraries, MiB",
                other.closure_bytes,
                ves.closure_bytes,
            ),
        ];
        for (what, theirs, its) in figures {
            if theirs == 0 || its == 0 {
                continue;
            }
            sizes.compared += 1;
            if theirs < its {
                sizes.rows.push([
                    "static".to_owned(),
                    what.to_owned(),
                    other.title.clone(),
                    mebibytes(theirs),
                    mebibytes(its),
                    plain(theirs as f64 / its as f64),
                    String::new(),
                ]);
            }
        }
    }
    sizes
}

/// How many cells of others could not be compared, so that their absence above is no claim.
fn uncompared(results: &Results, cells: &[Cell<'_>]) -> String {
    let others = || cells.iter().filter(|cell| !cell.entry.is_ves());
    let alone: Vec<String> = others()
        .filter(|cell| ves_beside(cells, cell).is_none())
        .map(|cell| format!("{} ({})", title_of(results, &cell.entry), place(&cell.task)))
        .collect();
    let is_bad = |cell: &&Cell<'_>| matches!(cell.state(), crate::cells::State::Bad { .. });
    let is_behind =
        |cell: &&Cell<'_>| matches!(cell.state(), crate::cells::State::Saturated { .. });
    let (bad, behind) = (
        others().filter(is_bad).count(),
        others().filter(is_behind).count(),
    );
    let absent: Vec<&str> = results
        .manifest
        .collectors
        .iter()
        .filter(|facts| !facts.is_installed)
        .map(|facts| facts.title.as_str())
        .collect();
    let mut text = String::new();
    if bad + behind > 0 {
        text += &format!(
            "Not compared: {bad} cells of others that failed or were not equal (no figures), and \
             the CPU of {behind} that were saturated.\n"
        );
    }
    if !alone.is_empty() {
        text += &format!("VES was not run at: {}.\n", alone.join(", "));
    }
    if !absent.is_empty() {
        text += &format!(
            "Not installed here, so not compared: {}.\n",
            absent.join(", ")
        );
    }
    if text.is_empty() { text } else { text + "\n" }
}
