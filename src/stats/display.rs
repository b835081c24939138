//! The live line and the final summary, on standard error.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use super::figures::Percentiles;
use super::process::{ProcessUsage, Usage, rss_peak_bytes};
use super::{Stats, Totals};
use crate::report;

/// Time between two live lines.
pub(crate) const INTERVAL: Duration = Duration::from_secs(1);

/// How a live line begins.
pub(crate) const LIVE_LINE_START: &str = "Throughput: ";

/// Prints a live line per [`INTERVAL`]: in place on a terminal, below each other elsewhere.
#[derive(Debug)]
pub(crate) struct LiveLine {
    usage: Option<ProcessUsage>,
    lines_before: u64,
    drawn_at: Instant,
    is_terminal: bool,
}

impl LiveLine {
    /// Begins the first interval.
    pub(crate) fn new() -> LiveLine {
        LiveLine {
            usage: ProcessUsage::own(),
            lines_before: 0,
            drawn_at: Instant::now(),
            is_terminal: std::io::stderr().is_terminal(),
        }
    }

    /// Prints the line of the interval that ends now.
    pub(crate) fn draw(&mut self, stats: &Stats) {
        let lines = stats.totals().lines_read;
        let seconds = self.drawn_at.elapsed().as_secs_f64().max(1e-9);
        let rate = (lines - self.lines_before) as f64 / seconds;
        self.lines_before = lines;
        self.drawn_at = Instant::now();
        let usage = self.usage.as_mut().and_then(ProcessUsage::read);
        let line = live_line(rate, usage, stats.take_interval_p99_us());
        let columns = if self.is_terminal {
            terminal_columns()
        } else {
            None
        };
        report::live_line(cut_to(&line, columns), self.is_terminal);
    }
}

/// How wide the terminal is on standard error.
pub(crate) fn terminal_columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stderr()).ok()?;
    // Some say 0 for what they do not know.
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// As much of an ASCII line as fits: one that wraps could not be drawn over.
pub(crate) fn cut_to(line: &str, columns: Option<usize>) -> &str {
    let cut = columns.and_then(|columns| line.get(..columns.saturating_sub(1)));
    cut.unwrap_or(line)
}

pub(crate) fn live_line(
    lines_per_second: f64,
    usage: Option<Usage>,
    p99_us: Option<u64>,
) -> String {
    let cpu = usage.map_or_else(|| "-".to_owned(), |usage| percent(usage.cpu_percent));
    let memory = usage.map_or_else(|| "-".to_owned(), |usage| bytes(usage.rss_bytes));
    let latency = p99_us.map_or_else(|| "-".to_owned(), brief_millis);
    let rate = count(lines_per_second);
    format!(
        "{LIVE_LINE_START}{rate} logs/sec | CPU: {cpu} | Latency p99: {latency} | Memory: {memory}"
    )
}

/// When a run began and what the process had used by then: `exec` does not set that back.
#[derive(Debug)]
pub(crate) struct Began {
    at: Instant,
    cpu: Option<Duration>,
}

impl Began {
    /// Begins now.
    pub(crate) fn now() -> Began {
        Began {
            at: Instant::now(),
            cpu: own_cpu(),
        }
    }

    fn cpu_since(&self) -> Option<Duration> {
        Some(own_cpu()?.saturating_sub(self.cpu?))
    }
}

fn own_cpu() -> Option<Duration> {
    ProcessUsage::own()
        .and_then(|mut usage| usage.read())
        .map(|usage| usage.cpu)
}

/// The figures of the whole run as a block of text.
pub(crate) fn summary(stats: &Stats, began: &Began) -> String {
    let totals = stats.totals();
    let mut text = String::from("Summary\n");
    let mut row = |name: &str, value: String| {
        // Writing to a String does not fail.
        let _ = writeln!(text, "  {name:<22} {value}");
    };
    row(
        "read",
        format!("{} lines, {}", totals.lines_read, bytes(totals.bytes_read)),
    );
    row("files", totals.files_followed.to_string());
    row("parsed", totals.parsed.to_string());
    row("parse errors", parse_errors(&totals));
    row("dropped by filter", totals.filtered.to_string());
    row("empty lines", totals.empty.to_string());
    row("cut lines", totals.truncated.to_string());
    let shipped = bytes(totals.bytes_shipped);
    let batches = totals.batches_shipped;
    row(
        "shipped",
        format!(
            "{} records, {shipped}, {batches} batches",
            totals.records_shipped
        ),
    );
    row(
        "unread at rotation",
        format!("{} bytes", totals.bytes_unread),
    );
    if totals.files_missed > 0 {
        row("gone, never opened", totals.files_missed.to_string());
    }
    if totals.files_compressed > 0 {
        row(
            "compressed, not read",
            totals.files_compressed.to_string() + " files",
        );
    }
    if totals.files_reopened > 0 {
        row("stood still, reopened", totals.files_reopened.to_string());
    }
    if totals.batches_shipped > 0 {
        let (hand_over, flush) = stats.percentiles();
        row("read to hand-over", percentiles(&hand_over));
        row("flush of a batch", percentiles(&flush));
    }
    let cpu = began.cpu_since();
    let cpu = cpu.map_or_else(
        || "-".to_owned(),
        |cpu| format!("{:.2} s CPU", cpu.as_secs_f64()),
    );
    row(
        "time",
        format!("{:.2} s, {cpu}", began.at.elapsed().as_secs_f64()),
    );
    row(
        "memory, most",
        rss_peak_bytes().map_or_else(|| "-".to_owned(), bytes),
    );
    text
}

fn parse_errors(totals: &Totals) -> String {
    match totals.parse_errors_dropped {
        0 => totals.parse_errors.to_string(),
        dropped => format!("{} ({dropped} of them dropped)", totals.parse_errors),
    }
}

fn percentiles(latencies: &Percentiles) -> String {
    let [p50, p99, max] = [latencies.p50_us, latencies.p99_us, latencies.max_us].map(millis);
    format!("p50 {p50}, p99 {p99}, max {max}")
}

pub(crate) fn percent(value: f64) -> String {
    if value < 10.0 {
        format!("{value:.1}%")
    } else {
        format!("{value:.0}%")
    }
}

/// The same with one digit where the second is 0.
fn brief_millis(micros: u64) -> String {
    let millis = millis(micros);
    match millis.strip_suffix("0ms") {
        Some(brief) if brief.contains('.') => format!("{brief}ms"),
        _ => millis,
    }
}

pub(crate) fn millis(micros: u64) -> String {
    let millis = micros as f64 / 1000.0;
    if millis < 10.0 {
        format!("{millis:.2}ms")
    } else {
        format!("{millis:.0}ms")
    }
}

pub(crate) fn count(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{:.2}M", value / 1e6),
        value if value >= 1e3 => format!("{:.1}k", value / 1e3),
        value => format!("{value:.0}"),
    }
}

pub(crate) fn bytes(value: u64) -> String {
    let value = value as f64;
    match value {
        value if value >= 1e9 => format!("{:.2}GB", value / 1e9),
        value if value >= 1e6 => format!("{:.0}MB", value / 1e6),
        value if value >= 1e3 => format!("{:.0}kB", value / 1e3),
        value => format!("{value}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_live_line_has_the_documented_form() {
        let usage = Usage {
            cpu: Duration::ZERO,
            cpu_percent: 23.2,
            rss_bytes: 48_000_000,
        };
        let line = live_line(1_420_000.0, Some(usage), Some(600));
        let expected = "Throughput: 1.42M logs/sec | CPU: 23% | Latency p99: 0.6ms | Memory: 48MB";
        assert_eq!(line, expected);
        assert_eq!(
            [650, 5000, 600_000].map(brief_millis),
            ["0.65ms", "5.0ms", "600ms"]
        );
        let quiet = live_line(0.0, None, None);
        assert_eq!(
            quiet,
            "Throughput: 0 logs/sec | CPU: - | Latency p99: - | Memory: -"
        );
    }

    #[test]
    fn a_line_that_is_too_long_for_the_terminal_is_cut() {
        let cases = [
            (None, "abcdef"),
            (Some(80), "abcdef"),
            (Some(7), "abcdef"),
            (Some(4), "abc"),
        ];
        for (columns, shown) in cases {
            assert_eq!(cut_to("abcdef", columns), shown);
        }
    }

    #[test]
    fn own_usage_is_of_this_process() {
        let mut usage = ProcessUsage::own().unwrap();
        let read = usage.read().unwrap();
        assert!(read.rss_bytes > 1 << 20 && rss_peak_bytes().unwrap() >= read.rss_bytes / 2);
    }
}
