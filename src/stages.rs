//! The stages as plain functions, for benchmarks and fuzz targets: what the threads of the pipeline
//! call, without threads, channels and files. Not an interface to build on.

mod follow;
mod scan;
mod sink;

use std::path::Path;

pub use follow::{Arrival, CutSizes, follow, only_overdue};
pub use scan::{count_newlines_in_windows, split_lines};
pub use sink::OpenSink;

use crate::config::{Config, Settings};
use crate::enrich::{self, Extent, Suffix};
use crate::error::Result;
use crate::parse::{Format, Parser};
use crate::simd::Level;
use crate::transform::{Counts, Input, Limits, Plan, Transform};

/// The configuration of a job of that format, whose lines are dropped where `drop` is true.
///
/// # Errors
/// When the format or the expression is not one.
pub fn config(format: &str, drop: Option<&str>) -> Result<Config> {
    let mut settings = Settings::default();
    settings.set_flags(
        "watch_path",
        "watch",
        vec!["/var/log/access.log".to_owned()],
    );
    settings.set_flag("ship_url", "ship", "null:".to_owned());
    settings.set_flag("format", "format", format.to_owned());
    settings.set_switch("no_state", "no-state");
    if let Some(drop) = drop {
        settings.set_flags("drop", "drop", vec![drop.to_owned()]);
    }
    settings.resolve()
}

/// Which kernels do the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernels {
    /// The best of this machine.
    Detected,
    /// The portable ones.
    Portable,
}

impl Kernels {
    fn level(self) -> Level {
        match self {
            Kernels::Detected => Level::detect(),
            Kernels::Portable => Level::Portable,
        }
    }
}

/// What became of the lines of a chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Lines in it, empty ones included.
    pub lines: u64,
    /// Records written.
    pub records: u64,
    /// Lines that the filter, or `on_parse_error`, dropped.
    pub dropped: u64,
    /// Lines with nothing in them.
    pub empty: u64,
}

/// Parse, filter, enrich and encode: from the bytes of lines to NDJSON.
#[derive(Debug)]
pub struct LineTransform {
    plan: Plan,
    suffix: Suffix,
    transform: Transform,
    line_bytes_max: usize,
}

impl LineTransform {
    /// Compiles the plan of a configuration. A format that is detected per file is nginx combined
    /// here.
    #[must_use]
    pub fn new(config: &Config, kernels: Kernels) -> LineTransform {
        let parser = match &config.format {
            Format::Auto => Parser::combined(),
            Format::Raw => Parser::raw(),
            Format::LogFormat(format) => Parser::LogFormat(format.clone()),
        };
        LineTransform {
            plan: Plan::new(parser, config),
            suffix: Suffix::new(&config.add, &enrich::host_name(), Path::new("access.log")),
            transform: Transform::at(kernels.level()),
            line_bytes_max: config.line_bytes_max,
        }
    }

    /// Appends the records of the lines of `chunk` to `out`.
    pub fn run(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Outcome {
        self.run_extent(chunk, Extent::Whole, out)
    }

    /// The same for lines of which the chunk holds that much.
    fn run_extent(&mut self, chunk: &[u8], extent: Extent, out: &mut Vec<u8>) -> Outcome {
        let input = Input {
            bytes: chunk,
            extent,
            suffix: &self.suffix,
        };
        let limits = Limits {
            records: u64::MAX,
            output_bytes: usize::MAX,
        };
        let (_, counts) = self.transform.run(&self.plan, input, 0, limits, out);
        Outcome::from(counts)
    }
}

impl Outcome {
    /// Adds `other` to this one.
    pub fn add(&mut self, other: Outcome) {
        self.lines += other.lines;
        self.records += other.records;
        self.dropped += other.dropped;
        self.empty += other.empty;
    }
}

impl From<Counts> for Outcome {
    fn from(counts: Counts) -> Outcome {
        Outcome {
            lines: counts.lines,
            records: counts.records,
            dropped: counts.filtered + counts.parse_errors_dropped,
            empty: counts.empty,
        }
    }
}
