//! Three ways to drive the same stages from memory to nowhere: plain threads with flume channels as
//! in the pipeline, one thread that does all of it chunk after chunk, and tokio tasks with its mpsc
//! channels. Prints medians over rounds in which each model has its turn.
//!
//! `cargo bench --bench models`, with `-- --quick` for a short run.
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::alloc::System;
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::sync::mpsc;
use ves::config::{Config, Settings};
use ves::stages::{Kernels, LineTransform};
use ves_load::{Lines, Spec};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bytes of a chunk as the tail cuts them.
const CHUNK_BYTES: usize = 512 << 10;

/// Chunks in flight besides one per transform, as in the pipeline.
const SPARE_TICKETS: usize = 2;

/// Room of an output buffer: the records of a chunk fit.
const OUTPUT_BYTES: usize = 2 * CHUNK_BYTES;

/// How much is done.
struct Extent {
    input_bytes: usize,
    rounds: usize,
}

const FULL: Extent = Extent {
    input_bytes: 200_000_000,
    rounds: 11,
};

const QUICK: Extent = Extent {
    input_bytes: 50_000_000,
    rounds: 3,
};

#[derive(Clone, Copy, Debug)]
enum Model {
    Threads { transforms: usize },
    OneThread,
    Tokio { transforms: usize },
}

const MODELS: [Model; 5] = [
    Model::OneThread,
    Model::Threads { transforms: 1 },
    Model::Tokio { transforms: 1 },
    Model::Threads { transforms: 2 },
    Model::Tokio { transforms: 2 },
];

/// Lines in memory, cut into chunks.
struct Input {
    bytes: Vec<u8>,
    chunks: Vec<Range<usize>>,
}

/// A chunk on its way to a transform.
struct Work {
    sequence: u64,
    lines: &'static [u8],
    sent_at: Instant,
}

/// Its records on their way to the sink.
struct Done {
    sequence: u64,
    records: u64,
    output: Vec<u8>,
    sent_at: Instant,
}

/// What came out, to compare models by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Totals {
    records: u64,
    bytes: u64,
}

/// What a run of a model gives: its output, and how long each chunk took between two stages.
#[derive(Default)]
struct Outcome {
    totals: Totals,
    to_transform: Vec<Duration>,
    to_sink: Vec<Duration>,
}

/// One run, measured from outside.
struct Round {
    bytes_per_second: f64,
    cpu_seconds: f64,
    to_transform: Option<Duration>,
    to_sink: Option<Duration>,
    allocated_bytes: usize,
}

fn main() {
    let is_quick = std::env::args().any(|argument| argument == "--quick");
    let Extent {
        input_bytes,
        rounds,
    } = if is_quick { QUICK } else { FULL };
    // Tasks and threads borrow it until the process ends.
    let input: &'static Input = Box::leak(Box::new(input(input_bytes)));
    let config = config();
    let mut results: Vec<Vec<Round>> = MODELS.iter().map(|_| Vec::new()).collect();
    let expected = run(Model::OneThread, input, &config).1;
    for _ in 0..rounds {
        for (model, rounds) in MODELS.iter().zip(&mut results) {
            let (round, totals) = run(*model, input, &config);
            assert_eq!(totals, expected, "{model:?}");
            rounds.push(round);
        }
    }
    print(input, rounds, &results);
}

fn input(input_bytes: usize) -> Input {
    let spec = Spec::built_in();
    let mut lines = Lines::new(&spec, 1);
    let mut bytes = Vec::with_capacity(input_bytes + CHUNK_BYTES);
    let (mut chunks, mut start) = (Vec::new(), 0);
    while bytes.len() < input_bytes {
        let before = bytes.len();
        lines.append_next(&mut bytes);
        if bytes.len() - start > CHUNK_BYTES {
            chunks.push(start..before);
            start = before;
        }
    }
    chunks.push(start..bytes.len());
    Input { bytes, chunks }
}

fn config() -> Config {
    let mut settings = Settings::default();
    settings.set_flags(
        "watch_path",
        "watch",
        vec!["/var/log/access.log".to_owned()],
    );
    settings.set_flags("drop", "drop", vec!["path == \"/healthz\"".to_owned()]);
    settings.set_flag("format", "format", "nginx".to_owned());
    settings.set_flag("ship_url", "ship", "null:".to_owned());
    settings.set_switch("no_state", "no-state");
    settings.resolve().unwrap()
}

fn run(model: Model, input: &'static Input, config: &Config) -> (Round, Totals) {
    let transforms = match model {
        Model::OneThread => 1,
        Model::Threads { transforms } | Model::Tokio { transforms } => transforms,
    };
    let transforms: Vec<LineTransform> = (0..transforms)
        .map(|_| LineTransform::new(config, Kernels::Detected))
        .collect();
    let allocations = Region::new(ALLOCATOR);
    let (began, cpu_before) = (Instant::now(), cpu_seconds());
    let outcome = match model {
        Model::OneThread => run_one_thread(input, transforms),
        Model::Threads { .. } => run_threads(input, transforms),
        Model::Tokio { .. } => run_tokio(input, transforms),
    };
    let (elapsed, cpu_after) = (began.elapsed(), cpu_seconds());
    let round = Round {
        bytes_per_second: input.bytes.len() as f64 / elapsed.as_secs_f64(),
        cpu_seconds: cpu_after - cpu_before,
        to_transform: percentile(outcome.to_transform, 99),
        to_sink: percentile(outcome.to_sink, 99),
        allocated_bytes: allocations.change().bytes_allocated,
    };
    (round, outcome.totals)
}

/// CPU time of all threads of this process, those that have ended included.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

impl Input {
    fn works(&'static self) -> impl Iterator<Item = Work> {
        let chunks = self.chunks.iter().enumerate();
        chunks.map(|(index, chunk)| Work {
            sequence: index as u64,
            lines: self.bytes.get(chunk.clone()).unwrap_or_default(),
            sent_at: Instant::now(),
        })
    }
}

fn transform_one(transform: &mut LineTransform, work: &Work, mut output: Vec<u8>) -> Done {
    output.clear();
    let outcome = transform.run(work.lines, &mut output);
    Done {
        sequence: work.sequence,
        records: outcome.records,
        output,
        sent_at: Instant::now(),
    }
}

/// The sink: takes what comes, in the order of the input, and counts it.
#[derive(Default)]
struct Sink {
    waiting: BTreeMap<u64, Done>,
    next: u64,
    totals: Totals,
}

impl Sink {
    /// Takes all that is next; each buffer then goes to `give_back`.
    fn take(&mut self, done: Done, mut give_back: impl FnMut(Vec<u8>)) {
        self.waiting.insert(done.sequence, done);
        while let Some(done) = self.waiting.remove(&self.next) {
            self.next += 1;
            self.totals.records += done.records;
            self.totals.bytes += done.output.len() as u64;
            give_back(done.output);
        }
    }
}

fn run_one_thread(input: &'static Input, mut transforms: Vec<LineTransform>) -> Outcome {
    let mut sink = Sink::default();
    let mut output = Vec::with_capacity(OUTPUT_BYTES);
    let transform = transforms.first_mut().unwrap();
    for work in input.works() {
        let done = transform_one(transform, &work, std::mem::take(&mut output));
        sink.take(done, |buffer| output = buffer);
    }
    Outcome {
        totals: sink.totals,
        ..Outcome::default()
    }
}

fn run_threads(input: &'static Input, transforms: Vec<LineTransform>) -> Outcome {
    let ticket_count = transforms.len() + SPARE_TICKETS;
    let (work, works) = flume::bounded::<Work>(ticket_count);
    let (done, all_done) = flume::bounded::<Done>(ticket_count);
    let (ticket, tickets) = flume::bounded::<()>(ticket_count);
    let (give, take) = flume::bounded(ticket_count);
    for _ in 0..ticket_count {
        ticket.send(()).unwrap();
    }
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for mut next in input.works() {
                tickets.recv().unwrap();
                next.sent_at = Instant::now();
                work.send(next).unwrap();
            }
        });
        let start = |mut transform: LineTransform| {
            let (works, done, take) = (works.clone(), done.clone(), take.clone());
            scope.spawn(move || {
                let mut waits = Vec::with_capacity(input.chunks.len());
                for work in works {
                    waits.push(work.sent_at.elapsed());
                    let output = take.try_recv().unwrap_or_else(|_| new_output());
                    let result = transform_one(&mut transform, &work, output);
                    done.send(result).unwrap();
                }
                waits
            })
        };
        let threads: Vec<_> = transforms.into_iter().map(start).collect();
        drop((works, done, take));
        let mut sink = Sink::default();
        let mut to_sink = Vec::with_capacity(input.chunks.len());
        for done in all_done {
            to_sink.push(done.sent_at.elapsed());
            sink.take(done, |buffer| {
                // Whoever takes from these two may have ended already.
                let _ = give.try_send(buffer);
                let _ = ticket.try_send(());
            });
        }
        let waits = threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap());
        Outcome {
            totals: sink.totals,
            to_transform: waits.collect(),
            to_sink,
        }
    })
}

fn new_output() -> Vec<u8> {
    Vec::with_capacity(OUTPUT_BYTES)
}

/// As the threads, with two differences: a receiver of tokio's has one owner, so each transform has
/// a channel of its own and they are served in turn; and there are as many threads as cores.
fn run_tokio(input: &'static Input, transforms: Vec<LineTransform>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    runtime.block_on(async {
        let main = tokio::spawn(run_tasks(input, transforms));
        main.await.unwrap()
    })
}

async fn run_tasks(input: &'static Input, transforms: Vec<LineTransform>) -> Outcome {
    let ticket_count = transforms.len() + SPARE_TICKETS;
    let (done, mut all_done) = mpsc::channel::<Done>(ticket_count);
    let (ticket, mut tickets) = mpsc::channel::<()>(ticket_count);
    for _ in 0..ticket_count {
        ticket.send(()).await.unwrap();
    }
    let (mut lanes, mut returns, mut tasks) = (Vec::new(), Vec::new(), Vec::new());
    for mut transform in transforms {
        let (work, mut works) = mpsc::channel::<Work>(ticket_count);
        let (give, mut take) = mpsc::channel::<Vec<u8>>(ticket_count);
        let done = done.clone();
        tasks.push(tokio::spawn(async move {
            let mut waits = Vec::with_capacity(input.chunks.len());
            while let Some(work) = works.recv().await {
                waits.push(work.sent_at.elapsed());
                let output = take.try_recv().unwrap_or_else(|_| new_output());
                let result = transform_one(&mut transform, &work, output);
                done.send(result).await.unwrap();
            }
            waits
        }));
        lanes.push(work);
        returns.push(give);
    }
    drop(done);
    tokio::spawn(async move {
        for (mut next, lane) in input.works().zip(0..) {
            tickets.recv().await.unwrap();
            next.sent_at = Instant::now();
            let lane: &mpsc::Sender<Work> = &lanes[lane % lanes.len()];
            lane.send(next).await.unwrap();
        }
    });
    let mut sink = Sink::default();
    let mut to_sink = Vec::with_capacity(input.chunks.len());
    let mut lane = 0;
    while let Some(done) = all_done.recv().await {
        to_sink.push(done.sent_at.elapsed());
        sink.take(done, |buffer| {
            // Whoever takes from these two may have ended already.
            let _ = returns[lane % returns.len()].try_send(buffer);
            let _ = ticket.try_send(());
            lane += 1;
        });
    }
    let mut to_transform = Vec::with_capacity(input.chunks.len());
    for task in tasks {
        to_transform.extend(task.await.unwrap());
    }
    Outcome {
        totals: sink.totals,
        to_transform,
        to_sink,
    }
}

/// The value that so many of a hundred are not above; `None` where there are none.
fn percentile(mut values: Vec<Duration>, percent: usize) -> Option<Duration> {
    values.sort_unstable();
    let rank = (values.len() * percent).div_ceil(100);
    values.get(rank.checked_sub(1)?).copied()
}

fn median<T: PartialOrd>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut values: Vec<T> = values.collect();
    values.sort_by(|one, two| one.partial_cmp(two).unwrap());
    let middle = values.len() / 2;
    values.into_iter().nth(middle)
}

fn print(input: &Input, rounds: usize, results: &[Vec<Round>]) {
    println!(
        "{} MB of lines in {} chunks; medians of {rounds} interleaved rounds",
        input.bytes.len() / 1_000_000,
        input.chunks.len()
    );
    println!(
        "{:<32} {:>8} {:>8} {:>10} {:>18} {:>14} {:>14}",
        "model", "MB/s", "CPU-s", "CPU-s/GB", "p99 to transform", "p99 to sink", "allocated"
    );
    for (model, rounds) in MODELS.iter().zip(results) {
        let of = |value: fn(&Round) -> f64| median(rounds.iter().map(value)).unwrap();
        let cpu_seconds = of(|round| round.cpu_seconds);
        let wait = |value: fn(&Round) -> Option<Duration>| {
            let wait = median(rounds.iter().filter_map(value));
            wait.map_or("-".to_owned(), |wait| {
                format!("{:.1} us", wait.as_secs_f64() * 1e6)
            })
        };
        println!(
            "{:<32} {:>8.0} {:>8.3} {:>10.3} {:>18} {:>14} {:>11.2} MB",
            name(*model),
            of(|round| round.bytes_per_second) / 1e6,
            cpu_seconds,
            cpu_seconds / (input.bytes.len() as f64 / 1e9),
            wait(|round| round.to_transform),
            wait(|round| round.to_sink),
            of(|round| round.allocated_bytes as f64) / 1e6,
        );
    }
}

fn name(model: Model) -> String {
    match model {
        Model::OneThread => "one thread, run to completion".to_owned(),
        Model::Threads { transforms } => format!("threads + flume, {transforms} transforms"),
        Model::Tokio { transforms } => format!("tokio + mpsc, {transforms} transforms"),
    }
}
