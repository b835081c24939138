//! Files that do not go on: those that the system cannot read, and those that grow while nothing of
//! them is read. Both are opened again where they were read to, however often that has to be tried.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::chunk::Position;
use super::follow::Followed;
use super::identity::Inode;
use super::wait::REST_MIN;
use super::{FileId, HINT_INTERVAL, Tail};
use crate::checkpoint::Message;
use crate::report;
use crate::ship::Ended;

/// The first pause before a file is read again that could not be read, and the longest.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(30);

/// How long a file may have more than was read of it while nothing holds that up.
const STALL: Duration = Duration::from_secs(10);

/// Bytes of a chunk of a file that could not be read.
const CAREFUL_BYTES: u64 = 64 << 10;

/// How often it is tried where all that is there is to be read, and no more.
const TRIES_ONCE: u32 = 3;

/// When a file is read again that could not be.
#[derive(Debug, Default)]
pub(crate) struct Retry {
    /// Not before that.
    at: Option<Instant>,
    pause: Duration,
    /// Where it could not be read the last time.
    failed_at: u64,
    has_complained: bool,
}

impl Retry {
    /// Whether it has to wait.
    pub(super) fn is_pending(&self, now: Instant) -> bool {
        self.at.is_some_and(|at| now < at)
    }

    /// Whether only one chunk of it may be on its way: a page that cannot be read takes the others of
    /// its window with it.
    pub(super) fn is_careful(&self) -> bool {
        self.has_complained
    }

    /// How much of it a chunk should have.
    pub(super) fn bytes_wanted(&self, bytes_wanted: u64) -> u64 {
        if self.is_careful() {
            bytes_wanted.min(CAREFUL_BYTES)
        } else {
            bytes_wanted
        }
    }

    /// Notes that it could not be read from `offset` on. The pause is longer each time that it did
    /// not get any further. Returns whether that is worth a word.
    fn failed(&mut self, now: Instant, offset: u64) -> bool {
        let is_further = offset > self.failed_at;
        self.pause = match self.pause * 2 {
            pause if is_further || pause.is_zero() => RETRY_PAUSE,
            pause => pause.min(RETRY_PAUSE_MAX),
        };
        self.failed_at = offset;
        self.at = Some(now + self.pause);
        !std::mem::replace(&mut self.has_complained, true)
    }

    /// Notes that everything up to `offset` was read. Returns whether that is worth a word.
    fn worked(&mut self, offset: u64) -> bool {
        let has_worked = self.has_complained && offset > self.failed_at;
        if has_worked {
            *self = Retry::default();
        }
        has_worked
    }
}

/// Whether a file goes on.
#[derive(Debug)]
pub(crate) struct Pace {
    offset: u64,
    since: Instant,
    has_complained: bool,
}

impl Pace {
    /// It was read up to `offset`.
    pub(crate) fn new(now: Instant, offset: u64) -> Pace {
        Pace {
            offset,
            since: now,
            has_complained: false,
        }
    }

    /// Whether it stands still: `has_more` than the offset up to which it was read, which is the same
    /// for [`STALL`] now.
    fn is_stalled(&mut self, now: Instant, offset: u64, has_more: bool) -> bool {
        if offset != self.offset || !has_more {
            self.has_complained &= offset == self.offset;
            (self.offset, self.since) = (offset, now);
            return false;
        }
        let is_stalled = now.saturating_duration_since(self.since) >= STALL;
        if is_stalled {
            self.since = now;
        }
        is_stalled
    }
}

impl Tail {
    /// Reads on in a file that could not be read, through a new descriptor where it can be opened.
    pub(super) fn read_again(
        &mut self,
        followed: &mut Followed,
        position: Position,
        now: Instant,
    ) -> io::Result<()> {
        self.links.stats.add_file_error();
        if followed.retry.failed(now, position.offset) {
            report::warning(&format!(
                "{}: cannot be read from byte {} on (I/O error): opened again; if that does not help \
                 look at the disk (dmesg tells more); will try again",
                followed.path.display(),
                position.offset
            ));
        }
        let before = followed.source.take();
        if self.reopen(followed).is_err() {
            // It has no name any more: the old descriptor has to do.
            followed.source.clone_from(&before);
        }
        let source = followed.source.as_ref();
        let file = source.and_then(|source| source.file.as_ref());
        let file = file.ok_or(io::ErrorKind::NotConnected)?.try_clone()?;
        self.tell(Message::Ended(followed.id, None));
        self.stop_watching(followed);
        let source = self.new_source(followed.path.clone(), Some(file));
        followed.go_back(source, position);
        self.watch(followed);
        self.by_inode.insert(followed.inode, followed.id);
        self.tell(Message::Opened(followed.id, followed.entry()));
        Ok(())
    }

    /// Has the files read that could not be, when it is time.
    pub(super) fn queue_troubled(&mut self, now: Instant) {
        let files = &self.files;
        let is_due = |id: &FileId| {
            let followed = files.get(id);
            followed.is_none_or(|followed| !followed.retry.is_pending(now))
        };
        let due: Vec<FileId> = self.troubled.extract_if(is_due).collect();
        due.into_iter().for_each(|id| self.queue(id));
    }

    /// Whether all was read that is to be read once; waits until that is known. Files that could not be
    /// read are tried again a few times.
    ///
    /// # Errors
    /// When nobody takes anything any more.
    pub(super) fn has_read_all(&mut self) -> std::result::Result<bool, Ended> {
        let mut pause = REST_MIN;
        while self.is_once && !self.links.dispatch.is_idle() {
            if self.links.shutdown.begun() {
                return Ok(true);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(HINT_INTERVAL);
            self.links.dispatch.has_room(Duration::ZERO)?;
        }
        let troubled = self.files.values().filter(|file| file.has_trouble());
        let troubled: Vec<FileId> = troubled
            .map(|file| file.id)
            .chain(self.troubled.iter().copied())
            .collect();
        if !self.is_once || troubled.is_empty() || self.tries >= TRIES_ONCE {
            return Ok(true);
        }
        self.tries += 1;
        let pauses = troubled
            .iter()
            .filter_map(|id| Some(self.files.get(id)?.retry.pause));
        let pause = pauses.max().unwrap_or_default();
        self.links.shutdown.sleep(pause);
        troubled.into_iter().for_each(|id| self.queue(id));
        Ok(false)
    }

    /// Looks whether a file grows while nothing of it is read, though nothing holds that up. Opens it
    /// again then, and says so for the first time.
    pub(super) fn check_pace(&mut self, id: FileId, now: Instant) {
        let Some(followed) = self.files.get_mut(&id) else {
            return;
        };
        let read_to = followed.failed_at().map_or(followed.offset, |at| at.offset);
        if followed.retry.worked(read_to) {
            report::notice(&format!("{}: can be read again", followed.path.display()));
        }
        let is_held = followed.is_held();
        if followed.is_queued || followed.retry.is_careful() || followed.has_trouble() || is_held {
            // It waits for the sink, for the disk, or for its original.
            followed.pace = Pace::new(now, followed.offset);
            return;
        }
        let size_there = size_at(&followed.path, followed.inode);
        let size = size_there.unwrap_or(followed.size);
        let is_waiting = followed.unfinished_since.is_some() && size <= followed.size;
        let has_more = size > followed.offset && !is_waiting;
        if !followed.pace.is_stalled(now, followed.offset, has_more) {
            return;
        }
        self.links.stats.add_reopened();
        if !std::mem::replace(&mut followed.pace.has_complained, true) {
            report::warning(&format!(
                "{}: has {} bytes and stood still at {} for {} s: opened again",
                followed.path.display(),
                size,
                followed.offset,
                STALL.as_secs()
            ));
        }
        followed.drop_window();
        if size_there.is_some() {
            followed.source = None;
            followed.is_awake = false;
            self.awake.retain(|awake| *awake != id);
        }
        self.queue(id);
    }
}

/// The size of the file at `path`, if it is that one.
fn size_at(path: &Path, inode: Inode) -> Option<u64> {
    let metadata = std::fs::metadata(path).ok()?;
    (Inode::of(&metadata) == inode).then_some(metadata.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_until_a_file_gets_further() {
        let (mut retry, now) = (Retry::default(), Instant::now());
        let mut pause = |offset| {
            let is_said = retry.failed(now, offset);
            (is_said, retry.pause.as_secs())
        };
        assert_eq!(pause(5), (true, 1));
        assert_eq!([pause(5), pause(5)], [(false, 2), (false, 4)]);
        assert_eq!(pause(9), (false, 1));
        assert_eq!((0..9).map(|_| pause(9).1).max(), Some(30));
        assert!(!retry.worked(9) && retry.worked(10) && !retry.worked(11));
    }

    #[test]
    fn only_a_file_that_has_more_stands_still() {
        let begun_at = Instant::now();
        let mut pace = Pace::new(begun_at, 5);
        let at = |seconds| begun_at + Duration::from_secs(seconds);
        assert!(!pace.is_stalled(at(9), 5, true));
        assert!(!pace.is_stalled(at(11), 5, false), "there is no more");
        assert!(!pace.is_stalled(at(20), 5, true));
        assert!(pace.is_stalled(at(21), 5, true));
        assert!(!pace.is_stalled(at(22), 5, true), "it was opened just now");
        assert!(pace.is_stalled(at(31), 5, true));
        assert!(!pace.is_stalled(at(50), 6, true), "it went on");
    }
}
