//! The raw arguments of `ves-harness`; nothing here is looked at beyond its shape.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Makes load for log collectors and measures them.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write log lines that are the same for the same seed.
    Generate(GenerateArgs),
    /// Make the report and the charts of a comparison again from its raw results; nothing is run.
    Report(ReportArgs),
}

/// What `ves-harness generate` writes, and where.
#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    /// How many lines are written.
    #[arg(long, value_name = "N")]
    pub(crate) lines: u64,

    /// Which lines are written: the same seed gives the same bytes on every machine.
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub(crate) seed: u64,

    /// The file that is written anew, or `-` for standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: PathBuf,

    /// The description of the mix [default: datasets/nginx.toml as it was built in].
    #[arg(long, value_name = "FILE")]
    pub(crate) spec: Option<PathBuf>,
}

/// Which comparison `ves-harness report` reads.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// The folder with manifest.json, runs.csv, samples.csv and latency/, where the report is written.
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: PathBuf,
}
