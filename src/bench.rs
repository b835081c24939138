//! `ves bench`: VES measured by itself, on load that it makes.
//!
//! What is measured is `ves collect` in a process of its own: its CPU time, memory and latencies are
//! its own, whatever this process does meanwhile to make the load ([`backlog`], [`follow`]) and to
//! look at what arrives. All files are in a folder that goes away with the bench, on Ctrl-C too.

mod backlog;
mod collector;
mod follow;
mod results;

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::cli::BenchArgs;
use crate::error::{Error, Result};
use crate::interrupted::Interrupted;
use results::Results;

/// A folder in memory, on most systems.
const MEMORY_FOLDER: &str = "/dev/shm";

/// Runs the bench; shows live figures on standard error. Blocks.
///
/// # Errors
/// When the folder, the load or the process cannot be made, when VES did not deliver what was
/// written, and when a signal ended the bench.
pub(crate) fn run(args: &BenchArgs) -> Result<Results> {
    let interrupted = Interrupted::catch()?;
    let folder = make_folder(args.folder.as_deref())?;
    match args.rate {
        Some(rate) => follow::run(args, rate, folder.path(), &interrupted),
        None => backlog::run(args, folder.path(), &interrupted),
    }
}

fn make_folder(wanted: Option<&Path>) -> Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix("ves-bench-");
    if let Some(wanted) = wanted {
        let made = builder.tempdir_in(wanted);
        return made.map_err(Error::file("make a folder in", wanted));
    }
    builder.tempdir_in(MEMORY_FOLDER).or_else(|_| {
        let made = builder.tempdir();
        made.map_err(Error::file("make a folder in", std::env::temp_dir()))
    })
}

impl Interrupted {
    /// # Errors
    /// When a signal came.
    fn check(&self) -> Result<()> {
        if self.came() {
            let text = "interrupted: what was measured so far is not shown";
            return Err(Error::Unfinished(text.to_owned()));
        }
        Ok(())
    }
}

/// The file to which records go, where they go to one.
fn sink_path(folder: &Path) -> PathBuf {
    folder.join("records.ndjson")
}
