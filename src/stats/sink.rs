//! How the sink is doing: what it refused and since when.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::figures::monotonic_ns;

/// The state of the sink as the ship stage sees it.
#[derive(Debug, Default)]
pub(crate) struct SinkGauge {
    name: OnceLock<String>,
    retries: AtomicU64,
    /// In nanoseconds of `CLOCK_MONOTONIC`; 0 while it works.
    failing_since_ns: AtomicU64,
    last_failure: Mutex<String>,
}

/// A sink that refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failing {
    /// Since the first attempt of those that failed in a row.
    pub(crate) for_time: Duration,
    /// What the last one said.
    pub(crate) message: String,
}

impl SinkGauge {
    /// Notes what the sink is called, without secrets.
    pub(crate) fn set_name(&self, name: String) {
        // There is one sink in a run.
        let _ = self.name.set(name);
    }

    /// What it is called.
    pub(crate) fn name(&self) -> &str {
        self.name.get().map_or("", String::as_str)
    }

    /// Notes a failed attempt, which will be repeated.
    pub(crate) fn failed(&self, message: &str) {
        self.retries.fetch_add(1, Ordering::Relaxed);
        if self.failing_since_ns.load(Ordering::Relaxed) == 0 {
            self.failing_since_ns
                .store(monotonic_ns(), Ordering::Relaxed);
        }
        let mut last = self
            .last_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        message.clone_into(&mut last);
    }

    /// Notes an attempt that worked. Once per batch, so it only writes where something changes.
    pub(crate) fn worked(&self) {
        if self.failing_since_ns.load(Ordering::Relaxed) != 0 {
            self.failing_since_ns.store(0, Ordering::Relaxed);
        }
    }

    /// Failed attempts so far.
    pub(crate) fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// How it fails, if it does.
    pub(crate) fn failing(&self) -> Option<Failing> {
        let since = self.failing_since_ns.load(Ordering::Relaxed);
        if since == 0 {
            return None;
        }
        let last = self
            .last_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Some(Failing {
            for_time: Duration::from_nanos(monotonic_ns().saturating_sub(since)),
            message: last.clone(),
        })
    }
}
