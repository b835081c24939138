//! The arguments of `ves-harness soak`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

/// How long and how hard `ves-harness soak` runs VES.
#[derive(Debug, Args)]
pub(crate) struct SoakArgs {
    /// How long VES is killed now and then.
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = humantime::parse_duration)]
    pub(crate) duration: Duration,

    /// How long it is left alone after that, under the same load: only a long life shows whether memory
    /// grows.
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = humantime::parse_duration)]
    pub(crate) calm: Duration,

    /// Lines a second.
    #[arg(long, value_name = "N", default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) rate: u32,

    /// The log is renamed and made anew so often.
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = humantime::parse_duration)]
    pub(crate) rotate_every: Duration,

    /// VES is killed and started so often; 0s for never.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    pub(crate) kill_every: Duration,

    /// The lines of the load.
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub(crate) seed: u64,

    /// The program of VES [default: the one that was built beside the harness].
    #[arg(long, value_name = "FILE")]
    pub(crate) bin: Option<PathBuf>,

    /// The folder of the report, which must not hold one [default: reports/DATE-soak].
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,

    /// Where logs and the sink are while it runs; less than a gigabyte is used at the default rate.
    #[arg(long, value_name = "DIR", default_value = "/dev/shm")]
    pub(crate) work: PathBuf,

    /// The folder with the descriptions of collectors.
    #[arg(long, value_name = "DIR", default_value = "competitors")]
    pub(crate) competitors: PathBuf,
}
