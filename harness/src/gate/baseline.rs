//! `reports/baseline.toml`: what VES costs beside reftail, for clones without a commit to compare
//! with. A ratio of two programs on one machine carries over to another one far better than a time,
//! and still not well: so the limits are wide.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::finding::{Finding, Level};
use super::pairs::{Paired, Ratio, Rule};
use crate::reference::REFERENCE_VERSION;

/// More than this share above the baseline fails ...
const FAIL: f64 = 0.30;
/// ... or warns.
const WARN: f64 = 0.15;
const LAYER: &str = "baseline";

/// The recorded ratio.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Baseline {
    /// Of reftail.
    pub(crate) reference_version: String,
    /// CPU time of VES over that of reftail, both to nowhere.
    pub(crate) ratio: f64,
    /// Ends of its 95 % interval.
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) pairs: usize,
    pub(crate) lines: u64,
    /// Of VES.
    pub(crate) commit: String,
    pub(crate) machine: String,
}

impl Baseline {
    /// Reads the file.
    ///
    /// # Errors
    /// When it is not there, not what it should be, or of another reftail.
    pub(crate) fn read(path: &Path) -> Result<Baseline> {
        let remedy = "record one on a quiet machine with `ves-harness gate --record-baseline`";
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("read {}; {remedy}", path.display()))?;
        let baseline: Baseline = toml::from_str(&text)
            .with_context(|| format!("{} is not a baseline", path.display()))?;
        ensure!(
            baseline.reference_version == REFERENCE_VERSION,
            "{} is of reftail {}, this is reftail {REFERENCE_VERSION}; {remedy}",
            path.display(),
            baseline.reference_version
        );
        ensure!(
            baseline.ratio > 0.0,
            "{}: the ratio has to be above 0",
            path.display()
        );
        Ok(baseline)
    }

    /// What was measured, to be written.
    pub(crate) fn new(ratio: Ratio, lines: u64, commit: String, machine: String) -> Baseline {
        Baseline {
            reference_version: REFERENCE_VERSION.to_owned(),
            ratio: ratio.median,
            low: ratio.low,
            high: ratio.high,
            pairs: ratio.pairs,
            lines,
            commit,
            machine,
        }
    }

    /// Writes the file.
    ///
    /// # Errors
    /// When that fails.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let text = format!(
            "# CPU time of VES over that of reftail, both draining the same log to nowhere. Written by\n\
             # `ves-harness gate --record-baseline`; the gate compares with it where there is no commit\n\
             # to compare with.\n\
             reference_version = {:?}\nratio = {:.4}\nlow = {:.4}\nhigh = {:.4}\npairs = {}\n\
             lines = {}\ncommit = {:?}\nmachine = {:?}\n",
            self.reference_version,
            self.ratio,
            self.low,
            self.high,
            self.pairs,
            self.lines,
            self.commit,
            self.machine,
        );
        std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
    }

    /// When pairs of reftail and VES fail and pass.
    pub(crate) fn rule(&self) -> Rule {
        Rule {
            median_max: self.ratio * (1.0 + FAIL),
            low_max: self.ratio * (1.0 + WARN),
            high_max: self.ratio * (1.0 + FAIL),
        }
    }

    /// A warning of what does not fail.
    pub(crate) fn judge(&self, paired: &Paired) -> Option<Finding> {
        let change = paired.head.median / self.ratio - 1.0;
        (change > WARN).then(|| {
            let text = format!(
                "VES over reftail is {:+.0} % above the baseline",
                100.0 * change
            );
            Finding::new(LAYER, Level::Warning, text)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATIO: Ratio = Ratio {
        median: 0.5,
        low: 0.49,
        high: 0.52,
        pairs: 21,
    };

    fn written(edit: impl Fn(String) -> String) -> Result<Baseline> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("baseline.toml");
        let machine = "a \"quoted\" CPU".to_owned();
        Baseline::new(RATIO, 2_000_000, "0123".to_owned(), machine)
            .write(&path)
            .unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, edit(text)).unwrap();
        Baseline::read(&path)
    }

    #[test]
    fn what_is_written_can_be_read() {
        let baseline = written(|text| text).unwrap();
        assert_eq!(
            (baseline.ratio, baseline.low, baseline.high),
            (0.5, 0.49, 0.52)
        );
        assert_eq!(baseline.machine, "a \"quoted\" CPU");
        assert!((baseline.rule().median_max - 0.65).abs() < 1e-9);
        assert!((baseline.rule().low_max - 0.575).abs() < 1e-9);
    }

    #[test]
    fn the_baseline_of_another_reftail_is_refused() {
        let current = format!("reference_version = {REFERENCE_VERSION:?}");
        let error = written(|text| text.replace(&current, "reference_version = \"0\""));
        let message = error.unwrap_err().to_string();
        assert!(message.contains("of reftail 0"), "{message}");
        assert!(message.contains("--record-baseline"), "{message}");
    }
}
