//! `report.md`, `verdicts.json` and the charts of a report's folder, from its raw results. Nothing is
//! measured here, and nothing depends on the clock: the same folder gives the same bytes.

mod delivery;
mod losses;
pub(crate) mod markdown;
mod phases;
mod setting;
#[cfg(test)]
mod tests;
mod verdicts;

use std::path::Path;

use anyhow::{Context, Result};

use crate::cells::{Cell, Entry, Task, cells, title};
use crate::chart::{self, Picture, Subject, cores_name, phase_name, sink_name};
use crate::cli::ReportArgs;
use crate::figures::grouped;
use crate::results::Results;

/// Runs `ves-harness report`.
///
/// # Errors
/// When the folder's results cannot be read, or the report cannot be written.
pub(crate) fn run(args: &ReportArgs) -> Result<()> {
    render(&args.folder)?;
    println!("{}", args.folder.join("report.md").display());
    Ok(())
}

/// Writes the report and the charts into `folder`, from the results that are in it.
///
/// # Errors
/// When they cannot be read or written.
pub(crate) fn render(folder: &Path) -> Result<()> {
    let results = Results::read(folder)?;
    let cells = cells(&results);
    let drawn = chart::draw(&results, &cells, folder)
        .with_context(|| format!("draw the charts of {}", folder.display()))?;
    let verdicts = serde_json::to_string_pretty(&verdicts::verdicts(&cells))? + "\n";
    write(&folder.join("verdicts.json"), &verdicts)?;
    write(&folder.join("report.md"), &text(&results, &cells, &drawn))
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

/// The whole page.
fn text(results: &Results, cells: &[Cell<'_>], drawn: &[Picture]) -> String {
    let manifest = &results.manifest;
    let mut text = format!(
        "# VES beside other log collectors, {}, {}\n\n",
        manifest.date, manifest.host
    );
    if !manifest.is_complete {
        text += "**Incomplete**: this comparison was not run to its end. What is here is what was \
                 measured until then.\n\n";
    }
    let runs = i64::try_from(results.runs.len()).unwrap_or(i64::MAX);
    text += &format!(
        "{} runs in {} cells, profile {}. Written and run by VES's own authors.\n\n",
        grouped(runs),
        cells.len(),
        manifest.profile,
    );
    let sections = [
        losses::section(results, cells),
        phases::headline(results, cells, drawn),
        delivery::section(results, cells, drawn),
        phases::rates(results, cells, drawn),
        phases::latency(results, cells, drawn),
        phases::wake(results, cells),
        phases::startup(results, cells, drawn),
        phases::memory(results, cells, drawn),
        phases::cost(results, cells),
        setting::collectors(results),
        phases::harness(results, cells),
        setting::machine(results, cells),
        setting::reading(cells),
    ];
    text += &sections.concat();
    text.truncate(text.trim_end().len());
    text + "\n"
}

/// What was asked for: `rate, to tcp, one core, 10 000 lines/s`.
fn place(task: &Task) -> String {
    let mut parts = vec![
        phase_name(task.phase).to_owned(),
        format!("to {}", sink_name(task.sink)),
        cores_name(&task.cores),
    ];
    parts.extend(
        task.rate
            .map(|rate| format!("{} lines/s", grouped(i64::from(rate)))),
    );
    parts.join(", ")
}

/// Name and configuration, with what of the work it cannot do.
fn title_of(results: &Results, entry: &Entry) -> String {
    let facts = results
        .manifest
        .collectors
        .iter()
        .find(|facts| facts.name == entry.collector);
    let name = title(results, &entry.collector);
    let name = if entry.is_ves() {
        format!("**{name}**")
    } else {
        name
    };
    let short = facts
        .filter(|facts| facts.is_installed && !matches!(facts.fidelity.as_str(), "" | "full"))
        .map(|facts| format!(" [{}]", facts.fidelity));
    format!("{name} {}{}", entry.config, short.unwrap_or_default())
}

/// The pictures of a subject.
fn pictures(drawn: &[Picture], subject: Subject) -> String {
    let of = drawn.iter().filter(|picture| picture.subject == subject);
    of.map(|picture| format!("![{}]({})\n\n", picture.caption, picture.name))
        .collect()
}
