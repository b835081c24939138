//! Where chunks go: to the transform threads, or, when nothing is in flight and there is little to
//! do, through the transform right here.
//!
//! A hop between threads costs more than a small chunk: each is a futex wake, 5 to 10 us of CPU and
//! 30 to 50 us of latency on the machine of the first measurements. The threads fan out when there
//! is a backlog.

use std::sync::Arc;
use std::time::Instant;

use super::chunk::{Chunk, Work};
use crate::batch::BatchPool;
use crate::ship::{Ended, HandOver};
use crate::stats::Stats;
use crate::transform::{Transform, transform_work};

/// Most input bytes of a work unit that the tail thread transforms itself: about 50 us of work.
const INLINE_BYTES_MAX: usize = 64 << 10;

/// The tail's end of the pipeline.
pub(crate) struct Dispatch {
    /// Work units for the transform threads.
    pub(crate) work: flume::Sender<Work>,
    /// One per work unit that may be in flight; bounds the memory of everything behind the tail.
    pub(crate) tickets: flume::Receiver<()>,
    /// The way to the sink for what the tail transforms itself.
    pub(crate) hand_over: HandOver,
    /// Empty batches.
    pub(crate) pool: BatchPool,
    /// Counters.
    pub(crate) stats: Arc<Stats>,
    /// The tail's own transform.
    pub(crate) transform: Transform,
    /// Most records in a batch.
    pub(crate) batch_records_max: u64,
    /// Tickets in all.
    pub(crate) ticket_count: usize,
    /// The next work unit's place in the order.
    pub(crate) sequence: u64,
}

impl Dispatch {
    /// Whether everything handed over so far is shipped.
    pub(crate) fn is_idle(&self) -> bool {
        self.tickets.len() == self.ticket_count
    }

    /// Sends chunks on their way, in order. Blocks while as much as is allowed is in flight.
    ///
    /// # Errors
    /// When nobody takes them any more.
    pub(crate) fn send(&mut self, chunks: Vec<Chunk>, seen_at: Instant) -> Result<(), Ended> {
        let bytes: usize = chunks.iter().map(|chunk| chunk.bytes().len()).sum();
        let work = Work {
            sequence: self.sequence,
            chunks,
            seen_at,
        };
        self.sequence += 1;
        let is_run_here = bytes <= INLINE_BYTES_MAX && self.is_idle();
        self.tickets.recv().map_err(|_| Ended)?;
        if !is_run_here {
            return self.work.send(work).map_err(|_| Ended);
        }
        let emit = |batch| self.hand_over.send(batch);
        transform_work(
            &mut self.transform,
            work,
            self.batch_records_max,
            &self.pool,
            &self.stats,
            emit,
        )
    }
}
