//! Ticks off the records in the sink file while it grows. A kill makes VES cut the file back to what
//! its checkpoint vouches for, so the end of the file is looked at only when it has been there for a
//! while. What has been looked at is taken off the disk.

use std::collections::VecDeque;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::fcntl::{FallocateFlags, fallocate};

use super::expected::{Expected, Known};
use crate::verify::record::{self, NumberFinder};

/// How long bytes have to be there. The checkpoint is replaced once in a second.
const SETTLED: Duration = Duration::from_secs(10);
/// What is read at once.
const READ_BYTES: usize = 1 << 20;
/// What is taken off the disk at once, and what is left: VES looks at the end of its file.
const PUNCH_BYTES: u64 = 16 << 20;
const LEFT_BYTES: u64 = 1 << 20;
/// How much of a wrong record is shown.
const SHOWN_BYTES: usize = 200;

/// What became of the lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Lines that were written.
    pub(super) written: u64,
    /// Records that came at least once.
    pub(super) delivered: u64,
    pub(super) lost: u64,
    pub(super) duplicated: u64,
    pub(super) corrupted: u64,
    /// Records that came after one of a later line of the same log.
    pub(super) reordered: u64,
    /// Records that came so late that they could only be counted.
    pub(super) unchecked: u64,
    /// The first record that is wrong.
    pub(super) example: Option<String>,
}

/// The verifier.
#[derive(Debug)]
pub(super) struct Verifier<'a> {
    path: PathBuf,
    file: Option<File>,
    expected: &'a Expected,
    finder: NumberFinder,
    /// Sizes of the file, and when they were seen.
    sizes: VecDeque<(Instant, u64)>,
    /// Up to where it was read, and the start of a record that was not whole then.
    offset: u64,
    rest: Vec<u8>,
    punched: u64,
    /// A bit per line: its record has come.
    come: Vec<u64>,
    /// The latest line of each log that came.
    last: Vec<u64>,
    /// Lines that were waited for too long.
    given_up: u64,
    tally: Tally,
}

impl<'a> Verifier<'a> {
    pub(super) fn new(path: PathBuf, expected: &'a Expected) -> Verifier<'a> {
        Verifier {
            path,
            file: None,
            expected,
            finder: NumberFinder::new(),
            sizes: VecDeque::new(),
            offset: 0,
            rest: Vec::new(),
            punched: 0,
            come: Vec::new(),
            last: Vec::new(),
            given_up: 0,
            tally: Tally::default(),
        }
    }

    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Looks at what has settled.
    ///
    /// # Errors
    /// When the file cannot be read, or what had settled is gone.
    pub(super) fn look(&mut self) -> Result<()> {
        let Some(size) = self.size()? else {
            return Ok(());
        };
        let now = Instant::now();
        self.sizes.push_back((now, size));
        while self
            .sizes
            .get(1)
            .is_some_and(|(at, _)| now.duration_since(*at) >= SETTLED)
        {
            self.sizes.pop_front();
        }
        let is_old = self
            .sizes
            .front()
            .is_some_and(|(at, _)| now.duration_since(*at) >= SETTLED);
        let settled = self.sizes.iter().map(|(_, size)| *size).min();
        match settled.filter(|_| is_old) {
            Some(settled) => self.read_to(settled),
            None => Ok(()),
        }
    }

    /// Looks at the rest, when VES is gone, and counts what did not come.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn finish(&mut self, written: u64) -> Result<()> {
        if let Some(size) = self.size()? {
            self.read_to(size)?;
        }
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            self.record(&rest);
        }
        self.tally.written = written;
        let expected = self.expected.lock();
        let is_lost = |number: &u64| {
            !self.has_come(*number) && matches!(expected.of(*number), Known::Record(_))
        };
        let missing = (1..=written).filter(is_lost).count() as u64;
        // Of those that were given up some came after all.
        self.tally.lost = (missing + self.given_up).saturating_sub(self.tally.unchecked);
        Ok(())
    }

    fn size(&mut self) -> Result<Option<u64>> {
        if self.file.is_none() {
            self.file = match File::options().read(true).write(true).open(&self.path) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                file => Some(file.with_context(|| format!("open {}", self.path.display()))?),
            };
        }
        let file = self.file.as_ref().context("the sink is open")?;
        Ok(Some(file.metadata()?.len()))
    }

    fn read_to(&mut self, end: u64) -> Result<()> {
        ensure!(
            end >= self.offset,
            "the sink was cut back to {end} bytes; {} had been there for {SETTLED:?}",
            self.offset
        );
        let mut buffer = vec![0; READ_BYTES];
        while self.offset < end {
            let file = self.file.as_ref().context("the sink is open")?;
            let room = usize::try_from(end - self.offset).unwrap_or(READ_BYTES);
            let room = buffer.get_mut(..room.min(READ_BYTES)).unwrap_or_default();
            let count = file.read_at(room, self.offset)?;
            ensure!(count > 0, "the sink became shorter while it was read");
            self.offset += count as u64;
            self.rest
                .extend_from_slice(buffer.get(..count).unwrap_or_default());
            let rest = std::mem::take(&mut self.rest);
            let mut start = 0;
            for newline in memchr::memchr_iter(b'\n', &rest) {
                self.record(rest.get(start..newline).unwrap_or_default());
                start = newline + 1;
            }
            self.rest = rest.get(start..).unwrap_or_default().to_vec();
        }
        self.forget();
        self.punch()
    }

    fn record(&mut self, record: &[u8]) {
        let number = self.finder.find(record).map_or(0, |number| number as u64);
        let expected = self.expected.lock();
        let known = expected.of(number);
        let log = expected.log_of(number);
        drop(expected);
        let complaint = match (known, record::digest(record)) {
            (Known::Unwritten, _) => Some("not a line of the load".to_owned()),
            (Known::Dropped, _) => Some("a line that should have been dropped".to_owned()),
            (_, Err(error)) => Some(format!("not JSON: {error}")),
            (Known::Record(expected), Ok(digest)) if digest != expected => {
                Some("fields or values differ".to_owned())
            }
            _ => None,
        };
        if let Some(complaint) = complaint {
            self.tally.corrupted += 1;
            self.tally.example.get_or_insert_with(|| {
                let shown = record.get(..SHOWN_BYTES.min(record.len()));
                format!("{complaint}: {}", shown.unwrap_or_default().escape_ascii())
            });
        }
        if matches!(known, Known::Unwritten | Known::Dropped) {
            return;
        }
        if self.has_come(number) {
            self.tally.duplicated += 1;
            return;
        }
        self.tally.unchecked += u64::from(known == Known::Forgotten);
        self.tally.delivered += 1;
        self.set_come(number);
        if self.last.len() <= log {
            self.last.resize(log + 1, 0);
        }
        if let Some(last) = self.last.get_mut(log) {
            self.tally.reordered += u64::from(number < *last);
            *last = number.max(*last);
        }
    }

    fn has_come(&self, number: u64) -> bool {
        let word = self.come.get((number / 64) as usize);
        word.is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    fn set_come(&mut self, number: u64) {
        let index = (number / 64) as usize;
        if self.come.len() <= index {
            self.come.resize(index + 1, 0);
        }
        if let Some(word) = self.come.get_mut(index) {
            *word |= 1 << (number % 64);
        }
    }

    fn forget(&mut self) {
        let given_up = self.expected.lock().forget(|number| self.has_come(number));
        self.given_up += given_up;
    }

    /// Gives the disk of what was read back; the size of the file stays.
    fn punch(&mut self) -> Result<()> {
        let until = self.offset.saturating_sub(LEFT_BYTES);
        if until < self.punched + PUNCH_BYTES {
            return Ok(());
        }
        let file = self.file.as_ref().context("the sink is open")?;
        let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        let start = i64::try_from(self.punched)?;
        let length = i64::try_from(until - self.punched)?;
        fallocate(file, flags, start, length)
            .context("this file system makes no holes: name another folder by --work")?;
        self.punched = until;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::verify::expectation::{Fidelity, of_line};
    use ves_load::{Lines, Spec};

    /// Lines of the load and their records.
    fn load(count: usize) -> Vec<(Vec<u8>, Option<String>)> {
        let spec = Spec::built_in();
        let mut lines = Lines::new(&spec, 1);
        let mut all = Vec::new();
        for _ in 0..count {
            let mut line = Vec::new();
            lines.append_next(&mut line);
            line.pop();
            let text = String::from_utf8(line.clone()).unwrap();
            let is_kept = of_line(&line, Fidelity::Full).unwrap().is_some();
            let record = is_kept.then(|| serde_json::json!({ "message": text }).to_string() + "\n");
            all.push((line, record));
        }
        all
    }

    /// What the verifier makes of these records of a load of 40 lines.
    fn tally(records: &[String]) -> Tally {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let expected = Expected::default();
        expected.lock().begin_log();
        let all = load(40);
        for (line, record) in &all {
            let digest = record
                .as_ref()
                .and_then(|_| of_line(line, Fidelity::Raw).unwrap());
            expected.lock().add(digest);
        }
        let mut file = File::create(&path).unwrap();
        file.write_all(records.concat().as_bytes()).unwrap();
        let mut verifier = Verifier::new(path, &expected);
        verifier.finish(40).unwrap();
        verifier.tally.clone()
    }

    fn records() -> Vec<String> {
        load(40)
            .into_iter()
            .filter_map(|(_, record)| record)
            .collect()
    }

    #[test]
    fn each_kind_of_wrong_is_counted() {
        let all = records();
        let count = all.len() as u64;
        let good = tally(&all);
        assert_eq!((good.delivered, good.written), (count, 40));
        let counts = |tally: &Tally| {
            [
                tally.lost,
                tally.duplicated,
                tally.corrupted,
                tally.reordered,
            ]
        };
        assert_eq!(counts(&good), [0; 4]);
        assert_eq!(counts(&tally(&all[1..])), [1, 0, 0, 0]);
        let mut other = all.clone();
        other.push(all[3].clone());
        assert_eq!(counts(&tally(&other)), [0, 1, 0, 0]);
        let mut other = all.clone();
        other.swap(3, 4);
        assert_eq!(counts(&tally(&other)), [0, 0, 0, 1]);
        let mut other = all.clone();
        other[3] = other[3].replace("HTTP/", "HTTQ/");
        assert_eq!(counts(&tally(&other)), [0, 0, 1, 0]);
        let mut other = all.clone();
        other.last_mut().unwrap().truncate(20);
        assert_eq!(counts(&tally(&other)), [1, 0, 1, 0]);
    }

    #[test]
    fn what_was_read_is_taken_off_the_disk_and_the_end_is_left_alone() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let expected = Expected::default();
        expected.lock().begin_log();
        let mut verifier = Verifier::new(path.clone(), &expected);
        let mut file = File::create(&path).unwrap();
        let filler = vec![b'\n'; 24 << 20];
        file.write_all(&filler).unwrap();
        file.sync_all().unwrap();
        let before = file.metadata().unwrap().blocks();
        assert_eq!(verifier.size().unwrap(), Some(24 << 20));
        // What was there a moment ago has not settled.
        verifier.look().unwrap();
        assert_eq!(verifier.offset, 0);
        verifier.read_to(24 << 20).unwrap();
        let after = file.metadata().unwrap();
        assert_eq!(after.len(), 24 << 20);
        assert!(
            after.blocks() * 4 < before,
            "{} of {before}",
            after.blocks()
        );
        file.set_len(1 << 20).unwrap();
        let error = verifier.read_to(1 << 20).unwrap_err().to_string();
        assert!(error.contains("cut back to 1048576 bytes"), "{error}");
    }
}
