//! Figures: counters that the stages add to once per batch, latencies, and this process's own CPU
//! time and memory.

pub(crate) mod display;
pub(crate) mod figures;
pub(crate) mod process;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use figures::Percentiles;
use hdrhistogram::Histogram;

use crate::batch::Batch;
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
    files_followed: AtomicU64,
    files_reopened: AtomicU64,
    wakes: AtomicU64,
    /// When the first batch was shipped, in nanoseconds of `CLOCK_MONOTONIC`; 0 for not yet.
    first_shipped_ns: AtomicU64,
    latencies: Mutex<Latencies>,
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
    /// Files followed now.
    pub(crate) files_followed: u64,
    /// How often a file was opened again that grew while nothing of it was read.
    pub(crate) files_reopened: u64,
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
            files_followed: zero(),
            files_reopened: zero(),
            wakes: zero(),
            first_shipped_ns: zero(),
            latencies: Mutex::new(Latencies {
                hand_over: histogram(),
                hand_over_interval: histogram(),
                flush: histogram(),
            }),
        }
    }

    /// Notes how long a batch took: from its first byte seen to its hand-over to the sink, and from
    /// there until the sink had taken it.
    pub(crate) fn add_latencies(&self, hand_over: Duration, flush: Duration) {
        let mut latencies = self.latencies();
        latencies.hand_over.saturating_record(micros(hand_over));
        latencies
            .hand_over_interval
            .saturating_record(micros(hand_over));
        latencies.flush.saturating_record(micros(flush));
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
            files_followed: load(&self.files_followed),
            files_reopened: load(&self.files_reopened),
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
