//! How often the same message may be said: a few times a minute, then once how often it was held
//! back. Reads no clock and prints nothing.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Level;

/// How often a message is printed in a minute.
pub(super) const PER_MINUTE_MAX: u32 = 5;

/// The minute.
const SPAN: Duration = Duration::from_secs(60);

/// Messages that are remembered. With more different ones in a minute the oldest is forgotten: those
/// are no repetition.
const MESSAGES_MAX: usize = 128;

/// What was said in the last minute.
#[derive(Debug)]
pub(super) struct Limiter {
    /// Those said first come first.
    said: VecDeque<Said>,
}

#[derive(Debug)]
struct Said {
    level: Level,
    message: String,
    since: Instant,
    printed: u32,
    held_back: u64,
}

/// Lines about messages that were held back.
pub(super) type Repeated = Vec<(Level, String)>;

impl Limiter {
    /// Nothing was said.
    pub(super) const fn new() -> Limiter {
        Limiter {
            said: VecDeque::new(),
        }
    }

    /// Whether a message may be printed now, and what is to be said of others before.
    pub(super) fn admit(&mut self, now: Instant, level: Level, message: &str) -> (bool, Repeated) {
        let mut due = self.take_due(now);
        let said = self.said.iter_mut().find(|said| said.message == message);
        if let Some(said) = said {
            let is_admitted = said.printed < PER_MINUTE_MAX;
            said.printed += u32::from(is_admitted);
            said.held_back += u64::from(!is_admitted);
            return (is_admitted, due);
        }
        if self.said.len() >= MESSAGES_MAX {
            due.extend(self.said.pop_front().and_then(Said::repeated));
        }
        self.said.push_back(Said {
            level,
            message: message.to_owned(),
            since: now,
            printed: 1,
            held_back: 0,
        });
        (true, due)
    }

    /// What is to be said of messages whose minute is over.
    pub(super) fn take_due(&mut self, now: Instant) -> Repeated {
        let is_over = |said: &Said| now.saturating_duration_since(said.since) >= SPAN;
        let count = self.said.iter().take_while(|said| is_over(said)).count();
        self.said
            .drain(..count)
            .filter_map(Said::repeated)
            .collect()
    }

    /// The same for all messages.
    pub(super) fn take_all(&mut self) -> Repeated {
        self.said.drain(..).filter_map(Said::repeated).collect()
    }
}

impl Said {
    fn repeated(self) -> Option<(Level, String)> {
        let times = match self.held_back {
            0 => return None,
            1 => "once".to_owned(),
            count => format!("{count} times"),
        };
        Some((self.level, format!("repeated {times}: {}", self.message)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_said_a_few_times_a_minute_then_how_often_it_was_not() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut limiter = Limiter::new();
        let mut admitted = 0;
        for second in 0..30 {
            let (is_admitted, due) = limiter.admit(at(second), Level::Warn, "full");
            admitted += u32::from(is_admitted);
            assert!(due.is_empty());
        }
        assert_eq!(admitted, PER_MINUTE_MAX);
        assert!(limiter.admit(at(30), Level::Warn, "empty").0);
        assert!(limiter.take_due(at(59)).is_empty());
        let expected = (Level::Warn, "repeated 25 times: full".to_owned());
        assert_eq!(limiter.take_due(at(60)), [expected]);
        let (is_admitted, due) = limiter.admit(at(61), Level::Warn, "full");
        assert!(is_admitted && due.is_empty());
        assert!(limiter.take_all().is_empty());
    }

    #[test]
    fn memory_is_bounded_and_what_is_forgotten_is_said() {
        let now = Instant::now();
        let mut limiter = Limiter::new();
        for _ in 0..=PER_MINUTE_MAX {
            limiter.admit(now, Level::Warn, "first");
        }
        let mut said = Vec::new();
        for number in 0..1000 {
            let (is_admitted, due) = limiter.admit(now, Level::Info, &number.to_string());
            assert!(is_admitted);
            said.extend(due);
        }
        assert_eq!(said, [(Level::Warn, "repeated once: first".to_owned())]);
        assert_eq!(limiter.said.len(), MESSAGES_MAX);
    }
}
