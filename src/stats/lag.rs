//! How old the oldest byte is that was seen in a file and not delivered: told by marks, since bytes
//! have no time of their own.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Marks that are kept; with more, every second one goes.
const MARKS_MAX: usize = 16;

/// What a file held at certain times, while not all of it was delivered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks(VecDeque<(Instant, u64)>);

impl Marks {
    /// Notes that by `now` the file held `size` bytes and the first `delivered` of them were
    /// delivered.
    pub(crate) fn note(&mut self, now: Instant, size: u64, delivered: u64) {
        self.0.retain(|(_, marked)| *marked > delivered);
        let is_new = self.0.back().is_none_or(|(_, marked)| *marked < size);
        if size > delivered && is_new {
            if self.0.len() >= MARKS_MAX {
                let mut index = 0;
                self.0.retain(|_| {
                    index += 1;
                    index % 2 == 1
                });
            }
            self.0.push_back((now, size));
        }
    }

    /// For how long something has been seen and not delivered, when the first `delivered` bytes are:
    /// short by the time between two marks
    /// at most.
    pub(crate) fn lag(&self, now: Instant, delivered: u64) -> Duration {
        let oldest = self.0.iter().find(|(_, marked)| *marked > delivered);
        oldest.map_or(Duration::ZERO, |(at, _)| now.saturating_duration_since(*at))
    }

    /// Whether all is delivered.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_written_to_all_the_time_lags_by_what_is_undelivered_only() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut marks = Marks::default();
        for second in 0..100 {
            // A few bytes are always on their way.
            marks.note(at(second), 1000 * (second + 1), 1000 * second + 900);
            assert_eq!(marks.lag(at(second), 1000 * second + 900), Duration::ZERO);
            assert_eq!(
                marks.lag(at(second + 1), 1000 * (second + 1)),
                Duration::ZERO
            );
        }
        for second in 100..200 {
            // The sink has stopped.
            marks.note(at(second), 1000 * (second + 1), 99_900);
        }
        assert_eq!(marks.lag(at(200), 99_900), Duration::from_secs(101));
        assert!(marks.0.len() <= MARKS_MAX);
        marks.note(at(201), 200_000, 200_000);
        assert!(marks.is_empty());
        assert_eq!(marks.lag(at(202), 200_000), Duration::ZERO);
    }
}
