//! Waiting: as long as nothing can have happened, and a little longer, so that what comes close
//! together causes one wake.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::stdin::Stdin;
use super::{FileId, HINT_INTERVAL, POLL_INTERVAL, TICK_INTERVAL, Tail};

/// Shortest sleep of [`Tail::rest`], so that it never spins.
pub(super) const REST_MIN: Duration = Duration::from_micros(50);

/// Longest sleep, by which the end of a wait for the sink, or shutdown, may be noticed late.
const REST_MAX: Duration = Duration::from_millis(10);

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
            std::thread::sleep(next_rest(waited, self.wake_interval));
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
        // A rest that took long has taken the hints of what came meanwhile: no event will tell.
        if !self.ready.is_empty() {
            return Duration::ZERO;
        }
        let now = Instant::now();
        let mut due = self.ticked_at + TICK_INTERVAL;
        if !self.polled.is_empty() {
            due = due.min(self.poll_at());
        }
        if !self.troubled.is_empty() {
            due = due.min(now + POLL_INTERVAL);
        }
        if let Some(at) = self.held_due(now) {
            due = due.min(at);
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
        for id in hints.written {
            if let Some(followed) = self.files.get_mut(&id) {
                followed.is_written_closed |= followed.source.is_none();
            }
        }
        self.is_rescan_due |= hints.rescan || hints.overflow;
        self.meet_renamed(&hints.renames);
        self.meet_named(&hints.names, &hints.renames);
        if hints.overflow {
            let all: Vec<FileId> = self.files.keys().copied().collect();
            all.into_iter().for_each(|id| self.queue(id));
        }
    }
}

/// How long to sleep after `waited`: for the rest of the wake interval, then in steps that grow with
/// the wait, so that a long one costs few wakes and adds an eighth to its length at most.
fn next_rest(waited: Duration, wake_interval: Duration) -> Duration {
    let step = (waited / 8).clamp(REST_MIN, REST_MAX);
    wake_interval.saturating_sub(waited).max(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps until `until` is over, when every sleep takes as long as it should.
    fn steps(until: Duration, wake_interval: Duration) -> u32 {
        let (mut waited, mut count) = (Duration::ZERO, 0);
        while waited < until {
            waited += next_rest(waited, wake_interval);
            count += 1;
        }
        count
    }

    /// With a flush interval of 10 s and a sink that was down, steps of 50 us took a sixth of a
    /// core.
    #[test]
    fn a_long_wait_for_the_sink_takes_few_steps() {
        let wake = Duration::from_micros(600);
        assert_eq!(steps(wake, wake), 1);
        assert!(steps(Duration::from_millis(5), wake) <= 20);
        assert!(steps(Duration::from_secs(10), wake) <= 1100);
        let short = Duration::from_micros(100);
        assert_eq!(steps(short, short), 1);
    }

    #[test]
    fn no_step_adds_much_to_the_wait() {
        let wake = Duration::from_micros(600);
        for micros in [600, 1000, 5000, 80_000, 1_000_000] {
            let waited = Duration::from_micros(micros);
            let step = next_rest(waited, wake);
            assert!(
                step <= (waited / 8).max(REST_MIN) && step <= REST_MAX,
                "{step:?}"
            );
        }
    }
}
