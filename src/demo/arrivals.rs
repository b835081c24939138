//! What arrives: the records on the standard output of `ves collect`. Each is looked at for the number
//! of its line, and some are shown.

use std::io::Read;
use std::process::ChildStdout;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::record;
use super::screen::Screen;
use crate::sequence::{NumberFinder, Numbers};
use crate::stats::display::terminal_columns;

/// Bytes that are read at once at most.
const READ_BYTES: usize = 1 << 18;

/// Columns where the terminal does not tell.
const COLUMNS: usize = 100;

/// Which records are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// One in a while.
    Sample,
    /// All, as long as they are not too many to read.
    All,
}

impl Shown {
    /// How many records are shown in what time.
    fn allowance(self) -> (u32, Duration) {
        match self {
            Shown::Sample => (1, Duration::from_millis(250)),
            Shown::All => (100, Duration::from_secs(1)),
        }
    }
}

/// How far the traffic and its records are, for both sides to see.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Lines written, or about to be.
    pub(super) written: AtomicU64,
    /// Lines whose records came.
    pub(super) arrived: AtomicU64,
}

/// What came.
#[derive(Debug, Default)]
pub(super) struct Arrived {
    /// The numbers of the lines that have a record.
    pub(super) numbers: Numbers,
    /// Records of lines that had one already.
    pub(super) twice: u64,
    /// Records of no line that was written.
    pub(super) strange: u64,
}

/// Reads records until there are no more.
pub(super) fn read(
    mut out: ChildStdout,
    shown: Shown,
    progress: &Progress,
    screen: &Screen,
) -> Arrived {
    let mut arrived = Arrived::default();
    let mut window = Window::new(shown);
    let finder = NumberFinder::new();
    let mut buffer = vec![0; READ_BYTES];
    let mut rest = Vec::new();
    loop {
        let count = match out.read(&mut buffer) {
            Ok(count) if count > 0 => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            // The process is gone; how that went is told by its exit code.
            _ => break,
        };
        rest.extend_from_slice(buffer.get(..count).unwrap_or_default());
        let whole = memchr::memrchr(b'\n', &rest).map_or(0, |newline| newline + 1);
        let written = progress.written.load(Ordering::Acquire);
        window.open(Instant::now(), screen);
        let records = rest.get(..whole).unwrap_or_default();
        let records = records.split(|&byte| byte == b'\n');
        for record in records.filter(|record| !record.is_empty()) {
            if shown == Shown::Sample {
                arrived.note(finder.find(record), written);
            }
            window.show(record, screen);
        }
        let count = arrived.numbers.count();
        progress.arrived.store(count, Ordering::Release);
        rest.drain(..whole);
    }
    window.close(screen);
    arrived
}

impl Arrived {
    /// Notes a record with that number, when so many lines were written.
    fn note(&mut self, number: Option<u64>, written: u64) {
        match number.filter(|number| (1..=written).contains(number)) {
            Some(number) if self.numbers.insert(number) => {}
            Some(_) => self.twice += 1,
            None => self.strange += 1,
        }
    }
}

/// How many records may still be shown now.
#[derive(Debug)]
struct Window {
    shown: Shown,
    opened_at: Option<Instant>,
    left: u32,
    /// Records that were not shown since it was opened.
    skipped: u64,
    is_first: bool,
}

impl Window {
    fn new(shown: Shown) -> Window {
        Window {
            shown,
            opened_at: None,
            left: 0,
            skipped: 0,
            is_first: true,
        }
    }

    /// Opens the next one if that is due.
    fn open(&mut self, now: Instant, screen: &Screen) {
        let (count, every) = self.shown.allowance();
        let is_over = |at| now.duration_since(at) >= every;
        if self.opened_at.is_none_or(is_over) {
            self.close(screen);
            self.opened_at = Some(now);
            self.left = count;
        }
    }

    /// Says what was not shown, where all were to be.
    fn close(&mut self, screen: &Screen) {
        let skipped = std::mem::take(&mut self.skipped);
        if skipped > 0 && self.shown == Shown::All {
            screen.say(&format!("(and {skipped} more)"));
        }
    }

    fn show(&mut self, record: &[u8], screen: &Screen) {
        if self.left == 0 {
            self.skipped += 1;
            return;
        }
        self.left -= 1;
        if !screen.shows_people {
            screen.record(record);
            return;
        }
        // The first one of a sample is looked at, the others are looked over.
        let is_tall = std::mem::take(&mut self.is_first) && self.shown == Shown::Sample;
        let row = if self.shown == Shown::Sample && !is_tall {
            record::row(screen, record, terminal_columns().unwrap_or(COLUMNS))
        } else {
            None
        };
        let text = row.unwrap_or_else(|| record::json(screen, record, is_tall));
        screen.record(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_counts_once_and_only_if_it_was_written() {
        let mut arrived = Arrived::default();
        for number in [Some(1), Some(3), Some(3), Some(4), Some(0), None, Some(3)] {
            arrived.note(number, 3);
        }
        let Arrived {
            numbers,
            twice,
            strange,
        } = arrived;
        assert_eq!((numbers.count(), twice, strange), (2, 2, 3));
        assert!(numbers.contains(1) && !numbers.contains(2) && numbers.contains(3));
    }
}
