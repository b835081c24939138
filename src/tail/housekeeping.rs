//! Everything that is done by the clock: scans that are due, looks that no event asks for, and
//! letting go of what has been quiet.

use std::time::{Duration, Instant};

use super::follow::Followed;
use super::{
    DELETED_QUIET, DESCRIPTOR_QUIET, FILES_PER_TICK, FileId, POLL_INTERVAL, RENAMED_QUIET,
    TICK_INTERVAL, Tail, WINDOW_QUIET,
};
use crate::checkpoint::Message;
use crate::report;
use crate::stats::board::Seen;

impl Tail {
    /// Everything that is done by the clock.
    pub(super) fn keep_house(&mut self) {
        let now = Instant::now();
        if self.is_rescan_due && now >= self.rescan_at() {
            self.scan();
        }
        self.queue_held();
        if now >= self.poll_at() {
            self.poll_unwatched();
        }
        self.queue_unfinished(now);
        self.queue_troubled(now);
        if now.duration_since(self.ticked_at) >= TICK_INTERVAL {
            self.ticked_at = now;
            self.unseen.forget_old_names(now);
            self.forget_truncated(now);
            self.tell_missed(now);
            self.open_unopened();
            self.is_rescan_due |= self.is_folder_missing || !self.failing.is_empty();
            // Files that are queued stay, so these come before the looks that are due.
            self.let_sleep(now);
            self.tell_finished(now);
            self.let_go(now);
            self.check_in_turn(now);
            self.links.stats.set_files_followed(self.files.len());
            self.put_up_files(now);
        }
    }

    /// Puts the state of all files up where somebody may look at it.
    fn put_up_files(&self, now: Instant) {
        let Some(board) = &self.links.stats.board else {
            return;
        };
        let files = self.files.values().map(|followed| Seen {
            id: followed.id,
            path: &followed.path,
            inode: followed.inode,
            size: followed.size.max(followed.size_seen).max(followed.offset),
            offset: followed.offset,
            handed_on: followed.handed_on,
            is_unfinished: followed.unfinished_since.is_some(),
            is_rotated: followed.detached_at.is_some(),
            grown_at: followed.grown_at,
        });
        board.put_up(now, files, self.failing.len());
    }

    /// Looks at the sizes of the files that inotify does not report.
    fn poll_unwatched(&mut self) {
        let begun_at = Instant::now();
        let polled: Vec<FileId> = self.polled.iter().copied().collect();
        polled.into_iter().for_each(|id| self.queue_if_changed(id));
        self.polled_at = Instant::now();
        self.poll_cost = self.polled_at.duration_since(begun_at);
    }

    fn queue_if_changed(&mut self, id: FileId) {
        if self.files.get_mut(&id).is_some_and(Followed::has_changed) {
            self.queue(id);
        }
    }

    /// When files without a watch are looked at next: that takes a fiftieth of the time at most.
    pub(super) fn poll_at(&self) -> Instant {
        self.polled_at + poll_interval(self.poll_cost)
    }

    pub(super) fn queue_unfinished(&mut self, now: Instant) {
        let is_due = |id: &&FileId| {
            let since = self
                .files
                .get(*id)
                .and_then(|followed| followed.unfinished_since);
            since.is_none_or(|since| now.duration_since(since) >= self.partial_line_timeout)
        };
        let due: Vec<FileId> = self.unfinished.iter().filter(is_due).copied().collect();
        due.into_iter().for_each(|id| self.queue(id));
    }

    /// Looks at the next files in turn, whatever inotify says, and at the folders' contents.
    pub(super) fn check_in_turn(&mut self, now: Instant) {
        let after = self.files.range((
            std::ops::Bound::Excluded(self.last_checked),
            std::ops::Bound::Unbounded,
        ));
        let checked: Vec<FileId> = after.map(|(id, _)| *id).take(FILES_PER_TICK).collect();
        if checked.len() < FILES_PER_TICK {
            // The end of a round over all files: names may have changed unseen, too.
            self.is_rescan_due = true;
            self.last_checked = FileId(0);
        } else if let Some(last) = checked.last() {
            self.last_checked = *last;
        }
        for id in checked {
            self.check_pace(id, now);
            self.check_name(id);
            // A closed file is only opened for a reason.
            match self.files.get(&id) {
                Some(followed) if followed.source.is_some() => self.queue(id),
                _ => self.queue_if_changed(id),
            }
        }
    }

    /// Lets go of the windows and descriptors of files that have been quiet for a while.
    pub(super) fn let_sleep(&mut self, now: Instant) {
        let files = &mut self.files;
        let kept_max = self.descriptors_kept_max;
        // Some more than need be, so that there is room for those that are read next.
        let mut surplus = match self.awake.len() {
            count if count < kept_max => 0,
            count => count - kept_max / 8 * 7,
        };
        self.awake.retain(|id| {
            let Some(followed) = files.get_mut(id) else {
                return false;
            };
            let quiet = followed.quiet_for(now);
            if quiet >= WINDOW_QUIET {
                followed.drop_window();
            }
            let is_surplus = surplus > 0 && quiet >= WINDOW_QUIET;
            let is_idle = is_surplus || quiet >= DESCRIPTOR_QUIET;
            // One that is still to be looked at may hold more than is known.
            if is_idle && !followed.is_queued && followed.can_close() {
                surplus = surplus.saturating_sub(1);
                followed.source = None;
                followed.is_awake = false;
            }
            followed.is_awake
        });
    }

    /// Lets go of files that were rotated away, once they are read to their end and quiet.
    pub(super) fn let_go(&mut self, now: Instant) {
        let is_over = |followed: &&Followed| {
            let quiet = if followed.links == 0 {
                DELETED_QUIET
            } else {
                RENAMED_QUIET
            };
            let since = followed
                .detached_at
                .map(|at| now.saturating_duration_since(at));
            since.is_some_and(|since| since >= quiet)
                && followed.quiet_for(now) >= quiet
                && followed.offset >= followed.size
                && !followed.is_queued
        };
        let over: Vec<FileId> = self
            .files
            .values()
            .filter(is_over)
            .map(|file| file.id)
            .collect();
        for id in over {
            // Once more, whatever was heard of it: its writer may have been at it just now.
            if self.files.get_mut(&id).is_some_and(Followed::has_changed) {
                self.queue(id);
                continue;
            }
            if let Some(followed) = self.files.remove(&id) {
                report::debug(|| format!("{}: done and let go of", followed.path.display()));
                self.forget(&followed, Some(followed.handed_on));
            }
        }
    }

    pub(super) fn forget(&mut self, followed: &Followed, ends_at: Option<u64>) {
        self.stop_watching(followed);
        if self.by_inode.get(&followed.inode) == Some(&followed.id) {
            self.by_inode.remove(&followed.inode);
        }
        self.tell(Message::Ended(followed.id, ends_at));
    }
}

fn poll_interval(cost: Duration) -> Duration {
    (cost * 50).max(POLL_INTERVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polling_takes_a_fiftieth_of_the_time_at_most() {
        assert_eq!(poll_interval(Duration::from_micros(10)), POLL_INTERVAL);
        let cost = Duration::from_millis(20);
        assert_eq!(poll_interval(cost), Duration::from_secs(1));
    }
}
