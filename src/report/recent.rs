//! The last messages that the operator should look at, for those who come later.

use std::collections::VecDeque;
use std::time::SystemTime;

use serde::Serialize;

use super::Level;

/// Messages that are kept.
const KEPT_MAX: usize = 50;

/// A message that was said, once or more often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Remembered {
    /// How much it matters.
    pub(crate) level: Level,
    /// What was said.
    pub(crate) message: String,
    /// How often, while it was remembered.
    pub(crate) count: u64,
    /// When it was said last, in milliseconds since 1970.
    pub(crate) at_ms: u64,
}

/// The last different messages.
#[derive(Debug)]
pub(super) struct Recent {
    messages: VecDeque<Remembered>,
    changes: u64,
}

impl Recent {
    /// Nothing was said.
    pub(super) const fn new() -> Recent {
        Recent {
            messages: VecDeque::new(),
            changes: 0,
        }
    }

    /// Remembers a message as the newest one.
    pub(super) fn add(&mut self, level: Level, message: &str, at: SystemTime) {
        let since_1970 = at
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let mut remembered = Remembered {
            level,
            message: message.to_owned(),
            count: 1,
            at_ms: u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX),
        };
        let is_same = |before: &Remembered| before.message == message;
        if let Some(index) = self.messages.iter().position(is_same) {
            let before = self.messages.remove(index);
            remembered.count += before.map_or(0, |before| before.count);
        } else if self.messages.len() >= KEPT_MAX {
            self.messages.pop_front();
        }
        self.messages.push_back(remembered);
        self.changes += 1;
    }

    /// The messages, the newest last.
    pub(super) fn to_vec(&self) -> Vec<Remembered> {
        self.messages.iter().cloned().collect()
    }

    /// How often anything was added.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_message_is_kept_once_with_its_count_and_old_ones_go() {
        let mut recent = Recent::new();
        for number in 0..=KEPT_MAX {
            recent.add(Level::Warn, &number.to_string(), SystemTime::UNIX_EPOCH);
        }
        recent.add(Level::Warn, "1", SystemTime::UNIX_EPOCH);
        let messages = recent.to_vec();
        assert_eq!(messages.len(), KEPT_MAX);
        assert_eq!(messages[0].message, "2");
        let last = messages
            .last()
            .map(|last| (last.message.as_str(), last.count));
        assert_eq!(last, Some(("1", 2)));
    }
}
