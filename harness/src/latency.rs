//! Latency of each line: from the instant at which its write was planned to the arrival of its
//! record. A line that does not arrive counts with the time that was waited for it: its true value
//! is at least that.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};
use hdrhistogram::Histogram;

use crate::pace::{Plan, Written};
use crate::verify::Arrivals;
use crate::verify::expectation::Expectation;

/// 1 microsecond to 10 minutes, three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    match Histogram::new_with_bounds(1, 600_000_000, 3) {
        Ok(histogram) => histogram,
        Err(error) => unreachable!("these bounds are valid: {error:?}"),
    }
}

/// The latencies of the measured lines of a run, in microseconds.
#[derive(Debug)]
pub(crate) struct Latencies {
    /// From the planned write.
    pub(crate) corrected: Histogram<u64>,
    /// From the actual write.
    pub(crate) uncorrected: Histogram<u64>,
    /// Lines that did not arrive until the deadline.
    pub(crate) censored: u64,
    /// By tenths of the window: the mean latency in it.
    tenths_us: Vec<f64>,
}

impl Latencies {
    /// Of no line.
    pub(crate) fn empty() -> Latencies {
        Latencies {
            corrected: histogram(),
            uncorrected: histogram(),
            censored: 0,
            tenths_us: Vec::new(),
        }
    }

    /// From the plan, the writes and the arrivals; `deadline_ns` is when the waiting ended.
    pub(crate) fn of(
        plan: &Plan,
        written: &Written,
        arrivals: &Arrivals,
        expectation: &Expectation,
        deadline_ns: u64,
    ) -> Latencies {
        let mut latencies = Latencies::empty();
        let mut sums = [(0_u64, 0_u64); 10];
        for number in plan.measured..=plan.last {
            if expectation.record(number).is_none() {
                continue;
            }
            let arrived = arrivals.at_ns(number);
            latencies.censored += u64::from(arrived.is_none());
            let until = arrived.unwrap_or(deadline_ns);
            let latency = until.saturating_sub(plan.at_ns(number)) / 1000;
            latencies.corrected.saturating_record(latency);
            let late = written.late_us.get(number).copied().unwrap_or_default();
            let uncorrected = latency.saturating_sub(u64::from(late));
            latencies.uncorrected.saturating_record(uncorrected);
            let tenth = (number - plan.measured) * 10 / plan.measured_count();
            if let Some(sum) = sums.get_mut(tenth) {
                *sum = (sum.0 + latency, sum.1 + 1);
            }
        }
        let mean = |&(sum, count): &(u64, u64)| sum as f64 / count.max(1) as f64;
        latencies.tenths_us = sums.iter().map(mean).collect();
        latencies
    }

    /// Whether the lag did not grow in the last half of the window: the mean latency of its last
    /// fifth is no more than a quarter above that of the fifth at its middle, or under 50 ms anyway.
    /// One that falls behind from the start is 1.4 times later there, or more.
    pub(crate) fn is_steady(&self) -> bool {
        let mean = |tenths: std::ops::Range<usize>| {
            let tenths = self.tenths_us.get(tenths).unwrap_or_default();
            tenths.iter().sum::<f64>() / tenths.len().max(1) as f64
        };
        let (middle, last) = (mean(4..6), mean(8..10));
        last < 50_000.0 || last <= 1.25 * middle
    }
}

/// Writes a histogram in the text form of HdrHistogram's plotter: value in microseconds, percentile,
/// count, 1/(1-percentile). The format is that of `outputPercentileDistribution` of the Java
/// original.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn write_hgrm(path: &Path, histogram: &Histogram<u64>) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let mut out = BufWriter::new(File::create(path)?);
        writeln!(
            out,
            "{:>12} {:>14} {:>10} {:>14}",
            "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
        )?;
        writeln!(out)?;
        let mut count = 0;
        for step in histogram.iter_quantiles(5) {
            count += step.count_since_last_iteration();
            let quantile = step.quantile_iterated_to();
            let value = step.value_iterated_to() as f64;
            if quantile < 1.0 {
                let inverse = 1.0 / (1.0 - quantile);
                writeln!(
                    out,
                    "{value:>12.3} {quantile:>2.12} {count:>10} {inverse:>14.2}"
                )?;
            } else {
                writeln!(out, "{value:>12.3} {quantile:>2.12} {count:>10}")?;
            }
        }
        let (mean, deviation) = (histogram.mean(), histogram.stdev());
        writeln!(
            out,
            "#[Mean    = {mean:>12.3}, StdDeviation   = {deviation:>12.3}]"
        )?;
        let (max, total) = (histogram.max() as f64, histogram.len());
        writeln!(
            out,
            "#[Max     = {max:>12.3}, Total count    = {total:>12}]"
        )?;
        writeln!(
            out,
            "#[Buckets = {:>12}, SubBuckets     = {:>12}]",
            20, 2048
        )?;
        out.flush()
    };
    write().with_context(|| format!("write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::Capture;
    use crate::verify::compare;
    use crate::verify::expectation::Fidelity;
    use std::time::Duration;

    const RATE: u32 = 1000;
    const COUNT: usize = 100;

    /// Latencies of a run in which line `n` arrives `delay(n)` after its planned write, or never.
    fn latencies(delay: impl Fn(usize) -> Option<Duration>) -> Latencies {
        let (mut log, mut ends, mut parts) = (Vec::new(), Vec::new(), Vec::new());
        let plan = Plan {
            start_ns: 1_000_000,
            rate: RATE,
            first: 1,
            last: COUNT,
            measured: 11,
        };
        for number in 1..=COUNT {
            let line = format!("seq={number:09}");
            log.extend_from_slice(line.as_bytes());
            log.push(b'\n');
            ends.push(log.len());
            if let Some(delay) = delay(number) {
                let at_ns = plan.at_ns(number) + delay.as_nanos() as u64;
                parts.push((format!("{{\"message\":\"{line}\"}}\n"), at_ns));
            }
        }
        parts.sort_by_key(|&(_, at_ns)| at_ns);
        let parts: Vec<(&str, u64)> = parts
            .iter()
            .map(|(text, at)| (text.as_str(), *at))
            .collect();
        let expectation = Expectation::of(&log, &ends, Fidelity::Raw).unwrap();
        let (_, arrivals) = compare(&Capture::of(&parts), &expectation, COUNT);
        let written = Written {
            late_us: vec![1000; COUNT + 1],
            slip: histogram(),
            cpu: Duration::ZERO,
            window_ns: (0, 0),
        };
        let deadline_ns = plan.at_ns(COUNT) + 10_000_000_000;
        Latencies::of(&plan, &written, &arrivals, &expectation, deadline_ns)
    }

    #[test]
    fn latency_counts_from_the_plan_and_not_from_the_write() {
        let seen = latencies(|_| Some(Duration::from_millis(3)));
        assert_eq!(seen.corrected.len(), 90);
        assert_eq!(seen.corrected.value_at_quantile(0.5) / 10, 300);
        assert_eq!(seen.uncorrected.value_at_quantile(0.5) / 10, 200);
        assert_eq!(seen.censored, 0);
        assert!(seen.is_steady());
    }

    #[test]
    fn lines_that_do_not_come_are_not_forgotten() {
        let seen = latencies(|number| (number != 50).then_some(Duration::from_millis(1)));
        assert_eq!((seen.censored, seen.corrected.len()), (1, 90));
        assert!(seen.corrected.max() >= 10_000_000);
    }

    #[test]
    fn growing_lag_is_not_steady() {
        let growing = latencies(|number| Some(Duration::from_millis(20 * number as u64)));
        assert!(!growing.is_steady());
        let high = latencies(|_| Some(Duration::from_millis(800)));
        assert!(high.is_steady());
    }

    #[test]
    fn histograms_are_kept_in_the_form_of_their_plotter() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.hgrm");
        let mut values = histogram();
        for value in 1..=1000 {
            values.record(value).unwrap();
        }
        write_hgrm(&path, &values).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        let rows: Vec<Vec<f64>> = text
            .lines()
            .skip(2)
            .filter(|line| !line.starts_with('#'))
            .map(|line| {
                line.split_whitespace()
                    .map(|word| word.parse().unwrap())
                    .collect()
            })
            .collect();
        let median = rows.iter().find(|row| row[1] >= 0.5).unwrap();
        assert!((499.0..502.0).contains(&median[0]), "{median:?}");
        assert_eq!(rows.last().unwrap()[0], 1000.0);
        assert!(text.contains("Total count    =         1000"));
    }
}
