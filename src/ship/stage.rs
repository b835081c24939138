//! The ship stage: batches in order to the sink, retried until it takes them, then acknowledged.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::retry::{Backoff, Complaints};
use super::{Sink, SinkError};
use crate::batch::{Batch, BatchPool, Progress};
use crate::checkpoint::Message;
use crate::report;
use crate::shutdown::Shutdown;
use crate::stats::Stats;
use crate::tail::FileId;

/// Longest time for which acknowledged progress is kept back from the checkpoint thread, which
/// writes once a second: told more often it would only wake more often.
const ACKNOWLEDGE_INTERVAL: Duration = Duration::from_millis(500);

/// Why shipping ended before the input did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// The reader of the output is gone.
    Closed,
    /// The time for an orderly end was over while the sink still refused; with its last words.
    Expired(String),
}

/// The sink with everything that belongs to shipping one batch. Used by one thread at a time: the
/// ship thread, or the tail thread while nothing is in flight.
pub(crate) struct Shipper {
    sink: Box<dyn Sink>,
    next_sequence: u64,
    backoff: Backoff,
    complaints: Complaints,
    acknowledged: HashMap<FileId, Progress>,
    acknowledged_at: Instant,
    checkpoint: Option<flume::Sender<Message>>,
    stats: Arc<Stats>,
    shutdown: Shutdown,
    pool: BatchPool,
    stopped: Option<Stopped>,
}

impl Shipper {
    /// A shipper to `sink`. Progress goes to `checkpoint`,
    /// used batches to `pool`.
    pub(crate) fn new(
        sink: Box<dyn Sink>,
        checkpoint: Option<flume::Sender<Message>>,
        stats: Arc<Stats>,
        shutdown: Shutdown,
        pool: BatchPool,
    ) -> Shipper {
        Shipper {
            complaints: Complaints::new(sink.name()),
            sink,
            next_sequence: 0,
            backoff: Backoff::new(),
            acknowledged: HashMap::new(),
            acknowledged_at: Instant::now(),
            checkpoint,
            stats,
            shutdown,
            pool,
            stopped: None,
        }
    }

    /// Whether delivery is cheap enough to run where the batch was made.
    pub(crate) fn is_local(&self) -> bool {
        self.sink.is_local()
    }

    /// Why shipping ended early, if it did.
    pub(crate) fn stopped(&self) -> Option<&Stopped> {
        self.stopped.as_ref()
    }

    /// Delivers the next batch, however often that has to be tried, and acknowledges it. Blocks
    /// while the sink does.
    ///
    /// # Errors
    /// When the batch cannot be delivered any more: it is then not acknowledged, nor is any after.
    pub(crate) fn ship(&mut self, batch: Batch) -> Result<(), Stopped> {
        if let Some(stopped) = &self.stopped {
            return Err(stopped.clone());
        }
        self.stats.add_hand_over(batch.seen_at.elapsed());
        if !batch.payload.is_empty()
            && let Err(stopped) = self.deliver(&batch)
        {
            self.stopped = Some(stopped.clone());
            return Err(stopped);
        }
        self.stats.add_shipped(&batch);
        for progress in &batch.progress {
            self.acknowledged.insert(progress.file, *progress);
        }
        self.next_sequence = batch.sequence + u64::from(batch.is_last);
        self.pool.give(batch);
        self.tell_checkpoint(ACKNOWLEDGE_INTERVAL);
        Ok(())
    }

    fn deliver(&mut self, batch: &Batch) -> Result<(), Stopped> {
        loop {
            let result = self.sink.deliver(&batch.payload, batch.counts.records);
            let (message, retry_after) = match result {
                Ok(()) => {
                    self.backoff.reset();
                    if let Some(message) = self.complaints.worked(Instant::now()) {
                        report::notice(&message);
                    }
                    return Ok(());
                }
                Err(SinkError::Closed) => return Err(Stopped::Closed),
                Err(SinkError::Retry {
                    message,
                    retry_after,
                }) => (message, retry_after),
            };
            if let Some(complaint) = self.complaints.failed(Instant::now(), &message) {
                report::warning(&complaint);
            }
            if self.shutdown.expired() {
                return Err(Stopped::Expired(message));
            }
            // While waiting the newest progress must not stay behind: nothing else would tell it.
            self.tell_checkpoint(Duration::ZERO);
            self.shutdown.sleep(self.backoff.next_pause(retry_after));
        }
    }

    /// Hands acknowledged progress to the checkpoint thread when the last time was that long ago.
    pub(crate) fn tell_checkpoint(&mut self, interval: Duration) {
        if self.acknowledged.is_empty() || self.acknowledged_at.elapsed() < interval {
            return;
        }
        self.acknowledged_at = Instant::now();
        let progress = self
            .acknowledged
            .drain()
            .map(|(_, progress)| progress)
            .collect();
        if let Some(checkpoint) = &self.checkpoint {
            // The checkpoint thread ends after this one, unless it failed: it has said so then.
            let _ = checkpoint.send(Message::Acknowledged {
                progress,
                sink: self.sink.state(),
            });
        }
    }
}

/// The ship thread: puts batches in order and ships them, until all senders are gone or shipping
/// is stopped. Gives a ticket back for each work unit. Blocks.
pub(crate) fn run(
    shipper: &Mutex<Shipper>,
    batches: &flume::Receiver<Batch>,
    tickets: &flume::Sender<()>,
) {
    let mut early = Early::default();
    loop {
        let received = batches.recv_timeout(ACKNOWLEDGE_INTERVAL);
        let mut shipper = shipper.lock().unwrap_or_else(PoisonError::into_inner);
        match received {
            Ok(batch) => early.put(batch),
            Err(flume::RecvTimeoutError::Timeout) => {}
            Err(flume::RecvTimeoutError::Disconnected) => {
                return shipper.tell_checkpoint(Duration::ZERO);
            }
        }
        while let Some(batch) = early.take(shipper.next_sequence) {
            let is_last = batch.is_last;
            if shipper.ship(batch).is_err() {
                return shipper.tell_checkpoint(Duration::ZERO);
            }
            if is_last {
                // There are as many places as tickets, so this never blocks; at the end the tail
                // may be gone.
                let _ = tickets.try_send(());
            }
        }
        shipper.tell_checkpoint(ACKNOWLEDGE_INTERVAL);
    }
}

/// Batches that came before their turn, by work unit and then in the order of that. As many units
/// as there are tickets at most.
#[derive(Debug, Default)]
struct Early {
    units: BTreeMap<u64, std::collections::VecDeque<Batch>>,
}

impl Early {
    fn put(&mut self, batch: Batch) {
        self.units
            .entry(batch.sequence)
            .or_default()
            .push_back(batch);
    }

    fn take(&mut self, sequence: u64) -> Option<Batch> {
        let unit = self.units.get_mut(&sequence)?;
        let batch = unit.pop_front();
        if unit.is_empty() {
            self.units.remove(&sequence);
        }
        batch
    }
}
