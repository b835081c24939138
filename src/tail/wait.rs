//! Waiting: as long as nothing can have happened, and a little longer, so that what comes close
//! together causes one wake.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::stdin::Stdin;
use super::{FileId, HINT_INTERVAL, POLL_INTERVAL, TICK_INTERVAL, Tail};

/// Shortest sleep of [`Tail::rest`], so that it never spins.
const MIN_REST: Duration = Duration::from_micros(50);

impl Tail {
    /// Sleeps for the rest of the wake interval, so that events that come close together cause one
    /// wake. While the sink is busy, what is there may wait up to the flush interval, and a batch
    /// grows by itself.
    pub(super) fn rest(&mut self, woken_at: Instant) {
        let mut waited = woken_at.elapsed();
        let mut served_at = woken_at;
        // A pipe holds little: its writer would wait for as long as this thread rests.
        if self.stdin.as_ref().is_some_and(Stdin::is_flowing) {
            return;
        }
        while waited < self.wake_interval
            || (waited < self.flush_interval && !self.links.dispatch.is_idle())
        {
            if self.links.shutdown.begun() {
                return;
            }
            std::thread::sleep(self.wake_interval.saturating_sub(waited).max(MIN_REST));
            waited = woken_at.elapsed();
            if served_at.elapsed() > HINT_INTERVAL {
                self.serve();
                served_at = Instant::now();
            }
        }
    }

    /// Waits for events, input, shutdown or the next timer. Returns whether standard input is ready.
    pub(super) fn wait(&self) -> bool {
        let timeout = self.timeout();
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(1),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        let mut fds = vec![PollFd::from_borrowed_fd(
            self.links.shutdown.descriptor(),
            PollFlags::IN,
        )];
        let has_stdin = self.stdin.as_ref().is_some_and(|stdin| !stdin.has_ended());
        if has_stdin {
            fds.push(PollFd::from_borrowed_fd(
                rustix::stdio::stdin(),
                PollFlags::IN,
            ));
        }
        if let Some(inotify) = self.watcher.descriptor() {
            fds.push(PollFd::from_borrowed_fd(inotify, PollFlags::IN));
        }
        // A signal or an error ends the wait early: the next round looks at everything all the same.
        let _ = poll(&mut fds, Some(&timeout));
        has_stdin && fds.get(1).is_some_and(|fd| !fd.revents().is_empty())
    }

    pub(super) fn timeout(&self) -> Duration {
        let now = Instant::now();
        let mut due = self.ticked_at + TICK_INTERVAL;
        if !self.polled.is_empty() {
            due = due.min(self.polled_at + POLL_INTERVAL);
        }
        if self.is_rescan_due {
            due = due.min(self.rescan_at());
        }
        for id in &self.unfinished {
            let since = self
                .files
                .get(id)
                .and_then(|followed| followed.unfinished_since);
            if let Some(since) = since {
                due = due.min(since + self.partial_line_timeout);
            }
        }
        due.saturating_duration_since(now)
    }

    /// When the next scan may be: scans take a tenth of the time at most.
    pub(super) fn rescan_at(&self) -> Instant {
        self.scanned_at + (self.scan_cost * 10).max(Duration::from_millis(1))
    }

    pub(super) fn take_hints(&mut self) {
        let hints = self.watcher.drain();
        for id in hints.files {
            self.queue(id);
        }
        self.is_rescan_due |= hints.rescan || hints.overflow;
        self.meet_renamed(&hints.renames);
        if hints.overflow {
            let all: Vec<FileId> = self.files.keys().copied().collect();
            all.into_iter().for_each(|id| self.queue(id));
        }
    }
}
