//! How much is measured: `quick` for a look and for CI, `full` for figures to be quoted.

use std::time::Duration;

use clap::ValueEnum;

use crate::results::{Phase, SinkKind};

/// A choice of lengths and repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProfileName {
    /// Under five minutes with two collectors; for a look, not for quoting.
    Quick,
    /// What a report is made of.
    Full,
    /// Only that each collector does the same work; nothing is timed.
    Verify,
}

/// How long and how often.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    pub(crate) name: &'static str,
    /// Rounds of interleaved runs.
    pub(crate) rounds: u32,
    /// In how many of them a live file is followed, which takes longest.
    pub(crate) rate_rounds: u32,
    /// Lines of a backlog.
    pub(crate) drain_lines: usize,
    /// Lines a second of a live file.
    pub(crate) rates: Vec<u32>,
    pub(crate) warm_up: Duration,
    pub(crate) window: Duration,
    /// How long nothing happens before idle CPU is looked at, and while it is.
    pub(crate) idle_settle: Duration,
    pub(crate) idle_window: Duration,
    /// Lone lines, each after a quiet time.
    pub(crate) wakes: usize,
    pub(crate) quiet: Duration,
    /// Between two runs.
    pub(crate) settle: Duration,
    /// How long undelivered lines are waited for when nothing more comes.
    pub(crate) patience: Duration,
}

/// Lines of the comparison before anything is timed.
pub(crate) const VERIFY_LINES: usize = 20_000;

impl ProfileName {
    /// The lengths and repeats behind the name.
    pub(crate) fn profile(self) -> Profile {
        let quick = Profile {
            name: "quick",
            rounds: 2,
            rate_rounds: 2,
            drain_lines: 500_000,
            rates: vec![10_000, 50_000, 100_000, 200_000],
            warm_up: Duration::from_millis(500),
            window: Duration::from_secs(2),
            idle_settle: Duration::from_millis(500),
            idle_window: Duration::from_secs(1),
            wakes: 0,
            quiet: Duration::ZERO,
            settle: Duration::from_millis(300),
            patience: Duration::from_secs(5),
        };
        match self {
            ProfileName::Quick => quick,
            ProfileName::Verify => Profile {
                name: "verify",
                rounds: 0,
                ..quick
            },
            ProfileName::Full => Profile {
                name: "full",
                // Fewer than six give no 95 % interval.
                rounds: 6,
                rate_rounds: 2,
                drain_lines: 1_000_000,
                rates: vec![10_000, 50_000, 100_000, 200_000],
                warm_up: Duration::from_millis(1500),
                window: Duration::from_secs(5),
                idle_settle: Duration::from_secs(1),
                idle_window: Duration::from_secs(3),
                wakes: 2,
                quiet: Duration::from_secs(12),
                settle: Duration::from_millis(500),
                patience: Duration::from_secs(10),
            },
        }
    }
}

/// A thing that is measured of every entrant that can do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) phase: Phase,
    pub(crate) sink: SinkKind,
    /// Lines a second, of a live file.
    pub(crate) rate: Option<u32>,
    /// Whether the collector has one core to itself and the harness another.
    pub(crate) is_pinned: bool,
    /// In which of the rounds it is measured: the first so many.
    pub(crate) rounds: u32,
}

impl Profile {
    /// What is measured of entrants with that configuration.
    pub(crate) fn cells(&self, is_tuned: bool) -> Vec<Cell> {
        let is_full = self.name == "full";
        // The settings of the documentation are for comparison: fewer repeats and sinks.
        let (rounds, rate_rounds) = match (is_tuned, is_full) {
            (true, _) => (self.rounds, self.rate_rounds),
            (false, true) => (self.rounds.div_ceil(6), 0),
            (false, false) => (0, 0),
        };
        let cell = |phase, sink, rate, is_pinned, rounds| Cell {
            phase,
            sink,
            rate,
            is_pinned,
            rounds,
        };
        let start_rounds = rounds.div_ceil(2);
        let mut cells = vec![cell(
            Phase::Startup,
            SinkKind::File,
            None,
            false,
            start_rounds,
        )];
        let drains = [
            SinkKind::Null,
            SinkKind::File,
            SinkKind::Http,
            SinkKind::Tcp,
        ];
        for sink in drains {
            if is_tuned || matches!(sink, SinkKind::File | SinkKind::Http) {
                // Not all have TCP: it is for those that have no HTTP.
                let rounds = match sink {
                    SinkKind::Tcp => rounds.div_ceil(3),
                    _ => rounds,
                };
                cells.push(cell(Phase::Drain, sink, None, false, rounds));
            }
        }
        for &rate in &self.rates {
            cells.push(cell(
                Phase::Rate,
                SinkKind::File,
                Some(rate),
                true,
                rate_rounds,
            ));
        }
        if self.wakes > 0 && is_tuned {
            cells.push(cell(Phase::Wake, SinkKind::File, None, true, rounds.min(1)));
        }
        cells
    }

    /// How many lines have to be generated for all of it.
    pub(crate) fn lines(&self) -> usize {
        let seconds = (self.warm_up + self.window).as_secs_f64();
        let fastest = self.rates.iter().copied().max().unwrap_or_default();
        let paced = (seconds * f64::from(fastest)) as usize + 100;
        match self.rounds {
            0 => VERIFY_LINES,
            _ => VERIFY_LINES.max(self.drain_lines).max(paced),
        }
    }
}
