//! The arguments of `ves-harness generate`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

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

    /// Lines a second, each with a write of its own at its instant, whatever the reader does
    /// [default: as fast as possible, in large writes].
    ///
    /// By how much the writes were late is printed at the end.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rate: Option<u32>,

    /// Rotate the file this often: FILE.1 is the last one, FILE.2 the one before.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, requires = "rate")]
    pub(crate) rotate_every: Option<Duration>,

    /// How it is rotated.
    #[arg(long, value_name = "HOW", value_enum, default_value = "rename")]
    pub(crate) rotate: RotateHow,

    /// How many rotated files are kept.
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) rotate_keep: u32,
}

/// Ways to rotate a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RotateHow {
    /// Rename it and go on in a new one, as logrotate's create does.
    Rename,
    /// Copy it and truncate it: what is written between the two is lost to everybody.
    Copytruncate,
}
