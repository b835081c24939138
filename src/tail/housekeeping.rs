//! Everything that is done by the clock: scans that are due, looks that no event asks for, and
//! letting go of what has been quiet.

use std::time::Instant;

use super::follow::Followed;
use super::identity::Inode;
use super::{
    DELETED_QUIET, DESCRIPTOR_QUIET, DESCRIPTORS_KEPT_MAX, FILES_PER_TICK, FileId, POLL_INTERVAL,
    RENAMED_QUIET, TICK_INTERVAL, Tail, WINDOW_QUIET,
};
use crate::checkpoint::Message;

impl Tail {
    /// Everything that is done by the clock.
    pub(super) fn keep_house(&mut self) {
        let now = Instant::now();
        if self.is_rescan_due && now >= self.rescan_at() {
            self.scan();
        }
        if now.duration_since(self.polled_at) >= POLL_INTERVAL {
            self.polled_at = now;
            let polled: Vec<FileId> = self.polled.iter().copied().collect();
            polled.into_iter().for_each(|id| self.queue(id));
        }
        self.queue_unfinished(now);
        if now.duration_since(self.ticked_at) >= TICK_INTERVAL {
            self.ticked_at = now;
            self.unseen.forget_old_names(now);
            self.open_unopened();
            self.is_rescan_due |= self.is_folder_missing || !self.failing.is_empty();
            // Files that are queued stay, so these come before the looks that are due.
            self.let_sleep(now);
            self.let_go(now);
            self.check_in_turn();
            self.links.stats.set_files_followed(self.files.len());
        }
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
    pub(super) fn check_in_turn(&mut self) {
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
            let Some(followed) = self.files.get(&id) else {
                continue;
            };
            // A closed file is only opened for a reason.
            let is_changed = followed.source.is_some()
                || std::fs::metadata(&followed.path).is_ok_and(|metadata| {
                    Inode::of(&metadata) == followed.inode && metadata.len() != followed.size
                });
            if is_changed {
                self.queue(id);
            }
        }
    }

    /// Lets go of the windows and descriptors of files that have been quiet for a while.
    pub(super) fn let_sleep(&mut self, now: Instant) {
        let files = &mut self.files;
        let is_crowded = self.awake.len() > DESCRIPTORS_KEPT_MAX;
        let descriptor_quiet = if is_crowded {
            WINDOW_QUIET
        } else {
            DESCRIPTOR_QUIET
        };
        self.awake.retain(|id| {
            let Some(followed) = files.get_mut(id) else {
                return false;
            };
            let quiet = followed.quiet_for(now);
            if quiet >= WINDOW_QUIET {
                followed.drop_window();
            }
            // A file without a watched name could not be opened again, and one that is still to be
            // looked at may hold more than is known.
            let is_read = followed.offset >= followed.size
                && followed.detached_at.is_none()
                && !followed.is_queued;
            let is_torn = followed
                .source
                .as_ref()
                .is_some_and(|source| source.is_torn());
            if quiet >= descriptor_quiet && is_read && !is_torn {
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
            if let Some(followed) = self.files.remove(&id) {
                self.forget(&followed, Some(followed.handed_on));
            }
        }
    }

    pub(super) fn forget(&mut self, followed: &Followed, ends_at: Option<u64>) {
        if let Some(watch) = &followed.watch {
            self.watcher.unwatch_file(watch);
        }
        self.polled.remove(&followed.id);
        self.unfinished.remove(&followed.id);
        if self.by_inode.get(&followed.inode) == Some(&followed.id) {
            self.by_inode.remove(&followed.inode);
        }
        self.tell(Message::Ended(followed.id, ends_at));
    }
}
