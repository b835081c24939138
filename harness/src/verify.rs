//! Whether a collector did the work: every record that it delivered is compared with what its line
//! had to become, and every line that should have come is looked for.

pub(crate) mod expectation;
pub(crate) mod record;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::cli::VerifyArgs;
use crate::sink::Capture;
use expectation::{Expectation, Fidelity};
use record::NumberFinder;

/// Runs the subcommand.
pub(crate) fn run(args: &VerifyArgs) -> Result<()> {
    let read = |path: &Path| fs::read(path).with_context(|| format!("read {}", path.display()));
    let log = read(&args.log)?;
    let fidelity = if args.raw {
        Fidelity::Raw
    } else {
        Fidelity::Full
    };
    let ends: Vec<usize> = memchr::memchr_iter(b'\n', &log).map(|at| at + 1).collect();
    let expectation = Expectation::of(&log, &ends, fidelity)
        .with_context(|| format!("{} is not what generate writes", args.log.display()))?;
    let capture = Capture::whole(read(&args.records)?);
    let (outcome, _) = compare(&capture, &expectation, ends.len());
    println!(
        "{} lines, {} records expected: {} delivered, {} lost, {} duplicated, {} corrupted, {} out \
         of order",
        ends.len(),
        outcome.expected,
        outcome.delivered,
        outcome.lost,
        outcome.duplicated,
        outcome.corrupted,
        outcome.reordered
    );
    if !outcome.is_equal() {
        bail!("not the same work: {}", outcome.reason());
    }
    Ok(())
}

/// How much of a wrong record is shown.
const SHOWN_BYTES: usize = 300;

/// What became of the lines of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Records that were to come.
    pub(crate) expected: u64,
    /// Of these, how many came at least once.
    pub(crate) delivered: u64,
    /// Of these, how many did not come.
    pub(crate) lost: u64,
    /// Records of lines that had come before.
    pub(crate) duplicated: u64,
    /// Records that are not what they should be, or of lines that should have been dropped.
    pub(crate) corrupted: u64,
    /// Records that came after one of a later line.
    pub(crate) reordered: u64,
    /// The first record that is wrong, and in what way.
    pub(crate) example: Option<String>,
    /// The numbers of the first few lines that were lost.
    pub(crate) lost_lines: Vec<usize>,
}

impl Outcome {
    /// Whether everything came once and as it should.
    pub(crate) fn is_equal(&self) -> bool {
        self.lost == 0 && self.duplicated == 0 && self.corrupted == 0
    }

    /// What is wrong, in words; empty when nothing is.
    pub(crate) fn reason(&self) -> String {
        let mut parts = Vec::new();
        for (count, what) in [
            (self.lost, "lost"),
            (self.duplicated, "duplicated"),
            (self.corrupted, "corrupted"),
        ] {
            if count > 0 {
                parts.push(format!("{count} {what}"));
            }
        }
        let mut text = parts.join(", ");
        if let Some(number) = self.lost_lines.first() {
            text.push_str(&format!("; the first lost line is {number}"));
        }
        if let Some(example) = &self.example {
            text.push_str("; ");
            text.push_str(example);
        }
        text
    }
}

/// The first arrival of each line.
#[derive(Debug)]
pub(crate) struct Arrivals {
    /// By line number: when its record was seen, in nanoseconds of the monotonic clock; 0 for never.
    at_ns: Vec<u64>,
}

impl Arrivals {
    /// When the record of a line was seen.
    pub(crate) fn at_ns(&self, number: usize) -> Option<u64> {
        self.at_ns.get(number).copied().filter(|&at| at > 0)
    }
}

/// Compares what was captured with what was expected of the first `lines` lines.
pub(crate) fn compare(
    capture: &Capture,
    expectation: &Expectation,
    lines: usize,
) -> (Outcome, Arrivals) {
    let mut outcome = Outcome {
        expected: expectation.count(lines),
        ..Outcome::default()
    };
    let mut arrivals = Arrivals {
        at_ns: vec![0; lines + 1],
    };
    let finder = NumberFinder::new();
    let mut last = 0;
    for (record, at_ns) in capture.records() {
        if record.is_empty() {
            continue;
        }
        let number = finder.find(record).filter(|&number| number <= lines);
        let expected = number.and_then(|number| expectation.record(number));
        let complaint = match (number, expected, record::digest(record)) {
            (None, _, _) => Some("not a line of the load".to_owned()),
            (_, None, _) => Some("a line that should have been dropped".to_owned()),
            (_, _, Err(error)) => Some(format!("not JSON: {error}")),
            (_, Some(expected), Ok(digest)) if digest != expected => {
                Some("fields or values differ".to_owned())
            }
            _ => None,
        };
        if let Some(complaint) = complaint {
            outcome.corrupted += 1;
            outcome.example.get_or_insert_with(|| {
                let shown = record
                    .get(..SHOWN_BYTES.min(record.len()))
                    .unwrap_or_default();
                format!("{complaint}: {}", shown.escape_ascii())
            });
        }
        let Some(number) = number.filter(|_| expected.is_some()) else {
            continue;
        };
        let Some(seen) = arrivals.at_ns.get_mut(number) else {
            continue;
        };
        if *seen > 0 {
            outcome.duplicated += 1;
            continue;
        }
        *seen = at_ns.max(1);
        outcome.delivered += 1;
        if number < last {
            outcome.reordered += 1;
        }
        last = last.max(number);
    }
    let is_lost =
        |&number: &usize| expectation.record(number).is_some() && arrivals.at_ns(number).is_none();
    let lost = (1..=lines).filter(is_lost);
    outcome.lost_lines = lost.take(5).collect();
    outcome.lost = outcome.expected - outcome.delivered;
    (outcome, arrivals)
}
