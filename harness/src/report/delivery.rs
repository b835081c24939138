//! What was delivered: the matrix as a table, and every run in which something was wrong.

use super::markdown::Table;
use super::{pictures, place, title_of};
use crate::cells::{Cell, Entry, deviations};
use crate::chart::{Picture, Subject, phase_name, sink_name};
use crate::results::{Phase, Results, Run, SinkKind, Verdict};

/// The section.
pub(super) fn section(results: &Results, cells: &[Cell<'_>], drawn: &[Picture]) -> String {
    let mut text = String::from("## What was delivered\n\n");
    text += "Every record of every run was compared with what was expected of its line, by the line's \
             own number: lost (never came), duplicated (came again), corrupted (came otherwise), \
             reordered (came after a later one). One bad run takes the speed of its cell away.\n\n";
    let mut columns: Vec<(Phase, SinkKind)> = cells
        .iter()
        .map(|cell| (cell.task.phase, cell.task.sink))
        .collect();
    columns.sort_unstable();
    columns.dedup();
    let mut entries: Vec<&Entry> = Vec::new();
    for cell in cells {
        if !entries.contains(&&cell.entry) {
            entries.push(&cell.entry);
        }
    }
    let order = crate::cells::collectors(results);
    entries.sort_by_key(|entry| {
        (
            order.iter().position(|name| *name == entry.collector),
            *entry,
        )
    });
    let head = columns
        .iter()
        .map(|(phase, sink)| format!("{} {}", phase_name(*phase), sink_name(*sink)));
    let mut table = Table::new(["collector".to_owned()].into_iter().chain(head));
    for entry in entries {
        let mut row = vec![title_of(results, entry)];
        for column in &columns {
            let runs: Vec<&Run> = cells
                .iter()
                .filter(|cell| cell.entry == *entry)
                .filter(|cell| (cell.task.phase, cell.task.sink) == *column)
                .flat_map(|cell| cell.runs.iter().copied())
                .collect();
            row.push(field(&runs));
        }
        table.row(row);
    }
    text += &table.text();
    text += &pictures(drawn, Subject::Correctness);
    text + &wrong(results, cells)
}

fn field(runs: &[&Run]) -> String {
    if runs.is_empty() {
        return "not run".to_owned();
    }
    let count = |verdict: Verdict| runs.iter().filter(|run| run.verdict == verdict).count();
    let (failed, unequal) = (count(Verdict::Failed), count(Verdict::Unequal));
    let mut parts = Vec::new();
    for (count, what) in [(failed, "failed"), (unequal, "unequal")] {
        if count > 0 {
            parts.push(format!("**{what} {count}/{}**", runs.len()));
        }
    }
    let sum = |of: fn(&Run) -> u64| runs.iter().map(|run| of(run)).sum();
    let mut total = runs[0].clone();
    total.lost = sum(|run| run.lost);
    total.duplicated = sum(|run| run.duplicated);
    total.corrupted = sum(|run| run.corrupted);
    total.reordered = sum(|run| run.reordered);
    let wrong = deviations(&total);
    if !wrong.is_empty() {
        parts.push(wrong);
    }
    if parts.is_empty() {
        let seen = count(Verdict::Equal);
        return if seen > 0 {
            format!("equal ({seen})")
        } else {
            "unverifiable".to_owned()
        };
    }
    parts.join(", ")
}

fn wrong(results: &Results, cells: &[Cell<'_>]) -> String {
    let mut table = Table::new(["run", "where", "collector", "verdict", "what was wrong"]);
    for cell in cells {
        for run in &cell.runs {
            let verdict = match run.verdict {
                Verdict::Unequal => "not equal",
                Verdict::Failed => "failed",
                Verdict::Equal | Verdict::Unverifiable => continue,
            };
            let parts = [run.reason.clone(), deviations(run)];
            let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            table.row([
                run.id.clone(),
                place(&cell.task),
                title_of(results, &cell.entry),
                verdict.to_owned(),
                parts.join("; "),
            ]);
        }
    }
    if table.is_empty() {
        "No run failed or delivered anything else than expected.\n\n".to_owned()
    } else {
        "### Runs in which something was wrong\n\n".to_owned() + &table.text()
    }
}
