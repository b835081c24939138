//! How many lines are due at what time: the traffic of a site comes in waves.

use std::f64::consts::TAU;
use std::time::Duration;

/// From one crest to the next.
const PERIOD_S: f64 = 12.0;

/// How far it goes up and down, as a part of the mean.
const SWING: f64 = 0.4;

/// Lines over time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wave {
    /// Per second, in the mean.
    pub(super) rate: u32,
}

impl Wave {
    /// The lines that are due when so much time has passed: the integral of
    /// `rate * (1 + SWING * sin(TAU * t / PERIOD_S))`.
    pub(super) fn due(self, passed: Duration) -> u64 {
        let seconds = passed.as_secs_f64();
        let crest = SWING * PERIOD_S / TAU * (1.0 - (TAU * seconds / PERIOD_S).cos());
        (f64::from(self.rate) * (seconds + crest)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waves_go_up_and_down_around_their_mean() {
        let wave = Wave { rate: 1000 };
        let due = |seconds: f64| wave.due(Duration::from_secs_f64(seconds));
        assert_eq!((due(0.0), due(12.0), due(24.0)), (0, 12_000, 24_000));
        let (first, second) = (due(6.0), due(12.0) - due(6.0));
        assert!(first > 7000 && second < 5000, "{first}, {second}");
        let steps: Vec<u64> = (0..2400).map(|step| due(f64::from(step) / 100.0)).collect();
        assert!(steps.is_sorted());
    }
}
