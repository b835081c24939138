//! The lines of a comparison in memory, and what is expected of each: generated once, then written
//! to every collector's log from here, so that the generator costs no more than a copy.

use anyhow::{Context, Result};
use ves_load::{Lines, Spec};

use crate::verify::expectation::{Expectation, Fidelity};

/// A stretch of generated lines.
#[derive(Debug)]
pub(crate) struct Dataset {
    bytes: Vec<u8>,
    /// Where each line ends, its newline included.
    ends: Vec<usize>,
    /// What is to come of each line, whole work done.
    full: Expectation,
    /// What is to come of each line when only its text is forwarded.
    raw: Expectation,
}

impl Dataset {
    /// Generates that many lines.
    ///
    /// # Errors
    /// When a line of the mix is none that every collector is asked to parse.
    pub(crate) fn generate(spec: &Spec, seed: u64, count: usize) -> Result<Dataset> {
        let mut lines = Lines::new(spec, seed);
        // The mean is 182 bytes: room for all, so that the buffer does not move.
        let mut bytes = Vec::with_capacity(count * 192 + 4096);
        let mut ends = Vec::with_capacity(count);
        for _ in 0..count {
            lines.append_next(&mut bytes);
            ends.push(bytes.len());
        }
        let full = Expectation::of(&bytes, &ends, Fidelity::Full);
        let full = full.context("the mix of requests cannot be compared")?;
        let raw = Expectation::of(&bytes, &ends, Fidelity::Raw)?;
        Ok(Dataset {
            bytes,
            ends,
            full,
            raw,
        })
    }

    /// How many lines there are.
    pub(crate) fn count(&self) -> usize {
        self.ends.len()
    }

    /// Line `number`, counted from 1, with its newline.
    pub(crate) fn line(&self, number: usize) -> &[u8] {
        let end = self.ends.get(number - 1).copied().unwrap_or_default();
        self.bytes.get(self.start(number)..end).unwrap_or_default()
    }

    /// Lines `first` to `last`, both included.
    pub(crate) fn lines(&self, first: usize, last: usize) -> &[u8] {
        let end = match last {
            0 => 0,
            last => self.ends.get(last - 1).copied().unwrap_or_default(),
        };
        self.bytes.get(self.start(first)..end).unwrap_or_default()
    }

    fn start(&self, number: usize) -> usize {
        match number {
            0 | 1 => 0,
            number => self.ends.get(number - 2).copied().unwrap_or_default(),
        }
    }

    /// Bytes a line.
    pub(crate) fn line_bytes_mean(&self) -> f64 {
        self.bytes.len() as f64 / self.count().max(1) as f64
    }

    /// The identity of the lines.
    pub(crate) fn xxh128(&self) -> String {
        format!("{:032x}", xxhash_rust::xxh3::xxh3_128(&self.bytes))
    }

    /// What is to come of the lines.
    pub(crate) fn expectation(&self, fidelity: Fidelity) -> &Expectation {
        match fidelity {
            Fidelity::Full => &self.full,
            Fidelity::Raw => &self.raw,
        }
    }
}
