//! A histogram with the few fixed buckets that a Prometheus server wants. Percentiles come from
//! hdrhistogram, which knows better.

/// Counts of values by upper bound.
#[derive(Clone, Debug)]
pub(crate) struct Buckets {
    bounds: &'static [f64],
    /// Values up to each bound and above the one before; one more for those above all.
    counts: Vec<u64>,
    sum: f64,
}

/// Upper bounds of latencies, in seconds.
pub(crate) const LATENCY_SECONDS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 60.0,
];

/// Upper bounds of the records in a batch.
pub(crate) const BATCH_RECORDS: &[f64] = &[
    1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10_000.0, 100_000.0,
];

/// Upper bounds of the bytes of a batch.
pub(crate) const BATCH_BYTES: &[f64] = &[
    1024.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    524_288.0,
    1_048_576.0,
    2_097_152.0,
];

impl Buckets {
    /// An empty histogram with these upper bounds, in order.
    pub(crate) fn new(bounds: &'static [f64]) -> Buckets {
        Buckets {
            bounds,
            counts: vec![0; bounds.len() + 1],
            sum: 0.0,
        }
    }

    /// Counts a value.
    pub(crate) fn record(&mut self, value: f64) {
        let index = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get_mut(index) {
            *count += 1;
        }
        self.sum += value;
    }

    /// Each bound with the count of values up to it.
    pub(crate) fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let counts = self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        self.bounds.iter().copied().zip(counts)
    }

    /// How many values.
    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their sum.
    pub(crate) fn sum(&self) -> f64 {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_for_its_bound_and_all_above() {
        let mut buckets = Buckets::new(&[1.0, 10.0]);
        [0.5, 1.0, 1.5, 11.0]
            .into_iter()
            .for_each(|value| buckets.record(value));
        let cumulative: Vec<(f64, u64)> = buckets.cumulative().collect();
        assert_eq!(cumulative, [(1.0, 2), (10.0, 3)]);
        assert_eq!((buckets.count(), buckets.sum()), (4, 14.0));
    }
}
