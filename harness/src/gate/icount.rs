//! The exact layer: instructions and allocations of each stage, counted by callgrind and by the
//! allocator of `ves-kernels`. What two passes count more than one is a pass: start and setup cancel.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::finding::{Finding, Level};

/// More instructions than this share fail ...
const INSTRUCTIONS_FAIL: f64 = 0.02;
/// ... or warn.
const INSTRUCTIONS_WARN: f64 = 0.005;
/// So many more allocations in a million lines are one in a thousand lines.
const ALLOCATIONS_FAIL: f64 = 1000.0;
const LAYER: &str = "instructions";

/// What a pass over the lines takes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) instructions_per_line: f64,
    pub(crate) allocations_per_m_lines: f64,
}

/// A stage in both programs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kernel {
    pub(crate) name: String,
    /// Missing where base does not have it.
    pub(crate) base: Option<Counts>,
    pub(crate) head: Option<Counts>,
}

impl Kernel {
    /// By how much head has more instructions than base, as a share.
    pub(crate) fn change(&self) -> Option<f64> {
        let (base, head) = (self.base?, self.head?);
        Some(head.instructions_per_line / base.instructions_per_line - 1.0)
    }

    fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let finding = |level, text| Finding::new(LAYER, level, text);
        let (Some(base), Some(head), Some(change)) = (self.base, self.head, self.change()) else {
            if self.head.is_none() {
                let text = format!("{}: head does not have it any more", self.name);
                findings.push(finding(Level::Warning, text));
            }
            return findings;
        };
        let text = format!("{}: {:+.2} % instructions", self.name, 100.0 * change);
        if change > INSTRUCTIONS_FAIL {
            findings.push(finding(Level::Failure, text));
        } else if change > INSTRUCTIONS_WARN {
            findings.push(finding(Level::Warning, text));
        }
        let more = head.allocations_per_m_lines - base.allocations_per_m_lines;
        if more > 0.0 {
            let level = match more > ALLOCATIONS_FAIL {
                true => Level::Failure,
                false => Level::Warning,
            };
            let text = format!("{}: {more:+.0} allocations in a million lines", self.name);
            findings.push(finding(level, text));
        }
        findings
    }
}

/// Counts on these lines.
#[derive(Clone, Debug)]
pub(crate) struct Counter {
    /// A log of `lines` lines.
    pub(crate) log: PathBuf,
    pub(crate) lines: u64,
    /// For what callgrind writes, and the working directory of all runs.
    pub(crate) folder: PathBuf,
}

impl Counter {
    /// Counts every stage of head, and of base where it has a `ves-kernels`.
    ///
    /// # Errors
    /// When valgrind is missing, or a program fails under it.
    pub(crate) fn compare(&self, base: Option<&Path>, head: &Path) -> Result<Vec<Kernel>> {
        let base_names = base.map(names).transpose()?.unwrap_or_default();
        let head_names = names(head)?;
        let gone = base_names.iter().filter(|name| !head_names.contains(name));
        let all = head_names.iter().chain(gone);
        let kernel = |name: &String| {
            let of = |program: Option<&Path>, names: &[String]| {
                let program = program.filter(|_| names.contains(name));
                program.map(|program| self.count(program, name)).transpose()
            };
            Ok(Kernel {
                name: name.clone(),
                base: of(base, &base_names)?,
                head: of(Some(head), &head_names)?,
            })
        };
        all.map(kernel).collect()
    }

    fn count(&self, program: &Path, kernel: &str) -> Result<Counts> {
        let (once, _) = self.run(program, kernel, 1)?;
        let (twice, allocations) = self.run(program, kernel, 2)?;
        ensure!(
            twice > once,
            "{} {kernel}: two passes took no more than one",
            program.display()
        );
        Ok(Counts {
            instructions_per_line: (twice - once) as f64 / self.lines as f64,
            allocations_per_m_lines: allocations as f64 * 1e6 / self.lines as f64,
        })
    }

    /// Returns instructions of the whole process, and allocations of the last pass.
    fn run(&self, program: &Path, kernel: &str, passes: u32) -> Result<(u64, u64)> {
        let out = self.folder.join("callgrind.out");
        let mut command = Command::new("valgrind");
        command.arg("--tool=callgrind");
        command
            .arg(format!("--callgrind-out-file={}", out.display()))
            .arg(program);
        command
            .arg(kernel)
            .arg("--input")
            .arg(&self.log)
            .args(["--passes", &passes.to_string()]);
        // The environment is on the stack, whose place decides how much is copied in aligned steps.
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .current_dir(&self.folder);
        let output = command.stdin(Stdio::null()).output();
        let output = output.context("start valgrind (on Debian: apt-get install valgrind)")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!(
                "{} {kernel} under valgrind: {}: {said}",
                program.display(),
                output.status
            );
        }
        let counted =
            std::fs::read_to_string(&out).with_context(|| format!("read {}", out.display()))?;
        let instructions = number_after(&counted, "totals: ").context("callgrind gave no total")?;
        let said = String::from_utf8_lossy(&output.stdout);
        let allocations = number_after(&said, "allocations ").with_context(|| {
            format!(
                "{} {kernel} did not say how much it allocated",
                program.display()
            )
        })?;
        Ok((instructions, allocations))
    }
}

/// What the figures mean.
pub(crate) fn judge(kernels: &[Kernel]) -> Vec<Finding> {
    kernels.iter().flat_map(Kernel::findings).collect()
}

fn names(program: &Path) -> Result<Vec<String>> {
    let output = Command::new(program).arg("--list").output();
    let output = output.with_context(|| format!("start {}", program.display()))?;
    let names = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "{} --list: {}",
        program.display(),
        output.status
    );
    Ok(names.lines().map(str::to_owned).collect())
}

fn number_after(text: &str, head: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(head)?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(base: Option<(f64, f64)>, head: Option<(f64, f64)>) -> Kernel {
        let counts = |(instructions_per_line, allocations_per_m_lines)| Counts {
            instructions_per_line,
            allocations_per_m_lines,
        };
        Kernel {
            name: "parse".to_owned(),
            base: base.map(counts),
            head: head.map(counts),
        }
    }

    fn levels(base: Option<(f64, f64)>, head: Option<(f64, f64)>) -> Vec<Level> {
        judge(&[kernel(base, head)])
            .iter()
            .map(|finding| finding.level)
            .collect()
    }

    #[test]
    fn limits_are_those_that_are_published() {
        let base = Some((1000.0, 0.0));
        assert_eq!(levels(base, Some((1021.0, 0.0))), [Level::Failure]);
        assert_eq!(levels(base, Some((1019.0, 0.0))), [Level::Warning]);
        assert_eq!(levels(base, Some((1004.0, 0.0))), []);
        assert_eq!(levels(base, Some((500.0, 0.0))), []);
        assert_eq!(levels(base, Some((1000.0, 1001.0))), [Level::Failure]);
        assert_eq!(levels(base, Some((1000.0, 50.0))), [Level::Warning]);
        assert_eq!(levels(Some((1000.0, 50.0)), Some((1000.0, 50.0))), []);
    }

    #[test]
    fn a_stage_that_one_side_lacks_is_not_compared() {
        assert_eq!(levels(None, Some((1000.0, 5000.0))), []);
        assert_eq!(levels(Some((1000.0, 0.0)), None), [Level::Warning]);
    }

    #[test]
    fn the_totals_of_callgrind_are_found() {
        let file = "# callgrind format\nevents: Ir\nsummary: 1\n\ntotals: 12721735\n";
        assert_eq!(number_after(file, "totals: "), Some(12_721_735));
        assert_eq!(number_after(file, "allocations "), None);
    }
}
