//! The arguments of `ves-harness verify`.

use std::path::PathBuf;

use clap::Args;

/// What `ves-harness verify` compares.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Lines that `ves-harness generate` wrote.
    #[arg(long, value_name = "FILE")]
    pub(crate) log: PathBuf,

    /// The records that a collector made of them, as NDJSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) records: PathBuf,

    /// Whether lines are only forwarded as `message`, not parsed.
    #[arg(long)]
    pub(crate) raw: bool,
}
