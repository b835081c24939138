//! Whether data flows, or there is none to flow, and what is in the way otherwise. Reads no clock.

use std::time::{Duration, Instant};

use super::sink::Failing;

/// How long something may wait without anything being delivered.
const STALLED_AFTER: Duration = Duration::from_secs(5);

/// How long the tail may say nothing: it reports once a second, whatever the sink does.
const SILENT_AFTER: Duration = Duration::from_secs(10);

/// What the judgement rests on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// Batches that were acknowledged so far.
    pub(crate) acknowledged: u64,
    /// Work units that were read and are not acknowledged.
    pub(crate) in_flight: u64,
    /// Bytes in files that could be delivered.
    pub(crate) waiting_bytes: u64,
    /// How the sink fails, if it does, and its name.
    pub(crate) failing: Option<(String, Failing)>,
    /// Since the tail last reported; `None` before the first time.
    pub(crate) tail_silent_for: Option<Duration>,
}

/// Watches whether anything is delivered while something waits. To be asked at least once in a few
/// seconds.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    acknowledged: u64,
    waiting_since: Option<Instant>,
}

impl Judge {
    /// What is wrong at `now`; `None` while data flows or there is none.
    pub(crate) fn judge(&mut self, now: Instant, facts: &Facts) -> Option<String> {
        let is_waiting = facts.in_flight > 0 || facts.waiting_bytes > 0;
        if !is_waiting {
            self.waiting_since = None;
        } else if facts.acknowledged != self.acknowledged || self.waiting_since.is_none() {
            self.waiting_since = Some(now);
        }
        self.acknowledged = facts.acknowledged;
        if let Some(silent) = facts.tail_silent_for.filter(|time| *time >= SILENT_AFTER) {
            let silent = whole_seconds(silent);
            return Some(format!(
                "no file was looked at for {silent}: reading one, or writing to the sink, hangs"
            ));
        }
        let waited = now.saturating_duration_since(self.waiting_since?);
        if waited < STALLED_AFTER {
            return None;
        }
        let waited = whole_seconds(waited);
        Some(match &facts.failing {
            Some((sink, failing)) => format!(
                "nothing was delivered for {waited}: {sink} has failed for {}: {}",
                whole_seconds(failing.for_time),
                failing.message
            ),
            None if facts.in_flight > 0 => format!(
                "nothing was delivered for {waited}: the sink has not taken what was handed to it"
            ),
            None => format!(
                "{} bytes in the files were not read for {waited}: the messages on standard error \
                 say why",
                facts.waiting_bytes
            ),
        })
    }
}

fn whole_seconds(time: Duration) -> String {
    let time = Duration::from_secs(time.as_secs());
    humantime::format_duration(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(acknowledged: u64) -> Facts {
        Facts {
            acknowledged,
            in_flight: 1,
            ..Facts::default()
        }
    }

    #[test]
    fn waiting_for_long_without_a_delivery_is_unhealthy() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut judge = Judge::default();
        assert_eq!(judge.judge(at(0), &waiting(7)), None);
        assert_eq!(judge.judge(at(4), &waiting(7)), None);
        assert!(judge.judge(at(5), &waiting(7)).is_some());
        // A single delivery is enough.
        assert_eq!(judge.judge(at(6), &waiting(8)), None);
        assert_eq!(judge.judge(at(10), &waiting(8)), None);
        assert!(judge.judge(at(11), &waiting(8)).is_some());
        // Nothing waits any more, and then for something new.
        assert_eq!(judge.judge(at(12), &Facts::default()), None);
        assert_eq!(judge.judge(at(60), &waiting(8)), None);
    }

    #[test]
    fn the_reason_is_told() {
        let start = Instant::now();
        let later = start + Duration::from_secs(9);
        let failing = Failing {
            for_time: Duration::from_millis(8500),
            message: "connection refused".to_owned(),
        };
        let facts = Facts {
            failing: Some(("http://sink/".to_owned(), failing)),
            ..waiting(0)
        };
        let mut judge = Judge::default();
        judge.judge(start, &facts);
        assert_eq!(
            judge.judge(later, &facts).unwrap(),
            "nothing was delivered for 9s: http://sink/ has failed for 8s: connection refused"
        );
        let silent = Facts {
            tail_silent_for: Some(Duration::from_secs(10)),
            ..Facts::default()
        };
        assert!(Judge::default().judge(start, &silent).is_some());
        let unread = Facts {
            waiting_bytes: 12,
            ..Facts::default()
        };
        let mut judge = Judge::default();
        judge.judge(start, &unread);
        assert!(judge.judge(later, &unread).unwrap().starts_with("12 bytes"));
    }
}
