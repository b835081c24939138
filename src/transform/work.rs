//! One work unit through the transform: its chunks to batches within the ceilings, each checked
//! against its file before it is handed on.

use super::{Input, Limits, Transform};
use crate::batch::{BATCH_BYTES_MAX, Batch, BatchPool, Progress};
use crate::stats::Stats;
use crate::tail::{Chunk, LineState, Work};

/// Transforms `work` and gives its batches to `emit` in order, the last one flagged (it may be
/// empty: its progress still counts). Chunks of truncated files are thrown away and counted as
/// unread.
///
/// # Errors
/// The first error of `emit`.
pub(crate) fn transform_work<E>(
    transform: &mut Transform,
    work: Work,
    batch_records_max: u64,
    pool: &BatchPool,
    stats: &Stats,
    mut emit: impl FnMut(Batch) -> Result<(), E>,
) -> Result<(), E> {
    let mut batch = pool.take(work.sequence, work.seen_at);
    for chunk in work.chunks {
        let mut position = 0;
        while let Some(next) = fill(
            transform,
            &chunk,
            position,
            batch_records_max,
            &mut batch,
            stats,
        ) {
            position = next;
            let full = std::mem::replace(&mut batch, pool.take(work.sequence, work.seen_at));
            emit(full)?;
        }
    }
    batch.is_last = true;
    emit(batch)
}

/// Fills `batch` from byte `position` of `chunk` on. Returns the position to go on from when the
/// batch is full, `None` when the chunk is done.
fn fill(
    transform: &mut Transform,
    chunk: &Chunk,
    position: usize,
    batch_records_max: u64,
    batch: &mut Batch,
    stats: &Stats,
) -> Option<usize> {
    let bytes = chunk.bytes();
    let input = Input {
        bytes,
        extent: chunk.extent,
        suffix: &chunk.source.suffix,
    };
    let limits = Limits {
        records: batch_records_max.saturating_sub(batch.counts.records),
        output_bytes: BATCH_BYTES_MAX,
    };
    let payload_bytes_before = batch.payload.len();
    let (next, counts) = transform.run(&chunk.plan, input, position, limits, &mut batch.payload);
    let end = chunk.offset + next as u64;
    if !chunk.is_intact(end) {
        batch.payload.truncate(payload_bytes_before);
        chunk.source.tear();
        stats.add_unread(&chunk.source.path, (bytes.len() - position) as u64);
        return None;
    }
    let is_done = next == bytes.len();
    batch.counts.add(&counts);
    batch.input_bytes += (next - position) as u64;
    let line = if is_done {
        chunk.line_after
    } else {
        LineState::Start
    };
    batch.cover(Progress {
        file: chunk.source.id,
        offset: end,
        line,
    });
    (!is_done).then_some(next)
}
