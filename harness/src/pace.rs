//! The open-loop writer: each line has its instant, `start + (number - first) / rate`, and is written
//! then, whatever the collector does. By how much each write was late is kept.

use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;

use crate::clock::{self, monotonic_ns};
use crate::interrupt::Interrupt;
use crate::latency::histogram;

/// Longest and shortest sleep. A wake costs several microseconds of CPU: lines that are due within
/// the shortest one are written together, each with a write of its own.
const PAUSE_MAX: Duration = Duration::from_millis(5);
const PAUSE_MIN: Duration = Duration::from_micros(150);

/// Lines that are due together are written with so many to a look at the clock: some ten microseconds.
const LINES_PER_LOOK: usize = 8;

/// Which line is to be written when. Lines count from 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) start_ns: u64,
    /// Lines a second.
    pub(crate) rate: u32,
    pub(crate) first: usize,
    pub(crate) last: usize,
    /// The first line that is measured: those before it are for warming up.
    pub(crate) measured: usize,
}

impl Plan {
    /// A plan that starts now, with line `first`.
    pub(crate) fn new(rate: u32, first: usize, warm_up: Duration, window: Duration) -> Plan {
        let lines_in = |time: Duration| (time.as_secs_f64() * f64::from(rate)) as usize;
        Plan {
            start_ns: monotonic_ns() + 20_000_000,
            rate,
            first,
            last: (first + lines_in(warm_up + window)).saturating_sub(1),
            measured: first + lines_in(warm_up),
        }
    }

    /// A plan of that many lines that starts now, all of them measured.
    pub(crate) fn of_lines(rate: u32, count: usize) -> Plan {
        Plan {
            last: count,
            ..Plan::new(rate, 1, Duration::ZERO, Duration::ZERO)
        }
    }

    /// When a line is to be written.
    pub(crate) fn at_ns(&self, number: usize) -> u64 {
        let index = number.saturating_sub(self.first) as u64;
        self.start_ns + index * 1_000_000_000 / u64::from(self.rate)
    }

    /// How many lines are measured.
    pub(crate) fn measured_count(&self) -> usize {
        self.last + 1 - self.measured
    }
}

/// What the writer did.
#[derive(Debug)]
pub(crate) struct Written {
    /// By line number: by how many microseconds its write was late.
    pub(crate) late_us: Vec<u32>,
    /// The same of the measured lines.
    pub(crate) slip: Histogram<u64>,
    /// CPU time of the writer in the measured window.
    pub(crate) cpu: Duration,
    /// When the first measured line and the last line were written.
    pub(crate) window_ns: (u64, u64),
}

impl Written {
    /// The length of the window.
    pub(crate) fn seconds(&self) -> f64 {
        let (from, to) = self.window_ns;
        to.saturating_sub(from) as f64 / 1e9
    }

    /// Lines a second in the window.
    pub(crate) fn rate(&self, plan: &Plan) -> f64 {
        (plan.measured_count() as f64 - 1.0) / self.seconds().max(1e-9)
    }
}

/// Has `emit` write each line of the plan, by its number, when it is due.
///
/// # Errors
/// When a line cannot be written, and when a signal came.
pub(crate) fn write(
    plan: &Plan,
    interrupt: &Interrupt,
    mut emit: impl FnMut(usize) -> Result<()>,
) -> Result<Written> {
    clock::sharpen_sleep();
    let mut written = Written {
        late_us: vec![0; plan.last + 1],
        slip: histogram(),
        cpu: Duration::ZERO,
        window_ns: (0, 0),
    };
    let mut cpu_before = clock::thread_cpu();
    let mut now = monotonic_ns();
    for number in plan.first..=plan.last {
        let due = plan.at_ns(number);
        // PERF: looking at the clock for every line of a burst took 3 % of a core at 200 k lines/s.
        if number.is_multiple_of(LINES_PER_LOOK) {
            now = monotonic_ns();
        }
        while now < due {
            let pause = Duration::from_nanos(due - now);
            std::thread::sleep(pause.clamp(PAUSE_MIN, PAUSE_MAX));
            interrupt.check()?;
            now = monotonic_ns();
        }
        if number == plan.measured {
            cpu_before = clock::thread_cpu();
            written.window_ns.0 = monotonic_ns();
        }
        emit(number)?;
        let late = now.saturating_sub(due) / 1000;
        if let Some(slot) = written.late_us.get_mut(number) {
            *slot = u32::try_from(late).unwrap_or(u32::MAX);
        }
        if number >= plan.measured {
            written.slip.saturating_record(late);
        }
    }
    written.window_ns.1 = monotonic_ns();
    written.cpu = clock::thread_cpu().saturating_sub(cpu_before);
    Ok(written)
}
