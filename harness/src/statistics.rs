//! Medians, quantiles and bootstrap intervals of a handful of runs, and ratios within a round. Takes
//! plain numbers; knows neither runs nor collectors. No value is ever thrown away as an outlier, and
//! the same values give the same interval on every machine.

use ves_load::Random;

/// Resamples behind a published interval.
pub(crate) const RESAMPLES: u32 = 10_000;
/// The seed of the resampling of every published interval.
pub(crate) const SEED: u64 = 0x7665_7331;

/// A median and the interval that it is known to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Estimate {
    pub(crate) median: f64,
    /// Lower end of the 95 % interval.
    pub(crate) low: f64,
    /// Upper end of the 95 % interval.
    pub(crate) high: f64,
    /// How many values it is made from.
    pub(crate) count: usize,
}

impl Estimate {
    /// Whether the interval holds `value`; an estimate from one value has no interval and holds any.
    pub(crate) fn covers(&self, value: f64) -> bool {
        !self.has_interval() || (self.low <= value && value <= self.high)
    }

    /// Whether there were enough values for an interval at all.
    pub(crate) fn has_interval(&self) -> bool {
        self.count > 1
    }
}

/// The value below which the share `share` (0 to 1) of the values lies, interpolated between
/// neighbours (the "type 7" of Hyndman and Fan, R's default). `None` without values.
pub(crate) fn quantile(values: &[f64], share: f64) -> Option<f64> {
    quantile_sorted(&sorted(values), share)
}

/// The middle value, or the mean of the two in the middle. `None` without values.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// The median with its 95 % bootstrap interval, from [`RESAMPLES`] resamples. `None` without values.
pub(crate) fn estimate(values: &[f64]) -> Option<Estimate> {
    estimate_with(values, RESAMPLES, SEED)
}

/// As [`estimate`], with another number of resamples and another seed: for simulations, where a
/// shared seed would tie one trial to the next.
///
/// The interval is the percentile bootstrap of the median (Efron and Tibshirani 1993, chapter 13).
/// Of fewer than 6 values it can do no more than span from the smallest to the largest, which holds
/// the true median in 50, 75, 88 and 94 % of all cases for 2, 3, 4 and 5 values.
pub(crate) fn estimate_with(values: &[f64], resamples: u32, seed: u64) -> Option<Estimate> {
    let sorted = sorted(values);
    let median = quantile_sorted(&sorted, 0.5)?;
    let mut random = Random::new(seed);
    let limit = u32::try_from(sorted.len()).unwrap_or(u32::MAX);
    let mut medians = Vec::with_capacity(resamples as usize);
    let mut indexes = vec![0usize; sorted.len()];
    for _ in 0..resamples {
        for index in &mut indexes {
            *index = random.below(limit) as usize;
        }
        // Places in the sorted values instead of the values: the middle ones are found without
        // comparing floats, and `indexes` is used again.
        let middle = indexes.len() / 2;
        let (below, upper, _) = indexes.select_nth_unstable(middle);
        let upper = sorted[*upper];
        medians.push(match below.iter().max() {
            Some(lower) if sorted.len().is_multiple_of(2) => f64::midpoint(sorted[*lower], upper),
            _ => upper,
        });
    }
    medians.sort_by(f64::total_cmp);
    Some(Estimate {
        median,
        low: quantile_sorted(&medians, 0.025).unwrap_or(median),
        high: quantile_sorted(&medians, 0.975).unwrap_or(median),
        count: sorted.len(),
    })
}

/// What `subject` is of `base`, for each round in which both have a value: drift of the machine from
/// round to round cancels. Values are pairs of round and figure; where a round has several of
/// one side, their median counts. In order of rounds; rounds whose base is 0 are left out.
pub(crate) fn ratios(subject: &[(u32, f64)], base: &[(u32, f64)]) -> Vec<f64> {
    let mut rounds: Vec<u32> = subject.iter().map(|(round, _)| *round).collect();
    rounds.sort_unstable();
    rounds.dedup();
    let in_round = |values: &[(u32, f64)], round: u32| {
        let values: Vec<f64> = values
            .iter()
            .filter(|(its, _)| *its == round)
            .map(|(_, value)| *value)
            .collect();
        median(&values)
    };
    rounds
        .into_iter()
        .filter_map(|round| Some((in_round(subject, round)?, in_round(base, round)?)))
        .filter(|(_, base)| *base != 0.0)
        .map(|(subject, base)| subject / base)
        .collect()
}

/// By how much the first of `values` (in the order of the runs) is above the median of the others,
/// when it is above each of them by more than twice what they span and a tenth above their median: a
/// cold start, not noise. `None` for fewer than 4 values.
pub(crate) fn slow_first(values: &[f64]) -> Option<f64> {
    let (first, others) = values.split_first()?;
    if others.len() < 3 {
        return None;
    }
    let others = sorted(others);
    let (smallest, largest) = (others.first()?, others.last()?);
    let median = quantile_sorted(&others, 0.5)?;
    (*first > largest + 2.0 * (largest - smallest) && *first > median * 1.1).then(|| first / median)
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

fn quantile_sorted(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = share.clamp(0.0, 1.0) * last as f64;
    let lower = sorted[place.floor() as usize];
    let upper = sorted[place.ceil() as usize];
    Some(lower + (upper - lower) * place.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_r() {
        // R: quantile(c(7, 1, 3, 15, 9), c(0, .1, .5, .9, 1))
        let values = [7.0, 1.0, 3.0, 15.0, 9.0];
        let of = |share| quantile(&values, share).unwrap();
        assert_eq!(of(0.0), 1.0);
        assert!((of(0.1) - 1.8).abs() < 1e-12);
        assert_eq!(of(0.5), 7.0);
        assert!((of(0.9) - 12.6).abs() < 1e-12);
        assert_eq!(of(1.0), 15.0);
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn the_interval_of_few_values_is_their_range() {
        for values in [
            &[3.0, 1.0][..],
            &[3.0, 1.0, 2.0],
            &[2.0, 3.0, 1.0, 1.5, 2.5],
        ] {
            let estimate = estimate(values).unwrap();
            assert_eq!((estimate.low, estimate.high), (1.0, 3.0), "{values:?}");
            assert_eq!(estimate.count, values.len());
        }
    }

    /// The bootstrap distribution of the median of an odd number of values is known exactly: it is
    /// at most the k-th smallest when more than half of the draws are (Efron 1979). For 11 values
    /// that puts the 2.5 % at the third (0.7 % are the second or less, 5.1 % the third or less)
    /// and, by symmetry, 97.5 % at the ninth.
    #[test]
    fn the_interval_is_the_exact_one() {
        let values: Vec<f64> = (1..=11).map(f64::from).collect();
        let estimate = estimate(&values).unwrap();
        assert_eq!(
            (estimate.low, estimate.median, estimate.high),
            (3.0, 6.0, 9.0)
        );
    }

    #[test]
    fn the_interval_does_not_depend_on_the_order() {
        let values = [1.0, 9.0, 4.0, 7.0, 2.0, 8.0, 3.0];
        let mut turned = values;
        turned.reverse();
        assert_eq!(estimate(&values), estimate(&turned));
    }

    /// A 95 % interval that is narrower than it says would show up here: of 200 samples of 21 from
    /// a known distribution, nearly all intervals have to hold its median, and not all.
    #[test]
    fn intervals_hold_the_true_median_about_as_often_as_they_say() {
        let mut random = Random::new(7);
        let held = (0..200)
            .filter(|trial| {
                let values: Vec<f64> = (0..21)
                    .map(|_| f64::from(random.below(1_000_001)))
                    .collect();
                estimate_with(&values, 1_000, *trial)
                    .unwrap()
                    .covers(500_000.0)
            })
            .count();
        assert!((180..=198).contains(&held), "{held} of 200");
    }

    #[test]
    fn ratios_pair_values_of_the_same_round() {
        let subject = [(2, 30.0), (1, 10.0), (4, 5.0), (5, 1.0)];
        let base = [(1, 5.0), (2, 10.0), (3, 1.0), (4, 4.0), (4, 6.0), (5, 0.0)];
        assert_eq!(ratios(&subject, &base), [2.0, 3.0, 1.0]);
    }

    #[test]
    fn one_value_shows_no_difference() {
        let one = estimate(&[2.0]).unwrap();
        assert!(one.covers(1.0));
        assert!(!estimate(&[2.0, 2.1]).unwrap().covers(1.0));
        assert!(estimate(&[0.9, 1.1, 2.1]).unwrap().covers(1.0));
    }

    #[test]
    fn a_slow_first_run_is_told_from_noise() {
        let warning = slow_first(&[2.0, 1.0, 1.1, 0.9]).unwrap();
        assert!((warning - 2.0).abs() < 1e-12);
        assert_eq!(slow_first(&[1.2, 1.0, 1.1, 0.9]), None);
        assert_eq!(slow_first(&[0.5, 1.0, 1.0, 1.0]), None);
        assert_eq!(slow_first(&[1.09, 1.0, 1.0, 1.0]), None);
        assert_eq!(slow_first(&[9.0, 1.0, 1.0]), None);
    }
}
