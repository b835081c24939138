//! What a case writes: lines of the load, as they are or changed, each written down in the
//! ledger.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Scene;
use crate::clock;
use crate::torture::ledger::{Special, Stream};
use crate::torture::log::Log;
use crate::verify::expectation;

/// Time between two writes of a flow.
const TICK: Duration = Duration::from_millis(1);

impl<'a> Scene<'a> {
    /// The number of a line that was not written yet.
    ///
    /// # Errors
    /// When the case has used up the load.
    pub(in crate::torture) fn next_number(&mut self) -> Result<usize> {
        self.next += 1;
        ensure!(
            self.next <= self.stage.dataset.count(),
            "the case writes more than the {} lines of the load",
            self.stage.dataset.count()
        );
        Ok(self.next)
    }

    /// The number of a line whose record is to come: not one of those that are dropped.
    ///
    /// # Errors
    /// When the case has used up the load.
    pub(in crate::torture) fn next_kept(&mut self) -> Result<usize> {
        loop {
            let number = self.next_number()?;
            if self.expectation().record(number).is_some() {
                return Ok(number);
            }
        }
    }

    /// A line of the load, with its newline.
    pub(in crate::torture) fn line(&self, number: usize) -> &'a [u8] {
        self.stage.dataset.line(number)
    }

    /// The next `count` lines, written down as those of a stream.
    ///
    /// # Errors
    /// When the case has used up the load.
    pub(in crate::torture) fn take(&mut self, count: usize, stream: Stream) -> Result<&'a [u8]> {
        let first = self.next + 1;
        for _ in 0..count {
            let number = self.next_number()?;
            self.ledger.wrote(number, stream);
        }
        Ok(self.stage.dataset.lines(first, self.next))
    }

    /// Appends the next `count` lines with one write.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(in crate::torture) fn burst(&mut self, log: &mut Log, count: usize) -> Result<()> {
        let bytes = self.take(count, log.stream)?;
        log.append(bytes)
    }

    /// Appends a line of the load with more in its user agent, and writes down what has to come of
    /// it. For a byte that is not UTF-8 that is U+FFFD, or U+E0xx, as Fluent Bit writes it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(in crate::torture) fn special(
        &mut self,
        log: &mut Log,
        more: &[u8],
        end: &[u8],
        may_be_flagged: bool,
    ) -> Result<()> {
        let number = self.next_kept()?;
        let line = self.line(number);
        let line = line.strip_suffix(b"\"\n").context("a line of the load")?;
        let text = [line, more, b"\""].concat();
        let fidelity = self.installed.definition.fidelity;
        let decoded = String::from_utf8_lossy(&text);
        let digest = expectation::of_line(decoded.as_bytes(), fidelity)?;
        let other = expectation::of_line(private_use(&text).as_bytes(), fidelity)?;
        log.append(&[&text, end].concat())?;
        let special = Special {
            digest: digest.context("a line that is kept")?,
            other,
            text,
            may_be_flagged,
        };
        self.ledger.wrote_special(number, log.stream, special);
        Ok(())
    }

    /// As [`Scene::special`], with so many bytes more that the line has `bytes` without its newline.
    ///
    /// # Errors
    /// When the line is longer than that, or cannot be written.
    pub(in crate::torture) fn long(
        &mut self,
        log: &mut Log,
        bytes: usize,
        may_be_flagged: bool,
    ) -> Result<()> {
        // The line that will be taken.
        let before = self.next;
        let number = self.next_kept()?;
        self.next = before;
        let more = (bytes + 1).checked_sub(self.line(number).len());
        let more = vec![b'x'; more.context("the line is too long as it is")?];
        self.special(log, &more, b"\n", may_be_flagged)
    }

    /// Appends lines to the logs in turn, each with a write of its own, at the rate of the run.
    ///
    /// # Errors
    /// When a line cannot be written, and when a signal came.
    pub(in crate::torture) fn flow(&mut self, logs: &mut [&mut Log], time: Duration) -> Result<()> {
        clock::sharpen_sleep();
        let began = Instant::now();
        let count = (time.as_secs_f64() * f64::from(self.stage.rate)) as usize;
        let mut done = 0;
        while done < count {
            let due = began.elapsed().as_secs_f64() * f64::from(self.stage.rate);
            let due = (due as usize).min(count);
            if done == due {
                std::thread::sleep(TICK);
                self.stage.interrupt.check()?;
            }
            while done < due {
                let index = done % logs.len().max(1);
                let log = logs.get_mut(index).context("no log to write to")?;
                self.burst(log, 1)?;
                done += 1;
            }
        }
        Ok(())
    }

    /// Appends lines in pieces that end anywhere, as a writer with a full buffer does.
    ///
    /// # Errors
    /// When a piece cannot be written, and when a signal came.
    pub(in crate::torture) fn torn(
        &mut self,
        log: &mut Log,
        count: usize,
        piece_max: u32,
    ) -> Result<()> {
        let mut bytes = self.take(count, log.stream)?;
        while !bytes.is_empty() {
            let size = 1 + self.random.below(piece_max) as usize;
            let (piece, rest) = bytes.split_at(size.min(bytes.len()));
            log.append(piece)?;
            bytes = rest;
            if self.random.below(20) == 0 {
                std::thread::sleep(TICK);
                self.stage.interrupt.check()?;
            }
        }
        Ok(())
    }
}

/// Text in which a character of the private use area stands for each byte that is not UTF-8.
fn private_use(text: &[u8]) -> String {
    let mut out = String::new();
    for chunk in text.utf8_chunks() {
        out.push_str(chunk.valid());
        let bytes = chunk.invalid().iter();
        out.extend(bytes.filter_map(|&byte| char::from_u32(0xe000 + u32::from(byte))));
    }
    out
}
