//! Writes the log at its rate and rotates it, whatever VES does, and says what has to come of it.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ves_load::{Lines, Spec};

use super::expected::Expected;
use crate::cli::SoakArgs;
use crate::clock;
use crate::verify::expectation::{Fidelity, of_line};

/// Time between two writes.
const TICK: Duration = Duration::from_millis(2);
/// Rotated logs that stay.
const KEPT: u32 = 3;

/// The writer.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    args: &'a SoakArgs,
    path: PathBuf,
    /// What is to become of a line.
    fidelity: Fidelity,
    expected: &'a Expected,
}

impl<'a> Writer<'a> {
    pub(super) fn new(
        args: &'a SoakArgs,
        path: PathBuf,
        fidelity: Fidelity,
        expected: &'a Expected,
    ) -> Writer<'a> {
        Writer {
            args,
            path,
            fidelity,
            expected,
        }
    }

    /// Writes until it is told to end. Gives the number of lines.
    ///
    /// # Errors
    /// When the log cannot be written.
    pub(super) fn run(&self, is_over: &AtomicBool) -> Result<u64> {
        clock::sharpen_sleep();
        let spec = Spec::built_in();
        let mut lines = Lines::new(&spec, self.args.seed);
        let mut file = self.create()?;
        let began = Instant::now();
        let (mut count, mut next_rotation) = (0, self.args.rotate_every);
        let mut bytes = Vec::new();
        while !is_over.load(Ordering::Acquire) {
            std::thread::sleep(TICK);
            if began.elapsed() >= next_rotation {
                next_rotation += self.args.rotate_every;
                self.rotate()?;
                file = self.create()?;
            }
            let due = (began.elapsed().as_secs_f64() * f64::from(self.args.rate)) as u64;
            bytes.clear();
            let mut digests = Vec::new();
            for _ in count..due {
                let start = bytes.len();
                lines.append_next(&mut bytes);
                let line = bytes.get(start..bytes.len() - 1).unwrap_or_default();
                digests.push(of_line(line, self.fidelity)?);
            }
            count = due.max(count);
            // Before they are written: the verifier never sees a line that it does not know.
            let mut waiting = self.expected.lock();
            digests.into_iter().for_each(|digest| waiting.add(digest));
            drop(waiting);
            let written = file.write_all(&bytes);
            written.with_context(|| format!("write {}", self.path.display()))?;
        }
        Ok(count)
    }

    fn create(&self) -> Result<File> {
        self.expected.lock().begin_log();
        let file = File::options().create(true).append(true).open(&self.path);
        file.with_context(|| format!("create {}", self.path.display()))
    }

    fn rotate(&self) -> Result<()> {
        let rotated = |index: u32| self.path.with_extension(format!("log.{index}"));
        for index in (1..=KEPT).rev() {
            let from = rotated(index);
            if !from.exists() {
                continue;
            }
            if index == KEPT {
                fs::remove_file(&from).with_context(|| format!("delete {}", from.display()))?;
            } else {
                fs::rename(&from, rotated(index + 1))?;
            }
        }
        fs::rename(&self.path, rotated(1))
            .with_context(|| format!("rename {}", self.path.display()))
    }
}
