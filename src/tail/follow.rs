//! One followed file: what is known of it, how far it is read, and the next chunk of it.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use inotify::WatchDescriptor;

use super::chunk::{Chunk, ChunkBytes, OwnedBytes, Position, Source};
use super::identity::{Fingerprint, Inode, Trail};
use super::map::Window;
use super::small_reads::SmallReads;
use super::stall::{Pace, Retry};
use super::stdin::sample_format;
use super::truncated::Suspicion;
use super::window::{Cut, cut};
use super::{FileId, LineState};
use crate::checkpoint::Entry;
use crate::enrich::Extent;
use crate::parse::Detected;
use crate::transform::Plan;

/// First bytes of a file by which its format is detected.
const SAMPLE_BYTES: u64 = 64 << 10;

/// Everything known of a followed file.
#[derive(Debug)]
pub(crate) struct Followed {
    /// Its number; another after a truncation, so that nothing acknowledged of the old content is
    /// taken for the new.
    pub(crate) id: FileId,
    /// Where it was found last; may be a symbolic link.
    pub(crate) path: PathBuf,
    /// The same without symbolic links: its folder is the one to look in after a rotation.
    pub(crate) real_path: PathBuf,
    /// Where its data is.
    pub(crate) inode: Inode,
    /// Its first bytes.
    pub(crate) fingerprint: Fingerprint,
    /// The open file; `None` after a long quiet time.
    pub(crate) source: Option<Arc<Source>>,
    /// The next byte to read.
    pub(crate) offset: u64,
    /// What that byte belongs to.
    pub(crate) line: LineState,
    /// The bytes before that byte.
    pub(crate) trail: Trail,
    /// The end of the last chunk that was cut out of it: `offset`, but for a rest that was skipped.
    pub(crate) handed_on: u64,
    /// The work unit that its last chunk went with.
    pub(crate) last_work: Option<u64>,
    /// Its size when it was last looked at.
    pub(crate) size: u64,
    /// Its size when it was last seen; more than `size` where that was not looked at.
    pub(crate) size_seen: u64,
    /// Whether it was written to since it was closed.
    pub(crate) is_written_closed: bool,
    /// Bytes of cut lines that were skipped and not counted yet.
    pub(crate) skipped_bytes: u64,
    /// Names that it has left.
    pub(crate) links: u64,
    /// When it last grew.
    pub(crate) grown_at: Instant,
    /// Since when a last line without a newline is waiting.
    pub(crate) unfinished_since: Option<Instant>,
    /// Since when no watched path leads to it.
    pub(crate) detached_at: Option<Instant>,
    /// Its inotify watch; `None` where it is polled.
    pub(crate) watch: Option<WatchDescriptor>,
    /// What it may be a copy of.
    pub(crate) suspicion: Option<Suspicion>,
    /// When it was truncated, while what is left of it in a copy is not read.
    pub(crate) truncated_at: Option<Instant>,
    /// Whether it turned out to hold no lines, so that it is let go of.
    pub(crate) is_compressed: bool,
    /// Whether it is in the queue of files to read.
    pub(crate) is_queued: bool,
    /// Whether it is in the list of files that hold a window or a descriptor.
    pub(crate) is_awake: bool,
    /// Whether it is in the list of files that may hold a window.
    pub(crate) is_windowed: bool,
    /// When it is read again after it could not be.
    pub(crate) retry: Retry,
    /// Whether it goes on.
    pub(crate) pace: Pace,
    /// Where it ended when the checkpoint was told that it is finished.
    pub(crate) finished_at: Option<u64>,
    /// Answers when the checkpoint knows that it is not.
    pub(crate) resuming: Option<flume::Receiver<()>>,
    /// Whether its name is a rotated form of the name of another file beside it.
    pub(crate) has_rotated_name: bool,
    /// Its format, once that was decided by its first lines.
    pub(crate) format: Option<Detected>,
    plan: Option<Arc<Plan>>,
    window: Option<Arc<Window>>,
}

/// What a look at a file showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// It is as it was, or longer.
    Whole,
    /// It could not be read from there on, and chunks of it are still on their way.
    Busy,
    /// It could not be read from there on.
    Unreadable(Position),
    /// As [`Look::Whole`], and its fingerprint covers more bytes now.
    Identified,
    /// It holds less than was read of it, or other bytes: it was truncated or written anew.
    Truncated,
}

/// Bytes of a file that are at hand.
enum Held {
    /// All that a window has.
    Mapped(Arc<Window>),
    /// All that there are from the offset on.
    Read(OwnedBytes),
}

/// Which chunk of a file is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// About so much of it.
    pub(crate) bytes: u64,
    /// Longer lines are cut.
    pub(crate) line_bytes_max: usize,
    /// Whether a last line without a newline is a chunk too.
    pub(crate) is_final: bool,
}

/// What to do next with a file.
#[derive(Debug)]
pub(crate) enum Next {
    /// Transform these lines.
    Chunk(Chunk),
    /// A part of a cut line was skipped: go on, unless there is something else to do.
    Skipped,
    /// All that can be read was read.
    Done,
}

impl Followed {
    /// A file that was just opened as `source`, to be read from `offset` on.
    pub(crate) fn new(source: Source, inode: Inode, offset: u64, now: Instant) -> Followed {
        Followed {
            id: source.id,
            path: source.path.clone(),
            real_path: real_path(&source.path),
            inode,
            fingerprint: Fingerprint::default(),
            source: Some(Arc::new(source)),
            offset,
            line: LineState::Start,
            trail: Trail::default(),
            handed_on: offset,
            last_work: None,
            size: 0,
            size_seen: 0,
            is_written_closed: false,
            skipped_bytes: 0,
            links: 1,
            grown_at: now,
            unfinished_since: None,
            detached_at: None,
            watch: None,
            suspicion: None,
            truncated_at: None,
            is_compressed: false,
            is_queued: false,
            is_awake: false,
            is_windowed: false,
            retry: Retry::default(),
            pace: Pace::new(now, offset),
            finished_at: None,
            resuming: None,
            has_rotated_name: false,
            format: None,
            plan: None,
            window: None,
        }
    }

    /// How it stands in the checkpoint before more of it is acknowledged.
    pub(crate) fn entry(&self) -> Entry {
        Entry {
            inode: self.inode,
            fingerprint: self.fingerprint,
            offset: self.offset,
            line: self.line,
            trail: self.trail,
            format: self.format,
            path: self.real_path.to_string_lossy().into_owned(),
            finished_at: self.finished_at,
        }
    }

    /// Looks at size, links and first bytes.
    ///
    /// # Errors
    /// What the system says to fstat or the read; the file is closed after a long quiet time, then
    /// [`ErrorKind::NotConnected`].
    pub(crate) fn look(&mut self, now: Instant) -> io::Result<Look> {
        let Some(source) = self.source.clone() else {
            return Err(ErrorKind::NotConnected.into());
        };
        let Some(file) = &source.file else {
            return Err(ErrorKind::NotConnected.into());
        };
        let metadata = file.metadata()?;
        let size = metadata.len();
        self.links = metadata.nlink();
        let is_other = source.is_torn() || size < self.offset || size < self.fingerprint.bytes;
        if is_other {
            return Ok(Look::Truncated);
        }
        if let Some(position) = source.failed_at() {
            // This one and the file's own.
            let is_busy = Arc::strong_count(&source) > 2;
            let is_same = || position.trail.is_in(file, position.offset);
            return Ok(match is_busy {
                true => Look::Busy,
                false if self.fingerprint.is_in(file)? && is_same()? => Look::Unreadable(position),
                false => Look::Truncated,
            });
        }
        if !self.is_same(file)? {
            return Ok(Look::Truncated);
        }
        if size != self.size {
            self.grown_at = now;
            self.size = size;
        }
        if !self.fingerprint.can_grow(size) {
            return Ok(Look::Whole);
        }
        match Fingerprint::take(file, size) {
            Ok(fingerprint) => {
                self.fingerprint = fingerprint;
                Ok(Look::Identified)
            }
            // Shorter than a moment ago.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(Look::Truncated),
            Err(error) => Err(error),
        }
    }

    /// Whether the file holds what was read of it. The bytes read last tell best, and one read has to
    /// do: whatever is made of a chunk checks the first bytes again.
    ///
    /// # Errors
    /// What the system says to the read: bytes that cannot be read now are no others.
    fn is_same(&self, file: &File) -> io::Result<bool> {
        if self.trail.is_telling() {
            self.trail.is_in(file, self.offset)
        } else {
            self.fingerprint.is_in(file)
        }
    }

    /// Whether it may be worth a look: its size is another than at the last one. A closed file is
    /// not opened for that.
    pub(crate) fn has_changed(&mut self) -> bool {
        let source = self.source.as_deref();
        let metadata = match source.and_then(|source| source.file.as_ref()) {
            Some(file) => file.metadata(),
            None => std::fs::metadata(&self.path),
        };
        let size = metadata
            .ok()
            .filter(|metadata| Inode::of(metadata) == self.inode)
            .map(|metadata| metadata.len());
        self.size_seen = self.size_seen.max(size.unwrap_or_default());
        self.has_trouble() || size.is_some_and(|size| size != self.size)
    }

    /// Notes the size of an open file before it is read: it may be truncated by then.
    pub(crate) fn note_size(&mut self) {
        let source = self.source.as_ref();
        let file = source.and_then(|source| source.file.as_ref());
        if let Some(metadata) = file.and_then(|file| file.metadata().ok()) {
            self.size_seen = self.size_seen.max(metadata.len());
        }
    }

    /// Bytes that were seen in the file and never read.
    pub(crate) fn unread_bytes(&self) -> u64 {
        let offset = self
            .failed_at()
            .map_or(self.offset, |failed_at| failed_at.offset);
        self.size.max(self.size_seen).saturating_sub(offset)
    }

    /// Begins again at the first byte, as file `source`, after a truncation.
    pub(crate) fn restart(&mut self, source: Source, now: Instant) {
        self.id = source.id;
        self.source = Some(Arc::new(source));
        self.fingerprint = Fingerprint::default();
        (self.offset, self.size, self.size_seen) = (0, 0, 0);
        (self.line, self.trail, self.handed_on) = (LineState::Start, Trail::default(), 0);
        self.grown_at = now;
        self.unfinished_since = None;
        (self.is_awake, self.is_windowed) = (false, false);
        self.window = None;
        self.retry = Retry::default();
        (self.format, self.plan, self.suspicion) = (None, None, None);
        (self.finished_at, self.resuming) = (None, None);
    }

    /// Goes on at `position`, as file `source`, once nothing of the old one is on its way.
    pub(crate) fn go_back(&mut self, source: Source, position: Position) {
        self.id = source.id;
        self.source = Some(Arc::new(source));
        (self.offset, self.handed_on) = (position.offset, position.offset);
        (self.line, self.trail) = (position.line, position.trail);
        self.unfinished_since = None;
        (self.is_awake, self.is_windowed) = (false, false);
        (self.window, self.plan) = (None, None);
        (self.finished_at, self.resuming) = (None, None);
    }

    /// Whether it may have to wait for another file that is its copy, or that it is a copy of.
    pub(crate) fn is_held(&self) -> bool {
        let is_suspect = self.suspicion.as_ref().is_some_and(Suspicion::is_open);
        is_suspect || self.truncated_at.is_some()
    }

    /// Goes on at `position`, while nothing of it was handed on.
    pub(crate) fn go_to(&mut self, position: Position) {
        (self.offset, self.handed_on) = (position.offset, position.offset);
        (self.line, self.trail) = (position.line, position.trail);
        self.window = None;
    }

    /// Cuts the next chunk out of what the last look showed: whole lines, about as much as is wanted. With
    /// `small_reads` a file without a window gets none for a small piece.
    ///
    /// # Errors
    /// What the system says to mmap.
    pub(crate) fn next(
        &mut self,
        wanted: Wanted,
        now: Instant,
        plan_for: impl Fn(Detected) -> Arc<Plan>,
        fixed_plan: Option<&Arc<Plan>>,
        small_reads: Option<&SmallReads>,
    ) -> io::Result<Next> {
        let bytes_wanted = usize::try_from(wanted.bytes).map_err(io::Error::other)?;
        while self.offset < self.size {
            let Some(source) = self.source.clone() else {
                break;
            };
            let held = match self.small_read(&source, small_reads) {
                Some(Ok(bytes)) => Held::Read(bytes),
                // The next look shows what became of it.
                Some(Err(error)) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Ok(Next::Done);
                }
                Some(Err(_)) => {
                    source.fail(self.position());
                    return Ok(Next::Done);
                }
                None => Held::Mapped(self.window_at_offset(&source)?),
            };
            let (available, end) = match &held {
                Held::Read(bytes) => (bytes.bytes(), self.size),
                Held::Mapped(window) => {
                    let end = self.size.min(window.end());
                    (window.bytes(self.offset..end), end)
                }
            };
            let cut = cut(available, bytes_wanted, self.line, wanted.line_bytes_max);
            if matches!(&held, Held::Mapped(window) if window.is_torn()) {
                source.fail(self.position());
                return Ok(Next::Done);
            }
            let (bytes, extent, then) = match cut {
                Cut::Lines { bytes } => (bytes, Extent::Whole, LineState::Start),
                Cut::Line {
                    bytes,
                    extent,
                    then,
                } => (bytes, extent, then),
                Cut::Skip { bytes, then } => {
                    self.trail = Trail::after(available.get(..bytes).unwrap_or_default());
                    self.offset += bytes as u64;
                    self.skipped_bytes += bytes as u64;
                    self.line = then;
                    return Ok(Next::Skipped);
                }
                Cut::Unfinished if end < self.size => {
                    // The line goes on behind the window; one that begins at it is long enough.
                    self.window = None;
                    continue;
                }
                Cut::Unfinished if wanted.is_final => {
                    (available.len(), Extent::Partial, LineState::Continued)
                }
                Cut::Unfinished => {
                    self.unfinished_since.get_or_insert(now);
                    return Ok(Next::Done);
                }
            };
            let trail = Trail::after(available.get(..bytes).unwrap_or_default());
            let plan = self.plan(&source, fixed_plan, plan_for)?;
            let chunk_end = self.offset + bytes as u64;
            let chunk = Chunk {
                source,
                plan,
                bytes: match held {
                    Held::Mapped(window) => ChunkBytes::Mapped(window, self.offset..chunk_end),
                    Held::Read(mut read) => {
                        read.truncate(bytes);
                        ChunkBytes::Owned(read)
                    }
                },
                offset: self.offset,
                extent,
                line_before: self.line,
                line_after: then,
                trail: self.trail,
                fingerprint: self.fingerprint,
            };
            self.offset = chunk_end;
            (self.handed_on, self.trail, self.line) = (chunk_end, trail, then);
            self.unfinished_since = None;
            return Ok(Next::Chunk(chunk));
        }
        self.unfinished_since = None;
        Ok(Next::Done)
    }

    /// What is left of the file, read into a buffer, where it is little and no window is at hand.
    fn small_read(
        &self,
        source: &Source,
        small_reads: Option<&SmallReads>,
    ) -> Option<io::Result<OwnedBytes>> {
        let file = source.file.as_ref().filter(|_| self.window.is_none())?;
        small_reads?.read(file, self.offset, self.size)
    }

    /// The window that holds the byte at the offset: the one at hand, or a new one from the page of
    /// that byte on.
    fn window_at_offset(&mut self, source: &Source) -> io::Result<Arc<Window>> {
        if let Some(window) = &self.window
            && window.offset() <= self.offset
            && self.offset < window.end()
        {
            return Ok(window.clone());
        }
        let Some(file) = &source.file else {
            return Err(ErrorKind::NotConnected.into());
        };
        let window = Arc::new(Window::map(file, self.offset)?);
        self.window = Some(window.clone());
        Ok(window)
    }

    /// How the file's lines are transformed; with no format configured, decided by its first lines:
    /// for good when there are enough of them, else again with each chunk.
    fn plan(
        &mut self,
        source: &Source,
        fixed: Option<&Arc<Plan>>,
        plan_for: impl Fn(Detected) -> Arc<Plan>,
    ) -> io::Result<Arc<Plan>> {
        if let Some(plan) = fixed.or(self.plan.as_ref()) {
            return Ok(plan.clone());
        }
        let sample = match &source.file {
            Some(file) => first_bytes(file, self.size)?,
            None => Vec::new(),
        };
        let (format, has_enough_lines) = match self.format {
            Some(format) => (format, true),
            None => sample_format(&sample),
        };
        let plan = plan_for(format);
        if has_enough_lines || sample.len() as u64 >= SAMPLE_BYTES {
            self.format = Some(format);
            self.plan = Some(plan.clone());
        }
        Ok(plan)
    }

    /// Where it could not be read.
    pub(crate) fn failed_at(&self) -> Option<Position> {
        self.source.as_ref().and_then(|source| source.failed_at())
    }

    /// Whether what was read of it has to be looked at again.
    pub(crate) fn has_trouble(&self) -> bool {
        let source = self.source.as_ref();
        source.is_some_and(|source| source.is_torn()) || self.failed_at().is_some()
    }

    /// Where it is read on.
    pub(crate) fn position(&self) -> Position {
        Position {
            offset: self.offset,
            line: self.line,
            trail: self.trail,
        }
    }

    /// Whether it can be closed, and opened again when there is more of it. A file without a watched
    /// name could not be.
    pub(crate) fn can_close(&self) -> bool {
        self.offset >= self.size && self.detached_at.is_none() && !self.has_trouble()
    }

    /// Lets go of the window. Chunks that are on their way keep it until they are done.
    pub(crate) fn drop_window(&mut self) {
        self.window = None;
    }

    /// Whether a window is kept.
    pub(crate) fn has_window(&self) -> bool {
        self.window.is_some()
    }

    /// How long it has not grown.
    pub(crate) fn quiet_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.grown_at)
    }
}

/// The path without symbolic links; as it is where that cannot be told.
pub(crate) fn real_path(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// The first bytes by which a format is detected: all that there are, however little a read gives. A
/// file that is shorter by now gives those.
fn first_bytes(file: &File, size: u64) -> io::Result<Vec<u8>> {
    let wanted = usize::try_from(size.min(SAMPLE_BYTES)).unwrap_or_default();
    let (mut sample, mut count) = (vec![0; wanted], 0);
    while let Some(rest) = sample.get_mut(count..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, count as u64) {
            Ok(0) => break,
            Ok(read) => count += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    sample.truncate(count);
    Ok(sample)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enrich::Suffix;

    /// Thousands of idle files without an inotify watch were each opened four times a second.
    #[test]
    fn a_closed_file_has_changed_when_its_size_has_and_is_not_opened_for_that() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        std::fs::write(&path, "one\n").unwrap();
        let file = File::open(&path).unwrap();
        let inode = Inode::of(&file.metadata().unwrap());
        let suffix = Suffix::new(&[], "host", &path);
        let stats = Arc::new(crate::stats::Stats::new());
        let source = Source::new(FileId(1), path.clone(), Some(file), suffix, stats);
        let mut followed = Followed::new(source, inode, 4, Instant::now());
        assert!(followed.has_changed(), "it was never looked at");
        followed.look(Instant::now()).unwrap();
        assert!(!followed.has_changed());
        followed.source = None;
        assert!(!followed.has_changed() && followed.source.is_none());
        std::fs::write(&path, "one\ntwo\n").unwrap();
        assert!(followed.has_changed() && followed.source.is_none());
        assert_eq!(followed.size_seen, 8);
        std::fs::rename(&path, dir.path().join("b.log")).unwrap();
        std::fs::write(&path, "another file\n").unwrap();
        assert!(!followed.has_changed(), "the path leads to another file");
        assert_eq!(followed.size_seen, 8);
    }
}
