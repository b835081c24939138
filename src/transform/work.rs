//! One work unit through the transform: its chunks to batches within the ceilings, each checked
//! against its file before it is handed on.

use super::{Input, Limits, Transform};
use crate::batch::{BATCH_BYTES_MAX, Batch, BatchPool, Progress};
use crate::tail::{Chunk, ChunkState, LineState, Trail, Work};

/// Transforms `work` and gives its batches to `emit` in order, the last one flagged (it may be
/// empty: its progress still counts). Chunks of truncated files are thrown away, and their sources
/// know how much that was; those that could not be read are thrown away, and read again by the tail.
///
/// # Errors
/// The first error of `emit`.
pub(crate) fn transform_work<E>(
    transform: &mut Transform,
    work: Work,
    batch_records_max: u64,
    pool: &BatchPool,
    mut emit: impl FnMut(Batch) -> Result<(), E>,
) -> Result<(), E> {
    let mut batch = pool.take(work.sequence, work.seen_at);
    for chunk in work.chunks {
        let mut position = 0;
        while let Some(next) = fill(transform, &chunk, position, batch_records_max, &mut batch) {
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
    if next == position && next < bytes.len() {
        // The batch was full before: it says nothing of this chunk.
        return Some(next);
    }
    let end = chunk.offset + next as u64;
    let trail = Trail::after(bytes.get(..next).unwrap_or_default());
    match chunk.state(end) {
        ChunkState::Intact => {}
        ChunkState::Gone => {
            batch.payload.truncate(payload_bytes_before);
            let torn_bytes = (bytes.len() - position) as u64;
            chunk.source.tear(chunk.position(position), torn_bytes);
            return None;
        }
        ChunkState::Unreadable => {
            batch.payload.truncate(payload_bytes_before);
            chunk.source.fail(chunk.position(position));
            return None;
        }
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
        trail,
    });
    (!is_done).then_some(next)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::config::OnParseError;
    use crate::enrich::Extent;
    use crate::parse::Parser;

    /// The batch that was full told that a new line begins where the rest of a partial one came:
    /// after a kill that rest was shipped without its flag.
    #[test]
    fn a_full_batch_says_nothing_of_the_chunk_after_it() {
        let plan = crate::transform::tests::plan(Parser::raw(), OnParseError::Keep, 100);
        let plan = std::sync::Arc::new(plan);
        let chunk = |text: &[u8], offset, line_after| {
            Chunk::for_test(text, offset, Extent::Partial, line_after, plan.clone())
        };
        let work = Work {
            sequence: 0,
            chunks: vec![
                chunk(b"begun", 0, LineState::Continued),
                chunk(b" and ended\n", 5, LineState::Start),
            ],
            seen_at: Instant::now(),
        };
        let mut progress = Vec::new();
        let emit = |batch: Batch| {
            progress.extend(batch.progress.iter().map(|at| (at.offset, at.line)));
            Ok::<(), ()>(())
        };
        let pool = BatchPool::new(4);
        transform_work(&mut Transform::new(), work, 1, &pool, emit).unwrap();
        assert_eq!(progress.first(), Some(&(5, LineState::Continued)));
        assert_eq!(progress.last(), Some(&(16, LineState::Start)));
    }
}
