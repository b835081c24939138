//! The ship stage: batches in order to the sink, retried until it takes them, then acknowledged.
//!
//! A sink that waits for others (HTTP) has a thread of its own. A sink that is a local system call
//! is used by whichever thread has made a batch: it puts the batch into the queue and ships what is
//! there, unless another thread is at it, which then ships this one too. So no batch waits for a
//! thread to wake up. The tail thread ships only what the sink takes at once and leaves the rest to
//! the ship thread: it must never wait for a sink.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use flume::RecvTimeoutError;

use super::retry::{Backoff, Complaints};
use super::{Sink, SinkError};
use crate::batch::{Batch, BatchPool, Progress};
use crate::checkpoint::Message;
use crate::report;
use crate::shutdown::Shutdown;
use crate::stats::Stats;
use crate::stats::queues::QueueGauge;
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

/// A failed attempt: what failed, and the pause that the other side asked for.
struct Refusal {
    message: String,
    retry_after: Option<Duration>,
    is_unreachable: bool,
}

impl Refusal {
    /// What is to be tried again.
    ///
    /// # Errors
    /// When nobody will ever take it.
    fn of(error: SinkError) -> Result<Refusal, Stopped> {
        let (message, retry_after, is_unreachable) = match error {
            SinkError::Closed => return Err(Stopped::Closed),
            SinkError::Unreachable { message } => (message, None, true),
            SinkError::Retry {
                message,
                retry_after,
            } => (message, retry_after, false),
        };
        Ok(Refusal {
            message,
            retry_after,
            is_unreachable,
        })
    }

    /// How long to wait for the next attempt.
    fn pause(&self, backoff: &mut Backoff) -> Duration {
        match self.is_unreachable {
            true => backoff.next_pause_unreachable(),
            false => backoff.next_pause(self.retry_after),
        }
    }
}

/// The sink with everything that belongs to shipping one batch. Used by one thread at a time.
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
    /// `None` when shipping has stopped: whoever waits for a ticket then learns of it.
    tickets: Option<flume::Sender<()>>,
    early: Early,
    stopped: Option<Stopped>,
}

impl Shipper {
    /// A shipper to `sink`. Progress goes to `checkpoint`, used batches to `pool`, and a ticket for
    /// each work unit that is shipped to `tickets`.
    pub(crate) fn new(
        sink: Box<dyn Sink>,
        checkpoint: Option<flume::Sender<Message>>,
        stats: Arc<Stats>,
        shutdown: Shutdown,
        pool: BatchPool,
        tickets: flume::Sender<()>,
    ) -> Shipper {
        stats.sink.set_name(sink.name());
        Shipper {
            complaints: Complaints::new(sink.name()),
            backoff: Backoff::new(sink.is_local()),
            sink,
            next_sequence: 0,
            acknowledged: HashMap::new(),
            acknowledged_at: Instant::now(),
            checkpoint,
            stats,
            shutdown,
            pool,
            tickets: Some(tickets),
            early: Early::default(),
            stopped: None,
        }
    }

    /// Why shipping ended early, if it did.
    pub(crate) fn stopped(&self) -> Option<&Stopped> {
        self.stopped.as_ref()
    }

    /// Takes a batch in any order, and ships all whose turn it is. Blocks while the sink does.
    ///
    /// # Errors
    /// When nothing can be delivered any more: the pipeline is then told to end.
    fn take(&mut self, batch: Batch) -> Result<(), Stopped> {
        if batch.sequence != self.next_sequence {
            self.early.put(batch);
            return Ok(());
        }
        let mut next = Some(batch);
        while let Some(batch) = next {
            let handed_over_at = Instant::now();
            self.deliver(&batch).map_err(|stopped| self.stop(stopped))?;
            self.acknowledge(batch, handed_over_at);
            next = self.early.take(self.next_sequence);
        }
        Ok(())
    }

    /// Ships a batch if it is its turn and the sink takes it without a wait: one attempt, no pause.
    /// Gives it back else.
    ///
    /// # Errors
    /// When nothing can be delivered any more: the pipeline is then told to end.
    fn take_at_once(&mut self, batch: Batch) -> Result<Option<Batch>, Stopped> {
        let is_turn = batch.sequence == self.next_sequence && self.early.is_empty();
        let is_ready = batch.payload.is_empty() || self.sink.is_ready(batch.payload.len());
        if !is_turn || !is_ready || self.stopped.is_some() {
            return Ok(Some(batch));
        }
        let handed_over_at = Instant::now();
        let refusal = self.attempt(&batch).map_err(|stopped| self.stop(stopped))?;
        if refusal.is_some() {
            return Ok(Some(batch));
        }
        self.acknowledge(batch, handed_over_at);
        Ok(None)
    }

    /// Notes that nothing more can be delivered, and has the pipeline end.
    fn stop(&mut self, stopped: Stopped) -> Stopped {
        self.tickets = None;
        self.shutdown.begin(Duration::ZERO);
        self.stopped.get_or_insert(stopped).clone()
    }

    /// Everything that follows from a batch that the sink has taken after it was handed over.
    fn acknowledge(&mut self, batch: Batch, handed_over_at: Instant) {
        if !batch.payload.is_empty() {
            let hand_over = handed_over_at.duration_since(batch.seen_at);
            let flush = handed_over_at.elapsed();
            self.stats.add_latencies(&batch, hand_over, flush);
        }
        self.stats.add_shipped(&batch);
        self.stats.note_delivered(&batch.progress);
        for progress in &batch.progress {
            self.acknowledged.insert(progress.file, *progress);
        }
        self.next_sequence = batch.sequence + u64::from(batch.is_last);
        if let Some(tickets) = self.tickets.as_ref().filter(|_| batch.is_last) {
            // There are as many places as tickets, so this never blocks; at the end the tail may be
            // gone.
            let _ = tickets.try_send(());
        }
        self.pool.give(batch);
        self.tell_checkpoint(ACKNOWLEDGE_INTERVAL);
    }

    /// Delivers the batch, however often that has to be tried. Blocks while the sink does.
    ///
    /// # Errors
    /// When it cannot be delivered any more: nothing after it may be acknowledged either.
    fn deliver(&mut self, batch: &Batch) -> Result<(), Stopped> {
        if let Some(stopped) = &self.stopped {
            return Err(stopped.clone());
        }
        while let Some(refusal) = self.attempt(batch)? {
            if self.shutdown.expired() {
                return Err(Stopped::Expired(refusal.message));
            }
            // While waiting the newest progress must not stay behind: nothing else would tell it.
            self.tell_checkpoint(Duration::ZERO);
            let pause = refusal.pause(&mut self.backoff);
            self.shutdown.sleep(pause);
        }
        Ok(())
    }

    /// Tries once to deliver the batch, and says what is to be said about it.
    ///
    /// # Errors
    /// When nobody will ever take it.
    fn attempt(&mut self, batch: &Batch) -> Result<Option<Refusal>, Stopped> {
        if batch.payload.is_empty() {
            return Ok(None);
        }
        let now = Instant::now();
        match self.sink.deliver(&batch.payload, batch.counts.records) {
            Ok(()) => {
                self.backoff.reset();
                self.stats.sink.worked();
                if let Some(message) = self.complaints.worked(now) {
                    report::notice(&message);
                }
                Ok(None)
            }
            Err(error) => {
                let refusal = Refusal::of(error)?;
                let message = &refusal.message;
                self.stats.sink.failed(message);
                report::debug(|| format!("{message}; {} records wait", batch.counts.records));
                if let Some(complaint) = self.complaints.failed(now, message) {
                    report::warning(&complaint);
                }
                Ok(Some(refusal))
            }
        }
    }

    /// Has the sink hold what is acknowledged and, unless `is_cut`, what came after that, however
    /// often that has to be tried.
    ///
    /// # Errors
    /// When the sink could not do that before the end began.
    fn settle(&mut self, is_cut: bool) -> Result<(), Stopped> {
        while let Err(message) = self.sink.settle(is_cut) {
            if let Some(complaint) = self.complaints.failed(Instant::now(), &message) {
                report::warning(&complaint);
            }
            if self.shutdown.begun() {
                return Err(self.stop(Stopped::Expired(message)));
            }
            let pause = self.backoff.next_pause(None);
            self.shutdown.sleep(pause);
        }
        self.send_progress(Vec::new());
        Ok(())
    }

    /// Hands acknowledged progress to the checkpoint thread when the last time was that long ago.
    fn tell_checkpoint(&mut self, interval: Duration) {
        if self.acknowledged.is_empty() || self.acknowledged_at.elapsed() < interval {
            return;
        }
        self.acknowledged_at = Instant::now();
        let progress = self
            .acknowledged
            .drain()
            .map(|(_, progress)| progress)
            .collect();
        self.send_progress(progress);
    }

    fn send_progress(&self, progress: Vec<Progress>) {
        if let Some(checkpoint) = &self.checkpoint {
            // The checkpoint thread ends after this one, unless it failed: it has said so then.
            let _ = checkpoint.send(Message::Acknowledged {
                progress,
                sink: self.sink.state(),
                unflushed: self.sink.unflushed(),
            });
        }
    }
}

/// How batches get to the sink. Clones share it; the ship thread ends when all are gone.
#[derive(Clone)]
pub(crate) struct HandOver {
    /// To the ship thread; for a local sink what the tail thread could not ship at once.
    inbox: flume::Sender<Batch>,
    local: Option<Local>,
    shipper: Arc<Mutex<Shipper>>,
}

/// A sink that is used by whoever has a batch for it.
#[derive(Clone)]
struct Local {
    put: flume::Sender<Batch>,
    take: flume::Receiver<Batch>,
    shipper: Arc<Mutex<Shipper>>,
}

/// Shipping has ended for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended;

impl HandOver {
    /// The way to `shipper`, with room for `batches_max` batches that wait, and the other end of it.
    pub(crate) fn new(shipper: Arc<Mutex<Shipper>>, batches_max: usize) -> (HandOver, ShipThread) {
        let (inbox, batches) = flume::bounded(batches_max);
        let is_local = lock(&shipper).sink.is_local();
        let local = is_local.then(|| {
            let (put, take) = flume::bounded(batches_max);
            let shipper = shipper.clone();
            Local { put, take, shipper }
        });
        let thread = ShipThread {
            shipper: shipper.clone(),
            batches,
            local: local.clone(),
        };
        let hand_over = HandOver {
            inbox,
            local,
            shipper,
        };
        (hand_over, thread)
    }

    /// How much waits for the sink.
    pub(crate) fn queue(&self, name: &'static str) -> QueueGauge {
        let waiting = self.local.as_ref().map_or(&self.inbox, |local| &local.put);
        QueueGauge::new(name, waiting)
    }

    /// Hands a batch over; blocks while the sink, or the queue before it, is full.
    ///
    /// # Errors
    /// When nothing is shipped any more.
    pub(crate) fn send(&self, batch: Batch) -> Result<(), Ended> {
        match &self.local {
            Some(local) => local.send(batch),
            None => self.inbox.send(batch).map_err(|_| Ended),
        }
    }

    /// Tells the sink, before anything is sent, whether all that came after the last checkpoint will
    /// come again, so that it can be cut.
    ///
    /// # Errors
    /// When the sink cannot do its part: nothing can be shipped then.
    pub(crate) fn settle(&self, is_cut: bool) -> Result<(), Ended> {
        lock(&self.shipper).settle(is_cut).map_err(|_| Ended)
    }

    /// Has the checkpoint thread told what was acknowledged, unless the sink is busy: then it is told
    /// soon anyway. Returns whether it was.
    pub(crate) fn tell_progress(&self) -> bool {
        let Ok(mut shipper) = self.shipper.try_lock() else {
            return false;
        };
        shipper.tell_checkpoint(Duration::ZERO);
        true
    }

    /// The same for a thread that must not wait for the sink: ships the batch itself where the sink
    /// takes it at once. The first one that it does not take clears `is_direct` and goes to the ship
    /// thread, with all that follow.
    ///
    /// # Errors
    /// When nothing is shipped any more.
    pub(crate) fn offer(&self, batch: Batch, is_direct: &mut bool) -> Result<(), Ended> {
        let left = match &self.local {
            Some(local) if *is_direct => local.ship_at_once(batch)?,
            _ => Some(batch),
        };
        let Some(batch) = left else { return Ok(()) };
        *is_direct = false;
        self.inbox.send(batch).map_err(|_| Ended)
    }
}

impl Local {
    fn send(&self, batch: Batch) -> Result<(), Ended> {
        if let Err(full) = self.put.try_send(batch) {
            let mut shipper = lock(&self.shipper);
            self.ship_with(&mut shipper)?;
            shipper.take(full.into_inner()).map_err(|_| Ended)?;
        }
        self.ship_waiting()
    }

    /// Ships a batch unless the sink, or another thread that is at it, would have to be waited for.
    /// Gives it back then.
    fn ship_at_once(&self, batch: Batch) -> Result<Option<Batch>, Ended> {
        match self.shipper.try_lock() {
            Ok(mut shipper) => shipper.take_at_once(batch).map_err(|_| Ended),
            Err(_) => Ok(Some(batch)),
        }
    }

    /// Ships what waits, unless another thread is at it. That one looks once more after it has let
    /// go of the shipper, so nothing stays behind.
    fn ship_waiting(&self) -> Result<(), Ended> {
        while !self.take.is_empty() {
            let mut shipper = match self.shipper.try_lock() {
                Ok(shipper) => shipper,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return Ok(()),
            };
            self.ship_with(&mut shipper)?;
        }
        Ok(())
    }

    fn ship_with(&self, shipper: &mut Shipper) -> Result<(), Ended> {
        while let Ok(batch) = self.take.try_recv() {
            shipper.take(batch).map_err(|_| Ended)?;
        }
        Ok(())
    }
}

fn lock(shipper: &Mutex<Shipper>) -> MutexGuard<'_, Shipper> {
    shipper.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the ship thread needs.
pub(crate) struct ShipThread {
    shipper: Arc<Mutex<Shipper>>,
    batches: flume::Receiver<Batch>,
    local: Option<Local>,
}

impl ShipThread {
    /// Ships what comes, until all senders are gone or shipping is stopped, and has what was
    /// acknowledged brought to the checkpoint in time. Blocks.
    pub(crate) fn run(&self) {
        loop {
            let received = self.batches.recv_timeout(ACKNOWLEDGE_INTERVAL);
            let mut is_over = matches!(received, Err(RecvTimeoutError::Disconnected));
            if let Ok(batch) = received {
                // That shipping has stopped is seen below.
                let _ = lock(&self.shipper).take(batch);
            }
            self.ship_waiting();
            {
                let mut shipper = lock(&self.shipper);
                is_over |= shipper.stopped.is_some();
                let interval = if is_over {
                    Duration::ZERO
                } else {
                    ACKNOWLEDGE_INTERVAL
                };
                shipper.tell_checkpoint(interval);
            }
            if is_over {
                return;
            }
            // Somebody may have found the shipper locked just now.
            self.ship_waiting();
        }
    }

    fn ship_waiting(&self) {
        if let Some(local) = &self.local {
            // That shipping has stopped is seen where it is asked for.
            let _ = local.ship_waiting();
        }
    }
}

/// Batches that came before their turn, in the order in which they came, which within a work unit is
/// that of their lines. They are few: those of as many units as there are tickets at most. So a list
/// that keeps its memory does.
#[derive(Debug, Default)]
struct Early(Vec<Batch>);

impl Early {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn put(&mut self, batch: Batch) {
        self.0.push(batch);
    }

    fn take(&mut self, sequence: u64) -> Option<Batch> {
        let is_next = |batch: &Batch| batch.sequence == sequence;
        let index = self.0.iter().position(is_next)?;
        Some(self.0.remove(index))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// Takes nothing while `is_refusing`; tells what it took.
    struct Moody {
        is_refusing: Arc<AtomicBool>,
        taken: flume::Sender<Vec<u8>>,
    }

    impl Sink for Moody {
        fn deliver(&mut self, payload: &[u8], _records: u64) -> Result<(), SinkError> {
            if self.is_refusing.load(Ordering::Relaxed) {
                return Err(SinkError::Retry {
                    message: "refused".to_owned(),
                    retry_after: None,
                });
            }
            self.taken.send(payload.to_vec()).unwrap();
            Ok(())
        }

        fn name(&self) -> String {
            "moody".to_owned()
        }

        fn is_local(&self) -> bool {
            true
        }
    }

    /// The thread that made a batch sat in the retry loop, also when it was the tail thread.
    #[test]
    fn what_a_local_sink_refuses_goes_to_the_ship_thread_in_order() {
        let is_refusing = Arc::new(AtomicBool::new(true));
        let (taken, takes) = flume::unbounded();
        let sink = Moody {
            is_refusing: is_refusing.clone(),
            taken,
        };
        let (ticket, tickets) = flume::bounded(3);
        let pool = BatchPool::new(4);
        let shipper = Shipper::new(
            Box::new(sink),
            None,
            Arc::new(Stats::new()),
            Shutdown::new().unwrap(),
            pool.clone(),
            ticket,
        );
        let (hand_over, ship_thread) = HandOver::new(Arc::new(Mutex::new(shipper)), 3);
        let batch = |text: &str, is_last| {
            let mut batch = pool.take(0, Instant::now());
            batch.payload.extend_from_slice(text.as_bytes());
            batch.is_last = is_last;
            batch
        };
        let mut is_direct = true;
        hand_over
            .offer(batch("one", false), &mut is_direct)
            .unwrap();
        assert!(!is_direct, "it was refused, and nobody waits for that");
        is_refusing.store(false, Ordering::Relaxed);
        hand_over.offer(batch("two", true), &mut is_direct).unwrap();
        assert!(takes.is_empty(), "the second waits for the first");
        drop(hand_over);
        ship_thread.run();
        assert_eq!(takes.drain().collect::<Vec<_>>(), [b"one", b"two"]);
        assert_eq!(tickets.len(), 1);
    }
}
