//! What the tail hands to the transform: whole lines of one source as a range of a window, without
//! moving a byte.

use std::fs::File;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::identity::{Fingerprint, Trail};
use super::map::Window;
use super::{FileId, LineState};
use crate::enrich::{Extent, Suffix};
use crate::stats::Stats;
use crate::transform::Plan;

/// An open source, shared by the tail and the chunks that are on their way.
#[derive(Debug)]
pub(crate) struct Source {
    /// The file's number in this run.
    pub(crate) id: FileId,
    /// Where it was found.
    pub(crate) path: PathBuf,
    /// The open file; `None` for standard input.
    pub(crate) file: Option<File>,
    /// How its records end.
    pub(crate) suffix: Arc<Suffix>,
    /// The first byte of what was thrown away since the file was truncated under it.
    torn: First,
    /// How much that is, as far as nobody has counted it.
    torn_bytes: AtomicU64,
    stats: Arc<Stats>,
    /// The first byte that could not be read though the file has it.
    failed: First,
}

/// A place in a file from which it can be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// The next byte.
    pub(crate) offset: u64,
    /// What that byte belongs to.
    pub(crate) line: LineState,
    /// The bytes before it.
    pub(crate) trail: Trail,
}

impl Position {
    /// The first byte of a file.
    pub(crate) const START: Position = Position {
        offset: 0,
        line: LineState::Start,
        trail: Trail { bytes: 0, hash: 0 },
    };
}

impl Source {
    /// A source that is whole.
    pub(crate) fn new(
        id: FileId,
        path: PathBuf,
        file: Option<File>,
        suffix: impl Into<Arc<Suffix>>,
        stats: Arc<Stats>,
    ) -> Source {
        Source {
            id,
            path,
            file,
            suffix: suffix.into(),
            torn: First::default(),
            torn_bytes: AtomicU64::new(0),
            stats,
            failed: First::default(),
        }
    }

    /// Notes that the file was truncated under a chunk of it, of which that many bytes are thrown away
    /// from that position on.
    pub(crate) fn tear(&self, position: Position, bytes: u64) {
        self.torn_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.torn.note(position);
    }

    /// Whether a chunk of it was torn.
    pub(crate) fn is_torn(&self) -> bool {
        self.torn.is_some()
    }

    /// Where the first chunk was torn. Once all chunks of it are done, everything before that is.
    pub(crate) fn torn_at(&self) -> Option<Position> {
        self.torn.get()
    }

    /// Takes how many bytes of chunks were thrown away, which the caller counts.
    pub(crate) fn take_torn_bytes(&self) -> u64 {
        self.torn_bytes.swap(0, Ordering::Relaxed)
    }

    /// Notes that the file could not be read from that position on, though it is long enough.
    pub(crate) fn fail(&self, position: Position) {
        self.failed.note(position);
    }

    /// Where the file could not be read, if that was so. Once all chunks of it are done, everything
    /// before that is.
    pub(crate) fn failed_at(&self) -> Option<Position> {
        self.failed.get()
    }
}

impl Drop for Source {
    /// What the tail did not come to count is counted by whoever has the last chunk.
    fn drop(&mut self) {
        self.stats.add_unread(&self.path, self.take_torn_bytes());
    }
}

/// The first of the positions that were noted, by any thread. Asking costs no lock while there is none.
#[derive(Debug, Default)]
struct First {
    is_some: AtomicBool,
    position: Mutex<Option<Position>>,
}

impl First {
    fn note(&self, position: Position) {
        let mut first = self.lock();
        if first.is_none_or(|first| position.offset < first.offset) {
            *first = Some(position);
        }
        self.is_some.store(true, Ordering::Release);
    }

    fn is_some(&self) -> bool {
        self.is_some.load(Ordering::Acquire)
    }

    fn get(&self) -> Option<Position> {
        if self.is_some() { *self.lock() } else { None }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Position>> {
        // A panic elsewhere leaves a plain Option behind.
        self.position.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Memory that holds lines.
#[derive(Debug)]
pub(crate) enum ChunkBytes {
    /// At these offsets of a file.
    Mapped(Arc<Window>, Range<u64>),
    /// In a buffer, read from a stream or from a file.
    Owned(OwnedBytes),
}

/// A buffer that goes back to its pool when it is dropped.
#[derive(Debug)]
pub(crate) struct OwnedBytes {
    bytes: Vec<u8>,
    pool: flume::Sender<Vec<u8>>,
}

/// Buffers that are used again.
#[derive(Debug)]
pub(crate) struct BytesPool {
    give: flume::Sender<Vec<u8>>,
    take: flume::Receiver<Vec<u8>>,
}

impl BytesPool {
    /// A pool that keeps up to `count` buffers.
    pub(crate) fn new(count: usize) -> BytesPool {
        let (give, take) = flume::bounded(count);
        BytesPool { give, take }
    }

    /// A buffer with whatever it held before: a used one where there is one.
    pub(crate) fn take(&self) -> Vec<u8> {
        self.take.try_recv().unwrap_or_default()
    }

    /// Wraps a buffer that comes back to this pool.
    pub(crate) fn own(&self, bytes: Vec<u8>) -> OwnedBytes {
        OwnedBytes {
            bytes,
            pool: self.give.clone(),
        }
    }

    /// How many buffers wait.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.take.len()
    }
}

impl OwnedBytes {
    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Keeps the first `count` bytes.
    pub(crate) fn truncate(&mut self, count: usize) {
        self.bytes.truncate(count);
    }
}

impl Drop for OwnedBytes {
    fn drop(&mut self) {
        // A full pool, or one whose reader has ended, does not want it.
        let _ = self.pool.try_send(std::mem::take(&mut self.bytes));
    }
}

/// Lines of one source: whole ones, or a single one that is not.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// Where they are from.
    pub(crate) source: Arc<Source>,
    /// How they are transformed.
    pub(crate) plan: Arc<Plan>,
    /// The bytes.
    pub(crate) bytes: ChunkBytes,
    /// The offset of the first byte in the source.
    pub(crate) offset: u64,
    /// How much of its line each is.
    pub(crate) extent: Extent,
    /// What the first byte belongs to.
    pub(crate) line_before: LineState,
    /// What the byte after the last one belongs to.
    pub(crate) line_after: LineState,
    /// The bytes before the first one.
    pub(crate) trail: Trail,
    /// The file's first bytes when the chunk was cut.
    pub(crate) fingerprint: Fingerprint,
}

impl Chunk {
    /// The lines.
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.bytes {
            ChunkBytes::Mapped(window, range) => window.bytes(range.clone()),
            ChunkBytes::Owned(owned) => owned.bytes(),
        }
    }

    /// Whether what was read of this chunk, up to the offset `end` of the source, is what the file
    /// held when the chunk was cut. To be asked after the bytes were used and before their result
    /// is: a file that shrank, or has other first bytes, was truncated meanwhile, and a torn window
    /// showed zeros.
    pub(crate) fn state(&self, end: u64) -> ChunkState {
        let Some(file) = &self.source.file else {
            return ChunkState::Intact;
        };
        let has_shrunk = file.metadata().map(|metadata| metadata.len() < end);
        let is_same = self.fingerprint.is_in(file);
        match (has_shrunk, is_same) {
            (Ok(true), _) | (_, Ok(false)) => ChunkState::Gone,
            // What comes after bytes that could not be read waits for them.
            _ if self.is_torn() || self.source.failed_at().is_some() => ChunkState::Unreadable,
            (Ok(false), Ok(true)) => ChunkState::Intact,
            _ => ChunkState::Unreadable,
        }
    }

    /// Whether pages of it could not be read.
    fn is_torn(&self) -> bool {
        matches!(&self.bytes, ChunkBytes::Mapped(window, _) if window.is_torn())
    }

    /// The position at byte `at` of the chunk, which begins a line unless it is the first.
    pub(crate) fn position(&self, at: usize) -> Position {
        if at == 0 {
            return Position {
                offset: self.offset,
                line: self.line_before,
                trail: self.trail,
            };
        }
        Position {
            offset: self.offset + at as u64,
            line: LineState::Start,
            trail: Trail::after(self.bytes().get(..at).unwrap_or_default()),
        }
    }
}

/// What became of the bytes of a chunk while they were used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChunkState {
    /// They are what they were.
    Intact,
    /// The file was truncated.
    Gone,
    /// The file is as long as before, but the system could not give all of them.
    Unreadable,
}

#[cfg(test)]
impl Chunk {
    /// A chunk of a stream that holds `text` at `offset`.
    pub(crate) fn for_test(
        text: &[u8],
        offset: u64,
        extent: Extent,
        line_after: LineState,
        plan: Arc<Plan>,
    ) -> Chunk {
        let suffix = Suffix::new(&[], "host", std::path::Path::new("-"));
        let stats = Arc::new(Stats::new());
        let source = Source::new(FileId(1), PathBuf::from("-"), None, suffix, stats);
        Chunk {
            source: Arc::new(source),
            plan,
            bytes: ChunkBytes::Owned(BytesPool::new(1).own(text.to_vec())),
            offset,
            extent,
            line_before: LineState::Start,
            line_after,
            trail: Trail::default(),
            fingerprint: Fingerprint::default(),
        }
    }
}

/// Chunks that are transformed by one thread and shipped in the order of `sequence`.
#[derive(Debug)]
pub(crate) struct Work {
    /// Its place in the order.
    pub(crate) sequence: u64,
    /// The chunks in order.
    pub(crate) chunks: Vec<Chunk>,
    /// When the oldest of their bytes was seen.
    pub(crate) seen_at: Instant,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Nobody would say so when the tail has ended before a chunk of it was torn.
    #[test]
    fn torn_bytes_that_nobody_took_are_counted_with_the_last_chunk() {
        let stats = Arc::new(Stats::new());
        let position = Position {
            offset: 7,
            ..Position::START
        };
        for (is_taken, unread) in [(false, 5), (true, 5)] {
            let suffix = Suffix::new(&[], "host", Path::new("a.log"));
            let path = PathBuf::from("a.log");
            let source = Source::new(FileId(1), path, None, suffix, stats.clone());
            source.tear(position, 5);
            assert_eq!(source.torn_at(), Some(position));
            if is_taken {
                assert_eq!(source.take_torn_bytes(), 5);
            }
            drop(source);
            assert_eq!(stats.totals().bytes_unread, unread);
        }
    }
}
