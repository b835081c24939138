//! What travels from the transform to the sink: encoded records with the source ranges that they
//! cover, in memory that is used again.

use std::time::Instant;

use crate::tail::{FileId, LineState, Trail};
use crate::transform::Counts;

/// Output bytes after which a batch is closed whatever its record count: keeps memory bounded and
/// writes in the range that measured best (256 KiB to 1 MiB).
pub(crate) const BATCH_BYTES_MAX: usize = 1 << 20;

/// Memory of a new batch, that of 1000 usual records: only what is used of it becomes resident, and
/// a buffer that grew step by step would leave holes in the heap.
const PAYLOAD_BYTES: usize = BATCH_BYTES_MAX / 2;

/// A buffer that grew past this for a giant line is freed instead of kept.
const KEPT_BYTES_MAX: usize = 2 * BATCH_BYTES_MAX;

/// How far a file is done: everything before `offset` was shipped, dropped by the filter, or
/// counted as unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The file.
    pub(crate) file: FileId,
    /// Bytes from its beginning.
    pub(crate) offset: u64,
    /// What the byte at `offset` belongs to.
    pub(crate) line: LineState,
    /// The bytes before `offset`.
    pub(crate) trail: Trail,
}

/// Encoded records on their way to the sink.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The work unit that this is of; batches are shipped in this order.
    pub(crate) sequence: u64,
    /// Whether no further batch of the same work unit comes.
    pub(crate) is_last: bool,
    /// NDJSON.
    pub(crate) payload: Vec<u8>,
    /// What became of the lines behind it.
    pub(crate) counts: Counts,
    /// Input bytes behind it.
    pub(crate) input_bytes: u64,
    /// The source ranges that it covers, one entry per file, the newest offset.
    pub(crate) progress: Vec<Progress>,
    /// When the first of its bytes was seen in the file.
    pub(crate) seen_at: Instant,
}

impl Batch {
    fn new() -> Batch {
        Batch {
            sequence: 0,
            is_last: false,
            payload: Vec::with_capacity(PAYLOAD_BYTES),
            counts: Counts::default(),
            input_bytes: 0,
            progress: Vec::new(),
            seen_at: Instant::now(),
        }
    }

    /// Notes that a file is covered up to a new offset.
    pub(crate) fn cover(&mut self, progress: Progress) {
        match self.progress.last_mut() {
            Some(last) if last.file == progress.file => *last = progress,
            _ => self.progress.push(progress),
        }
    }

    fn clear(&mut self) {
        self.payload.clear();
        self.progress.clear();
        self.counts = Counts::default();
        self.input_bytes = 0;
    }
}

/// Empty batches, taken by the transform and given back by the sink through a flume channel.
#[derive(Clone, Debug)]
pub(crate) struct BatchPool {
    give: flume::Sender<Batch>,
    take: flume::Receiver<Batch>,
}

impl BatchPool {
    /// A pool that keeps up to `count` batches.
    pub(crate) fn new(count: usize) -> BatchPool {
        let (give, take) = flume::bounded(count);
        BatchPool { give, take }
    }

    /// An empty batch: a used one where there is one.
    pub(crate) fn take(&self, sequence: u64, seen_at: Instant) -> Batch {
        let mut batch = self.take.try_recv().unwrap_or_else(|_| Batch::new());
        batch.sequence = sequence;
        batch.is_last = false;
        batch.seen_at = seen_at;
        batch
    }

    /// Gives a batch back for use again.
    pub(crate) fn give(&self, mut batch: Batch) {
        if batch.payload.capacity() <= KEPT_BYTES_MAX {
            batch.clear();
            // A full pool has enough batches for all who take from it: this one can go.
            let _ = self.give.try_send(batch);
        }
    }
}
