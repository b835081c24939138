//! Whether a log is in memory before a run: who reads first must not pay for the disk.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

/// Reads the file so that all of it is in the page cache, and gives how much of it is, in percent,
/// by util-linux's `fincore`; 100 where that is missing, as the file has just been read.
///
/// # Errors
/// When it cannot be read.
pub(super) fn warm(path: &Path) -> Result<f64> {
    let bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
    let output = Command::new("fincore")
        .args(["--bytes", "--noheadings", "--output", "RES"])
        .arg(path)
        .output();
    let resident = output
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8_lossy(&output.stdout).trim().parse().ok());
    let resident: u64 = resident.unwrap_or(bytes.len() as u64);
    // Whole pages are counted.
    Ok((resident as f64 / bytes.len().max(1) as f64 * 100.0).min(100.0))
}
