//! Flags and files become one validated [`Config`]; nothing after this module sees raw input.
//!
//! A configuration file (`document.rs`, TOML or YAML) and the command line both become
//! [`Settings`]: values by key with the place where each was found. `resolve.rs` turns those into a
//! [`Config`] or into a list of everything that is wrong with them.

mod document;
mod output;
mod resolve;
mod settings;
mod summary;

pub use settings::Settings;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::filter::Filter;
use crate::parse::Format;
use crate::report::{Level, LogFormat};

/// Everything that `ves collect` needs, checked.
#[derive(Debug)]
pub struct Config {
    /// What to read.
    pub sources: Sources,
    /// How lines are parsed.
    pub format: Format,
    /// What happens to a line that does not parse.
    pub on_parse_error: OnParseError,
    /// Which lines are kept.
    pub filter: Filter,
    /// Fields added to each record, in order.
    pub add: Vec<AddedField>,
    /// Where records go.
    pub ship: ShipUrl,
    /// How an HTTP sink talks.
    pub http: HttpOptions,
    /// When a file sink is flushed to the disk.
    pub sync: SyncMode,
    /// Most records in a batch.
    pub batch_size: usize,
    /// Longest time that a record waits for its batch to fill.
    pub flush_interval: Duration,
    /// Bytes of a line that are shipped; the rest of a longer line is cut off.
    pub line_bytes_max: usize,
    /// How long a last line may lack its newline before it is shipped as it is.
    pub partial_line_timeout: Duration,
    /// Where reading starts in files that are there at the first start.
    pub from: From,
    /// End when everything that is there has been shipped.
    pub once: bool,
    /// Folder of the checkpoint; `None` keeps no state.
    pub state_dir: Option<PathBuf>,
    /// Transform threads.
    pub workers: usize,
    /// Whether the tail and the transform threads are kept on one core each.
    pub pin: bool,
    /// Print live figures to standard error.
    pub stats: bool,
    /// What is served over HTTP, if anything.
    pub metrics: Option<MetricsOptions>,
    /// The least important messages that are printed.
    pub log_level: Level,
    /// How messages are written.
    pub log_format: LogFormat,
    /// Longest time for an orderly end after SIGINT or SIGTERM.
    pub shutdown_timeout: Duration,
}

/// What to read: files by patterns, standard input, or both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// Absolute glob patterns of files to follow.
    pub patterns: Vec<String>,
    /// Absolute glob patterns of files to leave alone.
    pub excludes: Vec<String>,
    /// Whether standard input is read.
    pub stdin: bool,
}

/// Where reading starts in files that are there at the first start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// At the first byte.
    Start,
    /// At the end: only lines written from now on.
    End,
}

/// What happens to a line that does not parse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnParseError {
    /// It is shipped as `message` with `parse_error`.
    Keep,
    /// It is counted and not shipped.
    Drop,
}

/// A field that enrichment adds to each record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddedField {
    /// The key in the record.
    pub name: String,
    /// Where the value comes from.
    pub value: AddedValue,
}

/// The value of an added field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddedValue {
    /// The same text in every record.
    Text(String),
    /// The same integer in every record.
    Integer(i64),
    /// The same truth value in every record.
    Boolean(bool),
    /// The name of this host.
    Host,
    /// The path of the file that the line came from (`-` for standard input).
    File,
}

/// Where records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShipUrl {
    /// `stdout:`
    Stdout,
    /// `null:`: everything is done but the delivery.
    Null,
    /// `file:///path`: appended to.
    File(PathBuf),
    /// `http://…` or `https://…`: one NDJSON POST per batch.
    Http(String),
}

/// When a file sink is flushed to the disk: what it holds after a power loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncMode {
    /// When the system does it.
    None,
    /// Before each checkpoint, about once a second: the checkpoint never claims more than is there.
    Interval,
    /// After each batch, before it is acknowledged.
    Batch,
}

/// What is served over HTTP: metrics, health and the dashboard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsOptions {
    /// Where.
    pub address: SocketAddr,
    /// Host names under which it may be asked for, besides the usual ones.
    pub hosts: Vec<String>,
    /// Whether there are metrics for each file.
    pub per_file: bool,
}

/// The keys of what is served that differ.
pub(crate) fn metrics_keys_changed(
    before: Option<&MetricsOptions>,
    now: Option<&MetricsOptions>,
) -> Vec<&'static str> {
    let (Some(before), Some(now)) = (before, now) else {
        // The other keys say nothing where nothing is served.
        return Vec::from_iter((before.is_some() != now.is_some()).then_some("metrics"));
    };
    let keys = [
        ("metrics", before.address != now.address),
        ("metrics_host", before.hosts != now.hosts),
        ("metrics_per_file", before.per_file != now.per_file),
    ];
    let changed = keys.into_iter().filter(|(_, has_changed)| *has_changed);
    changed.map(|(key, _)| key).collect()
}

/// How an HTTP sink talks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpOptions {
    /// How bodies are compressed.
    pub compression: Compression,
    /// Headers added to each request, in order.
    pub headers: Vec<(String, String)>,
    /// Longest time for one request, from connecting to the end of the answer.
    pub request_timeout: Duration,
    /// Certificate authorities to trust instead of the system's: a PEM file.
    pub ca_file: Option<PathBuf>,
}

/// How bodies are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Sent as they are.
    None,
    /// zstd at this level.
    Zstd(i32),
}
