//! What came of a case with a collector: a row of `matrix.csv`.

use serde::Serialize;

use super::case::Case;
use super::ledger::Tally;
use super::scene::NotApplicable;

/// What may be said of a collector in a case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Verdict {
    /// Every record came once, as it should, in the order of its file.
    Clean,
    /// Records came twice where nobody can promise that they do not.
    Repeated,
    /// Records came twice where they need not.
    Duplicated,
    /// Something was lost, corrupted or out of order.
    Wrong,
    /// It crashed, hung or could not be started.
    #[default]
    Failed,
    /// The case says nothing about it, or cannot be run here.
    NotApplicable,
}

impl Verdict {
    /// Whether it is not as it should be.
    pub(super) fn is_failure(self) -> bool {
        matches!(self, Verdict::Duplicated | Verdict::Wrong | Verdict::Failed)
    }
}

/// The row.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Outcome {
    pub(super) case: u32,
    pub(super) name: String,
    pub(super) story: String,
    pub(super) collector: String,
    pub(super) verdict: Verdict,
    /// What is wrong, in words, or why the case does not apply.
    pub(super) reason: String,
    /// What else there is to say of the case.
    pub(super) notes: String,
    /// Lines that were written.
    pub(super) lines: u64,
    /// Records that were to come.
    pub(super) expected: u64,
    /// Of these, how many came.
    pub(super) delivered: u64,
    pub(super) lost: u64,
    pub(super) duplicated: u64,
    pub(super) corrupted: u64,
    pub(super) reordered: u64,
    /// Records that are flagged as cut or partial, as promised.
    pub(super) flagged: u64,
    pub(super) seconds: f64,
}

impl Outcome {
    pub(super) fn of(case: &Case, collector: &str) -> Outcome {
        Outcome {
            case: case.number,
            name: case.name.to_owned(),
            story: case.story.to_owned(),
            collector: collector.to_owned(),
            ..Outcome::default()
        }
    }

    /// Notes the counts, and what they mean.
    pub(super) fn note(&mut self, tally: &Tally, may_repeat: bool) {
        self.lines = tally.written;
        self.expected = tally.expected;
        self.delivered = tally.delivered;
        self.lost = tally.lost;
        self.duplicated = tally.duplicated;
        self.corrupted = tally.corrupted;
        self.reordered = tally.reordered;
        self.flagged = tally.flagged;
        self.reason = tally.reason();
        let is_right = tally.lost + tally.corrupted + tally.reordered == 0;
        self.verdict = match (is_right, tally.duplicated, may_repeat) {
            (true, 0, _) => Verdict::Clean,
            (true, _, true) => Verdict::Repeated,
            (true, _, false) => Verdict::Duplicated,
            (false, ..) => Verdict::Wrong,
        };
    }

    /// It did not get to the end, or the case cannot be run.
    pub(super) fn fail(&mut self, error: anyhow::Error, words: String) {
        if error.is::<NotApplicable>() {
            self.verdict = Verdict::NotApplicable;
            self.reason = error.to_string();
            return;
        }
        self.verdict = Verdict::Failed;
        let mut reason = format!("{error:#}");
        if !words.is_empty() {
            reason += &format!("; it said: {words}");
        }
        if !self.reason.is_empty() {
            reason += &format!("; {}", self.reason);
        }
        self.reason = reason;
    }

    /// The counts that are not zero.
    pub(super) fn counts(&self) -> Vec<(u64, &'static str)> {
        let counts = [
            (self.lost, "lost"),
            (self.duplicated, "duplicated"),
            (self.corrupted, "corrupted"),
            (self.reordered, "reordered"),
        ];
        counts.into_iter().filter(|(count, _)| *count > 0).collect()
    }

    /// A few words for a field of the matrix.
    pub(super) fn cell(&self) -> String {
        let counts = self.counts();
        let counts: Vec<String> = counts
            .iter()
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        let counts = counts.join(", ");
        match self.verdict {
            Verdict::NotApplicable => "not applicable".to_owned(),
            Verdict::Failed if counts.is_empty() => "failed".to_owned(),
            Verdict::Failed => format!("failed: {counts}"),
            Verdict::Clean => "ok".to_owned(),
            Verdict::Repeated => format!("ok, {} repeated", self.duplicated),
            Verdict::Duplicated | Verdict::Wrong => counts,
        }
    }

    /// A line for who watches.
    pub(super) fn line(&self) -> String {
        let mark = match self.verdict {
            Verdict::Clean | Verdict::Repeated => "ok    ",
            Verdict::NotApplicable => "n/a   ",
            Verdict::Duplicated | Verdict::Wrong | Verdict::Failed => "FAILED",
        };
        let mut text = format!(
            "{mark} {:>2} {:<20} {:<12} {:>6.1} s  {:>7} of {:>7}",
            self.case, self.name, self.collector, self.seconds, self.delivered, self.expected
        );
        for part in [&self.reason, &self.notes] {
            if !part.is_empty() {
                text += "  ";
                text += part;
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(tally: &Tally, may_repeat: bool) -> Verdict {
        let mut outcome = Outcome::default();
        outcome.note(tally, may_repeat);
        outcome.verdict
    }

    #[test]
    fn only_what_may_be_repeated_may_come_twice() {
        let clean = Tally::default();
        let twice = Tally {
            duplicated: 1,
            ..Tally::default()
        };
        assert_eq!(verdict(&clean, false), Verdict::Clean);
        assert_eq!(verdict(&twice, true), Verdict::Repeated);
        assert_eq!(verdict(&twice, false), Verdict::Duplicated);
        for wrong in [
            Tally {
                lost: 1,
                ..Tally::default()
            },
            Tally {
                corrupted: 1,
                ..Tally::default()
            },
            Tally {
                reordered: 1,
                ..Tally::default()
            },
        ] {
            assert_eq!(verdict(&wrong, true), Verdict::Wrong);
        }
    }
}
