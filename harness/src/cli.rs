//! The raw arguments of `ves-harness`; nothing here is looked at beyond its shape.

mod gate;
mod reftail;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use gate::GateArgs;
pub(crate) use reftail::ReftailArgs;

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
    /// Tell whether VES has become slower, on a machine that is not quiet.
    Gate(GateArgs),
    /// Forward the lines of a file in the plainest way: a yardstick, and a subject with known faults.
    Reftail(ReftailArgs),
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
