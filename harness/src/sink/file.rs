//! A file that a collector writes. Its size is looked at often, which costs next to nothing; its
//! bytes are read when the run is over.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};

use super::capture::Recorder;
use crate::clock::{self, monotonic_ns};

/// What is read at once to count records.
const COUNT_BYTES: usize = 256 << 10;

/// A thread that looks at the size of the file.
#[derive(Debug)]
pub(super) struct Watcher {
    path: PathBuf,
    recorder: Recorder,
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
    counted: Mutex<Counted>,
}

/// How far the records have been counted.
#[derive(Debug, Default)]
struct Counted {
    bytes: u64,
    newlines: u64,
}

impl Watcher {
    pub(super) fn start(path: PathBuf, recorder: Recorder, interval: Duration) -> Result<Watcher> {
        let is_over = Arc::new(AtomicBool::new(false));
        let (watched, over, sizes) = (path.clone(), is_over.clone(), recorder.clone());
        let builder = std::thread::Builder::new().name("sink-file".to_owned());
        let thread = builder
            .spawn(move || watch(&watched, &sizes, &over, interval))
            .context("start a thread")?;
        Ok(Watcher {
            path,
            recorder,
            is_over,
            thread,
            counted: Mutex::default(),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Counts the records that are in the file now, from where it left off.
    pub(super) fn records(&self) -> u64 {
        // A count that was left half way is still one.
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(file) = File::open(&self.path) else {
            return 0;
        };
        let mut buffer = vec![0; COUNT_BYTES];
        while let Ok(count @ 1..) = file.read_at(&mut buffer, counted.bytes) {
            counted.bytes += count as u64;
            let bytes = buffer.get(..count).unwrap_or_default();
            counted.newlines += memchr::memchr_iter(b'\n', bytes).count() as u64;
        }
        counted.newlines
    }

    /// What is in the file now.
    pub(super) fn bytes(&self) -> Result<Vec<u8>> {
        read(&self.path)
    }

    pub(super) fn close(self) -> Result<()> {
        self.is_over.store(true, Ordering::Release);
        let (path, recorder) = (self.path, self.recorder);
        if let Err(panic) = self.thread.join() {
            std::panic::resume_unwind(panic);
        }
        let bytes = read(&path)?;
        if !bytes.is_empty() {
            recorder.note_size(bytes.len() as u64, monotonic_ns());
            recorder.fill(bytes);
        }
        Ok(())
    }
}

/// The bytes of a file; none where there is none.
fn read(path: &Path) -> Result<Vec<u8>> {
    match std::fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        read => read.with_context(|| format!("read {}", path.display())),
    }
}

fn watch(path: &Path, recorder: &Recorder, is_over: &AtomicBool, interval: Duration) {
    clock::sharpen_sleep();
    let mut file = None;
    let mut before = 0;
    while !is_over.load(Ordering::Acquire) {
        if file.is_none() {
            file = File::open(path).ok();
        }
        let size = file
            .as_ref()
            .and_then(|file: &File| file.metadata().ok())
            .map_or(0, |metadata| metadata.len());
        if size != before {
            recorder.note_size(size, monotonic_ns());
            before = size;
        }
        std::thread::sleep(interval);
    }
}
