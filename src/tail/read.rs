//! Reading: chunks of the files that are ready, in turn, into work units.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rustix::io::Errno;

use super::chunk::Chunk;
use super::follow::{Followed, Look, Next, Wanted};
use super::identity::Inode;
use super::log_file;
use super::resume::{Folders, Sought};
use super::stdin::sample_format;
use super::wait::REST_MIN;
use super::{CHUNK_BYTES, CHUNKS_PER_WORK_MAX, HINT_INTERVAL, Tail, WINDOWS_KEPT_MAX};
use crate::checkpoint::Message;
use crate::ship::Ended;

/// Files whose sizes are looked at between two looks for room: a thousandth of the time.
const SIZES_NOTED: usize = 16;

impl Tail {
    /// Reads everything that is there to read.
    pub(super) fn read_ready(&mut self) -> std::result::Result<(), Ended> {
        let mut served_at = Instant::now();
        while !self.ready.is_empty() && self.await_room()? {
            let seen_at = Instant::now();
            let chunks = self.gather(seen_at);
            if !chunks.is_empty() {
                self.links.dispatch.send(chunks, seen_at)?;
            }
            if served_at.elapsed() > HINT_INTERVAL {
                // A long backlog must not hide what happens meanwhile.
                self.serve();
                served_at = Instant::now();
            }
        }
        Ok(())
    }

    /// Waits until one more work unit may be in flight. A sink may refuse for hours: files that come,
    /// are renamed and go meanwhile are opened while they still have a name. Returns whether there is
    /// room; there is none any more when the end has begun.
    fn await_room(&mut self) -> std::result::Result<bool, Ended> {
        while !self.links.shutdown.begun() {
            if self.links.dispatch.has_room(HINT_INTERVAL)? {
                return Ok(true);
            }
            self.serve();
            self.note_sizes();
        }
        Ok(false)
    }

    /// Looks at the sizes of some of the files that wait to be read, in turn: when one is truncated
    /// before the sink takes anything again, what is lost is counted.
    fn note_sizes(&mut self) {
        let count = self.ready.len().min(SIZES_NOTED);
        for id in self.ready.iter().take(count) {
            if let Some(followed) = self.files.get_mut(id) {
                followed.note_size();
            }
        }
        self.ready.rotate_left(count);
    }

    /// Does what events and the clock ask for, short of reading.
    pub(super) fn serve(&mut self) {
        self.take_hints();
        self.keep_house();
    }

    /// Cuts chunks of the files that are ready, in turn, until a work unit is full.
    pub(super) fn gather(&mut self, now: Instant) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        let mut bytes_left = CHUNK_BYTES;
        while chunks.len() < CHUNKS_PER_WORK_MAX && bytes_left > 0 {
            let Some(id) = self.ready.pop_front() else {
                break;
            };
            let Some(mut followed) = self.files.remove(&id) else {
                continue;
            };
            followed.is_queued = false;
            match self.read_file(&mut followed, bytes_left, now) {
                Ok(Some(chunk)) => {
                    followed.last_work = Some(self.links.dispatch.sequence);
                    bytes_left = bytes_left.saturating_sub(chunk.bytes().len() as u64);
                    chunks.push(chunk);
                    followed.is_queued = true;
                    self.ready.push_back(followed.id);
                }
                Ok(None) if followed.skipped_bytes > 0 => {
                    let skipped = std::mem::take(&mut followed.skipped_bytes);
                    self.links.stats.add_skipped(skipped);
                    bytes_left = bytes_left.saturating_sub(skipped);
                    followed.is_queued = true;
                    self.ready.push_back(followed.id);
                }
                Ok(None) => {}
                Err(error) if is_out_of_descriptors(&error) && self.is_any_on_its_way(&chunks) => {
                    if chunks.is_empty() {
                        std::thread::sleep(REST_MIN);
                    }
                    followed.is_queued = true;
                    self.ready.push_front(followed.id);
                    bytes_left = 0;
                }
                // Deleted while it was closed: the next scan lets go of it.
                Err(error)
                    if error.kind() == io::ErrorKind::NotFound && followed.source.is_none() => {}
                Err(error) => {
                    let path = followed.path.clone();
                    self.complain(&path, "read", &error);
                    followed.drop_window();
                }
            }
            if followed.is_compressed {
                self.forget(&followed, None);
                continue;
            }
            self.note_state(&mut followed);
            self.files.insert(followed.id, followed);
        }
        chunks
    }

    /// Whether there are chunks that will give their descriptors back.
    fn is_any_on_its_way(&self, chunks: &[Chunk]) -> bool {
        !chunks.is_empty() || !self.links.dispatch.is_idle()
    }

    /// The next chunk of a file, after a look at it when everything known of it was read.
    pub(super) fn read_file(
        &mut self,
        followed: &mut Followed,
        bytes_wanted: u64,
        now: Instant,
    ) -> io::Result<Option<Chunk>> {
        if followed.retry.is_pending(now) {
            self.troubled.insert(followed.id);
            return Ok(None);
        }
        if followed.offset >= followed.size
            || followed.unfinished_since.is_some()
            || followed.has_trouble()
        {
            self.look(followed, now)?;
            // Its chunks are on their way, or it was opened again just now.
            if followed.failed_at().is_some() || followed.retry.is_pending(now) {
                self.troubled.insert(followed.id);
                return Ok(None);
            }
        }
        if self.has_become_compressed(followed)? {
            followed.is_compressed = true;
            return Ok(None);
        }
        if followed.is_held() && self.is_held_on(followed, now)? {
            return Ok(None);
        }
        if self.is_finished_yet(followed) {
            return Ok(None);
        }
        let source = followed.source.as_ref();
        let is_busy = source.is_some_and(|source| Arc::strong_count(source) > 1);
        if followed.retry.is_careful() && is_busy {
            self.troubled.insert(followed.id);
            return Ok(None);
        }
        let waited = |since: Instant| now.duration_since(since) >= self.partial_line_timeout;
        let wanted = Wanted {
            bytes: followed.retry.bytes_wanted(bytes_wanted),
            line_bytes_max: self.line_bytes_max,
            is_final: self.is_once || followed.unfinished_since.is_some_and(waited),
        };
        let small_reads = self
            .is_crowded_without(followed)
            .then_some(&self.small_reads);
        let plans = &self.plans;
        let path = &followed.path.clone();
        let plan_for = |format| plans.detected(format, path);
        let format_before = followed.format;
        let next = followed.next(wanted, now, plan_for, plans.fixed.as_ref(), small_reads)?;
        if followed.failed_at().is_some() {
            self.troubled.insert(followed.id);
        }
        if followed.format != format_before {
            self.tell(Message::Detected(followed.id, followed.format));
        }
        Ok(match next {
            Next::Chunk(chunk) => Some(chunk),
            Next::Skipped | Next::Done => None,
        })
    }

    /// Looks at a file, opening it again if need be, and starts over where it was truncated.
    pub(super) fn look(&mut self, followed: &mut Followed, now: Instant) -> io::Result<()> {
        if followed.source.is_none() {
            self.reopen(followed)?;
        }
        match followed.look(now)? {
            Look::Whole | Look::Busy => {}
            // The checkpoint is about to hear that everything before that position is done.
            Look::Unreadable(_) if !self.is_told_of(followed) => {}
            Look::Unreadable(position) => self.read_again(followed, position, now)?,
            Look::Identified => {
                self.tell(Message::Identified(followed.id, followed.fingerprint));
            }
            Look::Truncated => {
                self.restart(followed, now)?;
                if followed.look(now)? == Look::Identified {
                    self.tell(Message::Identified(followed.id, followed.fingerprint));
                }
            }
        }
        Ok(())
    }

    /// Whether all that was read of a file is shipped, and the checkpoint told of it.
    fn is_told_of(&self, followed: &Followed) -> bool {
        let dispatch = &self.links.dispatch;
        let is_shipped = |work| dispatch.is_shipped(work);
        followed.last_work.is_none_or(is_shipped) && dispatch.hand_over.tell_progress()
    }

    /// Follows a truncated file from its beginning, under a new number.
    pub(super) fn restart(&mut self, followed: &mut Followed, now: Instant) -> io::Result<()> {
        let Some(source) = followed.source.clone() else {
            return Ok(());
        };
        let Some(file) = &source.file else {
            return Ok(());
        };
        let file = file.try_clone()?;
        self.remember_truncated(followed);
        self.tell(Message::Truncated(followed.id));
        self.is_sync_due = true;
        self.truncated_in = self.truncated_in.max(followed.last_work);
        self.stop_watching(followed);
        let source = self.new_source(followed.path.clone(), Some(file));
        followed.restart(source, now);
        self.watch(followed);
        self.by_inode.insert(followed.inode, followed.id);
        self.tell(Message::Opened(followed.id, followed.entry()));
        Ok(())
    }

    /// Forgets a file's number, under which it is not followed any more.
    pub(super) fn stop_watching(&mut self, followed: &Followed) {
        if let Some(watch) = &followed.watch {
            self.watcher.unwatch_file(watch);
        }
        self.polled.remove(&followed.id);
        self.unfinished.remove(&followed.id);
        self.troubled.remove(&followed.id);
    }

    /// Opens a file again that was closed after a long quiet time.
    pub(super) fn reopen(&mut self, followed: &mut Followed) -> io::Result<()> {
        let is_same = |path: &Path| -> io::Result<Option<File>> {
            let opened = log_file::open(path)?;
            let same = opened.filter(|(_, metadata)| Inode::of(metadata) == followed.inode);
            Ok(same.map(|(file, _)| file))
        };
        let file = match is_same(&followed.path) {
            Ok(Some(file)) => file,
            Err(error) if is_out_of_descriptors(&error) => return Err(error),
            _ => match Folders::default().seek(&followed.entry()) {
                Sought::Renamed(path) => match is_same(&path)? {
                    Some(file) => file,
                    None => return Err(io::ErrorKind::NotFound.into()),
                },
                _ => return Err(io::ErrorKind::NotFound.into()),
            },
        };
        let source = self.source(followed.id, followed.path.clone(), Some(file));
        followed.source = Some(Arc::new(source));
        followed.is_written_closed = false;
        Ok(())
    }

    /// Whether as many others have windows as may keep one, while this file has none.
    fn is_crowded_without(&mut self, followed: &mut Followed) -> bool {
        if followed.has_window() {
            return false;
        }
        // Those that are quiet have lost theirs.
        while let Some(id) = self.windowed.front().copied() {
            let file = match self.files.get_mut(&id) {
                None if id == followed.id => Some(&mut *followed),
                file => file,
            };
            if file.as_ref().is_some_and(|file| file.has_window()) {
                break;
            }
            if let Some(file) = file {
                file.is_windowed = false;
            }
            self.windowed.pop_front();
        }
        self.windowed.len() >= WINDOWS_KEPT_MAX
    }

    /// Lets go of the window that was there first when there are too many. PERF: before, files that
    /// were merely open counted, too, and beside 10 000 idle ones a busy file was mapped anew at each
    /// wake: 8.2 % CPU instead of 5.0 % (2026-11-24).
    fn let_oldest_window_go(&mut self) {
        if self.windowed.len() <= WINDOWS_KEPT_MAX {
            return;
        }
        let oldest = self.windowed.pop_front();
        if let Some(followed) = oldest.and_then(|id| self.files.get_mut(&id)) {
            followed.drop_window();
            followed.is_windowed = false;
        }
    }

    /// Keeps the lists of files that need attention later in step with a file's state.
    pub(super) fn note_state(&mut self, followed: &mut Followed) {
        if followed.unfinished_since.is_some() {
            self.unfinished.insert(followed.id);
        } else {
            self.unfinished.remove(&followed.id);
        }
        if followed.has_window() && !followed.is_windowed {
            followed.is_windowed = true;
            self.windowed.push_back(followed.id);
            self.let_oldest_window_go();
        }
        if followed.is_awake || followed.source.is_none() {
            return;
        }
        if self.awake.len() >= self.descriptors_kept_max && followed.can_close() {
            // Opened again when it is read, so that thousands of files do not need a descriptor
            // each at the same time.
            followed.drop_window();
            followed.source = None;
            return;
        }
        followed.is_awake = true;
        self.awake.push(followed.id);
    }

    pub(super) fn read_stdin(&mut self) -> std::result::Result<(), Ended> {
        while self.await_room()? && self.send_from_stdin()? {}
        Ok(())
    }

    /// Sends what was read of standard input and no line end came for, while the sink may still take
    /// it.
    pub(super) fn end_stdin(&mut self) -> std::result::Result<(), Ended> {
        let Some(stdin) = &mut self.stdin else {
            return Ok(());
        };
        stdin.end();
        let mut has_more = stdin.has_more();
        while has_more && !self.links.shutdown.expired() {
            if self.links.dispatch.has_room(HINT_INTERVAL)? {
                has_more = self.send_from_stdin()?;
            }
        }
        Ok(())
    }

    /// Reads standard input once and sends what came. Returns whether more can be had without a wait.
    fn send_from_stdin(&mut self) -> std::result::Result<bool, Ended> {
        let seen_at = Instant::now();
        let Some(mut stdin) = self.stdin.take() else {
            return Ok(false);
        };
        let chunk = stdin.next_chunk(|sample| match &self.plans.fixed {
            Some(plan) => plan.clone(),
            None => self.plans.detected(sample_format(sample).0, Path::new("-")),
        });
        self.links.stats.add_skipped(stdin.take_skipped_bytes());
        let has_more = stdin.has_more();
        self.stdin = Some(stdin);
        match chunk {
            Ok(Some(chunk)) => self.links.dispatch.send(vec![chunk], seen_at)?,
            Ok(None) => {}
            Err(error) => self.complain(Path::new("-"), "read", &error),
        }
        Ok(has_more)
    }
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE)
    )
}
