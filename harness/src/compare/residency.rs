//! Whether a log and the memory for what is made of it are there before a run: who reads first must not
//! pay for the disk, and who writes first must not pay for memory that a virtual machine has to fetch
//! from its host.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

/// Touches that much memory on the file system of `folder` and gives it back: the pages that were freed
/// last are taken first.
///
/// # Errors
/// When there is not as much.
pub(super) fn warm_memory(folder: &Path, bytes: usize) -> Result<()> {
    let path = folder.join("warm");
    let block = vec![1; 1 << 20];
    let mut file = File::create(&path).with_context(|| format!("create {}", path.display()))?;
    for _ in 0..bytes.div_ceil(block.len()) {
        file.write_all(&block).with_context(|| {
            format!("write {}: is there room for {bytes} bytes?", path.display())
        })?;
    }
    drop(file);
    fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))
}

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
