//! What has to come of the lines that were written and have not come yet: the writer adds to it and
//! the verifier takes from it. Holds lines for a while only, so that it does not grow with the time.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::verify::expectation::Digest;

/// So many lines wait for their records at most: those of minutes. What comes later than that is
/// only counted, not compared.
const WAITING_MAX: usize = 8 << 20;

/// Shared by the writer and the verifier.
#[derive(Debug, Default)]
pub(super) struct Expected(Mutex<Waiting>);

/// The lines whose records are to come. Lines count from 1.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// How many lines are no more in `digests`.
    gone: u64,
    digests: VecDeque<Option<Digest>>,
    /// The first line of each log.
    firsts: Vec<u64>,
}

impl Expected {
    pub(super) fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Each step leaves it as it should be.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// A line was written; none for one that is to be dropped.
    pub(super) fn add(&mut self, digest: Option<Digest>) {
        self.digests.push_back(digest);
    }

    /// The next line is the first of a log.
    pub(super) fn begin_log(&mut self) {
        self.firsts.push(self.count() + 1);
    }

    /// How many lines were written.
    pub(super) fn count(&self) -> u64 {
        self.gone + self.digests.len() as u64
    }

    /// What has to come of a line.
    pub(super) fn of(&self, number: u64) -> Known {
        if number == 0 || number > self.count() {
            return Known::Unwritten;
        }
        let Some(index) = number.checked_sub(self.gone + 1) else {
            return Known::Forgotten;
        };
        match self.digests.get(index as usize).copied().flatten() {
            Some(digest) => Known::Record(digest),
            None => Known::Dropped,
        }
    }

    /// Which log a line is in.
    pub(super) fn log_of(&self, number: u64) -> usize {
        self.firsts.partition_point(|&first| first <= number)
    }

    /// Forgets lines from the front for as long as their records have come, and those that were
    /// waited for too long. Gives how many of these there were.
    pub(super) fn forget(&mut self, has_come: impl Fn(u64) -> bool) -> u64 {
        let mut given_up = 0;
        while let Some(first) = self.digests.front() {
            let is_waited_for = first.is_some() && !has_come(self.gone + 1);
            if is_waited_for && self.digests.len() <= WAITING_MAX {
                break;
            }
            given_up += u64::from(is_waited_for);
            self.digests.pop_front();
            self.gone += 1;
        }
        given_up
    }
}

/// What is known of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// This has to come.
    Record(Digest),
    /// Nothing may come.
    Dropped,
    /// It was written so long ago that it is not known any more what was to come.
    Forgotten,
    /// There is no such line.
    Unwritten,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_known_until_they_have_come() {
        let digest = |text: &[u8]| {
            let mut digest = Digest::default();
            digest.add(b"message", crate::verify::expectation::Value::Text(text));
            digest
        };
        let mut waiting = Waiting::default();
        waiting.begin_log();
        waiting.add(Some(digest(b"1")));
        waiting.add(None);
        waiting.begin_log();
        waiting.add(Some(digest(b"3")));
        waiting.add(Some(digest(b"4")));
        assert_eq!(
            [1, 2, 3, 4].map(|number| waiting.log_of(number)),
            [1, 1, 2, 2]
        );
        assert_eq!(waiting.of(1), Known::Record(digest(b"1")));
        assert_eq!(waiting.of(2), Known::Dropped);
        assert_eq!(
            [0, 5].map(|number| waiting.of(number)),
            [Known::Unwritten; 2]
        );
        // The third is waited for, so the fourth stays, too.
        assert_eq!(waiting.forget(|number| number != 3), 0);
        assert_eq!(
            [1, 2].map(|number| waiting.of(number)),
            [Known::Forgotten; 2]
        );
        assert_eq!(waiting.of(4), Known::Record(digest(b"4")));
        assert_eq!(waiting.count(), 4);
        waiting.digests.resize(WAITING_MAX + 2, Some(digest(b"5")));
        assert_eq!(waiting.forget(|_| false), 2);
        assert_eq!(waiting.of(4), Known::Forgotten);
    }
}
