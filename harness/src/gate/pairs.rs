//! The paired layer: two programs take turns at the same work on the same core, and what counts is
//! the ratio within a pair, so that a machine that drifts or bursts does not decide. In between a
//! program is paired with a copy of itself, which shows what the machine adds. Knows nothing of
//! processes: a [`Runner`] does the work, and the simulation below is one too.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::statistics::{Estimate, estimate_with};

/// Pairs of base and head before a verdict.
pub(crate) const PAIRS: u32 = 21;
/// After so many of these, base is paired with its copy.
const PAIRS_PER_SAME: u32 = 3;
/// Half the interval of base against its copy, above which the machine is unfit.
const SAME_HALF_WIDTH_MAX: f64 = 0.04;

/// Which ratios fail and pass. What is between needs more pairs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rule {
    /// Fails when the median is above this ...
    pub(crate) median_max: f64,
    /// ... and the lower end of its interval above this.
    pub(crate) low_max: f64,
    /// Passes when the upper end of the interval is below this.
    pub(crate) high_max: f64,
}

impl Rule {
    /// For two builds of the same program.
    pub(crate) const BUILDS: Rule = Rule {
        median_max: 1.05,
        low_max: 1.03,
        high_max: 1.05,
    };
}

/// How a comparison is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Plan {
    /// Pairs of base and head, before they are doubled.
    pub(crate) pairs: u32,
    pub(crate) rule: Rule,
    /// Behind an interval.
    pub(crate) resamples: u32,
    /// Of the resampling.
    pub(crate) seed: u64,
}

/// A program in a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// What is compared with.
    Base,
    /// The same, as another file.
    Copy,
    /// What is judged.
    Head,
}

/// What a run took.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cost {
    pub(crate) cpu_s_per_m_lines: f64,
    pub(crate) wall_s: f64,
}

/// Does the work.
pub(crate) trait Runner {
    /// Has a program do it once.
    ///
    /// # Errors
    /// When it did not.
    fn run(&mut self, side: Side) -> Result<Cost>;
}

/// Two runs, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pair {
    pub(crate) base: Cost,
    pub(crate) other: Cost,
    /// Whether base ran first.
    pub(crate) is_base_first: bool,
}

impl Pair {
    fn ratio(&self) -> f64 {
        self.other.cpu_s_per_m_lines / self.base.cpu_s_per_m_lines
    }
}

/// What the ratios show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Shown {
    /// Head is not slower.
    Pass,
    /// Head is slower.
    Fail,
    /// Neither, even after twice the pairs.
    Inconclusive,
    /// The machine is too noisy to tell.
    Unfit,
}

/// The interval of a ratio, as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ratio {
    pub(crate) median: f64,
    /// Ends of the 95 % interval.
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) pairs: usize,
}

/// All pairs and what they show.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Paired {
    pub(crate) shown: Shown,
    /// Head over base.
    pub(crate) head: Ratio,
    /// The copy of base over base.
    pub(crate) same: Ratio,
    pub(crate) head_pairs: Vec<Pair>,
    pub(crate) same_pairs: Vec<Pair>,
}

/// Runs the pairs, and as many again when those do not tell.
///
/// # Errors
/// When a run fails.
pub(crate) fn measure(runner: &mut impl Runner, plan: &Plan) -> Result<Paired> {
    // Programs, libraries and the log come into the caches.
    for side in [Side::Base, Side::Copy, Side::Head] {
        runner.run(side)?;
    }
    let (mut head_pairs, mut same_pairs) = (Vec::new(), Vec::new());
    loop {
        for _ in 0..plan.pairs {
            run_pair(runner, Side::Head, &mut head_pairs)?;
            if head_pairs.len() % PAIRS_PER_SAME as usize == 0 {
                run_pair(runner, Side::Copy, &mut same_pairs)?;
            }
        }
        let head = interval(&head_pairs, plan);
        let same = interval(&same_pairs, plan);
        let shown = judge(plan.rule, head, same);
        let is_decided = matches!(shown, Shown::Pass | Shown::Fail);
        if is_decided || head_pairs.len() >= 2 * plan.pairs as usize {
            return Ok(Paired {
                shown,
                head,
                same,
                head_pairs,
                same_pairs,
            });
        }
    }
}

/// ABBA: every second pair runs in the other order, so that a steady drift cancels.
fn run_pair(runner: &mut impl Runner, side: Side, pairs: &mut Vec<Pair>) -> Result<()> {
    let is_base_first = pairs.len().is_multiple_of(2);
    let (base, other) = if is_base_first {
        (runner.run(Side::Base)?, runner.run(side)?)
    } else {
        let other = runner.run(side)?;
        (runner.run(Side::Base)?, other)
    };
    pairs.push(Pair {
        base,
        other,
        is_base_first,
    });
    Ok(())
}

fn interval(pairs: &[Pair], plan: &Plan) -> Ratio {
    let ratios: Vec<f64> = pairs.iter().map(Pair::ratio).collect();
    let none = Estimate {
        median: f64::NAN,
        low: f64::NAN,
        high: f64::NAN,
        count: 0,
    };
    let found = estimate_with(&ratios, plan.resamples, plan.seed).unwrap_or(none);
    Ratio {
        median: found.median,
        low: found.low,
        high: found.high,
        pairs: found.count,
    }
}

/// What an interval of head over base means, beside one of base over base.
fn judge(rule: Rule, head: Ratio, same: Ratio) -> Shown {
    // There are fewer of these pairs: what their interval would be with as many, as that is what the
    // verdict stands on.
    let scale = (same.pairs as f64 / head.pairs as f64).sqrt();
    let half_width = (same.high - same.low) / 2.0 * scale;
    if half_width > SAME_HALF_WIDTH_MAX {
        Shown::Unfit
    } else if head.median > rule.median_max && head.low > rule.low_max {
        Shown::Fail
    } else if head.high < rule.high_max {
        Shown::Pass
    } else {
        Shown::Inconclusive
    }
}

#[cfg(test)]
mod simulation;
