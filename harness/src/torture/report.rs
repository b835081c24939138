//! The report of a run: a table for the terminal, `report.md` and `matrix.png`. Takes the outcomes,
//! in the order of the cases.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::case::CASES;
use super::matrix;
use super::outcome::{Outcome, Verdict};
use crate::manifest;
use crate::report::markdown::Table;
use crate::results::CollectorFacts;

/// Everything that a report is made of.
#[derive(Debug)]
pub(super) struct Run<'a> {
    /// The collectors, those that are not installed among them, VES first.
    pub(super) facts: &'a [CollectorFacts],
    pub(super) outcomes: &'a [Outcome],
    pub(super) seed: u64,
    pub(super) rate: u32,
    pub(super) is_quick: bool,
    /// Whether all that was asked for was run.
    pub(super) is_complete: bool,
    pub(super) took: Duration,
}

impl Run<'_> {
    /// The collectors that were run.
    pub(super) fn columns(&self) -> Vec<&CollectorFacts> {
        let ran = |facts: &&CollectorFacts| {
            let mut outcomes = self.outcomes.iter();
            outcomes.any(|outcome| outcome.collector == facts.name)
        };
        self.facts.iter().filter(ran).collect()
    }

    /// Number, name and story of each case that was run.
    pub(super) fn rows(&self) -> Vec<(u32, &str, &str)> {
        let mut rows: Vec<(u32, &str, &str)> = self
            .outcomes
            .iter()
            .map(|outcome| (outcome.case, outcome.name.as_str(), outcome.story.as_str()))
            .collect();
        rows.dedup();
        rows
    }

    /// What came of a case with a collector.
    pub(super) fn outcome(&self, case: u32, collector: &str) -> Option<&Outcome> {
        let mut outcomes = self.outcomes.iter();
        outcomes.find(|outcome| outcome.case == case && outcome.collector == collector)
    }

    /// How it was run, in a line.
    pub(super) fn how(&self) -> String {
        let length = if self.is_quick { "short" } else { "whole" };
        let share = match (self.is_complete, self.rows().len() == CASES.len()) {
            (false, _) => ", INCOMPLETE",
            (true, false) => ", a choice of cases",
            (true, true) => "",
        };
        format!(
            "{}, {}, seed {}, {} lines/s, {length} cases{share}",
            manifest::date(),
            manifest::host(),
            self.seed,
            self.rate
        )
    }

    /// Cases that are as they should be, and those that were run and apply.
    pub(super) fn score(&self, collector: &str) -> (usize, usize) {
        let of = |outcome: &&Outcome| {
            outcome.collector == collector && outcome.verdict != Verdict::NotApplicable
        };
        let all = self.outcomes.iter().filter(of);
        let good = all.clone().filter(|outcome| !outcome.verdict.is_failure());
        (good.count(), all.count())
    }

    /// The matrix as text of equal widths.
    pub(super) fn table(&self) -> String {
        let columns = self.columns();
        let mut grid = vec![vec![String::new(), "case".to_owned()]];
        grid[0].extend(columns.iter().map(|facts| facts.title.clone()));
        for (number, name, _) in self.rows() {
            let mut row = vec![number.to_string(), name.to_owned()];
            let cells = columns.iter().map(|facts| {
                let outcome = self.outcome(number, &facts.name);
                outcome.map_or_else(|| "not run".to_owned(), Outcome::cell)
            });
            row.extend(cells);
            grid.push(row);
        }
        let mut row = vec![String::new(), "as it should be".to_owned()];
        row.extend(columns.iter().map(|facts| {
            let (good, all) = self.score(&facts.name);
            format!("{good} of {all}")
        }));
        grid.push(row);
        let width = |column: usize| {
            let cells = grid.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..grid[0].len()).map(width).collect();
        let mut text = String::new();
        for row in &grid {
            let cells = row.iter().zip(&widths);
            let line: Vec<String> = cells
                .map(|(cell, &width)| format!("{cell:<width$}"))
                .collect();
            text += line.join("  ").trim_end();
            text.push('\n');
        }
        text
    }

    /// Writes `report.md` and `matrix.png`.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        matrix::draw(self, folder)?;
        let path = folder.join("report.md");
        let text = self.markdown()?;
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    }

    fn markdown(&self) -> Result<String> {
        let mut text = String::from("# Torture\n\n");
        writeln!(
            text,
            "What collectors deliver of logs that are rotated, truncated, torn and deleted, into \
             sinks that fail, while they are stopped and killed themselves. {}; it took {} s. Each \
             record was compared with what was expected of its line; the cells count records. Made \
             by\n\n```\n{}\n```\n",
            self.how(),
            self.took.as_secs(),
            manifest::command().join(" ")
        )?;
        text += "![The matrix](matrix.png)\n\n";
        let columns = self.columns();
        let mut table = Table::new(
            ["", "case", "what happens"]
                .map(str::to_owned)
                .into_iter()
                .chain(columns.iter().map(|facts| facts.title.clone())),
        );
        for (number, name, story) in self.rows() {
            let mut row = vec![number.to_string(), name.to_owned(), story.to_owned()];
            row.extend(columns.iter().map(|facts| {
                let outcome = self.outcome(number, &facts.name);
                outcome.map_or_else(|| "not run".to_owned(), Outcome::cell)
            }));
            table.row(row);
        }
        let mut row = vec![String::new(), "as it should be".to_owned(), String::new()];
        row.extend(columns.iter().map(|facts| {
            let (good, all) = self.score(&facts.name);
            format!("{good} of {all}")
        }));
        table.row(row);
        text += &table.text();
        text += READING;
        text += "## Collectors\n\n";
        let mut table = Table::new(["collector", "version", "configuration", "note"]);
        for facts in self.facts {
            let (configuration, note) = if facts.is_installed {
                (
                    format!("competitors/{}, durable", facts.name),
                    String::new(),
                )
            } else {
                (
                    String::new(),
                    format!("not installed: {}", facts.how_to_install),
                )
            };
            table.row([&facts.title, &facts.version, &configuration, &note]);
        }
        text += &table.text();
        text += "## What was wrong, and what did not apply\n\n";
        let mut table = Table::new(["case", "collector", "what", "of records", "notes"]);
        for outcome in self.outcomes {
            if outcome.verdict == Verdict::Clean && outcome.notes.is_empty() && outcome.flagged == 0
            {
                continue;
            }
            let mut notes = outcome.notes.clone();
            if outcome.flagged > 0 {
                notes += &format!(" {} flagged as cut or partial", outcome.flagged);
            }
            let expected = match outcome.verdict {
                Verdict::NotApplicable => String::new(),
                _ => outcome.expected.to_string(),
            };
            let case = format!("{} {}", outcome.case, outcome.name);
            table.row([
                &case,
                &outcome.collector,
                &outcome.reason,
                &expected,
                &notes,
            ]);
        }
        if !table.is_empty() {
            text += &table.text();
        }
        Ok(text)
    }
}

/// How the matrix is read.
const READING: &str = "\
`ok`: every record came once, as it should, in the order of its file. `repeated`: some came twice
where nobody can know whether the sink had them already (a connection that was cut, a state that was
taken away). Everything else is counted: lost, duplicated, corrupted (not JSON, other fields or values,
or not a line that was written), reordered within a file. `failed`: it crashed, hung, or did not end
when it was told to.

Into files VES promises each record once over the death of the process; the others promise at least
once, so `duplicated` alone is within their promise in the cases of SIGKILL.

What is documented is no fault: empty lines need not come; a line over the limit may come cut, and a
last line without a newline as it is, if the record says so (`truncated`, `partial`). Losses that nobody
can avoid are avoided by the writer: it pauses around a truncation until what it wrote has come, for
eight seconds at most. Lines that could not be taken apart are kept as text in every configuration.

";
