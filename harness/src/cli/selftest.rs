//! The arguments of `ves-harness selftest`.

use std::path::PathBuf;

use clap::Args;

/// How `ves-harness selftest` runs.
#[derive(Debug, Args)]
pub(crate) struct SelftestArgs {
    /// Where logs and sinks are while it runs.
    #[arg(long, value_name = "DIR", default_value = "/dev/shm")]
    pub(crate) work: PathBuf,

    /// Fail also when only the machine is too slow or too busy.
    #[arg(long)]
    pub(crate) strict: bool,

    /// Use one second of CPU time and end.
    #[arg(long, hide = true)]
    pub(crate) burn: bool,
}
