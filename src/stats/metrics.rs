//! `/metrics`: everything that is counted, in Prometheus's text format (version 0.0.4). Names and
//! units are by its conventions: base units, `_total` for what only grows.

use std::collections::HashSet;
use std::fmt::{Display, Write as _};

use super::board::View;
use super::buckets::Buckets;
use super::queues::QueueGauge;
use super::{Distributions, Stats, Totals, process};
use crate::report::{self, Level};

/// What the text format is called in HTTP.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything that is exported.
pub(crate) struct Exposition<'a> {
    /// Counters.
    pub(crate) stats: &'a Stats,
    /// The files.
    pub(crate) files: &'a View,
    /// Whether there are metrics for each file.
    pub(crate) is_per_file: bool,
    /// Channels.
    pub(crate) queues: &'a [QueueGauge],
    /// Whether data flows or there is none to flow.
    pub(crate) is_healthy: bool,
}

impl Exposition<'_> {
    /// The text.
    pub(crate) fn render(&self) -> String {
        let mut text = Text(String::with_capacity(16 << 10));
        let totals = self.stats.totals();
        text.gauge("ves_build_info", "The program that runs.");
        text.value(
            "ves_build_info",
            &[("version", env!("CARGO_PKG_VERSION"))],
            1,
        );
        put_stages(&mut text, &totals);
        put_errors(&mut text, &totals, self.stats.sink.retries());
        put_distributions(
            &mut text,
            &self.stats.distributions(),
            self.stats.sink.name(),
        );
        self.put_sink(&mut text);
        self.put_queues(&mut text);
        self.put_files(&mut text, &totals);
        if let Some(age) = self.stats.checkpoint_age() {
            text.gauge(
                "ves_checkpoint_age_seconds",
                "Time since the checkpoint on disk held everything that was acknowledged.",
            );
            text.value("ves_checkpoint_age_seconds", &[], age.as_secs_f64());
        }
        text.gauge(
            "ves_healthy",
            "1 while data flows or there is none to flow, else 0: /healthz says why.",
        );
        text.value("ves_healthy", &[], u8::from(self.is_healthy));
        if self.is_per_file {
            self.put_each_file(&mut text);
        }
        put_process(&mut text);
        text.0
    }

    fn put_sink(&self, text: &mut Text) {
        let sink = &self.stats.sink;
        let labels = [("sink", sink.name())];
        text.counter(
            "ves_sink_retries_total",
            "Failed deliveries, each of which was tried again.",
        );
        text.value("ves_sink_retries_total", &labels, sink.retries());
        text.gauge(
            "ves_sink_failing_seconds",
            "For how long the sink has refused everything; 0 while it works.",
        );
        let failing = sink.failing().map(|failing| failing.for_time.as_secs_f64());
        text.value("ves_sink_failing_seconds", &labels, failing.unwrap_or(0.0));
    }

    fn put_queues(&self, text: &mut Text) {
        text.gauge(
            "ves_queue_length",
            "What waits in the queue before a stage.",
        );
        for queue in self.queues {
            text.value("ves_queue_length", &[("queue", queue.name)], queue.length());
        }
        text.gauge(
            "ves_queue_capacity",
            "How much can wait there before the stage in front of it waits.",
        );
        for queue in self.queues {
            text.value(
                "ves_queue_capacity",
                &[("queue", queue.name)],
                queue.capacity,
            );
        }
        text.gauge(
            "ves_work_units_in_flight",
            "Work units that were read and are not acknowledged.",
        );
        text.value("ves_work_units_in_flight", &[], self.stats.in_flight());
        text.counter("ves_tail_wakes_total", "Rounds of the thread that reads.");
        text.value("ves_tail_wakes_total", &[], self.stats.wakes());
    }

    fn put_files(&self, text: &mut Text, totals: &Totals) {
        text.gauge("ves_files_followed", "Files that are followed.");
        text.value("ves_files_followed", &[], totals.files_followed);
        text.gauge(
            "ves_files_compressed",
            "Compressed files that match: these are not collected.",
        );
        text.value("ves_files_compressed", &[], totals.files_compressed);
        text.gauge(
            "ves_files_failing",
            "Paths that match but could not be used when they were last tried.",
        );
        text.value("ves_files_failing", &[], self.files.failing);
        text.gauge(
            "ves_lag_bytes",
            "Bytes that were seen in files and are not delivered.",
        );
        text.value("ves_lag_bytes", &[], self.files.lag_bytes);
        text.gauge(
            "ves_lag_seconds",
            "For how long the oldest of those bytes has been there, to a second or two.",
        );
        text.value("ves_lag_seconds", &[], self.files.lag_seconds);
        text.counter(
            "ves_unread_bytes_total",
            "Bytes that were truncated or deleted before they could be read: these are lost.",
        );
        text.value("ves_unread_bytes_total", &[], totals.bytes_unread);
        text.counter(
            "ves_files_missed_total",
            "Files that were gone before they could be opened: what was in them is lost.",
        );
        text.value("ves_files_missed_total", &[], totals.files_missed);
        text.counter(
            "ves_files_reopened_total",
            "Files that were opened again since they grew while nothing of them was read.",
        );
        text.value("ves_files_reopened_total", &[], totals.files_reopened);
    }

    fn put_each_file(&self, text: &mut Text) {
        // A series that is there twice would have the whole answer refused.
        let mut names = HashSet::new();
        let mut rows = self.files.rows.clone();
        rows.retain(|row| names.insert((row.path.clone(), row.inode.clone())));
        let mut put = |name: &str, help: &str, value: &dyn Fn(usize) -> f64| {
            text.gauge(name, help);
            for (index, row) in rows.iter().enumerate() {
                let labels = [("path", row.path.as_str()), ("inode", row.inode.as_str())];
                text.value(name, &labels, value(index));
            }
        };
        let row = |index: usize| rows.get(index);
        put(
            "ves_file_size_bytes",
            "Bytes that the file holds.",
            &|index| row(index).map_or(0.0, |row| row.size_bytes as f64),
        );
        put(
            "ves_file_delivered_bytes",
            "Bytes of the file that are done: delivered, or dropped as configured.",
            &|index| row(index).map_or(0.0, |row| row.delivered_bytes as f64),
        );
        put(
            "ves_file_lag_bytes",
            "The difference of the two.",
            &|index| row(index).map_or(0.0, |row| row.lag_bytes as f64),
        );
        put(
            "ves_file_lag_seconds",
            "For how long the oldest of those bytes has been there.",
            &|index| row(index).map_or(0.0, |row| row.lag_seconds),
        );
    }
}

fn put_stages(text: &mut Text, totals: &Totals) {
    for (name, help, value) in [
        (
            "ves_lines_read_total",
            "Lines taken through the pipeline, whatever became of them.",
            totals.lines_read,
        ),
        ("ves_read_bytes_total", "Their bytes.", totals.bytes_read),
        (
            "ves_lines_parsed_total",
            "Lines of the expected format.",
            totals.parsed,
        ),
        (
            "ves_parse_errors_total",
            "Lines that were not of the expected format.",
            totals.parse_errors,
        ),
        (
            "ves_parse_errors_dropped_total",
            "Of those, the ones that are not shipped, by configuration.",
            totals.parse_errors_dropped,
        ),
        (
            "ves_lines_filtered_total",
            "Lines that the filter dropped.",
            totals.filtered,
        ),
        (
            "ves_lines_empty_total",
            "Lines with nothing in them, which are not shipped.",
            totals.empty,
        ),
        (
            "ves_lines_truncated_total",
            "Lines cut to line_bytes_max.",
            totals.truncated,
        ),
        (
            "ves_records_shipped_total",
            "Records that the sink has taken.",
            totals.records_shipped,
        ),
        (
            "ves_shipped_bytes_total",
            "Their bytes before compression.",
            totals.bytes_shipped,
        ),
        (
            "ves_batches_shipped_total",
            "Batches that held them.",
            totals.batches_shipped,
        ),
    ] {
        text.counter(name, help);
        text.value(name, &[], value);
    }
}

fn put_errors(text: &mut Text, totals: &Totals, sink_failures: u64) {
    text.counter("ves_errors_total", "What went wrong, by kind.");
    for (kind, count) in [
        ("parse", totals.parse_errors),
        ("file", totals.file_errors),
        ("sink", sink_failures),
        ("checkpoint", totals.checkpoint_errors),
    ] {
        text.value("ves_errors_total", &[("kind", kind)], count);
    }
    let counts = report::counts();
    text.counter(
        "ves_log_messages_total",
        "Messages of VES itself, printed or not.",
    );
    for (level, count) in Level::ALL.iter().zip(counts.by_level) {
        text.value("ves_log_messages_total", &[("level", level.name())], count);
    }
    text.counter(
        "ves_log_messages_held_back_total",
        "Of those, the ones that had been printed often enough.",
    );
    text.value("ves_log_messages_held_back_total", &[], counts.held_back);
}

fn put_distributions(text: &mut Text, of: &Distributions, sink: &str) {
    text.histogram(
        "ves_hand_over_latency_seconds",
        "From the first byte of a batch seen in its file to the hand-over to the sink.",
        &[],
        &of.hand_over_seconds,
    );
    text.histogram(
        "ves_sink_flush_seconds",
        "From there until the sink had taken the batch, retries included.",
        &[("sink", sink)],
        &of.flush_seconds,
    );
    text.histogram(
        "ves_batch_records",
        "Records of a batch.",
        &[],
        &of.batch_records,
    );
    text.histogram("ves_batch_bytes", "Bytes of a batch.", &[], &of.batch_bytes);
}

/// What Prometheus's own client libraries call these. Left out where there is no procfs.
fn put_process(text: &mut Text) {
    let Some(usage) = process::overview() else {
        return;
    };
    text.counter(
        "process_cpu_seconds_total",
        "User and system time of the process.",
    );
    text.value("process_cpu_seconds_total", &[], usage.cpu.as_secs_f64());
    for (name, help, value) in [
        (
            "process_resident_memory_bytes",
            "Resident memory.",
            usage.rss_bytes as f64,
        ),
        (
            "process_virtual_memory_bytes",
            "Virtual memory.",
            usage.virtual_bytes as f64,
        ),
        ("process_threads", "Threads.", usage.threads as f64),
        (
            "process_open_fds",
            "Open descriptors.",
            usage.descriptors as f64,
        ),
        (
            "process_start_time_seconds",
            "When the process began, in seconds since 1970.",
            usage.started_at,
        ),
    ] {
        text.gauge(name, help);
        text.value(name, &[], value);
    }
}

/// The text as it grows.
struct Text(String);

impl Text {
    fn counter(&mut self, name: &str, help: &str) {
        self.describe(name, help, "counter");
    }

    fn gauge(&mut self, name: &str, help: &str) {
        self.describe(name, help, "gauge");
    }

    fn describe(&mut self, name: &str, help: &str, kind: &str) {
        // Writing to a String does not fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (index, (label, content)) in labels.iter().enumerate() {
            self.0.push(if index == 0 { '{' } else { ',' });
            let _ = write!(self.0, "{label}=\"");
            self.0.push_str(&escaped(content));
            self.0.push('"');
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    fn histogram(&mut self, name: &str, help: &str, labels: &[(&str, &str)], of: &Buckets) {
        self.describe(name, help, "histogram");
        let bucket = format!("{name}_bucket");
        let bounded = of
            .cumulative()
            .map(|(bound, count)| (bound.to_string(), count));
        for (bound, count) in bounded.chain([("+Inf".to_owned(), of.count())]) {
            let labels = [labels, &[("le", bound.as_str())]].concat();
            self.value(&bucket, &labels, count);
        }
        self.value(&format!("{name}_sum"), labels, of.sum());
        self.value(&format!("{name}_count"), labels, of.count());
    }
}

/// The value of a label.
fn escaped(content: &str) -> String {
    let content = content.replace('\\', "\\\\").replace('"', "\\\"");
    content.replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_values_are_escaped() {
        let mut text = Text(String::new());
        text.value("a", &[("path", "x\\\"\n}"), ("b", "\u{e9}")], 1.5);
        assert_eq!(text.0, "a{path=\"x\\\\\\\"\\n}\",b=\"\u{e9}\"} 1.5\n");
    }
}
