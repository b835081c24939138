//! What is served: which address answers what, from the figures of the moment.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use super::board::{Row, View};
use super::dashboard;
use super::health::{Facts, Judge};
use super::metrics::{self, Exposition};
use super::queues::QueueGauge;
use super::sample::{Sample, Sampler};
use super::{Stats, Totals};
use crate::report;
use crate::shutdown::Shutdown;

/// Files that the dashboard shows one by one: those that lag most, then the busiest.
const FILES_SHOWN_MAX: usize = 100;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Response {
    /// The status code.
    pub(crate) status: u16,
    /// What the body is.
    pub(crate) content_type: &'static str,
    /// The body.
    pub(crate) body: Cow<'static, [u8]>,
}

impl Response {
    /// A line of text.
    pub(crate) fn text(status: u16, text: &str) -> Response {
        Response {
            status,
            content_type: "text/plain; charset=utf-8",
            body: Cow::Owned(format!("{text}\n").into_bytes()),
        }
    }
}

/// What an address leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    /// An answer as a whole.
    Whole(Response),
    /// A stream of events, which begins like this.
    Events(String),
}

/// Everything that is served.
#[derive(Debug)]
pub(crate) struct Site {
    stats: Arc<Stats>,
    queues: Vec<QueueGauge>,
    /// The configuration as text, without secrets.
    config: String,
    is_per_file: bool,
    shutdown: Shutdown,
    judge: Judge,
    sampler: Sampler,
    /// The state of the recent messages that was sent last.
    messages_sent: u64,
}

/// The first event of a stream.
#[derive(Serialize)]
struct Hello<'a> {
    version: &'static str,
    host: String,
    pid: u32,
    config: &'a str,
    samples: Vec<&'a Sample>,
    messages: Vec<report::Remembered>,
}

/// The event of each second.
#[derive(Serialize)]
struct Second<'a> {
    sample: &'a Sample,
    totals: Shown,
    files_followed: u64,
    files_failing: usize,
    files: &'a [Row],
    queues: Vec<Queue>,
    in_flight: u64,
    sink: &'a str,
    sink_retries: u64,
    sink_failing_seconds: Option<f64>,
    checkpoint_age_seconds: Option<f64>,
    /// What is wrong, if anything.
    trouble: Option<String>,
}

#[derive(Serialize)]
struct Queue {
    name: &'static str,
    length: usize,
    capacity: usize,
}

/// Counters of all time.
#[derive(Serialize)]
struct Shown {
    lines: u64,
    parsed: u64,
    parse_errors: u64,
    filtered: u64,
    empty: u64,
    truncated: u64,
    records: u64,
    read_bytes: u64,
    shipped_bytes: u64,
    unread_bytes: u64,
    files_missed: u64,
}

impl Site {
    /// The site of a run whose configuration is `config`, without secrets.
    pub(crate) fn new(
        stats: Arc<Stats>,
        queues: Vec<QueueGauge>,
        config: String,
        is_per_file: bool,
        shutdown: Shutdown,
    ) -> Site {
        Site {
            judge: Judge::default(),
            sampler: Sampler::new(&stats),
            messages_sent: report::recent_changes(),
            stats,
            queues,
            config,
            is_per_file,
            shutdown,
        }
    }

    /// What is at `path`.
    pub(crate) fn page(&mut self, path: &str) -> Page {
        Page::Whole(match path {
            "/metrics" => self.metrics(),
            "/healthz" => {
                let files = self.files();
                answer(self.trouble(&files), "ok")
            }
            "/readyz" => answer(self.not_ready(), "ready"),
            "/events" => return Page::Events(self.hello()),
            _ => dashboard::asset(path).unwrap_or_else(|| {
                let known = "/, /metrics, /healthz, /readyz";
                Response::text(404, &format!("nothing is here; there is {known}"))
            }),
        })
    }

    /// Takes the figures of a second. Returns the events that tell of it.
    pub(crate) fn tick(&mut self) -> String {
        let files = self.files();
        let trouble = self.trouble(&files);
        let sample = self.sampler.take(&self.stats, &files);
        let sink = &self.stats.sink;
        let queues = self.queues.iter().map(|queue| Queue {
            name: queue.name,
            length: queue.length(),
            capacity: queue.capacity,
        });
        let failing = sink.failing();
        let second = Second {
            sample: &sample,
            totals: Shown::of(&self.stats.totals()),
            files_followed: self.stats.totals().files_followed,
            files_failing: files.failing,
            files: files.rows.get(..FILES_SHOWN_MAX).unwrap_or(&files.rows),
            queues: queues.collect(),
            in_flight: self.stats.in_flight(),
            sink: sink.name(),
            sink_retries: sink.retries(),
            sink_failing_seconds: failing.map(|failing| failing.for_time.as_secs_f64()),
            checkpoint_age_seconds: self.stats.checkpoint_age().map(|age| age.as_secs_f64()),
            trouble,
        };
        let mut events = event("second", &second);
        let changes = report::recent_changes();
        if changes != std::mem::replace(&mut self.messages_sent, changes) {
            events.push_str(&event("messages", &report::recent()));
        }
        events
    }

    fn hello(&self) -> String {
        let hello = Hello {
            version: env!("CARGO_PKG_VERSION"),
            host: crate::enrich::host_name(),
            pid: std::process::id(),
            config: &self.config,
            samples: self.sampler.samples().iter().collect(),
            messages: report::recent(),
        };
        // A page that lost its stream asks again after a second.
        format!("retry: 1000\n{}", event("hello", &hello))
    }

    fn metrics(&mut self) -> Response {
        let files = self.files();
        let is_healthy = self.trouble(&files).is_none();
        let exposition = Exposition {
            stats: &self.stats,
            files: &files,
            is_per_file: self.is_per_file,
            queues: &self.queues,
            is_healthy,
        };
        Response {
            status: 200,
            content_type: metrics::CONTENT_TYPE,
            body: Cow::Owned(exposition.render().into_bytes()),
        }
    }

    fn files(&self) -> View {
        let board = self.stats.board.as_ref();
        board.map_or_else(View::default, |board| board.view(Instant::now()))
    }

    /// Why data does not flow although there is some; `None` where it does or there is none.
    fn trouble(&mut self, files: &View) -> Option<String> {
        let sink = &self.stats.sink;
        let facts = Facts {
            acknowledged: self.stats.totals().batches_acknowledged,
            in_flight: self.stats.in_flight(),
            waiting_bytes: files.waiting_bytes,
            failing: sink
                .failing()
                .map(|failing| (sink.name().to_owned(), failing)),
            tail_silent_for: files.age,
        };
        self.judge.judge(Instant::now(), &facts)
    }

    fn not_ready(&self) -> Option<String> {
        if self.shutdown.begun() {
            Some("ending".to_owned())
        } else if !self.stats.is_ready() {
            Some("starting: the files of the last run are looked for".to_owned())
        } else {
            None
        }
    }
}

impl Shown {
    fn of(totals: &Totals) -> Shown {
        Shown {
            lines: totals.lines_read,
            parsed: totals.parsed,
            parse_errors: totals.parse_errors,
            filtered: totals.filtered,
            empty: totals.empty,
            truncated: totals.truncated,
            records: totals.records_shipped,
            read_bytes: totals.bytes_read,
            shipped_bytes: totals.bytes_shipped,
            unread_bytes: totals.bytes_unread,
            files_missed: totals.files_missed,
        }
    }
}

/// 200 where nothing is wrong, else 503 with what is.
fn answer(trouble: Option<String>, fine: &str) -> Response {
    match trouble {
        None => Response::text(200, fine),
        Some(trouble) => Response::text(503, &trouble),
    }
}

/// One event of a stream. JSON has no line ends in it.
fn event(name: &str, data: &impl Serialize) -> String {
    // Strings and numbers are always JSON.
    let data = serde_json::to_string(data).unwrap_or_default();
    format!("event: {name}\ndata: {data}\n\n")
}
