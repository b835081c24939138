//! `ves-harness reftail`: the least that a program can do to forward the lines of one file. It is the
//! yardstick of the gate where there is no other build to compare with, it shows what the harness
//! itself can measure at most, and with a fault it proves that the harness sees the fault.
//!
//! Reads, puts each line into `{"message":"..."}` and sends what a read gave as one batch. No
//! rotation, no checkpoint, no filter, no retries, one thread. Frozen: a change that could make it
//! faster or slower needs a new [`REFERENCE_VERSION`] and a new `reports/baseline.toml`.

mod destination;
mod fault;

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::cli::ReftailArgs;
pub(crate) use destination::Destination;
pub(crate) use fault::Fault;

/// Which program this is; figures of different versions are not compared.
pub(crate) const REFERENCE_VERSION: &str = "1";

const READ_BYTES: usize = 1 << 20;
const POLL_INTERVAL: Duration = Duration::from_micros(200);
const STALL_AFTER: Duration = Duration::from_secs(2);
/// The line that `swap` puts behind the next one.
const SWAPPED_LINE: u64 = 100;

/// Runs the subcommand until the file has ended (`--once`) or a signal came; then what was written
/// until that moment is forwarded.
pub(crate) fn run(args: &ReftailArgs) -> Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register(signal, stop.clone()).context("catch signals")?;
    }
    let began = Instant::now();
    let mut sink = args.ship.open()?;
    let Some(mut file) = open(args, &stop)? else {
        return Ok(());
    };
    let mut encoder = Encoder::new(args.fault);
    let (mut input, mut kept) = (vec![0; READ_BYTES], 0);
    let mut stall = args.fault.and_then(Fault::stall);
    let mut duplicate = args.fault == Some(Fault::DuplicateBatch);
    loop {
        // Looked at before the read: what is there when the signal comes is forwarded.
        let is_last_look = args.once || stop.load(Ordering::Relaxed);
        if stall.is_some() && began.elapsed() >= STALL_AFTER {
            std::thread::sleep(stall.take().unwrap_or_default());
        }
        if kept == input.len() {
            input.resize(2 * kept, 0);
        }
        let read = match file.read(&mut input[kept..]) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read.with_context(|| format!("read {}", args.watch.display()))?,
        };
        let available = kept + read;
        let taken = encoder.encode(&input[..available]);
        input.copy_within(taken..available, 0);
        kept = available - taken;
        if read == 0 && is_last_look {
            encoder.finish(&input[..kept]);
        }
        if !encoder.out.is_empty() {
            for _ in 0..=u8::from(std::mem::take(&mut duplicate)) {
                sink.send(&encoder.out)?;
            }
            encoder.out.clear();
        }
        match read {
            0 if is_last_look => return Ok(()),
            0 => std::thread::sleep(POLL_INTERVAL),
            _ => {}
        }
    }
}

/// Opens the file, when it is there; nothing when a signal came first.
fn open(args: &ReftailArgs, stop: &AtomicBool) -> Result<Option<File>> {
    while !stop.load(Ordering::Relaxed) {
        match File::open(&args.watch) {
            Err(error) if error.kind() == ErrorKind::NotFound && !args.once => {
                std::thread::sleep(POLL_INTERVAL);
            }
            file => return Ok(Some(file.with_context(|| opening(&args.watch))?)),
        }
    }
    Ok(None)
}

fn opening(path: &std::path::Path) -> String {
    format!("open {}", path.display())
}

/// From lines to records.
#[derive(Debug)]
struct Encoder {
    fault: Option<Fault>,
    out: Vec<u8>,
    /// 1 for each byte that is a newline or that JSON escapes. Found for many bytes at a time, which
    /// the compiler makes vector code of.
    marks: Vec<u8>,
    line_count: u64,
    /// A record that comes after the next one.
    held: Vec<u8>,
}

const HEAD: &[u8] = b"{\"message\":\"";
const END: &[u8] = b"\"}\n";

impl Encoder {
    fn new(fault: Option<Fault>) -> Encoder {
        Encoder {
            fault,
            out: Vec::with_capacity(2 * READ_BYTES),
            marks: Vec::with_capacity(READ_BYTES),
            line_count: 0,
            held: Vec::new(),
        }
    }

    /// Appends the records of the whole lines of `input`. Returns how many bytes those are.
    fn encode(&mut self, input: &[u8]) -> usize {
        let mark = |byte: &u8| u8::from((*byte < 0x20) | (*byte == b'"') | (*byte == b'\\'));
        self.marks.clear();
        self.marks.extend(input.iter().map(mark));
        let (mut line_start, mut run_start) = (0, 0);
        let mut record_start = self.begin();
        let (mut group_start, marks) = (0, std::mem::take(&mut self.marks));
        for group in marks.chunks(8) {
            let mut bytes = [0; 8];
            bytes[..group.len()].copy_from_slice(group);
            let mut bits = u64::from_le_bytes(bytes);
            while bits != 0 {
                let index = group_start + bits.trailing_zeros() as usize / 8;
                bits &= bits - 1;
                self.out.extend_from_slice(&input[run_start..index]);
                run_start = index + 1;
                match input[index] {
                    b'\n' => {
                        self.end(record_start);
                        record_start = self.begin();
                        line_start = run_start;
                    }
                    byte @ (b'"' | b'\\') => self.out.extend_from_slice(&[b'\\', byte]),
                    byte => self
                        .out
                        .extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
                }
            }
            group_start += 8;
        }
        self.marks = marks;
        // The beginning of a line that goes on in the next read.
        self.out.truncate(record_start);
        line_start
    }

    /// Appends what has no newline and never gets one, and what was held back.
    fn finish(&mut self, rest: &[u8]) {
        if !rest.is_empty() {
            self.encode(&[rest, b"\n"].concat());
        }
        self.out.append(&mut self.held);
    }

    fn begin(&mut self) -> usize {
        let start = self.out.len();
        self.out.extend_from_slice(HEAD);
        start
    }

    fn end(&mut self, record_start: usize) {
        self.out.extend_from_slice(END);
        self.line_count += 1;
        match self.fault {
            Some(Fault::Drop { one_in }) if self.line_count.is_multiple_of(one_in) => {
                self.out.truncate(record_start);
            }
            Some(Fault::Swap) if self.line_count == SWAPPED_LINE => {
                self.held = self.out.split_off(record_start);
            }
            _ => self.out.append(&mut self.held),
        }
    }
}

/// Where batches go.
trait Sink {
    /// Hands over a batch of records.
    ///
    /// # Errors
    /// When the other side did not take it.
    fn send(&mut self, batch: &[u8]) -> io::Result<()>;
}

#[cfg(test)]
mod tests;
