//! The bytes that came, and when each stretch of them did.

use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::monotonic_ns;

/// Everything that a sink got.
#[derive(Clone, Debug, Default)]
pub(crate) struct Capture {
    bytes: Vec<u8>,
    /// Up to which byte had come, and when; both grow.
    stamps: Vec<(u64, u64)>,
}

impl Capture {
    /// Each record without its newline, and when its last byte was there.
    pub(crate) fn records(&self) -> impl Iterator<Item = (&[u8], u64)> {
        let mut stamps = self.stamps.iter().peekable();
        let mut start = 0;
        let ends = memchr::memchr_iter(b'\n', &self.bytes);
        let has_rest = self.bytes.last().is_some_and(|&byte| byte != b'\n');
        let rest = has_rest.then_some(self.bytes.len());
        ends.chain(rest).map(move |end| {
            while stamps.next_if(|(until, _)| *until <= end as u64).is_some() {}
            let at_ns = stamps.peek().map_or_else(
                || self.stamps.last().map_or(0, |&(_, at_ns)| at_ns),
                |&&(_, at_ns)| at_ns,
            );
            let record = self.bytes.get(start..end).unwrap_or_default();
            start = end + 1;
            (record.strip_suffix(b"\r").unwrap_or(record), at_ns)
        })
    }

    /// Bytes whose times do not matter.
    pub(crate) fn whole(bytes: Vec<u8>) -> Capture {
        Capture {
            stamps: vec![(bytes.len() as u64, 1)],
            bytes,
        }
    }

    /// For tests: bytes that came at certain times.
    #[cfg(test)]
    pub(crate) fn of(parts: &[(&str, u64)]) -> Capture {
        let mut capture = Capture::default();
        for (text, at_ns) in parts {
            capture.bytes.extend_from_slice(text.as_bytes());
            capture.stamps.push((capture.bytes.len() as u64, *at_ns));
        }
        capture
    }
}

/// Takes what comes, from several threads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorder(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    capture: Capture,
    newlines: u64,
    /// Where records go that are not kept.
    passing: Option<Passing>,
}

/// Records that are counted and passed on, however many come.
#[derive(Debug)]
struct Passing {
    out: Option<File>,
    /// Why nothing more is taken.
    over: Option<io::Error>,
}

impl Recorder {
    /// One with memory for that many bytes, each page of it touched: a page that is touched for the
    /// first time costs more than what is copied into it.
    pub(crate) fn with_room(bytes: usize) -> Recorder {
        let mut room = vec![1; bytes];
        room.clear();
        let recorder = Recorder::default();
        recorder.lock().capture.bytes = room;
        recorder
    }

    /// One that keeps nothing: records are counted and, where there is an `out`, written to that.
    pub(crate) fn passing(out: Option<File>) -> Recorder {
        let recorder = Recorder::default();
        recorder.lock().passing = Some(Passing { out, over: None });
        recorder
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Appending leaves a valid capture at every step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes whole records that came just now. A last newline that is missing is added.
    ///
    /// # Errors
    /// Where they are passed on: when they cannot be written, now or before, and when that is over.
    pub(crate) fn append(&self, records: &[u8]) -> io::Result<()> {
        let at_ns = monotonic_ns();
        let newlines = memchr::memchr_iter(b'\n', records).count() as u64;
        let is_cut = records.last().is_some_and(|&byte| byte != b'\n');
        let newline: &[u8] = if is_cut { b"\n" } else { b"" };
        let mut inner = self.lock();
        let before = inner.end();
        let Inner {
            capture, passing, ..
        } = &mut *inner;
        if let Some(passing) = passing {
            passing.write(records)?;
            passing.write(newline)?;
            // The first stamp and the last one are enough.
            capture.stamps.truncate(1);
        } else {
            capture.bytes.extend_from_slice(records);
            capture.bytes.extend_from_slice(newline);
        }
        let until = before + (records.len() + newline.len()) as u64;
        capture.stamps.push((until, at_ns));
        inner.newlines += newlines + u64::from(is_cut);
        Ok(())
    }

    /// Takes nothing more. What was passed on until now is what was counted.
    ///
    /// # Errors
    /// What kept it from being written.
    pub(crate) fn end_passing(&self) -> io::Result<()> {
        let mut inner = self.lock();
        let Some(passing) = &mut inner.passing else {
            return Ok(());
        };
        let ended = io::Error::other("the sink has ended");
        passing.over.replace(ended).map_or(Ok(()), Err)
    }

    /// Whether nothing more can be passed on.
    pub(crate) fn is_broken(&self) -> bool {
        let inner = self.lock();
        let passing = inner.passing.as_ref();
        passing.is_some_and(|passing| passing.over.is_some())
    }

    /// Notes that there are this many bytes now, which are fetched later.
    pub(crate) fn note_size(&self, bytes: u64, at_ns: u64) {
        self.lock().capture.stamps.push((bytes, at_ns));
    }

    /// Puts in the bytes whose sizes were noted.
    pub(crate) fn fill(&self, bytes: Vec<u8>) {
        self.lock().capture.bytes = bytes;
    }

    /// How many bytes came.
    pub(crate) fn bytes(&self) -> u64 {
        self.lock().end()
    }

    /// How many newlines came, where they are counted.
    pub(crate) fn newlines(&self) -> u64 {
        self.lock().newlines
    }

    /// When the first and the last stretch came.
    pub(crate) fn first_and_last_ns(&self) -> Option<(u64, u64)> {
        let inner = self.lock();
        let first = inner.capture.stamps.iter().find(|(end, _)| *end > 0)?;
        let last = inner.capture.stamps.last()?;
        Some((first.1, last.1))
    }

    /// A copy of what came until now.
    pub(crate) fn copy(&self) -> Capture {
        self.lock().capture.clone()
    }

    /// Gives what came.
    pub(crate) fn take(&self) -> Capture {
        std::mem::take(&mut self.lock().capture)
    }
}

impl Inner {
    /// How many bytes came.
    fn end(&self) -> u64 {
        self.capture.stamps.last().map_or(0, |&(end, _)| end)
    }
}

impl Passing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(error) = &self.over {
            return Err(io::Error::new(error.kind(), error.to_string()));
        }
        let written = self.out.as_mut().map_or(Ok(()), |out| out.write_all(bytes));
        if let Err(error) = &written {
            self.over = Some(io::Error::new(error.kind(), error.to_string()));
        }
        written
    }
}
