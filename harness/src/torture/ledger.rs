//! What a case wrote, and what came of it: takes the lines as they are written, in which file and
//! how often, and then everything that a collector delivered; gives the counts. Knows nothing of
//! how the lines were written or who collected them.
//!
//! A line of the load is known by its number. The order is that within a file: a new file after a
//! rotation is one of its own. Lines without a number are counted by their text.

use std::collections::BTreeMap;

use crate::sink::Capture;
use crate::verify::expectation::{Digest, Expectation};
use crate::verify::record::{self, NumberFinder};

/// How much of a wrong record is shown.
const SHOWN_BYTES: usize = 160;

/// Fields in which collectors leave a line that they could not take apart.
const TEXT_FIELDS: [&str; 4] = ["message", "log", "msg", "MESSAGE"];

/// Flags that say that a record is not a whole line.
const FLAGS: [&str; 2] = ["partial", "truncated"];

/// A file as far as the order of its lines goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stream(u32);

/// Everything that was written.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// By the number of the line.
    lines: Vec<Line>,
    streams: u32,
    /// Lines that are not as they are in the load.
    special: BTreeMap<usize, Special>,
    /// Lines without a number, and how often each was written.
    texts: BTreeMap<Vec<u8>, u64>,
    /// Texts that may come or not: what is lost of them is documented by everybody.
    optional: Vec<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Line {
    times: u16,
    stream: u32,
}

/// A line of the load that was changed.
#[derive(Clone, Debug)]
pub(super) struct Special {
    /// Its record.
    pub(super) digest: Digest,
    /// Another record that is as good: there is more than one way to say that a byte is no UTF-8.
    pub(super) other: Option<Digest>,
    /// Its text without the newline.
    pub(super) text: Vec<u8>,
    /// Whether a record that is flagged as not whole will do.
    pub(super) may_be_flagged: bool,
}

/// What became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Lines that were written, with those that are to be dropped.
    pub(super) written: u64,
    /// Records that were to come.
    pub(super) expected: u64,
    /// Of these, how many came.
    pub(super) delivered: u64,
    pub(super) lost: u64,
    /// Records of lines that had come as often as they were written.
    pub(super) duplicated: u64,
    /// Records that are not what they should be.
    pub(super) corrupted: u64,
    /// Records that came after one of a later line of the same file.
    pub(super) reordered: u64,
    /// Records that are flagged as cut or partial, where that is what is promised.
    pub(super) flagged: u64,
    /// The first record that is wrong, and in what way.
    pub(super) example: Option<String>,
    /// The numbers of the first few lines that were lost.
    pub(super) lost_lines: Vec<usize>,
}

impl Tally {
    /// What is wrong, in words; empty when nothing is.
    pub(super) fn reason(&self) -> String {
        let counts = [
            (self.lost, "lost"),
            (self.duplicated, "duplicated"),
            (self.corrupted, "corrupted"),
            (self.reordered, "out of order"),
        ];
        let wrong = counts.into_iter().filter(|(count, _)| *count > 0);
        let mut parts: Vec<String> = wrong
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        if !self.lost_lines.is_empty() {
            let numbers: Vec<String> = self.lost_lines.iter().map(usize::to_string).collect();
            parts.push(format!("lost lines {}", numbers.join(" ")));
        }
        parts.extend(self.example.clone());
        parts.join("; ")
    }
}

impl Ledger {
    /// A file of its own.
    pub(super) fn stream(&mut self) -> Stream {
        self.streams += 1;
        Stream(self.streams)
    }

    /// A line was written, once more.
    pub(super) fn wrote(&mut self, number: usize, stream: Stream) {
        if self.lines.len() <= number {
            self.lines.resize(number + 1, Line::default());
        }
        if let Some(line) = self.lines.get_mut(number) {
            line.times += 1;
            line.stream = stream.0;
        }
    }

    /// The same for a line that is not as it is in the load.
    pub(super) fn wrote_special(&mut self, number: usize, stream: Stream, special: Special) {
        self.wrote(number, stream);
        self.special.insert(number, special);
    }

    /// A line without a number was written.
    pub(super) fn wrote_text(&mut self, text: &[u8]) {
        *self.texts.entry(text.to_vec()).or_default() += 1;
    }

    /// A line was written that nobody has to deliver.
    pub(super) fn wrote_optional(&mut self, text: &[u8]) {
        self.optional.push(text.to_vec());
    }

    /// How many records are to come of all that was written.
    pub(super) fn expected(&self, expectation: &Expectation) -> u64 {
        let numbers = 0..self.lines.len();
        let of_lines: u64 = numbers.map(|number| self.times(number, expectation)).sum();
        of_lines + self.texts.values().sum::<u64>()
    }

    fn line(&self, number: usize) -> Line {
        self.lines.get(number).copied().unwrap_or_default()
    }

    fn digest(&self, number: usize, expectation: &Expectation) -> Option<Digest> {
        match self.special.get(&number) {
            Some(special) => Some(special.digest),
            None => expectation.record(number),
        }
    }

    /// How many records are to come of a line.
    fn times(&self, number: usize, expectation: &Expectation) -> u64 {
        match self.digest(number, expectation) {
            Some(_) => u64::from(self.line(number).times),
            None => 0,
        }
    }

    /// Compares what came with what was written.
    pub(super) fn judge(&self, expectation: &Expectation, capture: &Capture) -> Tally {
        let mut judge = Judge {
            ledger: self,
            expectation,
            tally: Tally::default(),
            seen: vec![0; self.lines.len()],
            texts: BTreeMap::new(),
            last: vec![0; self.streams as usize + 1],
        };
        let finder = NumberFinder::new();
        for (record, _) in capture.records().filter(|(record, _)| !record.is_empty()) {
            let number = finder.find(record);
            match number.filter(|number| self.line(*number).times > 0) {
                Some(number) => judge.line(number, record),
                None => judge.text(record),
            }
        }
        judge.finish()
    }
}

/// A judgement that is being made.
struct Judge<'a> {
    ledger: &'a Ledger,
    expectation: &'a Expectation,
    tally: Tally,
    /// How often each line came.
    seen: Vec<u64>,
    texts: BTreeMap<&'a [u8], u64>,
    /// By stream: the latest line that came.
    last: Vec<usize>,
}

impl Judge<'_> {
    fn line(&mut self, number: usize, record: &[u8]) {
        let Some(expected) = self.ledger.digest(number, self.expectation) else {
            self.complain("a line that should have been dropped", record);
            return;
        };
        match self.check(number, expected, record) {
            Ok(is_flagged) => self.tally.flagged += u64::from(is_flagged),
            Err(complaint) => self.complain(&complaint, record),
        }
        let line = self.ledger.line(number);
        let Some(seen) = self.seen.get_mut(number) else {
            return;
        };
        *seen += 1;
        if *seen > u64::from(line.times) {
            self.tally.duplicated += 1;
            return;
        }
        self.tally.delivered += 1;
        // A line that is in several files has no place of its own.
        if line.times == 1
            && let Some(last) = self.last.get_mut(line.stream as usize)
        {
            self.tally.reordered += u64::from(number < *last);
            *last = number.max(*last);
        }
    }

    /// Whether the record is flagged as not whole where that will do; a complaint when it is wrong.
    fn check(&self, number: usize, expected: Digest, record: &[u8]) -> Result<bool, String> {
        let digest = record::digest(record).map_err(|error| format!("not JSON: {error}"))?;
        if digest == expected {
            return Ok(false);
        }
        let special = self.ledger.special.get(&number);
        if special.is_some_and(|special| special.other == Some(digest)) {
            return Ok(false);
        }
        if let Some(special) = special.filter(|special| special.may_be_flagged)
            && is_flagged_part(record, special)
        {
            return Ok(true);
        }
        Err("fields or values differ".to_owned())
    }

    fn text(&mut self, record: &[u8]) {
        let text = text_of(record);
        let is = |other: &Vec<u8>| text.as_deref() == Some(other.as_slice());
        if self.ledger.optional.iter().any(is) {
            return;
        }
        let known = self.ledger.texts.iter().find(|(other, _)| is(other));
        let Some((text, &times)) = known else {
            self.complain("not a line that was written", record);
            return;
        };
        let seen = self.texts.entry(text).or_default();
        *seen += 1;
        if *seen > times {
            self.tally.duplicated += 1;
        } else {
            self.tally.delivered += 1;
        }
    }

    fn complain(&mut self, complaint: &str, record: &[u8]) {
        self.tally.corrupted += 1;
        self.tally.example.get_or_insert_with(|| {
            let shown = record.get(..SHOWN_BYTES.min(record.len()));
            format!("{complaint}: {}", shown.unwrap_or_default().escape_ascii())
        });
    }

    fn finish(mut self) -> Tally {
        let ledger = self.ledger;
        let times = |number: &usize| ledger.times(*number, self.expectation);
        let seen = |number: &usize| self.seen.get(*number).copied().unwrap_or_default();
        let lost = (0..ledger.lines.len()).filter(|number| seen(number) < times(number));
        self.tally.lost_lines = lost.take(5).collect();
        let numbered: u64 = ledger.lines.iter().map(|line| u64::from(line.times)).sum();
        let texts = ledger.texts.values().sum::<u64>() + ledger.optional.len() as u64;
        self.tally.written = numbered + texts;
        self.tally.expected = ledger.expected(self.expectation);
        self.tally.lost = self.tally.expected - self.tally.delivered;
        self.tally
    }
}

/// The text of a record that is a line as it was; nothing where it has none.
fn text_of(record: &[u8]) -> Option<Vec<u8>> {
    let record: serde_json::Value = serde_json::from_slice(record).ok()?;
    let text = TEXT_FIELDS.iter().find_map(|name| record.get(name))?;
    Some(text.as_str()?.as_bytes().to_vec())
}

/// Whether the record says that it is a part of its line, and is.
fn is_flagged_part(record: &[u8], special: &Special) -> bool {
    let Ok(mut fields) = serde_json::from_slice::<serde_json::Map<_, _>>(record) else {
        return false;
    };
    let flags = FLAGS
        .iter()
        .filter(|flag| fields.remove(**flag) == Some(serde_json::Value::Bool(true)))
        .count();
    if flags == 0 {
        return false;
    }
    let rest = serde_json::to_vec(&fields).unwrap_or_default();
    if record::digest(&rest).is_ok_and(|digest| digest == special.digest) {
        return true;
    }
    let whole = String::from_utf8_lossy(&special.text);
    let text = TEXT_FIELDS.iter().find_map(|name| fields.get(*name));
    let text = text.and_then(serde_json::Value::as_str).unwrap_or_default();
    !text.is_empty() && whole.starts_with(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Dataset;
    use crate::verify::expectation::{Fidelity, of_line};
    use ves_load::Spec;

    fn record(line: &[u8]) -> String {
        let text = String::from_utf8_lossy(line);
        serde_json::json!({ "message": text.trim_end_matches('\n') }).to_string() + "\n"
    }

    /// The counts of a capture: lost, duplicated, corrupted, reordered.
    fn counts(ledger: &Ledger, dataset: &Dataset, records: &[String]) -> [u64; 4] {
        let capture = Capture::whole(records.concat().into_bytes());
        let tally = ledger.judge(dataset.expectation(Fidelity::Raw), &capture);
        assert_eq!(tally.expected - tally.lost, tally.delivered);
        let counts = [
            tally.lost,
            tally.duplicated,
            tally.corrupted,
            tally.reordered,
        ];
        assert_eq!(tally.reason().is_empty(), counts == [0; 4]);
        counts
    }

    fn load() -> Dataset {
        Dataset::generate(&Spec::built_in(), 1, 10).unwrap()
    }

    #[test]
    fn each_kind_of_wrong_is_told_from_the_others() {
        let dataset = load();
        let mut ledger = Ledger::default();
        let stream = ledger.stream();
        (1..=4).for_each(|number| ledger.wrote(number, stream));
        let of = |numbers: &[usize]| -> Vec<String> {
            let records = numbers.iter().map(|&number| record(dataset.line(number)));
            records.collect()
        };
        assert_eq!(counts(&ledger, &dataset, &of(&[1, 2, 3, 4])), [0, 0, 0, 0]);
        assert_eq!(counts(&ledger, &dataset, &of(&[1, 4])), [2, 0, 0, 0]);
        assert_eq!(
            counts(&ledger, &dataset, &of(&[1, 2, 3, 4, 2])),
            [0, 1, 0, 0]
        );
        assert_eq!(counts(&ledger, &dataset, &of(&[1, 3, 2, 4])), [0, 0, 0, 1]);
        // A line that was never written.
        assert_eq!(
            counts(&ledger, &dataset, &of(&[1, 2, 3, 4, 5])),
            [0, 0, 1, 0]
        );
        let mut torn = of(&[1, 2, 3, 4]);
        torn[3].truncate(60);
        let [lost, _, corrupted, _] = counts(&ledger, &dataset, &torn);
        assert_eq!([lost, corrupted], [1, 1]);
        let mut wrong = of(&[1, 2, 3, 4]);
        wrong[2] = wrong[2].replace("HTTP/", "HTTQ/");
        assert_eq!(counts(&ledger, &dataset, &wrong), [0, 0, 1, 0]);
    }

    #[test]
    fn order_is_that_of_a_file_and_a_line_may_be_in_two() {
        let dataset = load();
        let mut ledger = Ledger::default();
        let (old, new) = (ledger.stream(), ledger.stream());
        ledger.wrote(1, old);
        ledger.wrote(3, old);
        ledger.wrote(2, new);
        ledger.wrote(4, new);
        let of = |numbers: &[usize]| -> Vec<String> {
            let records = numbers.iter().map(|&number| record(dataset.line(number)));
            records.collect()
        };
        assert_eq!(counts(&ledger, &dataset, &of(&[2, 4, 1, 3])), [0, 0, 0, 0]);
        assert_eq!(counts(&ledger, &dataset, &of(&[4, 1, 3, 2])), [0, 0, 0, 1]);
        // The same line in both files has to come twice, and no third time.
        ledger.wrote(1, new);
        assert_eq!(counts(&ledger, &dataset, &of(&[1, 3, 2, 4])), [1, 0, 0, 0]);
        assert_eq!(
            counts(&ledger, &dataset, &of(&[1, 3, 2, 4, 1])),
            [0, 0, 0, 0]
        );
        let thrice = of(&[1, 3, 2, 4, 1, 1]);
        assert_eq!(counts(&ledger, &dataset, &thrice), [0, 1, 0, 0]);
    }

    #[test]
    fn a_part_of_a_line_counts_only_where_it_is_flagged_and_may_be_one() {
        let dataset = load();
        let line = dataset.line(1).strip_suffix(b"\n").unwrap().to_vec();
        let digest = of_line(&line, Fidelity::Raw).unwrap().unwrap();
        let text = String::from_utf8(line.clone()).unwrap();
        let part = |flag: &str, text: &str| {
            let mut record = serde_json::json!({ "message": text, "parse_error": "cut" });
            record[flag] = true.into();
            record.to_string() + "\n"
        };
        let cut = &text[..text.len() - 10];
        for (may_be_flagged, record, corrupted) in [
            (true, part("truncated", cut), 0),
            (true, part("partial", &text), 0),
            (true, part("other", cut), 1),
            (true, part("truncated", &cut[1..]), 1),
            (false, part("truncated", cut), 1),
        ] {
            let mut ledger = Ledger::default();
            let stream = ledger.stream();
            let special = Special {
                digest,
                other: None,
                text: line.clone(),
                may_be_flagged,
            };
            ledger.wrote_special(1, stream, special);
            let seen = counts(&ledger, &dataset, std::slice::from_ref(&record));
            // A record without its number belongs to no line.
            let lost = u64::from(!record.contains("seq="));
            assert_eq!(seen, [lost, 0, corrupted, 0], "{record}");
        }
    }

    #[test]
    fn one_of_two_records_will_do() {
        let dataset = load();
        let text = |text: &[u8]| of_line(text, Fidelity::Raw).unwrap().unwrap();
        let line = dataset.line(1).strip_suffix(b"\n").unwrap();
        let other = [line, b" or so"].concat();
        let mut ledger = Ledger::default();
        let stream = ledger.stream();
        let special = Special {
            digest: text(line),
            other: Some(text(&other)),
            text: line.to_vec(),
            may_be_flagged: false,
        };
        ledger.wrote_special(1, stream, special);
        for (line, corrupted) in [(line, 0), (&other[..], 0), (&other[..other.len() - 1], 1)] {
            let seen = counts(&ledger, &dataset, &[record(line)]);
            assert_eq!(seen, [0, 0, corrupted, 0]);
        }
    }

    #[test]
    fn lines_without_a_number_are_counted_by_their_text() {
        let dataset = load();
        let mut ledger = Ledger::default();
        ledger.wrote_text(b"x");
        ledger.wrote_text(b"x");
        ledger.wrote_optional(b"");
        let of = |texts: &[&str]| -> Vec<String> {
            let records = texts.iter().map(|text| record(text.as_bytes()));
            records.collect()
        };
        assert_eq!(counts(&ledger, &dataset, &of(&["x", "x"])), [0, 0, 0, 0]);
        assert_eq!(
            counts(&ledger, &dataset, &of(&["x", "", "x"])),
            [0, 0, 0, 0]
        );
        assert_eq!(counts(&ledger, &dataset, &of(&["x"])), [1, 0, 0, 0]);
        assert_eq!(
            counts(&ledger, &dataset, &of(&["x", "x", "x"])),
            [0, 1, 0, 0]
        );
        assert_eq!(
            counts(&ledger, &dataset, &of(&["x", "x", "y"])),
            [0, 0, 1, 0]
        );
    }
}
