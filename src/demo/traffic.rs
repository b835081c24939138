//! The traffic of the demo: a made-up site's access log, written live and rotated.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use memchr::memmem::Finder;
use ves_load::{Lines, Spec};

use super::log::RotatedLog;
use super::wave::Wave;
use crate::error::Result;
use crate::sequence::{NumberFinder, Numbers};

/// Lines are written in pieces of this size at most, so that a demo that was stopped (Ctrl-Z) does
/// not make up for all of it at once in memory.
const WRITE_BYTES: usize = 1 << 20;

/// Which lines: any would do.
const SEED: u64 = 1;

/// What only the lines have that are to be dropped.
const HEALTH_CHECK: &str = "\"GET /healthz HTTP/";

/// A mix that begins now.
pub(super) fn spec(rate: u32) -> Spec {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |since| since.as_secs());
    Spec::built_in().live(u32::try_from(now).unwrap_or_default(), rate)
}

/// The first line that is not a health check, without its newline.
pub(super) fn first_visit(spec: &Spec) -> String {
    let mut lines = Lines::new(spec, SEED);
    let mut line = Vec::new();
    // One line in eight is a health check: the loop ends.
    loop {
        line.clear();
        lines.append_next(&mut line);
        let text = String::from_utf8_lossy(&line);
        if !text.contains(HEALTH_CHECK) {
            return text.trim_end().to_owned();
        }
    }
}

/// Writes it.
#[derive(Debug)]
pub(super) struct Traffic<'a> {
    lines: Lines<'a>,
    wave: Wave,
    log: RotatedLog,
    rotate_every: Duration,
    rotated_at: Duration,
    buffer: Vec<u8>,
    health_check: Finder<'static>,
    finder: NumberFinder,
    /// What was written so far.
    pub(super) written: Written,
}

/// What was written.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// Lines, numbered from 1.
    pub(super) lines: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// The numbers of those that are to be dropped.
    pub(super) health_checks: Numbers,
    /// Files.
    pub(super) files: u32,
}

impl<'a> Traffic<'a> {
    /// Begins, with an empty log.
    ///
    /// # Errors
    /// When that cannot be made.
    pub(super) fn new(
        spec: &'a Spec,
        rate: u32,
        log: &Path,
        rotate_every: Duration,
    ) -> Result<Traffic<'a>> {
        Ok(Traffic {
            lines: Lines::new(spec, SEED),
            wave: Wave { rate },
            log: RotatedLog::create(log.to_owned())?,
            rotate_every,
            rotated_at: Duration::ZERO,
            buffer: Vec::with_capacity(WRITE_BYTES + 4096),
            health_check: Finder::new(HEALTH_CHECK),
            finder: NumberFinder::new(),
            written: Written {
                files: 1,
                ..Written::default()
            },
        })
    }

    /// How many lines are due when so much time has passed.
    pub(super) fn due(&self, passed: Duration) -> u64 {
        self.wave.due(passed)
    }

    /// Writes the lines up to that number.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(super) fn write(&mut self, due: u64) -> Result<()> {
        while self.written.lines < due {
            self.buffer.clear();
            while self.written.lines < due && self.buffer.len() < WRITE_BYTES {
                self.append_line();
            }
            self.log.append(&self.buffer)?;
        }
        Ok(())
    }

    fn append_line(&mut self) {
        let start = self.buffer.len();
        self.lines.append_next(&mut self.buffer);
        let line = self.buffer.get(start..).unwrap_or_default();
        self.written.lines += 1;
        self.written.bytes += line.len() as u64;
        if self.health_check.find(line).is_some()
            && let Some(number) = self.finder.find(line)
        {
            self.written.health_checks.insert(number);
        }
    }

    /// Rotates the log if that is due. Returns whether it was.
    ///
    /// # Errors
    /// When it cannot be rotated.
    pub(super) fn rotate_if_due(&mut self, passed: Duration) -> Result<bool> {
        if passed.saturating_sub(self.rotated_at) < self.rotate_every {
            return Ok(false);
        }
        self.log.rotate()?;
        self.rotated_at = passed;
        self.written.files = self.log.rotations() + 1;
        Ok(true)
    }
}
