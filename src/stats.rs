//! Figures: counters that the stages add to once per batch, latencies, and this process's own CPU
//! time and memory.

pub(crate) mod board;
mod buckets;
mod dashboard;
pub(crate) mod display;
pub(crate) mod figures;
mod health;
mod lag;
mod metrics;
pub(crate) mod process;
pub(crate) mod queues;
mod sample;
pub(crate) mod server;
mod sink;
pub(crate) mod site;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use board::Board;
use buckets::Buckets;
use figures::Percentiles;
use hdrhistogram::Histogram;
use sink::SinkGauge;

use crate::batch::{Batch, Progress};
use crate::report;

/// Latencies are kept from 1 us to 1 hour with 3 significant digits.
const LATENCY_US_MAX: u64 = 3_600_000_000;

/// All counters of a run, shared by every thread.
#[derive(Debug)]
pub(crate) struct Stats {
    lines_read: AtomicU64,
    bytes_read: AtomicU64,
    parsed: AtomicU64,
    parse_errors: AtomicU64,
    parse_errors_dropped: AtomicU64,
    filtered: AtomicU64,
    empty: AtomicU64,
    truncated: AtomicU64,
    records_shipped: AtomicU64,
    bytes_shipped: AtomicU64,
    batches_shipped: AtomicU64,
    bytes_unread: AtomicU64,
    files_missed: AtomicU64,
    files_followed: AtomicU64,
    files_reopened: AtomicU64,
    files_compressed: AtomicU64,
    wakes: AtomicU64,
    /// When the first batch was shipped, in nanoseconds of `CLOCK_MONOTONIC`; 0 for not yet.
    first_shipped_ns: AtomicU64,
    /// Batches that are done, with or without records.
    batches_acknowledged: AtomicU64,
    work_units_sent: AtomicU64,
    work_units_done: AtomicU64,
    file_errors: AtomicU64,
    checkpoint_errors: AtomicU64,
    /// When the checkpoint last held all that was acknowledged, in nanoseconds of
    /// `CLOCK_MONOTONIC`; 0 for never.
    checkpoint_fresh_ns: AtomicU64,
    /// Whether all files of the start were found.
    is_ready: AtomicBool,
    latencies: Mutex<Latencies>,
    /// The sink.
    pub(crate) sink: SinkGauge,
    /// The files, where somebody may look.
    pub(crate) board: Option<Board>,
}

/// Latencies in microseconds.
#[derive(Debug)]
struct Latencies {
    /// From read to hand-over, of all time.
    hand_over: Histogram<u64>,
    /// The same of the current interval.
    hand_over_interval: Histogram<u64>,
    /// From hand-over until the sink has taken the batch.
    flush: Histogram<u64>,
    /// Both of the current interval of those who watch from outside.
    watched: Option<(Histogram<u64>, Histogram<u64>)>,
    /// Both in seconds, for a Prometheus server, and the sizes of batches.
    distributions: Distributions,
}

/// Of all batches with records.
#[derive(Clone, Debug)]
pub(crate) struct Distributions {
    /// From read to hand-over, in seconds.
    pub(crate) hand_over_seconds: Buckets,
    /// From there until the sink has taken the batch, in seconds.
    pub(crate) flush_seconds: Buckets,
    /// Records of a batch.
    pub(crate) batch_records: Buckets,
    /// Bytes of a batch.
    pub(crate) batch_bytes: Buckets,
}

/// The counters at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Lines taken through the pipeline, whatever became of them.
    pub(crate) lines_read: u64,
    /// Their bytes.
    pub(crate) bytes_read: u64,
    /// Lines of the expected format.
    pub(crate) parsed: u64,
    /// Lines that were not.
    pub(crate) parse_errors: u64,
    /// Of those, the ones that configuration says not to ship.
    pub(crate) parse_errors_dropped: u64,
    /// Lines that the filter dropped.
    pub(crate) filtered: u64,
    /// Lines with nothing in them.
    pub(crate) empty: u64,
    /// Lines cut to `line_bytes_max`.
    pub(crate) truncated: u64,
    /// Records that the sink has taken.
    pub(crate) records_shipped: u64,
    /// Their bytes before compression.
    pub(crate) bytes_shipped: u64,
    /// Batches that held them.
    pub(crate) batches_shipped: u64,
    /// Bytes that were truncated or lost with their file before they could be read.
    pub(crate) bytes_unread: u64,
    /// Files that were gone before they could be opened.
    pub(crate) files_missed: u64,
    /// Files followed now.
    pub(crate) files_followed: u64,
    /// How often a file was opened again that grew while nothing of it was read.
    pub(crate) files_reopened: u64,
    /// Compressed files that match now and are not followed.
    pub(crate) files_compressed: u64,
    /// Batches that are done, with or without records.
    pub(crate) batches_acknowledged: u64,
    /// Failed attempts to look at, open or read a file.
    pub(crate) file_errors: u64,
    /// Failed attempts to write the checkpoint.
    pub(crate) checkpoint_errors: u64,
}

impl Stats {
    /// Everything at zero.
    pub(crate) fn new() -> Stats {
        let zero = || AtomicU64::new(0);
        Stats {
            lines_read: zero(),
            bytes_read: zero(),
            parsed: zero(),
            parse_errors: zero(),
            parse_errors_dropped: zero(),
            filtered: zero(),
            empty: zero(),
            truncated: zero(),
            records_shipped: zero(),
            bytes_shipped: zero(),
            batches_shipped: zero(),
            bytes_unread: zero(),
            files_missed: zero(),
            files_followed: zero(),
            files_reopened: zero(),
            files_compressed: zero(),
            wakes: zero(),
            first_shipped_ns: zero(),
            batches_acknowledged: zero(),
            work_units_sent: zero(),
            work_units_done: zero(),
            file_errors: zero(),
            checkpoint_errors: zero(),
            checkpoint_fresh_ns: zero(),
            is_ready: AtomicBool::new(false),
            latencies: Mutex::new(Latencies {
                hand_over: histogram(),
                hand_over_interval: histogram(),
                flush: histogram(),
                watched: None,
                distributions: Distributions {
                    hand_over_seconds: Buckets::new(buckets::LATENCY_SECONDS),
                    flush_seconds: Buckets::new(buckets::LATENCY_SECONDS),
                    batch_records: Buckets::new(buckets::BATCH_RECORDS),
                    batch_bytes: Buckets::new(buckets::BATCH_BYTES),
                },
            }),
            sink: SinkGauge::default(),
            board: None,
        }
    }

    /// The same for a run that is watched from outside; `per_file` where each file is.
    pub(crate) fn watched(per_file: bool) -> Stats {
        let stats = Stats {
            board: Some(Board::new(per_file)),
            ..Stats::new()
        };
        stats.latencies().watched = Some((histogram(), histogram()));
        stats
    }

    /// Notes how long a batch took: from its first byte seen to its hand-over to the sink, and from
    /// there until the sink had taken it.
    pub(crate) fn add_latencies(&self, batch: &Batch, hand_over: Duration, flush: Duration) {
        let mut latencies = self.latencies();
        let (hand_over_us, flush_us) = (micros(hand_over), micros(flush));
        latencies.hand_over.saturating_record(hand_over_us);
        latencies.hand_over_interval.saturating_record(hand_over_us);
        latencies.flush.saturating_record(flush_us);
        if let Some((hand_overs, flushes)) = &mut latencies.watched {
            hand_overs.saturating_record(hand_over_us);
            flushes.saturating_record(flush_us);
        }
        let to = &mut latencies.distributions;
        to.hand_over_seconds.record(hand_over.as_secs_f64());
        to.flush_seconds.record(flush.as_secs_f64());
        to.batch_records.record(batch.counts.records as f64);
        to.batch_bytes.record(batch.payload.len() as f64);
    }

    /// Counts a batch that the sink has taken.
    pub(crate) fn add_shipped(&self, batch: &Batch) {
        let counts = &batch.counts;
        for (counter, count) in [
            (&self.lines_read, counts.lines),
            (&self.bytes_read, batch.input_bytes),
            (&self.parsed, counts.parsed),
            (&self.parse_errors, counts.parse_errors),
            (&self.parse_errors_dropped, counts.parse_errors_dropped),
            (&self.filtered, counts.filtered),
            (&self.empty, counts.empty),
            (&self.truncated, counts.truncated),
            (&self.records_shipped, counts.records),
            (&self.bytes_shipped, batch.payload.len() as u64),
            (&self.batches_shipped, u64::from(!batch.payload.is_empty())),
            (&self.batches_acknowledged, 1),
            (&self.work_units_done, u64::from(batch.is_last)),
        ] {
            counter.fetch_add(count, Ordering::Relaxed);
        }
        if !batch.payload.is_empty() && self.first_shipped_ns.load(Ordering::Relaxed) == 0 {
            let now = figures::monotonic_ns();
            self.first_shipped_ns.store(now, Ordering::Relaxed);
        }
    }

    /// When the sink had taken the first batch, in nanoseconds of `CLOCK_MONOTONIC`.
    pub(crate) fn first_shipped_ns(&self) -> Option<u64> {
        Some(self.first_shipped_ns.load(Ordering::Relaxed)).filter(|&ns| ns > 0)
    }

    /// Counts bytes that were read and belong to no line that is shipped: the rests of cut ones.
    pub(crate) fn add_skipped(&self, bytes: u64) {
        self.bytes_read.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts bytes of `path` that were gone before they could be read, and says so.
    pub(crate) fn add_unread(&self, path: &Path, bytes: u64) {
        if bytes > 0 {
            self.bytes_unread.fetch_add(bytes, Ordering::Relaxed);
            report::warning(&format!(
                "{}: truncated before {bytes} of its bytes were read: these are lost",
                path.display()
            ));
        }
    }

    /// Counts bytes of `path` that were there when it could not be found any more, and says so; also
    /// where it `was_written` to and nobody knows how much.
    pub(crate) fn add_lost(&self, path: &Path, bytes: u64, was_written: bool) {
        self.bytes_unread.fetch_add(bytes, Ordering::Relaxed);
        let path = path.display();
        if bytes > 0 {
            report::warning(&format!(
                "{path}: deleted or moved away before {bytes} of its bytes were read: these are lost"
            ));
        } else if was_written {
            report::warning(&format!(
                "{path}: deleted or moved away just after it was written to: what was written is \
                 lost; with so many files raise the limit of descriptors (ulimit -n)"
            ));
        }
    }

    /// Counts a file that came to `path` and was gone before it could be opened, and says so.
    pub(crate) fn add_missed(&self, path: &Path) {
        self.files_missed.fetch_add(1, Ordering::Relaxed);
        report::warning(&format!(
            "{}: deleted or moved away before it could be opened: what was in it, if anything, is not \
             collected",
            path.display()
        ));
    }

    /// Counts a work unit on its way.
    pub(crate) fn add_sent(&self) {
        self.work_units_sent.fetch_add(1, Ordering::Relaxed);
    }

    /// Forgets work units that a pipeline had in flight when it ended: their lines are read again.
    pub(crate) fn forget_in_flight(&self) {
        let sent = self.work_units_sent.load(Ordering::Relaxed);
        self.work_units_done.store(sent, Ordering::Relaxed);
    }

    /// Work units that were read and are not acknowledged.
    pub(crate) fn in_flight(&self) -> u64 {
        let done = self.work_units_done.load(Ordering::Relaxed);
        let sent = self.work_units_sent.load(Ordering::Relaxed);
        sent.saturating_sub(done)
    }

    /// Counts a failed attempt to look at, open or read a file.
    pub(crate) fn add_file_error(&self) {
        self.file_errors.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a failed attempt to write the checkpoint.
    pub(crate) fn add_checkpoint_error(&self) {
        self.checkpoint_errors.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that the checkpoint on disk holds all that was acknowledged.
    pub(crate) fn set_checkpoint_fresh(&self) {
        let now = figures::monotonic_ns();
        self.checkpoint_fresh_ns.store(now, Ordering::Relaxed);
    }

    /// Since the checkpoint on disk held all that was acknowledged; `None` where there is none.
    pub(crate) fn checkpoint_age(&self) -> Option<Duration> {
        let fresh = self.checkpoint_fresh_ns.load(Ordering::Relaxed);
        let age = figures::monotonic_ns().saturating_sub(fresh);
        (fresh > 0).then(|| Duration::from_nanos(age))
    }

    /// Notes that all files of the start were found.
    pub(crate) fn set_ready(&self) {
        self.is_ready.store(true, Ordering::Relaxed);
    }

    /// Whether they were.
    pub(crate) fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Relaxed)
    }

    /// Notes how far files are done.
    pub(crate) fn note_delivered(&self, progress: &[Progress]) {
        if let Some(board) = &self.board {
            board.delivered(progress);
        }
    }

    /// Counts a round of the tail, which slept before it.
    pub(crate) fn add_wake(&self) {
        self.wakes.fetch_add(1, Ordering::Relaxed);
    }

    /// Rounds of the tail.
    pub(crate) fn wakes(&self) -> u64 {
        self.wakes.load(Ordering::Relaxed)
    }

    /// Counts a file that was opened again since it grew while nothing of it was read.
    pub(crate) fn add_reopened(&self) {
        self.files_reopened.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes how many files are followed.
    pub(crate) fn set_files_followed(&self, count: usize) {
        self.files_followed.store(count as u64, Ordering::Relaxed);
    }

    /// Notes how many compressed files match and are not followed.
    pub(crate) fn set_files_compressed(&self, count: usize) {
        self.files_compressed.store(count as u64, Ordering::Relaxed);
    }

    /// The counters now.
    pub(crate) fn totals(&self) -> Totals {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Totals {
            lines_read: load(&self.lines_read),
            bytes_read: load(&self.bytes_read),
            parsed: load(&self.parsed),
            parse_errors: load(&self.parse_errors),
            parse_errors_dropped: load(&self.parse_errors_dropped),
            filtered: load(&self.filtered),
            empty: load(&self.empty),
            truncated: load(&self.truncated),
            records_shipped: load(&self.records_shipped),
            bytes_shipped: load(&self.bytes_shipped),
            batches_shipped: load(&self.batches_shipped),
            bytes_unread: load(&self.bytes_unread),
            files_missed: load(&self.files_missed),
            files_followed: load(&self.files_followed),
            files_reopened: load(&self.files_reopened),
            files_compressed: load(&self.files_compressed),
            batches_acknowledged: load(&self.batches_acknowledged),
            file_errors: load(&self.file_errors),
            checkpoint_errors: load(&self.checkpoint_errors),
        }
    }

    /// The 99th percentile from read to batch hand-over since the last call, in microseconds;
    /// `None` where no batch was handed over.
    pub(crate) fn take_interval_p99_us(&self) -> Option<u64> {
        let interval = &mut self.latencies().hand_over_interval;
        let p99 = (!interval.is_empty()).then(|| interval.value_at_quantile(0.99));
        interval.reset();
        p99
    }

    /// Percentiles since the last call, for those who watch from outside: from read to hand-over, and
    /// from there until the sink had taken the batch; `None` where there was no batch.
    pub(crate) fn take_watched(&self) -> Option<(Percentiles, Percentiles)> {
        let mut latencies = self.latencies();
        let (hand_over, flush) = latencies.watched.as_mut()?;
        if hand_over.is_empty() {
            return None;
        }
        let percentiles = (Percentiles::of(hand_over), Percentiles::of(flush));
        hand_over.reset();
        flush.reset();
        Some(percentiles)
    }

    /// Latencies and sizes of all time.
    pub(crate) fn distributions(&self) -> Distributions {
        self.latencies().distributions.clone()
    }

    /// Percentiles of all time: from read to hand-over, and from there until the sink had taken it.
    pub(crate) fn percentiles(&self) -> (Percentiles, Percentiles) {
        let latencies = self.latencies();
        let hand_over = Percentiles::of(&latencies.hand_over);
        (hand_over, Percentiles::of(&latencies.flush))
    }

    fn latencies(&self) -> MutexGuard<'_, Latencies> {
        // A panic between two records leaves valid histograms.
        self.latencies
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A histogram of microseconds.
pub(crate) fn histogram() -> Histogram<u64> {
    match Histogram::new_with_bounds(1, LATENCY_US_MAX, 3) {
        Ok(histogram) => histogram,
        Err(error) => unreachable!("the bounds are constants that it takes: {error}"),
    }
}

/// A duration in the unit of the histograms, up to the longest that they hold.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(LATENCY_US_MAX)
}
