//! The arguments of `ves-harness report`.

use std::path::PathBuf;

use clap::Args;

/// Which comparison `ves-harness report` reads.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// The folder with manifest.json, runs.csv, samples.csv and latency/, where the report is written.
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: PathBuf,
}
