//! The raw arguments of `ves-harness gate`.

use std::path::PathBuf;

use clap::Args;

use crate::gate::PAIRS;

/// What `ves-harness gate` compares, and how.
#[derive(Debug, Args)]
pub(crate) struct GateArgs {
    /// The commit to compare with [default: where this branch left origin/main, else HEAD when files
    /// were changed, else the commit before HEAD; without any, reftail].
    #[arg(long, value_name = "REV")]
    pub(crate) base: Option<String>,

    /// Compare with this `ves` instead of building one. A `ves-kernels` beside it is used too.
    #[arg(
        long,
        value_name = "FILE",
        requires = "head_bin",
        conflicts_with = "base"
    )]
    pub(crate) base_bin: Option<PathBuf>,

    /// Judge this `ves` instead of building one.
    #[arg(long, value_name = "FILE", requires = "base_bin")]
    pub(crate) head_bin: Option<PathBuf>,

    /// Compare with reftail and reports/baseline.toml, as where there is no commit to compare with.
    #[arg(long, conflicts_with_all = ["base", "base_bin", "icount"])]
    pub(crate) reference: bool,

    /// Measure VES against reftail and write reports/baseline.toml, for a quiet machine.
    #[arg(long, conflicts_with_all = ["base", "base_bin", "icount", "paired", "reference"])]
    pub(crate) record_baseline: bool,

    /// Count instructions, allocations and system calls only.
    #[arg(long, conflicts_with = "paired")]
    pub(crate) icount: bool,

    /// Measure CPU time only.
    #[arg(long)]
    pub(crate) paired: bool,

    /// Pairs of runs; they are doubled once when they do not tell.
    #[arg(long, value_name = "N", default_value_t = PAIRS, value_parser = clap::value_parser!(u32).range(3..=1000))]
    pub(crate) pairs: u32,

    /// Lines of a drain.
    #[arg(long, value_name = "N", default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(20_000..=100_000_000))]
    pub(crate) lines: u64,

    /// Write every figure to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}
