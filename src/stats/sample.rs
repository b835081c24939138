//! The figures of each second, as the charts of the dashboard show them, and those of the last
//! minutes for whoever opens it later.

use std::collections::VecDeque;
use std::time::{Instant, SystemTime};

use serde::Serialize;

use super::board::View;
use super::process::ProcessUsage;
use super::{Stats, Totals};

/// Samples that are kept: five minutes.
const KEPT_MAX: usize = 300;

/// One second. Rates are per second.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Sample {
    /// When it ended, in milliseconds since 1970.
    pub(crate) at_ms: u64,
    /// Lines taken through the pipeline.
    pub(crate) lines: f64,
    /// Their bytes.
    pub(crate) read_bytes: f64,
    /// Records that the sink has taken.
    pub(crate) records: f64,
    /// Their bytes.
    pub(crate) shipped_bytes: f64,
    /// Batches that held them.
    pub(crate) batches: f64,
    /// Lines of the format.
    pub(crate) parsed: f64,
    /// Lines that were not.
    pub(crate) parse_errors: f64,
    /// Lines that the filter dropped.
    pub(crate) filtered: f64,
    /// Lines with nothing in them.
    pub(crate) empty: f64,
    /// Lines that were cut.
    pub(crate) truncated: f64,
    /// Percent of one core.
    pub(crate) cpu_percent: Option<f64>,
    /// Resident bytes.
    pub(crate) rss_bytes: Option<u64>,
    /// From read to hand-over, in microseconds; nothing where there was no batch.
    pub(crate) p50_us: Option<u64>,
    /// The same.
    pub(crate) p99_us: Option<u64>,
    /// From hand-over until the sink had taken the batch.
    pub(crate) flush_p50_us: Option<u64>,
    /// The same.
    pub(crate) flush_p99_us: Option<u64>,
    /// Bytes that were seen in files and are not delivered.
    pub(crate) lag_bytes: u64,
    /// How long the oldest of them has been there.
    pub(crate) lag_seconds: f64,
}

/// Takes samples and keeps the last ones.
#[derive(Debug)]
pub(crate) struct Sampler {
    usage: Option<ProcessUsage>,
    before: Totals,
    taken_at: Instant,
    samples: VecDeque<Sample>,
}

impl Sampler {
    /// Begins the first second.
    pub(crate) fn new(stats: &Stats) -> Sampler {
        Sampler {
            usage: ProcessUsage::own(),
            before: stats.totals(),
            taken_at: Instant::now(),
            samples: VecDeque::with_capacity(KEPT_MAX),
        }
    }

    /// Takes the sample of the time since the last one.
    pub(crate) fn take(&mut self, stats: &Stats, files: &View) -> Sample {
        let now = Instant::now();
        let seconds = now.duration_since(self.taken_at).as_secs_f64().max(1e-3);
        let totals = stats.totals();
        let usage = self.usage.as_mut().and_then(ProcessUsage::read);
        let (hand_over, flush) = stats.take_watched().unzip();
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let sample = Sample {
            at_ms: u64::try_from(since_1970.unwrap_or_default().as_millis()).unwrap_or_default(),
            cpu_percent: usage.map(|usage| usage.cpu_percent),
            rss_bytes: usage.map(|usage| usage.rss_bytes),
            p50_us: hand_over.map(|latencies| latencies.p50_us),
            p99_us: hand_over.map(|latencies| latencies.p99_us),
            flush_p50_us: flush.map(|latencies| latencies.p50_us),
            flush_p99_us: flush.map(|latencies| latencies.p99_us),
            lag_bytes: files.lag_bytes,
            lag_seconds: files.lag_seconds,
            ..rates(&self.before, &totals, seconds)
        };
        (self.before, self.taken_at) = (totals, now);
        if self.samples.len() >= KEPT_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back(sample.clone());
        sample
    }

    /// The last samples, the newest last.
    pub(crate) fn samples(&self) -> &VecDeque<Sample> {
        &self.samples
    }
}

fn rates(before: &Totals, after: &Totals, seconds: f64) -> Sample {
    let rate = |count: fn(&Totals) -> u64| {
        // To a tenth: more digits would only make the messages longer.
        let rate = count(after).saturating_sub(count(before)) as f64 / seconds;
        (rate * 10.0).round() / 10.0
    };
    Sample {
        lines: rate(|totals| totals.lines_read),
        read_bytes: rate(|totals| totals.bytes_read),
        records: rate(|totals| totals.records_shipped),
        shipped_bytes: rate(|totals| totals.bytes_shipped),
        batches: rate(|totals| totals.batches_shipped),
        parsed: rate(|totals| totals.parsed),
        parse_errors: rate(|totals| totals.parse_errors),
        filtered: rate(|totals| totals.filtered),
        empty: rate(|totals| totals.empty),
        truncated: rate(|totals| totals.truncated),
        ..Sample::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_differences_over_time() {
        let before = Totals {
            lines_read: 100,
            ..Totals::default()
        };
        let after = Totals {
            lines_read: 400,
            filtered: 30,
            ..Totals::default()
        };
        let rates = rates(&before, &after, 2.0);
        assert_eq!(
            (rates.lines, rates.filtered, rates.parsed),
            (150.0, 15.0, 0.0)
        );
    }

    #[test]
    fn the_last_minutes_are_kept() {
        let stats = Stats::new();
        let mut sampler = Sampler::new(&stats);
        for _ in 0..KEPT_MAX + 5 {
            sampler.take(&stats, &View::default());
        }
        assert_eq!(sampler.samples().len(), KEPT_MAX);
    }
}
