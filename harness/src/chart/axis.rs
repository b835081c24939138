//! From figures to places on the page, and which figures get a label. Linear from zero, or
//! logarithmic between round figures.

use crate::figures::{short, trim};

/// An axis between two places on the page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Axis {
    pub(crate) low: f64,
    pub(crate) high: f64,
    is_log: bool,
    from: f64,
    to: f64,
}

impl Axis {
    /// From zero to above the largest of `values`.
    pub(crate) fn linear(values: impl IntoIterator<Item = f64>) -> Axis {
        let high = values
            .into_iter()
            .filter(|value| value.is_finite())
            .fold(0.0, f64::max);
        let high = if high > 0.0 { high } else { 1.0 };
        Axis {
            low: 0.0,
            high,
            is_log: false,
            from: 0.0,
            to: 1.0,
        }
    }

    /// Between the round figures around those of `values` that are above zero.
    pub(crate) fn log(values: impl IntoIterator<Item = f64>) -> Axis {
        let (mut low, mut high) = (f64::INFINITY, 0.0f64);
        for value in values
            .into_iter()
            .filter(|value| value.is_finite() && *value > 0.0)
        {
            low = low.min(value);
            high = high.max(value);
        }
        if high == 0.0 {
            (low, high) = (1.0, 10.0);
        }
        let low = round_below(low * 0.97);
        let high = round_above(high * 1.03).max(low * 10.0);
        Axis {
            low,
            high,
            is_log: true,
            from: 0.0,
            to: 1.0,
        }
    }

    /// The same axis from one place to another.
    pub(crate) fn between(self, from: f64, to: f64) -> Axis {
        Axis { from, to, ..self }
    }

    /// The same axis with another lower end.
    pub(crate) fn starting_at(self, low: f64) -> Axis {
        Axis { low, ..self }
    }

    /// Where a figure is; those beyond the ends are at the ends.
    pub(crate) fn place(&self, value: f64) -> f64 {
        let share = if self.is_log {
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.from + (self.to - self.from) * share.clamp(0.0, 1.0)
    }

    /// Figures with their labels, at least `gap` apart on the page.
    pub(crate) fn ticks(&self, gap: f64) -> Vec<(f64, String)> {
        let figures = if self.is_log {
            self.log_ticks(gap)
        } else {
            self.linear_ticks(gap)
        };
        figures
            .into_iter()
            .map(|value| (value, label(value)))
            .collect()
    }

    fn log_ticks(&self, gap: f64) -> Vec<f64> {
        // The closest marks within a decade are those of 1 and 2, or 2 and 5: a third of it.
        let decade = (self.to - self.from).abs() / (self.high / self.low).log10();
        let steps: &[f64] = if decade * 0.3 >= gap {
            &[1.0, 2.0, 5.0]
        } else {
            &[1.0]
        };
        let every = (gap / decade).ceil().max(1.0) as i32;
        let first = self.low.log10().floor() as i32;
        let last = self.high.log10().ceil() as i32;
        let inside =
            |value: &f64| *value >= self.low * (1.0 - 1e-9) && *value <= self.high * (1.0 + 1e-9);
        (first..=last)
            .filter(|exponent| exponent.rem_euclid(every) == 0)
            .flat_map(|exponent| steps.iter().map(move |step| step * power(exponent)))
            .filter(inside)
            .collect()
    }

    fn linear_ticks(&self, gap: f64) -> Vec<f64> {
        let most = ((self.to - self.from).abs() / gap).max(1.0);
        let step = round_above((self.high - self.low) / most);
        let count = ((self.high - self.low) / step).floor() as u32;
        (0..=count)
            .map(|index| self.low + f64::from(index) * step)
            .collect()
    }
}

fn label(value: f64) -> String {
    trim(&short(value))
}

/// Exact for what a label shows, unlike `powi` for negative exponents.
fn power(exponent: i32) -> f64 {
    format!("1e{exponent}").parse().unwrap_or(1.0)
}

fn round_below(value: f64) -> f64 {
    let base = power(value.log10().floor() as i32);
    let digit = [5.0, 2.0, 1.0]
        .into_iter()
        .find(|digit| digit * base <= value);
    digit.unwrap_or(1.0) * base
}

fn round_above(value: f64) -> f64 {
    let base = power(value.log10().floor() as i32);
    let digit = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .find(|digit| digit * base >= value * (1.0 - 1e-9));
    digit.unwrap_or(10.0) * base
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: Axis, gap: f64) -> Vec<String> {
        axis.ticks(gap)
            .into_iter()
            .map(|(_, label)| label)
            .collect()
    }

    #[test]
    fn ends_are_round_and_every_figure_lies_between() {
        let axis = Axis::log([0.13, 28.3]).between(0.0, 300.0);
        assert_eq!((axis.low, axis.high), (0.1, 50.0));
        assert!(axis.place(0.13) > 0.0 && axis.place(28.3) < 300.0);
        assert_eq!(axis.place(0.0), 0.0);
        assert_eq!(
            labels(axis, 30.0),
            ["0.1", "0.2", "0.5", "1", "2", "5", "10", "20", "50"]
        );
        assert_eq!(labels(axis, 60.0), ["0.1", "1", "10"]);
    }

    #[test]
    fn labels_keep_apart_over_many_decades() {
        let axis = Axis::log([0.001, 900_000.0]).between(300.0, 0.0);
        let places: Vec<f64> = axis
            .ticks(60.0)
            .into_iter()
            .map(|(value, _)| axis.place(value))
            .collect();
        assert!(places.len() >= 3);
        assert!(
            places
                .windows(2)
                .all(|pair| (pair[0] - pair[1]).abs() >= 60.0),
            "{places:?}"
        );
    }

    #[test]
    fn an_axis_without_figures_is_one() {
        assert_eq!(labels(Axis::log([]).between(0.0, 100.0), 50.0), ["1", "10"]);
        assert_eq!(
            labels(Axis::linear([]).between(0.0, 100.0), 50.0),
            ["0", "0.5", "1"]
        );
        assert_eq!(
            labels(Axis::linear([28.0]).between(0.0, 300.0), 60.0),
            ["0", "10", "20"]
        );
    }
}
