//! The figures of a whole run as data.

use std::time::Duration;

use hdrhistogram::Histogram;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use super::process::rss_peak_bytes;
use super::{Stats, Totals};

/// What a run did and what it took.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figures {
    /// Lines taken through the pipeline.
    pub lines_read: u64,
    /// Their bytes.
    pub bytes_read: u64,
    /// Lines that the filter dropped.
    pub lines_filtered: u64,
    /// Lines that are not of the format.
    pub parse_errors: u64,
    /// Records that the sink has taken.
    pub records_shipped: u64,
    /// Their bytes.
    pub bytes_shipped: u64,
    /// From a batch's first byte seen in the file to its hand-over to the sink.
    pub hand_over: Percentiles,
    /// From there until the sink has taken it.
    pub flush: Percentiles,
    /// When the sink had taken the first batch, in nanoseconds of `CLOCK_MONOTONIC`; `None` where
    /// there was none.
    pub first_shipped_ns: Option<u64>,
    /// How often the tail woke up.
    pub wakes: u64,
    /// User and system time of the process, in nanoseconds.
    pub cpu_ns: u64,
    /// The largest resident size of the process in bytes; `None` where there is no procfs.
    pub rss_peak_bytes: Option<u64>,
}

/// Percentiles of durations, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Percentiles {
    /// How many durations.
    pub count: u64,
    /// The median.
    pub p50_us: u64,
    /// 95 of 100 are below.
    pub p95_us: u64,
    /// 99 of 100 are below.
    pub p99_us: u64,
    /// 999 of 1000 are below.
    pub p999_us: u64,
    /// The longest.
    pub max_us: u64,
}

impl Percentiles {
    /// Of a histogram of microseconds.
    #[must_use]
    pub(crate) fn of(histogram: &Histogram<u64>) -> Percentiles {
        let at = |quantile| histogram.value_at_quantile(quantile);
        Percentiles {
            count: histogram.len(),
            p50_us: at(0.5),
            p95_us: at(0.95),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: histogram.max(),
        }
    }
}

impl Figures {
    /// The figures now.
    pub(crate) fn of(stats: &Stats) -> Figures {
        let Totals {
            lines_read,
            bytes_read,
            filtered,
            parse_errors,
            records_shipped,
            bytes_shipped,
            ..
        } = stats.totals();
        let (hand_over, flush) = stats.percentiles();
        Figures {
            lines_read,
            bytes_read,
            lines_filtered: filtered,
            parse_errors,
            records_shipped,
            bytes_shipped,
            hand_over,
            flush,
            first_shipped_ns: stats.first_shipped_ns(),
            wakes: stats.wakes(),
            cpu_ns: clock_ns(ClockId::ProcessCPUTime),
            rss_peak_bytes: rss_peak_bytes(),
        }
    }
}

/// Nanoseconds of `CLOCK_MONOTONIC`, which all processes of a machine share.
pub(crate) fn monotonic_ns() -> u64 {
    clock_ns(ClockId::Monotonic)
}

fn clock_ns(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
    u64::try_from(Duration::new(seconds, nanos).as_nanos()).unwrap_or(u64::MAX)
}
