//! Where chunks go: to the transform threads, or, when nothing is in flight and there is little to
//! do, through the transform right here.
//!
//! A hop between threads costs more than a small chunk: each is a futex wake, 5 to 10 us of CPU and
//! 30 to 50 us of latency on the machine of the first measurements. The threads fan out when there
//! is a backlog. What the tail thread transforms itself it also ships, but only what the sink takes
//! at once: files are renamed and deleted while a sink refuses, and nobody else would see it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flume::RecvTimeoutError;

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
    /// Whether a ticket for the next work unit is at hand.
    pub(crate) has_ticket: bool,
    /// The next work unit's place in the order.
    pub(crate) sequence: u64,
}

impl Dispatch {
    /// Whether everything handed over so far is shipped.
    pub(crate) fn is_idle(&self) -> bool {
        self.tickets.len() + usize::from(self.has_ticket) == self.ticket_count
    }

    /// Whether the work unit of that sequence number is shipped, as are all before it then.
    pub(crate) fn is_shipped(&self, sequence: u64) -> bool {
        let tickets = self.tickets.len() + usize::from(self.has_ticket);
        let in_flight = self.ticket_count.saturating_sub(tickets) as u64;
        sequence + in_flight < self.sequence
    }

    /// Waits, for `patience` at most, until one more work unit may be in flight. Returns whether it
    /// may.
    ///
    /// # Errors
    /// When nobody takes them any more.
    pub(crate) fn has_room(&mut self, patience: Duration) -> Result<bool, Ended> {
        if !self.has_ticket {
            self.has_ticket = match self.tickets.recv_timeout(patience) {
                Ok(()) => true,
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => return Err(Ended),
            };
        }
        Ok(self.has_ticket)
    }

    /// Sends chunks on their way, in order. Does not wait for the sink where [`Self::has_room`] was
    /// asked before.
    ///
    /// # Errors
    /// When nobody takes them any more.
    pub(crate) fn send(&mut self, chunks: Vec<Chunk>, seen_at: Instant) -> Result<(), Ended> {
        let is_run_here = self.is_idle() && self.is_small(&chunks);
        if !std::mem::take(&mut self.has_ticket) {
            self.tickets.recv().map_err(|_| Ended)?;
        }
        let work = Work {
            sequence: self.sequence,
            chunks,
            seen_at,
        };
        self.sequence += 1;
        self.stats.add_sent();
        if !is_run_here {
            return self.work.send(work).map_err(|_| Ended);
        }
        let hand_over = &self.hand_over;
        let mut is_direct = true;
        let emit = |batch| hand_over.offer(batch, &mut is_direct);
        transform_work(
            &mut self.transform,
            work,
            self.batch_records_max,
            &self.pool,
            emit,
        )
    }

    /// Whether these chunks are little work, and make so few batches that there is room for all of
    /// them before a sink that takes none.
    fn is_small(&self, chunks: &[Chunk]) -> bool {
        let bytes: usize = chunks.iter().map(|chunk| chunk.bytes().len()).sum();
        let newlines = |chunk: &Chunk| memchr::memchr_iter(b'\n', chunk.bytes()).count() as u64;
        let lines_max = self.batch_records_max * self.ticket_count as u64;
        bytes <= INLINE_BYTES_MAX && chunks.iter().map(newlines).sum::<u64>() < lines_max
    }
}
