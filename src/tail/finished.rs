//! Rotated logs that were read to their end: what the checkpoint knows of them before they are deleted.
//!
//! After a kill a sink file is cut back to the length in the checkpoint, and what came behind it is read
//! again. That can't be done when a file is gone of which more may have been shipped. Old logs are
//! deleted all the time, though, and nothing was written to them for long. So the checkpoint says of such
//! a file that it is finished, and before anything more of it is handed on, a checkpoint is written that
//! does not say so any more.

use std::path::Path;
use std::time::Instant;

use super::born::original_of;
use super::follow::Followed;
use super::identity::Inode;
use super::{FileId, TICK_INTERVAL, Tail};
use crate::checkpoint::Message;

impl Tail {
    /// Tells the checkpoint of files that were rotated away or deleted, are read to their end, and quiet.
    pub(super) fn tell_finished(&mut self, now: Instant) {
        let mut told = Vec::new();
        for followed in self.files.values_mut() {
            let is_rotated =
                followed.links == 0 || followed.detached_at.is_some() || followed.has_rotated_name;
            let is_finished = is_rotated
                && followed.quiet_for(now) >= TICK_INTERVAL
                && followed.offset >= followed.size
                && !followed.is_queued;
            let end = Some(followed.handed_on);
            if is_finished && followed.finished_at != end {
                (followed.finished_at, followed.resuming) = (end, None);
                told.push(Message::Finished(followed.id, followed.handed_on));
            }
        }
        told.into_iter().for_each(|message| self.tell(message));
    }

    /// Whether more of a file may not be handed on yet, since the checkpoint on the disk says that it is
    /// finished. Where that cannot be written it is handed on all the same: a full disk must not hold it
    /// up.
    pub(super) fn is_finished_yet(&mut self, followed: &mut Followed) -> bool {
        if followed.finished_at.is_none() || followed.offset >= followed.size {
            return false;
        }
        let Some(checkpoint) = &self.links.checkpoint else {
            followed.finished_at = None;
            return false;
        };
        let written = followed.resuming.get_or_insert_with(|| {
            let (reply, written) = flume::bounded(1);
            // Where the checkpoint thread has failed it has said so, and there is no answer.
            let _ = checkpoint.send(Message::Resumed(followed.id));
            let _ = checkpoint.send(Message::Sync(reply));
            written
        });
        if written.is_empty() && !written.is_disconnected() {
            self.hold(followed.id);
            return true;
        }
        (followed.finished_at, followed.resuming) = (None, None);
        false
    }

    /// Looks whether a file has a rotated name beside its log, which the patterns mean, too.
    pub(super) fn check_name(&mut self, id: FileId) {
        if let Some(followed) = self.files.get_mut(&id) {
            followed.has_rotated_name = is_rotated(&followed.path, followed.inode);
        }
    }
}

/// Whether there is another file in its folder of whose name the file's is a rotated form. A log that is
/// written under a dated name may have a link without the date, which leads to the same file.
fn is_rotated(path: &Path, inode: Inode) -> bool {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return false;
    };
    let is_other = |original: &std::ffi::OsStr| {
        let metadata = std::fs::metadata(folder.join(original));
        metadata.is_ok_and(|metadata| metadata.is_file() && Inode::of(&metadata) != inode)
    };
    original_of(name, is_other).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotated_name_beside_its_log_tells_and_one_beside_a_link_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let is_rotated = |name: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, "").unwrap();
            is_rotated(&path, Inode::of(&std::fs::metadata(&path).unwrap()))
        };
        assert!(!is_rotated("a.log") && !is_rotated("b.log.1"));
        assert!(is_rotated("a.log.1") && is_rotated("a.log-20261130"));
        assert!(!is_rotated("c.log-20261130"));
        std::os::unix::fs::symlink("c.log-20261130", dir.path().join("c.log")).unwrap();
        assert!(!is_rotated("c.log-20261130") && is_rotated("c.log-20261129"));
    }
}
