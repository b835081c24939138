//! Standard input as a source: a stream without identity, offsets to return to, or a checkpoint.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use rustix::stdio::stdin;

use super::chunk::{BytesPool, Chunk, ChunkBytes, Source};
use super::identity::{Fingerprint, Trail};
use super::window::{Cut, cut};
use super::{CHUNK_BYTES, LineState};
use crate::enrich::Extent;
use crate::parse::{self, Detected};
use crate::transform::Plan;

/// Buffers that are kept for use again.
const BUFFERS_KEPT: usize = 4;

/// A quarter of what a pipe holds by default.
const FLOWING_BYTES: usize = 16 << 10;

/// First bytes that are kept to decide on the format again.
const SAMPLE_BYTES_MAX: usize = 64 << 10;

/// Reads standard input into buffers, a chunk each.
#[derive(Debug)]
pub(crate) struct Stdin {
    source: Arc<Source>,
    plan: Option<Arc<Plan>>,
    /// Its first bytes, which decide on the format.
    sample: Vec<u8>,
    /// Bytes after the last chunk: an unfinished line, or more where `is_cut_again`.
    rest: Vec<u8>,
    is_cut_again: bool,
    offset: u64,
    line: LineState,
    has_ended: bool,
    has_failed: bool,
    skipped_bytes: u64,
    last_read_bytes: usize,
    line_bytes_max: usize,
    pool: BytesPool,
}

impl Stdin {
    /// Standard input as `source`.
    pub(crate) fn new(source: Source, line_bytes_max: usize) -> Stdin {
        Stdin {
            source: Arc::new(source),
            plan: None,
            sample: Vec::new(),
            rest: Vec::new(),
            is_cut_again: false,
            offset: 0,
            line: LineState::Start,
            has_ended: false,
            has_failed: false,
            skipped_bytes: 0,
            last_read_bytes: 0,
            line_bytes_max,
            pool: BytesPool::new(BUFFERS_KEPT),
        }
    }

    /// The same stream in another pipeline, with what was read of it and is no whole line yet.
    pub(crate) fn go_on(self, source: Source, line_bytes_max: usize) -> Stdin {
        Stdin {
            source: Arc::new(source),
            plan: None,
            // A lower limit may cut what is there already.
            is_cut_again: self.is_cut_again || !self.rest.is_empty(),
            line_bytes_max,
            ..self
        }
    }

    /// Whether bytes were read that are not handed out yet.
    pub(crate) fn has_rest(&self) -> bool {
        !self.rest.is_empty()
    }

    /// Whether everything was read and handed out.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended && self.rest.is_empty()
    }

    /// Takes what was read by now for all of it.
    pub(crate) fn end(&mut self) {
        self.has_ended = true;
    }

    /// Whether it ended with an error.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Bytes of cut lines that were skipped since the last call.
    pub(crate) fn take_skipped_bytes(&mut self) -> u64 {
        std::mem::take(&mut self.skipped_bytes)
    }

    /// Whether the last read brought so much that the writer is likely to wait for the next one.
    pub(crate) fn is_flowing(&self) -> bool {
        !self.has_ended && self.last_read_bytes >= FLOWING_BYTES
    }

    /// Whether a chunk can be had without a read.
    pub(crate) fn has_more(&self) -> bool {
        self.is_cut_again || (self.has_ended && !self.rest.is_empty())
    }

    /// Reads once, unless there is enough from before, and cuts a chunk; `None` where no line is
    /// complete yet. Blocks when nothing is there to read.
    ///
    /// # Errors
    /// What the system says; the input counts as ended then.
    pub(crate) fn next_chunk(
        &mut self,
        plan_for: impl FnOnce(&[u8]) -> Arc<Plan>,
    ) -> io::Result<Option<Chunk>> {
        if !self.is_cut_again && !self.has_ended {
            self.read()?;
        }
        self.is_cut_again = false;
        let (bytes, extent, then) =
            match cut(&self.rest, usize::MAX, self.line, self.line_bytes_max) {
                Cut::Lines { bytes } => (bytes, Extent::Whole, LineState::Start),
                Cut::Line {
                    bytes,
                    extent,
                    then,
                } => (bytes, extent, then),
                Cut::Unfinished if self.has_ended && !self.rest.is_empty() => {
                    (self.rest.len(), Extent::Partial, LineState::Continued)
                }
                Cut::Unfinished => return Ok(None),
                Cut::Skip { bytes, then } => {
                    self.rest.drain(..bytes);
                    self.offset += bytes as u64;
                    self.skipped_bytes += bytes as u64;
                    self.line = then;
                    self.is_cut_again = !self.rest.is_empty();
                    return Ok(None);
                }
            };
        let mut buffer = self.pool.take();
        buffer.clear();
        buffer.extend_from_slice(self.rest.get(bytes..).unwrap_or_default());
        std::mem::swap(&mut buffer, &mut self.rest);
        buffer.truncate(bytes);
        if self.sample.is_empty() {
            let sample = buffer.get(..SAMPLE_BYTES_MAX).unwrap_or(&buffer);
            self.sample = sample.to_vec();
        }
        let sample = &self.sample;
        let plan = self.plan.get_or_insert_with(|| plan_for(sample)).clone();
        let chunk = Chunk {
            source: self.source.clone(),
            plan,
            bytes: ChunkBytes::Owned(self.pool.own(buffer)),
            offset: self.offset,
            extent,
            line_before: self.line,
            line_after: then,
            trail: Trail::default(),
            fingerprint: Fingerprint::default(),
        };
        self.offset += bytes as u64;
        self.line = then;
        self.is_cut_again = extent != Extent::Whole && !self.rest.is_empty();
        Ok(Some(chunk))
    }

    fn read(&mut self) -> io::Result<()> {
        let wanted = usize::try_from(CHUNK_BYTES).map_err(io::Error::other)?;
        let start = self.rest.len();
        self.rest.resize(start + wanted, 0);
        let result = loop {
            match rustix::io::read(stdin(), self.rest.get_mut(start..).unwrap_or_default()) {
                Err(rustix::io::Errno::INTR) => {}
                result => break result.map_err(io::Error::from),
            }
        };
        let count = *result.as_ref().unwrap_or(&0);
        self.rest.truncate(start + count);
        self.last_read_bytes = count;
        match result {
            Ok(0) => self.has_ended = true,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => {
                (self.has_ended, self.has_failed) = (true, true);
                return Err(error);
            }
        }
        Ok(())
    }
}

/// The format of a stream that begins with `sample`, and whether it has enough lines to decide that
/// for good.
pub(crate) fn sample_format(sample: &[u8]) -> (Detected, bool) {
    parse::detect(sample).unwrap_or_else(|| {
        let with_newline = [sample, b"\n"].concat();
        let detected = parse::detect(&with_newline);
        (detected.map_or(Detected::Raw, |(format, _)| format), false)
    })
}
