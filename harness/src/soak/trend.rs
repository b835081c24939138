//! Whether a figure grows over time: a straight line through it, with how well its slope is known.
//! Takes plain numbers.

/// Points that follow each other closely say nearly the same: they are put together before the line
/// is drawn, or its slope would seem to be known better than it is.
const BLOCK_S: f64 = 10.0;

/// A slope and its standard error, per hour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Trend {
    pub(super) slope: f64,
    pub(super) error: f64,
}

impl Trend {
    /// Whether the slope may as well be 0.
    pub(super) fn is_flat(&self) -> bool {
        self.slope.abs() <= 2.0 * self.error + f64::EPSILON
    }
}

/// The slope of points of time in seconds and figure, in order of time (ordinary least squares). `None`
/// for too few of them.
pub(super) fn trend(points: &[(f64, f64)]) -> Option<Trend> {
    let block_of = |point: &(f64, f64)| (point.0 / BLOCK_S) as i64;
    let blocks = points.chunk_by(|one, other| block_of(one) == block_of(other));
    let means: Vec<(f64, f64)> = blocks.map(mean).collect();
    let (x, y) = mean(&means);
    let centred = means.iter().map(|point| (point.0 - x, point.1 - y));
    let centred: Vec<(f64, f64)> = centred.collect();
    let free = centred.len().checked_sub(2)?;
    let spread: f64 = centred.iter().map(|(x, _)| x * x).sum();
    if free == 0 || spread <= 0.0 {
        return None;
    }
    let slope = centred.iter().map(|(x, y)| x * y).sum::<f64>() / spread;
    let residual: f64 = centred.iter().map(|(x, y)| (y - slope * x).powi(2)).sum();
    let error = (residual / free as f64 / spread).sqrt();
    Some(Trend {
        slope: slope * 3600.0,
        error: error * 3600.0,
    })
}

fn mean(points: &[(f64, f64)]) -> (f64, f64) {
    let count = points.len() as f64;
    let (x, y) = points
        .iter()
        .fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
    (x / count, y / count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ves_load::Random;

    /// A slope and noise of ±1.
    fn points(slope: f64, seed: u64) -> Vec<(f64, f64)> {
        let mut random = Random::new(seed);
        (0..600)
            .map(|second| {
                let noise = f64::from(random.below(2001)) / 1000.0 - 1.0;
                let time = f64::from(second);
                (time, slope * time + noise)
            })
            .collect()
    }

    #[test]
    fn a_slope_is_found_behind_noise() {
        for seed in 1..=20 {
            let trend = trend(&points(0.1, seed)).unwrap();
            assert!((trend.slope - 360.0).abs() < 4.0 * trend.error, "{trend:?}");
            assert!(trend.error < 20.0 && !trend.is_flat(), "{trend:?}");
        }
    }

    #[test]
    fn noise_is_no_slope() {
        // 2 standard errors hold 95 %: of 100 some may be outside, many may not.
        let flat = (1..=100).filter(|&seed| {
            let trend = trend(&points(0.0, seed));
            trend.is_some_and(|trend| trend.is_flat())
        });
        let flat = flat.count();
        assert!((85..=100).contains(&flat), "{flat}");
        let constant: Vec<(f64, f64)> = (0..100).map(|it| (f64::from(it), 5.0)).collect();
        assert!(trend(&constant).unwrap().is_flat());
        assert_eq!(trend(&constant[..5]), None);
    }
}
