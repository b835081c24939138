//! The command line as it is typed. What the values mean is decided in `config`, where those of a
//! configuration file are: a flag and the key of its name are the same setting.

mod bench;
mod check;
mod collect;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::child;
use crate::demo;
use crate::error::Result;

/// A small, fast and trustworthy log collector: tail, parse, filter, enrich, batch, ship.
#[derive(Debug, Parser)]
#[command(
    name = "ves",
    version,
    max_term_width = 100,
    subcommand_required = true
)]
#[command(arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Collect(Box<CollectArgs>),
    Check(CheckArgs),
    Bench(BenchArgs),
    #[command(long_flag = "demo")]
    Demo(DemoArgs),
    #[command(hide = true)]
    BenchCollect(Box<BenchCollectArgs>),
}

/// What `ves bench` and `ves demo` run: `ves collect` that leaves its figures behind and ends with
/// them.
#[derive(Debug, Args)]
struct BenchCollectArgs {
    /// Where they go, as JSON.
    #[arg(long, value_name = "FILE")]
    figures: PathBuf,
    #[command(flatten)]
    collect: CollectArgs,
}

/// Measure VES on this machine with load that it makes itself
///
/// Without --rate it drains a backlog as fast as it can, over and over, in a process of its own
/// each time. With --rate it follows a file to which lines are written one by one. The load, the
/// measuring and the files (in memory where the system has a place for that) are gone afterwards,
/// and only VES's own CPU time is counted as VES's.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// How long to measure
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    pub(crate) duration: Duration,

    /// Lines per second; without it, as many as VES can take
    #[arg(long, value_name = "LINES", value_parser = clap::value_parser!(u32).range(1..=2_000_000))]
    pub(crate) rate: Option<u32>,

    /// Lines of the backlog that is drained
    #[arg(long, value_name = "LINES", default_value_t = 2_000_000, conflicts_with = "rate",
          value_parser = clap::value_parser!(u32).range(1..=99_000_000))]
    pub(crate) lines: u32,

    /// Where records go: file | null
    #[arg(long, value_name = "SINK", default_value = "file")]
    pub(crate) sink: BenchSink,

    /// Most records in a batch [default: 1000]
    #[arg(long, value_name = "COUNT")]
    pub(crate) batch_size: Option<String>,

    /// Longest time that lines wait for more while the sink is busy [default: 5ms]
    #[arg(long, value_name = "TIME")]
    pub(crate) flush_interval: Option<String>,

    /// Transform threads [default: one per core, 16 at most]
    #[arg(long, value_name = "COUNT")]
    pub(crate) workers: Option<String>,

    /// Keep VES's threads on a core each
    #[arg(long)]
    pub(crate) pin: bool,

    /// Where the files of the bench are made, in a folder of their own [default: /dev/shm, or the
    /// folder for temporary files where there is none]
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,

    /// What an hour of one CPU costs: an on-demand m5.large of AWS, us-east-1, is $0.096 for two
    #[arg(long, value_name = "USD", default_value_t = 0.048)]
    pub(crate) usd_per_cpu_hour: f64,

    /// Print the results as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Show VES at work, on traffic that it makes or on your file
///
/// Writes the access log of a made-up site, rotates it now and then, and collects it with `ves
/// collect` in a process of its own. Shows a few of the records, live figures, and where the
/// dashboard is. At the end the numbers in the lines prove that none was lost. With --watch it shows
/// the records of a file to which you append lines. Needs nothing and leaves no files behind.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Show the records of this file instead; it is made when it is missing, and stays
    ///
    /// Lines that are there already are skipped.
    #[arg(long, value_name = "FILE")]
    pub(crate) watch: Option<String>,

    /// How long it runs [default: 30s; with --watch, until Ctrl-C]
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) duration: Option<Duration>,

    /// Lines per second in the mean: they come in waves
    #[arg(long, value_name = "LINES", default_value_t = 20_000, conflicts_with = "watch",
          value_parser = clap::value_parser!(u32).range(1..=200_000))]
    pub(crate) rate: u32,

    /// Where the dashboard is: ADDR:PORT, or PORT on 127.0.0.1; 0 is a free one
    #[arg(long, value_name = "ADDR", default_value = "0")]
    pub(crate) metrics: String,

    /// Where the files of the demo are made, in a folder of their own [default: the folder for
    /// temporary files]
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
}

/// Where the records of a bench go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum BenchSink {
    /// A file beside the load.
    File,
    /// Nowhere.
    Null,
}

/// Follow files and ship their lines as records
///
/// Follows log files through rotation and truncation, takes their lines apart, drops what the
/// filter names, adds fields, and ships records as JSON, one a line. Runs until it is told to end
/// (SIGINT, SIGTERM) and goes on from there at the next start. SIGHUP has it read its configuration
/// again, without losing or repeating a line.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
struct CollectArgs {
    /// Files to follow: a path or a glob with * ? [a-z] {a,b} and **; `-` is standard input
    ///
    /// Files that appear later are followed, too. Quote the glob, or the shell expands it once.
    /// Repeatable. Key: watch_path.
    #[arg(
        long,
        visible_alias = "watch-path",
        value_name = "GLOB",
        help_heading = "Source"
    )]
    watch: Vec<String>,

    /// Files to leave alone although a --watch glob matches them
    ///
    /// For copies and archives beside the logs. Repeatable.
    #[arg(long, value_name = "GLOB", help_heading = "Source")]
    exclude: Vec<String>,

    /// Where to start in files that are there at the first start: start | end [default: start]
    ///
    /// `end` skips what was written before. Files that appear later, and files known from an
    /// earlier run, are not skipped.
    #[arg(long, value_name = "WHERE", help_heading = "Source")]
    from: Option<String>,

    /// Ship all that is there, then exit
    ///
    /// For backlogs and batch jobs.
    #[arg(long, help_heading = "Source")]
    once: bool,

    /// Longest line that is shipped whole [default: 1MiB]
    ///
    /// The rest of a longer line is cut off and the record flagged with "truncated": true.
    #[arg(long, value_name = "SIZE", help_heading = "Source")]
    line_bytes_max: Option<String>,

    /// How long a last line may lack its newline [default: 5s]
    ///
    /// Then it is shipped as it is, flagged with "partial": true.
    #[arg(long, value_name = "TIME", help_heading = "Source")]
    partial_line_timeout: Option<String>,

    /// How lines are taken apart: auto | nginx | raw | a log_format string [default: auto]
    ///
    /// `nginx` is nginx's predefined format `combined`. A log_format string is nginx's own, with
    /// $variables. `raw` leaves lines whole, as {"message": line}. `auto` decides per file by its
    /// first eight lines: nginx where half of them or more are that, else raw.
    #[arg(long, value_name = "FORMAT", help_heading = "Parse and filter")]
    format: Option<String>,

    /// What becomes of a line that is not of the format: keep | drop [default: keep]
    ///
    /// Kept, it is shipped as {"message": line, "parse_error": reason}. Both are counted.
    #[arg(long, value_name = "WHAT", help_heading = "Parse and filter")]
    on_parse_error: Option<String>,

    /// Drop lines for which this is true, such as 'path == "/healthz"'
    ///
    /// Compares fields with == != < <= > >= in contains starts_with ends_with =~ !~, joined by
    /// and, or, not and parentheses. Repeatable: one that is true is enough.
    #[arg(long, value_name = "EXPR", help_heading = "Parse and filter")]
    drop: Vec<String>,

    /// Keep only lines for which this is true, such as 'status >= 400'
    ///
    /// Repeatable: one that is true is enough. --drop comes on top.
    #[arg(long, value_name = "EXPR", help_heading = "Parse and filter")]
    keep: Vec<String>,

    /// Add a field to each record: KEY=VALUE, or host, or file
    ///
    /// `host` is this host's name, `file` the path of the file that the line came from. Repeatable.
    #[arg(long, value_name = "FIELD", help_heading = "Parse and filter")]
    add: Vec<String>,

    /// Where records go: stdout: | null: | file:///path | http(s)://... [default: stdout:]
    ///
    /// A file is appended to and belongs to this job: a restart cuts off what was not acknowledged.
    /// HTTP is one POST of NDJSON per batch, repeated until it is answered with 2xx. Key: ship_url.
    #[arg(
        long,
        visible_alias = "ship-url",
        value_name = "URL",
        help_heading = "Sink"
    )]
    ship: Option<String>,

    /// Compress HTTP bodies: none | zstd | zstd:LEVEL [default: none]
    #[arg(long, value_name = "HOW", help_heading = "Sink")]
    compression: Option<String>,

    /// Add a header to each HTTP request
    ///
    /// Such as 'Authorization: Bearer ...'. Others on this host can see it in the list of
    /// processes: a configuration file hides it. Repeatable.
    #[arg(long, value_name = "NAME: VALUE", help_heading = "Sink")]
    header: Vec<String>,

    /// Longest time for one HTTP request [default: 10s]
    #[arg(long, value_name = "TIME", help_heading = "Sink")]
    request_timeout: Option<String>,

    /// Trust these certificate authorities (PEM) instead of the system's
    #[arg(long, value_name = "FILE", help_heading = "Sink")]
    ca_file: Option<String>,

    /// When a file sink is flushed to the disk: none | interval | batch [default: none]
    ///
    /// All of them survive the death of the process. A power loss: with `interval` (before each
    /// checkpoint, about once a second) a restart ships again what did not reach the disk; with
    /// `batch` every acknowledged record is there; with `none` the last half minute may be missing.
    #[arg(long, value_name = "WHEN", help_heading = "Sink")]
    sync: Option<String>,

    /// Most records in a batch [default: 1000]
    #[arg(long, value_name = "COUNT", help_heading = "Batching")]
    batch_size: Option<String>,

    /// Longest time that lines wait for more while the sink is busy [default: 5ms]
    ///
    /// A line that comes while nothing else is going on is shipped at once.
    #[arg(long, value_name = "TIME", help_heading = "Batching")]
    flush_interval: Option<String>,

    /// Transform threads [default: one per core, 16 at most]
    #[arg(long, value_name = "COUNT", help_heading = "Batching")]
    workers: Option<String>,

    /// Keep the tail and each transform thread on a core of its own
    ///
    /// For machines with cores to spare; measure before you use it.
    #[arg(long, help_heading = "Batching")]
    pin: bool,

    /// Folder for the checkpoint [default: below /var/lib/ves or ~/.local/state/ves]
    ///
    /// What was delivered is remembered there. The default is a folder per job (what is read and
    /// where it goes).
    #[arg(long, value_name = "DIR", help_heading = "State")]
    state_dir: Option<String>,

    /// Remember nothing: every start is a first one
    #[arg(long, help_heading = "State", conflicts_with = "state_dir")]
    no_state: bool,

    /// Longest time for an orderly end [default: 5s]
    ///
    /// What the sink has not taken by then is not acknowledged and is read again at the next start.
    #[arg(long, value_name = "TIME", help_heading = "State")]
    shutdown_timeout: Option<String>,

    /// Print live figures to standard error every second, and a summary at the end
    #[arg(long, help_heading = "Output")]
    stats: bool,

    /// Serve metrics, health and a dashboard over HTTP: ADDR:PORT, or PORT on 127.0.0.1
    ///
    /// /metrics is Prometheus's text format, /healthz and /readyz answer 200 or 503 with the reason,
    /// / is a page with live charts. Whoever can connect can read file names, messages and settings
    /// (secrets are masked): there is no password, so other addresses than loopback's need a firewall.
    #[arg(long, value_name = "ADDR", help_heading = "Output")]
    metrics: Option<String>,

    /// Another host name by which --metrics is reached, such as that of a service
    ///
    /// Requests with a foreign Host header are refused, so that web pages cannot read what is
    /// served. `localhost` and IP addresses always work, and this host's name where the address is
    /// not loopback's. Repeatable.
    #[arg(long, value_name = "NAME", help_heading = "Output")]
    metrics_host: Vec<String>,

    /// Add metrics for each file, with its path as a label
    ///
    /// A series per file and metric: not for thousands of files.
    #[arg(long, help_heading = "Output")]
    metrics_per_file: bool,

    /// Least important messages to print: error | warn | info | debug [default: info]
    ///
    /// The same message is printed five times a minute at most, then how often it was repeated.
    #[arg(long, value_name = "LEVEL", help_heading = "Output")]
    log_level: Option<String>,

    /// How messages on standard error are written: text | json [default: text]
    #[arg(long, value_name = "FORMAT", help_heading = "Output")]
    log_format: Option<String>,

    /// Read settings from a TOML or YAML file; flags override them
    ///
    /// Keys are the names of the flags with _ for -.
    #[arg(long, value_name = "FILE", help_heading = "Configuration")]
    config: Option<PathBuf>,

    /// Check the settings, print all of them, and exit
    #[arg(long, help_heading = "Configuration")]
    dry_run: bool,
}

/// Check a configuration file without running it
///
/// Prints every setting, defaults included, or everything that is wrong with the file.
#[derive(Debug, Args)]
struct CheckArgs {
    /// The configuration: TOML or YAML
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  Follow nginx's logs to the terminal, errors only:
    ves collect --watch '/var/log/nginx/*.log' --keep 'status >= 400'

  Into a file, without health checks, with this host's name:
    ves collect --watch '/var/log/nginx/*.log' --drop 'path == \"/healthz\"' --add host \\
        --ship file:///var/spool/ves/nginx.ndjson

  To an HTTP endpoint, compressed:
    ves collect --config /etc/ves.toml --ship https://logs.example.com/ingest --compression zstd

  A backlog through a pipe:
    zcat access.log.2.gz | ves collect --watch - --format nginx

Exit codes: 0 done, 1 failed while running, 2 bad usage or configuration.";

/// Does what the command line says.
///
/// # Errors
/// Whatever ends the subcommand.
pub fn run(cli: Cli) -> Result<()> {
    match cli.command {
        Command::Collect(args) => collect::run(*args, None),
        Command::Check(args) => check::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::BenchCollect(args) => {
            child::end_with_parent();
            collect::run(args.collect, Some(&args.figures))
        }
    }
}
