//! The figures of a gate as text and as JSON.

use std::fmt::Write;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result};
use procfs::{CpuInfo, Current, LoadAverage};
use serde::Serialize;

use super::finding::{Finding, Level};
use super::icount::Kernel;
use super::pairs::{Cost, Pair, Paired, Ratio};
use super::syscalls::Calls;
use crate::statistics::median;

/// Everything that was found.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// When it began, in seconds since 1970.
    pub(crate) unix_s: u64,
    pub(crate) machine: String,
    /// Processes that wanted to run in the last minute, when it began.
    pub(crate) load_average: f32,
    pub(crate) head: String,
    pub(crate) base: String,
    /// To which runs were pinned.
    pub(crate) core: Option<usize>,
    /// Of a drain.
    pub(crate) lines: u64,
    pub(crate) is_in_memory: bool,
    pub(crate) paired: Option<Paired>,
    /// What the ratio was compared with, without a base.
    pub(crate) baseline_ratio: Option<f64>,
    pub(crate) kernels: Vec<Kernel>,
    pub(crate) calls: Option<Calls>,
    pub(crate) findings: Vec<Finding>,
    /// The reason of a commit for being slower.
    pub(crate) accepted: Option<String>,
}

impl Report {
    /// Without figures yet.
    pub(crate) fn new(head: &str, base: &str) -> Report {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Report {
            unix_s: now.map_or(0, |since| since.as_secs()),
            machine: machine(),
            load_average: LoadAverage::current().map_or(0.0, |load| load.one),
            head: head.to_owned(),
            base: base.to_owned(),
            core: None,
            lines: 0,
            is_in_memory: false,
            paired: None,
            baseline_ratio: None,
            kernels: Vec::new(),
            calls: None,
            findings: Vec::new(),
            accepted: None,
        }
    }

    /// Writes everything as JSON.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
    }

    /// Whether the change must not pass.
    pub(crate) fn is_failed(&self) -> bool {
        self.level() == Level::Failure && self.accepted.is_none()
    }

    fn level(&self) -> Level {
        let levels = self.findings.iter().map(|finding| finding.level);
        levels.max().unwrap_or(Level::Note)
    }

    /// What is compared, and where.
    pub(crate) fn heading(&self) -> String {
        format!(
            "head     {}\nbase     {}\nmachine  {}, load average {:.1}\n",
            self.head, self.base, self.machine, self.load_average
        )
    }

    /// The figures of the pairs.
    pub(crate) fn paired_text(&self) -> String {
        let Some(paired) = &self.paired else {
            return String::new();
        };
        let place = if self.is_in_memory {
            "in memory"
        } else {
            "NOT in memory"
        };
        let mut text = format!(
            "\npaired: drain of {} lines ({place}) to nowhere, on core {}\n",
            self.lines,
            self.core.unwrap_or(0)
        );
        for (name, figure) in [
            (
                "CPU-s per 1 M lines",
                &(|cost: Cost| cost.cpu_s_per_m_lines) as &dyn Fn(Cost) -> f64,
            ),
            ("wall, s", &|cost: Cost| cost.wall_s),
        ] {
            let of = |side: fn(&Pair) -> Cost| {
                let values: Vec<f64> = paired.head_pairs.iter().map(side).map(figure).collect();
                median(&values).unwrap_or(f64::NAN)
            };
            let (base, head) = (of(|pair| pair.base), of(|pair| pair.other));
            let _ = writeln!(text, "  {name:<20} base {base:.4}  head {head:.4}");
        }
        let _ = writeln!(text, "  head / base          {}", ratio_text(paired.head));
        let _ = writeln!(text, "  {}", same_text(paired));
        if let Some(baseline) = self.baseline_ratio {
            let _ = writeln!(text, "  recorded             {baseline:.3}");
        }
        text
    }

    /// The figures that were counted.
    pub(crate) fn counts_text(&self) -> String {
        let mut text = String::new();
        if !self.kernels.is_empty() {
            text += "\ncounted: instructions per line, allocations per 1 M lines\n";
        }
        for kernel in &self.kernels {
            let _ = write!(text, "  {:<20}", kernel.name);
            for (side, counts) in [("base", kernel.base), ("head", kernel.head)] {
                let _ = match counts {
                    Some(counts) => write!(
                        text,
                        " {side} {:8.2} {:3.0} ",
                        counts.instructions_per_line, counts.allocations_per_m_lines
                    ),
                    None => write!(text, " {side} {:>8} {:>3} ", "-", "-"),
                };
            }
            let _ = match kernel.change() {
                Some(change) => writeln!(text, " {:+.2} %", 100.0 * change),
                None => writeln!(text),
            };
        }
        if let Some(calls) = self.calls {
            let _ = writeln!(
                text,
                "\ncounted: system calls per 1 M lines, without those that wait\n  {:<20} base {:8.1}  head {:8.1}  {:+.1} %",
                "drain",
                calls.base_per_m_lines,
                calls.head_per_m_lines,
                100.0 * (calls.head_per_m_lines / calls.base_per_m_lines - 1.0)
            );
        }
        text
    }

    /// What was found, and the verdict.
    pub(crate) fn conclusion(&self) -> String {
        let mut text = "\n".to_owned();
        for finding in &self.findings {
            let _ = writeln!(text, "{finding}");
        }
        let _ = match (self.level(), &self.accepted) {
            (Level::Failure, Some(reason)) => writeln!(text, "gate: ACCEPTED: {reason}"),
            (Level::Failure, None) => writeln!(
                text,
                "gate: FAIL (a commit with the trailer `Perf-Accepted: <reason>` lets it pass)"
            ),
            (Level::Warning, _) => writeln!(text, "gate: PASS, with warnings"),
            (Level::Note, _) => writeln!(text, "gate: PASS"),
        };
        text
    }
}

/// How a program compares with its own copy.
pub(crate) fn same_text(paired: &Paired) -> String {
    format!("copy of base / base  {}", ratio_text(paired.same))
}

fn ratio_text(ratio: Ratio) -> String {
    format!(
        "{:.3} ({:.3} to {:.3}, 95 % of {} pairs)",
        ratio.median, ratio.low, ratio.high, ratio.pairs
    )
}

/// The model of its processor, and how many cores there are.
fn machine() -> String {
    let Ok(info) = CpuInfo::current() else {
        return "unknown machine".to_owned();
    };
    let model = info.model_name(0).unwrap_or("unknown processor").to_owned();
    format!("{} x {model}", info.num_cores())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(levels: &[Level], accepted: Option<&str>) -> Report {
        let finding = |level: &Level| Finding::new("paired", *level, "slower".to_owned());
        Report {
            findings: levels.iter().map(finding).collect(),
            accepted: accepted.map(str::to_owned),
            ..Report::new("head", "base")
        }
    }

    #[test]
    fn the_worst_finding_decides() {
        for (levels, is_failed, verdict) in [
            (&[][..], false, "gate: PASS\n"),
            (&[Level::Note], false, "gate: PASS\n"),
            (
                &[Level::Warning, Level::Note],
                false,
                "gate: PASS, with warnings\n",
            ),
            (&[Level::Failure, Level::Warning], true, "gate: FAIL"),
        ] {
            let report = report(levels, None);
            let text = report.conclusion();
            assert_eq!(report.is_failed(), is_failed, "{text}");
            assert!(text.contains(verdict), "{text}");
            assert_eq!(text.matches("slower").count(), levels.len(), "{text}");
        }
    }

    #[test]
    fn a_reason_lets_a_failure_pass_and_is_shown() {
        let report = report(&[Level::Failure], Some("safety"));
        assert!(!report.is_failed());
        let text = report.conclusion();
        assert!(text.contains("FAILURE: paired: slower"), "{text}");
        assert!(text.contains("gate: ACCEPTED: safety"), "{text}");
    }
}
