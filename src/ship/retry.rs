//! placeholder
use std::time::{Duration, Instant};
pub(crate) struct Backoff;
impl Backoff {
    pub(crate) fn new() -> Backoff {
        Backoff
    }
    pub(crate) fn next_pause(&mut self, _r: Option<Duration>) -> Duration {
        Duration::from_millis(100)
    }
    pub(crate) fn reset(&mut self) {}
}
pub(crate) struct Complaints;
impl Complaints {
    pub(crate) fn new(_name: &str) -> Complaints {
        Complaints
    }
    pub(crate) fn failed(&mut self, _now: Instant, message: &str) -> Option<String> {
        Some(message.to_owned())
    }
    pub(crate) fn worked(&mut self, _now: Instant) -> Option<String> {
        None
    }
}
