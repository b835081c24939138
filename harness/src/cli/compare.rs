//! The arguments of `ves-harness compare`.

use std::path::PathBuf;

use clap::Args;

use crate::compare::profile::{Profile, ProfileName};

/// What `ves-harness compare` measures.
#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// Collectors to compare, by the names of their folders [default: all].
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) peers: Vec<String>,

    /// Configurations to compare: default, tuned [default: both].
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) config: Vec<String>,

    /// How long and how often is measured.
    #[arg(long, value_enum, default_value = "quick")]
    profile: ProfileName,

    /// Rounds of interleaved runs [default: that of the profile].
    #[arg(long, value_name = "N")]
    rounds: Option<u32>,

    /// Lines of a backlog [default: that of the profile].
    #[arg(long, value_name = "N")]
    drain_lines: Option<usize>,

    /// Lines a second of a live file [default: that of the profile].
    #[arg(long, value_name = "RATES", value_delimiter = ',')]
    rates: Vec<u32>,

    /// The program of a collector, where it is not found by itself.
    #[arg(long, value_name = "NAME=PATH", value_parser = name_and_path)]
    pub(crate) bin: Vec<(String, PathBuf)>,

    /// The folder of the report, which must not hold one [default: reports/DATE-HOST-COMMIT].
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,

    /// Where logs and sinks are while it runs: a file system in memory, or the one to be measured.
    #[arg(long, value_name = "DIR", default_value = "/dev/shm")]
    pub(crate) work: PathBuf,

    /// The folder with the descriptions of collectors.
    #[arg(long, value_name = "DIR", default_value = "competitors")]
    pub(crate) competitors: PathBuf,

    /// The order of runs and the lines of the load.
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub(crate) seed: u64,

    /// The description of the mix [default: datasets/nginx.toml as it was built in].
    #[arg(long, value_name = "FILE")]
    pub(crate) spec: Option<PathBuf>,

    /// What an hour of one core costs, in US dollars.
    #[arg(long, value_name = "USD", default_value_t = 0.0425)]
    pub(crate) usd_per_cpu_hour: f64,

    /// Where that price is from, for the report.
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "AWS EC2 c6i.large on demand, us-east-1: $0.085 an hour for 2 vCPUs"
    )]
    pub(crate) usd_source: String,

    /// Fail when a run did not deliver what it should have.
    #[arg(long)]
    pub(crate) strict: bool,
}

impl CompareArgs {
    /// The profile, with what was asked for otherwise.
    pub(crate) fn profile(&self) -> Profile {
        let mut profile = self.profile.profile();
        if let Some(rounds) = self.rounds {
            profile.rounds = rounds;
            profile.rate_rounds = profile.rate_rounds.min(rounds);
        }
        if let Some(lines) = self.drain_lines {
            profile.drain_lines = lines;
        }
        if !self.rates.is_empty() {
            profile.rates.clone_from(&self.rates);
        }
        profile
    }
}

/// `NAME=PATH`.
pub(super) fn name_and_path(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => {
            Ok((name.to_owned(), PathBuf::from(path)))
        }
        _ => {
            Err("NAME=PATH is expected, as in fluent-bit=/opt/fluent-bit/bin/fluent-bit".to_owned())
        }
    }
}
