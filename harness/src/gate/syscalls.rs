//! System calls of a drain, counted by strace. Calls for waiting are left out: how many there are is
//! up to the scheduler, all others repeat within a percent.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::drain::{Logs, Program};
use super::finding::{Finding, Level};

/// More calls than this share fail ...
const CALLS_FAIL: f64 = 0.10;
/// ... or warn.
const CALLS_WARN: f64 = 0.02;
const LAYER: &str = "system calls";
/// Waiting and waking. `read` is one of them where VES drains: its files are mapped.
const WAITING: [&str; 8] = [
    "futex",
    "read",
    "write",
    "poll",
    "ppoll",
    "clock_nanosleep",
    "sched_yield",
    "restart_syscall",
];

/// Calls in a million lines.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Calls {
    pub(crate) base_per_m_lines: f64,
    pub(crate) head_per_m_lines: f64,
}

/// Counts both programs.
///
/// # Errors
/// When strace is missing or may not trace here, or when a program fails under it.
pub(crate) fn compare(logs: &Logs, base: &Program, head: &Program) -> Result<Calls> {
    Ok(Calls {
        base_per_m_lines: count(logs, base)?,
        head_per_m_lines: count(logs, head)?,
    })
}

/// What the figures mean.
pub(crate) fn judge(calls: Calls) -> Option<Finding> {
    let change = calls.head_per_m_lines / calls.base_per_m_lines - 1.0;
    let level = match change {
        _ if change > CALLS_FAIL => Level::Failure,
        _ if change > CALLS_WARN => Level::Warning,
        _ => return None,
    };
    let text = format!("{:+.1} % calls in a drain", 100.0 * change);
    Some(Finding::new(LAYER, level, text))
}

fn count(logs: &Logs, program: &Program) -> Result<f64> {
    let table = logs.folder().join("strace.txt");
    let drain = program.command(&logs.drained(), "null:", logs.folder());
    let mut command = Command::new("strace");
    command
        .args(["-f", "-c", "-U", "calls,name", "-o"])
        .arg(&table);
    command.arg(drain.get_program()).args(drain.get_args());
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .current_dir(logs.folder());
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let output = command
        .output()
        .context("start strace (on Debian: apt-get install strace)")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "strace: {}: {}",
        output.status,
        said.trim_end()
    );
    calls(&table, logs.lines())
}

fn calls(table: &Path, lines: u64) -> Result<f64> {
    let text =
        std::fs::read_to_string(table).with_context(|| format!("read {}", table.display()))?;
    let calls = sum(&text);
    ensure!(calls > 0, "strace counted nothing:\n{text}");
    Ok(calls as f64 * 1e6 / lines as f64)
}

fn sum(table: &str) -> u64 {
    let row = |line: &str| {
        let mut words = line.split_whitespace();
        let (calls, name) = (words.next()?.parse::<u64>().ok()?, words.next()?);
        (!WAITING.contains(&name) && name != "total").then_some(calls)
    };
    table.lines().filter_map(row).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_summed_without_those_that_wait() {
        let table = "\
    calls syscall
--------- ----------------
     1416 futex
     3004 statx
        2 mmap
--------- ----------------
     4422 total
";
        assert_eq!(sum(table), 3006);
    }

    #[test]
    fn many_more_calls_fail() {
        let level = |head_per_m_lines| {
            judge(Calls {
                base_per_m_lines: 1000.0,
                head_per_m_lines,
            })
            .map(|found| found.level)
        };
        assert_eq!(level(1111.0), Some(Level::Failure));
        assert_eq!(level(1030.0), Some(Level::Warning));
        assert_eq!(level(1010.0), None);
        assert_eq!(level(500.0), None);
    }
}
