//! When a sink file could not be flushed to the disk, the system may have thrown away what it could not
//! write, and says so once. So what was shipped since the last checkpoint is shipped again, after a pause,
//! by a pipeline that begins from there.

use std::time::{Duration, Instant};

/// The first pause after a flush that failed, and the longest.
const PAUSE: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// When a pipeline whose sink could not be flushed is to end for another.
pub(super) struct Reship {
    begun_at: Instant,
    pause: Duration,
    due_at: Option<Instant>,
}

impl Reship {
    /// For a pipeline that begins now.
    pub(super) fn new(now: Instant) -> Reship {
        Reship {
            begun_at: now,
            pause: PAUSE,
            due_at: None,
        }
    }

    /// Whether the pipeline is to end, of which the sink may be unflushed.
    pub(super) fn is_due(&mut self, now: Instant, is_unflushed: bool) -> bool {
        is_unflushed && now >= *self.due_at.get_or_insert(now + self.pause)
    }

    /// Another pipeline begins. The next pause is longer where the last one did not get far.
    pub(super) fn begin(&mut self, now: Instant) {
        let failed_at = self.due_at.map(|due_at| due_at - self.pause);
        let got_far = failed_at.is_none_or(|at| at - self.begun_at >= PAUSE_MAX);
        self.pause = match self.pause * 2 {
            _ if got_far => PAUSE,
            pause => pause.min(PAUSE_MAX),
        };
        (self.begun_at, self.due_at) = (now, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_while_no_flush_works_for_long() {
        let begun_at = Instant::now();
        let at = |seconds| begun_at + Duration::from_secs(seconds);
        let mut reship = Reship::new(begun_at);
        assert!(!reship.is_due(at(9), false));
        assert!(!reship.is_due(at(10), true) && !reship.is_due(at(14), true));
        assert!(reship.is_due(at(15), true));
        reship.begin(at(15));
        assert!(!reship.is_due(at(16), true) && !reship.is_due(at(25), true));
        assert!(reship.is_due(at(26), true));
        reship.begin(at(26));
        assert!(!reship.is_due(at(1000), true));
        reship.begin(at(1000));
        assert!(!reship.is_due(at(1001), true) && reship.is_due(at(1006), true));
    }
}
