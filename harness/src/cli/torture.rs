//! The arguments of `ves-harness torture`.

use std::path::PathBuf;

use clap::Args;

use super::compare::name_and_path;

/// What `ves-harness torture` runs.
#[derive(Debug, Args)]
pub(crate) struct TortureArgs {
    /// Collectors to run beside VES, by the names of their folders; all of them without names
    /// [default: none].
    #[arg(long, value_name = "NAMES", value_delimiter = ',', num_args = 0.., default_missing_value = "all")]
    pub(crate) peers: Vec<String>,

    /// The program of a collector, where it is not found by itself.
    #[arg(long, value_name = "NAME=PATH", value_parser = name_and_path)]
    pub(crate) bin: Vec<(String, PathBuf)>,

    /// Cases, by number or name [default: all].
    #[arg(long, value_name = "CASES", value_delimiter = ',')]
    pub(crate) cases: Vec<String>,

    /// Cases to leave out, by number or name.
    #[arg(long, value_name = "CASES", value_delimiter = ',')]
    pub(crate) skip: Vec<String>,

    /// Print the cases and end.
    #[arg(long)]
    pub(crate) list: bool,

    /// The lines of the load, where writes are torn and when processes are killed.
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub(crate) seed: u64,

    /// Short versions of the cases.
    #[arg(long)]
    pub(crate) quick: bool,

    /// Lines a second.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    pub(crate) rate: u32,

    /// Cases that run at a time: most of them wait.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) jobs: u32,

    /// Leave the folders of the cases where they are, with logs, state, sink and what was said.
    #[arg(long)]
    pub(crate) keep: bool,

    /// The folder of the report, which must not hold one [default: reports/DATE-torture].
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,

    /// Where logs and sinks are while it runs: a disk, or inodes are not used again
    /// [default: the folder for temporary files].
    #[arg(long, value_name = "DIR")]
    pub(crate) work: Option<PathBuf>,

    /// The folder with the descriptions of collectors.
    #[arg(long, value_name = "DIR", default_value = "competitors")]
    pub(crate) competitors: PathBuf,
}
