//! The one switch that ends the pipeline, shared by every thread, and the time it has for that.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};

use crate::error::{Error, Result};

/// A handle on the switch; clones share it.
#[derive(Clone, Debug)]
pub struct Shutdown {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    begun: AtomicBool,
    /// Whether another pipeline goes on after this one.
    is_continued: AtomicBool,
    deadline: Mutex<Option<Instant>>,
    changed: Condvar,
    wake: OwnedFd,
}

impl Shutdown {
    /// Makes the switch, off.
    ///
    /// # Errors
    /// When the process has no descriptor left for the event.
    pub fn new() -> Result<Shutdown> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|errno| Error::system("make an event descriptor")(errno.into()))?;
        Ok(Shutdown {
            shared: Arc::new(Shared {
                begun: AtomicBool::new(false),
                is_continued: AtomicBool::new(false),
                deadline: Mutex::new(None),
                changed: Condvar::new(),
                wake,
            }),
        })
    }

    /// Begins the end: reading stops, what was read is shipped until `grace` is over. Later calls
    /// change nothing.
    pub fn begin(&self, grace: Duration) {
        let mut deadline = self.deadline_lock();
        if deadline.is_none() {
            *deadline = Instant::now().checked_add(grace);
            self.announce();
        }
    }

    /// The same where another pipeline of this process goes on from there: what can be read again, or
    /// is not a whole line yet, is left to it. Without `grace` what was read is shipped however long
    /// that takes, unless [`Shutdown::begin`] sets a limit later.
    pub(crate) fn begin_continued(&self, grace: Option<Duration>) {
        let mut deadline = self.deadline_lock();
        if self.begun() {
            return;
        }
        *deadline = grace.and_then(|grace| Instant::now().checked_add(grace));
        self.shared.is_continued.store(true, Ordering::Release);
        self.announce();
    }

    /// Whether another pipeline goes on from where this one ends.
    pub(crate) fn is_continued(&self) -> bool {
        self.shared.is_continued.load(Ordering::Acquire)
    }

    /// Tells everybody; to be called with the lock held.
    fn announce(&self) {
        self.shared.begun.store(true, Ordering::Release);
        // The counter only has to become non-zero, so a full one is as good as a write.
        let _ = rustix::io::write(&self.shared.wake, &1u64.to_ne_bytes());
        self.shared.changed.notify_all();
    }

    /// Whether the end has begun.
    #[must_use]
    pub fn begun(&self) -> bool {
        self.shared.begun.load(Ordering::Acquire)
    }

    /// Whether the time for an orderly end is over.
    #[must_use]
    pub fn expired(&self) -> bool {
        self.begun()
            && self
                .deadline_lock()
                .is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Waits for `duration`, or less: the beginning of the end cuts the wait short, and after it
    /// no wait passes the deadline. Blocks the calling thread.
    pub fn sleep(&self, duration: Duration) {
        let begun_before = self.begun();
        let Some(mut until) = Instant::now().checked_add(duration) else {
            return;
        };
        let mut guard = self.deadline_lock();
        loop {
            if self.begun() && !begun_before {
                return;
            }
            if let Some(deadline) = *guard {
                until = until.min(deadline);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            guard = self
                .shared
                .changed
                .wait_timeout(guard, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Becomes readable when the end begins, for use in a poll. Never read from it.
    #[must_use]
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.shared.wake.as_fd()
    }

    fn deadline_lock(&self) -> MutexGuard<'_, Option<Instant>> {
        // A panic elsewhere leaves a plain Option behind, which is always valid.
        self.shared
            .deadline
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleep_is_cut_short_by_the_beginning_and_bounded_by_the_deadline() {
        let shutdown = Shutdown::new().unwrap();
        let other = shutdown.clone();
        let sleeper = std::thread::spawn(move || other.sleep(Duration::from_secs(3600)));
        shutdown.begin(Duration::ZERO);
        sleeper.join().unwrap();
        assert!(shutdown.begun() && shutdown.expired());
        shutdown.sleep(Duration::from_secs(3600));
    }

    #[test]
    fn an_end_without_a_limit_gets_one_later() {
        let shutdown = Shutdown::new().unwrap();
        shutdown.begin_continued(None);
        assert!(shutdown.begun() && shutdown.is_continued() && !shutdown.expired());
        let other = shutdown.clone();
        // Ends by the limit, whether that comes before the sleep or while it lasts.
        let sleeper = std::thread::spawn(move || other.sleep(Duration::from_secs(3600)));
        shutdown.begin(Duration::ZERO);
        assert!(shutdown.expired());
        sleeper.join().unwrap();
    }
}
