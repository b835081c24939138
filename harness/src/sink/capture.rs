//! The bytes that came, and when each stretch of them did.

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

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Appending leaves a valid capture at every step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps whole records that came just now. A last newline that is missing is added.
    pub(crate) fn append(&self, records: &[u8]) {
        let at_ns = monotonic_ns();
        let newlines = memchr::memchr_iter(b'\n', records).count() as u64;
        let mut inner = self.lock();
        inner.newlines += newlines;
        inner.capture.bytes.extend_from_slice(records);
        if records.last().is_some_and(|&byte| byte != b'\n') {
            inner.capture.bytes.push(b'\n');
            inner.newlines += 1;
        }
        let until = inner.capture.bytes.len() as u64;
        inner.capture.stamps.push((until, at_ns));
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
        self.lock().capture.stamps.last().map_or(0, |&(end, _)| end)
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
