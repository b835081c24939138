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

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"10.0.0.1 - alice [05/Jan/2026:00:00:00 +0000] "GET /a?seq=00000000N HTTP/1.1" 200 5 "-" "curl é \x22""#;
    const PROBE: &str = r#"10.0.0.1 - - [05/Jan/2026:00:00:00 +0000] "GET /healthz HTTP/1.1" 200 2 "-" "probe seq=00000000N""#;

    fn expectation(lines: &[&str], fidelity: Fidelity) -> Expectation {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for (index, line) in lines.iter().enumerate() {
            let line = line.replace('N', &(index + 1).to_string());
            bytes.extend_from_slice(line.as_bytes());
            bytes.push(b'\n');
            ends.push(bytes.len());
        }
        Expectation::of(&bytes, &ends, fidelity).unwrap()
    }

    fn record(number: usize) -> String {
        format!(
            r#"{{"remote_addr":"10.0.0.1","remote_user":"alice","time_local":"05/Jan/2026:00:00:00 +0000","method":"GET","path":"/a?seq=00000000{number}","protocol":"HTTP/1.1","status":200,"body_bytes_sent":5,"http_referer":"-","http_user_agent":"curl é \\x22","host":"bench"}}"#
        ) + "\n"
    }

    /// Lost, duplicated, corrupted, reordered.
    fn counts(records: &[String]) -> [u64; 4] {
        let expectation = expectation(&[LINE, LINE, PROBE, LINE], Fidelity::Full);
        let capture = Capture::whole(records.concat().into_bytes());
        let (outcome, _) = compare(&capture, &expectation, 4);
        assert_eq!(outcome.expected, 3);
        let is_equal = outcome.lost + outcome.duplicated + outcome.corrupted == 0;
        assert_eq!(outcome.is_equal(), is_equal);
        assert_eq!(
            outcome.reason().is_empty(),
            is_equal,
            "{}",
            outcome.reason()
        );
        [
            outcome.lost,
            outcome.duplicated,
            outcome.corrupted,
            outcome.reordered,
        ]
    }

    #[test]
    fn the_order_of_fields_and_the_way_of_escaping_do_not_matter() {
        let other = record(2)
            .replace(r#""remote_addr":"10.0.0.1","#, "")
            .replace('}', r#","remote_addr":"10.0.0.1"}"#)
            .replace("/a?", r"\/a?")
            .replace('é', r"\u00e9");
        assert_eq!(counts(&[record(1), other, record(4)]), [0, 0, 0, 0]);
    }

    #[test]
    fn what_is_wrong_is_told_apart() {
        assert_eq!(counts(&[record(1), record(4)]), [1, 0, 0, 0]);
        let twice = [record(1), record(2), record(2), record(4)];
        assert_eq!(counts(&twice), [0, 1, 0, 0]);
        let swapped = [record(1), record(4), record(2)];
        assert_eq!(counts(&swapped), [0, 0, 0, 1]);
        assert_eq!(counts(&[]), [3, 0, 0, 0]);
    }

    #[test]
    fn a_record_that_differs_in_anything_is_corrupted() {
        for (from, to) in [
            (r#""status":200"#, r#""status":"200""#),
            (r#""status":200"#, r#""status":201"#),
            (r#""status":200"#, r#""status":-200"#),
            (r#""status":200"#, r#""status":[200]"#),
            (r#""host":"bench""#, r#""host":"other""#),
            (r#","host":"bench""#, ""),
            (r#","host":"bench""#, r#","host":"bench","more":null"#),
            (r#""method":"GET""#, r#""verb":"GET""#),
            ("alice", "alicf"),
            (r#""host":"bench"}"#, r#""host":"bench""#),
            (r#""host":"bench"}"#, r#""host":"bench"} x"#),
        ] {
            let wrong = record(2).replace(from, to);
            assert_ne!(wrong, record(2), "{from}");
            let [lost, duplicated, corrupted, _] = counts(&[record(1), wrong, record(4)]);
            assert_eq!([lost, duplicated, corrupted], [0, 0, 1], "{from} {to}");
        }
        let dropped = record(3);
        assert_eq!(
            counts(&[record(1), record(2), dropped, record(4)]),
            [0, 0, 1, 0]
        );
        let foreign = "{\"a\":1}\n".to_owned();
        assert_eq!(
            counts(&[record(1), record(2), foreign, record(4)]),
            [0, 0, 1, 0]
        );
        let cut = record(4).get(..60).unwrap().to_owned();
        assert_eq!(counts(&[record(1), record(2), record(4), cut])[2], 1);
    }

    #[test]
    fn forwarded_lines_are_compared_as_text() {
        let expectation = expectation(&[LINE, PROBE], Fidelity::Raw);
        let message = |line: &str, number: &str| {
            serde_json::json!({ "message": line.replace('N', number) }).to_string() + "\n"
        };
        let records = [message(LINE, "1"), message(PROBE, "2")];
        let capture = Capture::whole(records.concat().into_bytes());
        assert!(compare(&capture, &expectation, 2).0.is_equal());
        let capture = Capture::whole(records.concat().replace("curl", "curk").into_bytes());
        assert_eq!(compare(&capture, &expectation, 2).0.corrupted, 1);
    }

    #[test]
    fn a_record_has_come_when_its_last_byte_has() {
        let (one, two) = (record(1), record(2));
        let (head, tail) = two.split_at(50);
        let capture = Capture::of(&[(&one, 100), (head, 200), (tail, 300)]);
        let expectation = expectation(&[LINE, LINE], Fidelity::Full);
        let (_, arrivals) = compare(&capture, &expectation, 2);
        assert_eq!(arrivals.at_ns(1), Some(100));
        assert_eq!(arrivals.at_ns(2), Some(300));
    }

    #[test]
    fn a_line_that_cannot_be_compared_is_named() {
        let error = Expectation::of(b"hello\n", &[6], Fidelity::Full).unwrap_err();
        assert!(format!("{error:#}").contains("not a combined line: hello"));
    }
}
