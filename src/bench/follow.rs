//! Follow: lines are written one by one at a fixed rate, whatever VES does (an open loop), and their
//! records are looked for in the sink.
//!
//! The latency of a record counts from the instant at which its line was to be written, not from
//! when it was: a writer that falls behind must not make VES look better. How far it fell behind is
//! told beside it.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use ves_load::{Lines, Spec};

use super::collector::Collector;
use super::results::{Arrivals, Load, Progress, Results};
use super::sink_path;
use crate::child::Run;
use crate::cli::{BenchArgs, BenchSink};
use crate::error::{Error, Result};
use crate::interrupted::Interrupted;
use crate::pipeline::Percentiles;
use crate::sequence::NumberFinder;
use crate::stats::process::ProcessUsage;
use crate::stats::{display, histogram, micros};

/// Time before the measuring begins, at the same rate: the first touch of memory is not counted.
const WARM_UP: Duration = Duration::from_secs(1);

/// Time after the last line for its record to arrive.
const PATIENCE: Duration = Duration::from_secs(5);

/// Time between two looks at the sink. A record that comes just after a look is seen this much late.
const LOOK_INTERVAL: Duration = Duration::from_micros(100);

/// Shortest pause of the writer: below this it would only spin.
const PAUSE_MIN: Duration = Duration::from_micros(20);

/// Longest pause of the writer: signals are looked at in between.
const PAUSE_MAX: Duration = Duration::from_millis(100);

pub(super) fn run(
    args: &BenchArgs,
    rate: u32,
    folder: &Path,
    interrupted: &Interrupted,
) -> Result<Results> {
    let log = folder.join("access.log");
    let file = File::create(&log).map_err(Error::file("make", &log))?;
    let plan = Plan::new(rate, args.duration);
    let collector = Collector::start(args, folder, &log, false)?;
    let has_sink = args.sink == BenchSink::File;
    let is_over = AtomicBool::new(false);
    let recent = Mutex::new(histogram());
    let mut live = Live::new(&collector, &recent);
    let (slip, arrived) = std::thread::scope(|scope| {
        let looker = has_sink.then(|| scope.spawn(|| look(&plan, folder, &recent, &is_over)));
        let slip = write(&plan, file, &mut live, interrupted);
        if slip.is_ok() {
            wait_for_arrival(has_sink, folder, &plan);
        }
        is_over.store(true, Ordering::Release);
        let arrived = looker.map(|looker| looker.join().unwrap_or_default());
        (slip, arrived)
    });
    let slip = slip?;
    collector.end();
    let run = collector.wait(interrupted)?;
    run.check(plan.count)?;
    let arrivals = arrived.map(|seen| seen.arrivals(&plan, &run));
    let load = Load::Paced {
        rate,
        lines: plan.count,
        wakes_per_second: run.figures.wakes as f64 / run.wall.as_secs_f64(),
        slip: Percentiles::of(&slip),
        arrivals,
    };
    Ok(Results::new(args, load, vec![run], plan.span()))
}

/// Which line is to be written when. Lines count from 1.
#[derive(Debug)]
struct Plan {
    began: Instant,
    rate: u32,
    /// Lines in all.
    count: u64,
    /// Lines before the measured ones.
    warm_up: u64,
}

impl Plan {
    fn new(rate: u32, duration: Duration) -> Plan {
        let lines_in = |time: Duration| (time.as_secs_f64() * f64::from(rate)) as u64;
        Plan {
            began: Instant::now() + Duration::from_millis(50),
            rate,
            count: lines_in(WARM_UP + duration).max(1),
            warm_up: lines_in(WARM_UP),
        }
    }

    fn at(&self, number: u64) -> Instant {
        let nanos = u128::from(number - 1) * 1_000_000_000 / u128::from(self.rate);
        self.began + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn span(&self) -> Duration {
        self.at(self.count).duration_since(self.began)
    }
}

/// The live line.
struct Live<'a> {
    progress: Progress,
    usage: Option<ProcessUsage>,
    /// Latencies since the last line.
    recent: &'a Mutex<Histogram<u64>>,
    number_before: u64,
    shown_at: Instant,
}

impl Live<'_> {
    fn new<'a>(collector: &Collector, recent: &'a Mutex<Histogram<u64>>) -> Live<'a> {
        Live {
            progress: Progress::new(),
            usage: collector.usage(),
            recent,
            number_before: 0,
            shown_at: Instant::now(),
        }
    }

    fn show(&mut self, number: u64, now: Instant) {
        let seconds = now.duration_since(self.shown_at).as_secs_f64();
        let rate = (number - self.number_before) as f64 / seconds;
        (self.number_before, self.shown_at) = (number, now);
        let usage = self.usage.as_mut().and_then(ProcessUsage::read);
        let mut recent = lock(self.recent);
        let p99 = (!recent.is_empty()).then(|| recent.value_at_quantile(0.99));
        recent.reset();
        drop(recent);
        self.progress.show_live(rate, usage, p99);
    }
}

fn lock(histogram: &Mutex<Histogram<u64>>) -> MutexGuard<'_, Histogram<u64>> {
    // A panic between two records leaves a valid histogram.
    histogram.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes the lines, each with a write of its own. Gives by how much each was late, in microseconds.
fn write(
    plan: &Plan,
    mut file: File,
    live: &mut Live<'_>,
    interrupted: &Interrupted,
) -> Result<Histogram<u64>> {
    let spec = Spec::built_in();
    let mut lines = Lines::new(&spec, 1);
    let mut slip = histogram();
    let mut line = Vec::with_capacity(4096);
    for number in 1..=plan.count {
        line.clear();
        lines.append_next(&mut line);
        let due = plan.at(number);
        let mut now = Instant::now();
        while now < due {
            std::thread::sleep((due - now).clamp(PAUSE_MIN, PAUSE_MAX));
            interrupted.check()?;
            now = Instant::now();
        }
        file.write_all(&line)
            .map_err(Error::system("write the load"))?;
        if number > plan.warm_up {
            slip.saturating_record(micros(now.duration_since(due)));
        }
        if now.duration_since(live.shown_at) >= display::INTERVAL {
            interrupted.check()?;
            live.show(number, now);
        }
    }
    live.progress.clear();
    Ok(slip)
}

/// What was seen in the sink.
#[derive(Debug, Default)]
struct Seen {
    /// Per line: how often its record came.
    counts: Vec<u8>,
    /// From the planned write of each measured line to the sight of its record, in microseconds.
    latencies: Option<Histogram<u64>>,
}

impl Seen {
    /// Notes the record of a line. Gives its latency in microseconds if it is the first one.
    fn note(&mut self, plan: &Plan, number: u64, now: Instant) -> Option<u64> {
        let index = usize::try_from(number).ok().filter(|&index| index > 0)?;
        let count = self.counts.get_mut(index)?;
        *count = count.saturating_add(1);
        if *count > 1 {
            return None;
        }
        let latency = micros(now.saturating_duration_since(plan.at(number)));
        if number > plan.warm_up
            && let Some(latencies) = &mut self.latencies
        {
            latencies.saturating_record(latency);
        }
        Some(latency)
    }

    /// Lines whose records did not come are not forgotten: they count with the time that was waited
    /// for them.
    fn arrivals(self, plan: &Plan, run: &Run) -> Arrivals {
        let seen = self.counts.iter().filter(|&&count| count > 0).count() as u64;
        let duplicated = self.counts.iter().filter(|&&count| count > 1).count() as u64;
        let expected = plan.count - run.figures.lines_filtered;
        let lost = expected.saturating_sub(seen);
        let mut latencies = self.latencies.unwrap_or_else(histogram);
        latencies.saturating_record_n(micros(PATIENCE), lost);
        Arrivals {
            latency: Percentiles::of(&latencies),
            lost,
            duplicated,
        }
    }
}

/// Looks at the sink until told that it is over.
fn look(plan: &Plan, folder: &Path, recent: &Mutex<Histogram<u64>>, is_over: &AtomicBool) -> Seen {
    let mut seen = Seen {
        counts: vec![0; usize::try_from(plan.count).unwrap_or_default() + 1],
        latencies: Some(histogram()),
    };
    let number_finder = NumberFinder::new();
    let mut sink = None;
    let mut offset = 0;
    let mut rest = Vec::new();
    let mut buffer = vec![0; 1 << 20];
    while !is_over.load(Ordering::Acquire) {
        if sink.is_none() {
            sink = File::open(sink_path(folder)).ok();
        }
        let read = sink
            .as_ref()
            .and_then(|file| file.read_at(&mut buffer, offset).ok());
        let now = Instant::now();
        let count = read.unwrap_or_default();
        if count == 0 {
            std::thread::sleep(LOOK_INTERVAL);
            continue;
        }
        offset += count as u64;
        rest.extend_from_slice(buffer.get(..count).unwrap_or_default());
        let whole = memchr::memrchr(b'\n', &rest).map_or(0, |newline| newline + 1);
        for record in rest
            .get(..whole)
            .unwrap_or_default()
            .split(|&byte| byte == b'\n')
        {
            if let Some(number) = number_finder.find(record)
                && let Some(latency) = seen.note(plan, number, now)
            {
                lock(recent).saturating_record(latency);
            }
        }
        rest.drain(..whole);
    }
    seen
}

/// Waits until the sink stops growing, or for as long as is allowed.
fn wait_for_arrival(has_sink: bool, folder: &Path, plan: &Plan) {
    let until = plan.at(plan.count) + PATIENCE;
    let size = || std::fs::metadata(sink_path(folder)).map_or(0, |metadata| metadata.len());
    let mut before = None;
    while Instant::now() < until {
        std::thread::sleep(Duration::from_millis(300));
        let now = Some(size());
        if !has_sink || now == before {
            return;
        }
        before = now;
    }
}
