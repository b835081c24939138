//! The percentile curves of runs, from the text form of HdrHistogram (`.hgrm`): read, and put
//! together over the runs of a cell. Times are in microseconds in the files and in milliseconds here.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::results::Run;
use crate::statistics::median;

/// A curve: at which value which share of the lines has come.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Curve {
    /// Milliseconds and the share of lines at or below them; both grow.
    points: Vec<(f64, f64)>,
    /// Lines behind it.
    pub(crate) count: u64,
}

impl Curve {
    /// Reads `latency/<run id>.hgrm` of a report's folder; `None` when there is none.
    ///
    /// # Errors
    /// When the file cannot be read or is no such text.
    pub(crate) fn read(folder: &Path, run: &Run) -> Result<Option<Curve>> {
        let path = folder.join("latency").join(format!("{}.hgrm", run.id));
        if !path.exists() {
            return Ok(None);
        }
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        Curve::parse(&text)
            .with_context(|| format!("{} is no percentile table", path.display()))
            .map(Some)
    }

    fn parse(text: &str) -> Result<Curve> {
        let mut points = Vec::new();
        let mut count = 0;
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') || line.starts_with("Value") {
                continue;
            }
            let mut columns = line.split_whitespace();
            let mut number = || columns.next().and_then(|column| column.parse::<f64>().ok());
            let (Some(us), Some(share), Some(total)) = (number(), number(), number()) else {
                bail!(
                    "line {}: expected a value, a percentile and a count: {line:?}",
                    index + 1
                );
            };
            points.push((us / 1e3, share));
            count = total as u64;
        }
        if points.is_empty() {
            bail!("there are no values in it");
        }
        Ok(Curve { points, count })
    }

    /// A curve through what a row of the CSV has, for a run whose file is missing.
    pub(crate) fn from_row(run: &Run) -> Option<Curve> {
        let shares = [
            (run.latency_p50_us, 0.5),
            (run.latency_p90_us, 0.9),
            (run.latency_p99_us, 0.99),
            (run.latency_p999_us, 0.999),
        ];
        let points: Vec<(f64, f64)> = shares
            .iter()
            .filter_map(|(us, share)| Some(((*us)? as f64 / 1e3, *share)))
            .collect();
        // Of a thousand lines the slowest is the last point that can be shown.
        (!points.is_empty()).then_some(Curve {
            points,
            count: 1_000,
        })
    }

    /// Milliseconds within which the share of lines has come.
    fn at(&self, share: f64) -> f64 {
        let index = self.points.partition_point(|(_, its)| *its < share - 1e-12);
        let last = self.points.len() - 1;
        self.points[index.min(last)].0
    }
}

/// Points of a chart for the runs of a cell: `1 / (1 - share)` and milliseconds, the median of the
/// runs at each share, from the half up to where the smallest run has a single line left.
pub(crate) fn merge(curves: &[Curve]) -> Vec<(f64, f64)> {
    /// Fewer than there are rows in a table, whose steps would show otherwise.
    const PER_DECADE: i32 = 12;
    let Some(count) = curves.iter().map(|curve| curve.count).min() else {
        return Vec::new();
    };
    let mut points = Vec::new();
    for step in 0.. {
        let rest = 2.0 * 10f64.powf(f64::from(step) / f64::from(PER_DECADE));
        let is_last = rest >= count as f64;
        let rest = rest.min(count as f64).max(1.0);
        let share = 1.0 - 1.0 / rest;
        let values: Vec<f64> = curves.iter().map(|curve| curve.at(share)).collect();
        points.extend(median(&values).map(|ms| (rest, ms)));
        if is_last {
            break;
        }
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_hdr_histogram_is_read() {
        let mut histogram = hdrhistogram::Histogram::<u64>::new(3).unwrap();
        for value in 1..=1_000u64 {
            histogram.record(value).unwrap();
        }
        let mut text = String::from("       Value     Percentile TotalCount 1/(1-Percentile)\n\n");
        let mut count = 0;
        for value in histogram.iter_quantiles(5) {
            let share = value.quantile();
            count += value.count_since_last_iteration();
            text += &format!(
                "{:12.3} {:2.12} {:10} {:14.2}\n",
                value.value_iterated_to() as f64,
                share,
                count,
                1.0 / (1.0 - share),
            );
        }
        text += "#[Mean    =      500.500, StdDeviation   =      288.675]\n";
        let curve = Curve::parse(&text).unwrap();
        assert_eq!(curve.count, 1_000);
        assert_eq!(curve.at(0.5), 0.5);
        assert_eq!(curve.at(0.99), 0.99);
        assert_eq!(curve.at(1.0), 1.0);
        let merged = merge(&[curve]);
        assert_eq!(merged.first(), Some(&(2.0, 0.5)));
        assert_eq!(merged.last().map(|(rest, _)| *rest), Some(1_000.0));
        assert!(
            merged
                .windows(2)
                .all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1)
        );
    }

    #[test]
    fn runs_are_put_together_by_the_median_at_each_share() {
        let curve = |ms: f64| Curve {
            points: vec![(ms, 0.5), (ms * 10.0, 1.0)],
            count: 100,
        };
        let merged = merge(&[curve(1.0), curve(5.0), curve(2.0)]);
        assert_eq!(merged.first(), Some(&(2.0, 2.0)));
        assert_eq!(merged.last(), Some(&(100.0, 20.0)));
        assert!(merge(&[]).is_empty());
    }

    #[test]
    fn a_table_that_is_none_is_named() {
        let error = Curve::parse("Value Percentile\n12 x 3\n")
            .unwrap_err()
            .to_string();
        assert!(error.contains("line 2"), "{error}");
        assert!(Curve::parse("#[Mean = 1]\n").is_err());
    }
}
