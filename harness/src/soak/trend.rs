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

/// A group, which stretch of time, and the points in it.
type Block = (u32, i64, Vec<(f64, f64)>);

/// The common slope of groups of points that each have a level of their own (ordinary least squares
/// with a fixed effect per group). Points are group, time in seconds and figure, in order of time.
/// `None` for too few points.
pub(super) fn trend(points: &[(u32, f64, f64)]) -> Option<Trend> {
    let mut blocks: Vec<Block> = Vec::new();
    for &(group, time, value) in points {
        let index = (time / BLOCK_S) as i64;
        match blocks.last_mut() {
            Some((last, block, points)) if (*last, *block) == (group, index) => {
                points.push((time, value));
            }
            _ => blocks.push((group, index, vec![(time, value)])),
        }
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let column = |points: &[(f64, f64)], of: fn(&(f64, f64)) -> f64| -> f64 {
        mean(&points.iter().map(of).collect::<Vec<f64>>())
    };
    let mut groups: Vec<(u32, Vec<(f64, f64)>)> = Vec::new();
    for (group, _, points) in &blocks {
        let point = (column(points, |it| it.0), column(points, |it| it.1));
        match groups.last_mut() {
            Some((last, points)) if last == group => points.push(point),
            _ => groups.push((*group, vec![point])),
        }
    }
    let mut centred = Vec::new();
    for (_, points) in &groups {
        let (x, y) = (column(points, |it| it.0), column(points, |it| it.1));
        centred.extend(points.iter().map(|point| (point.0 - x, point.1 - y)));
    }
    let free = centred.len().checked_sub(groups.len() + 1)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use ves_load::Random;

    /// Two groups with levels of their own, a slope and noise of ±1.
    fn points(slope: f64, seed: u64) -> Vec<(u32, f64, f64)> {
        let mut random = Random::new(seed);
        (0..600)
            .map(|second| {
                let group = u32::from(second >= 300);
                let noise = f64::from(random.below(2001)) / 1000.0 - 1.0;
                let time = f64::from(second);
                (group, time, 100.0 * f64::from(group) + slope * time + noise)
            })
            .collect()
    }

    #[test]
    fn a_slope_is_found_behind_steps_and_noise() {
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
        let constant: Vec<(u32, f64, f64)> = (0..100).map(|it| (1, f64::from(it), 5.0)).collect();
        assert!(trend(&constant).unwrap().is_flat());
        assert_eq!(trend(&constant[..5]), None);
    }
}
