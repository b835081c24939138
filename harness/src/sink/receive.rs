//! `ves-harness sink`: takes what any collector delivers, counts it, and writes it to a file where that
//! is asked. Nothing is kept in memory, so it may run for as long as one likes.

use std::fs::File;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::capture::Recorder;
use super::{http, tcp};
use crate::cli::SinkArgs;
use crate::figures::{grouped, short};
use crate::interrupt::Interrupt;

/// Time between two lines of figures.
const INTERVAL: Duration = Duration::from_secs(1);

/// Time between two looks for a signal.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Takes records until a signal comes.
///
/// # Errors
/// When the address or the file cannot be had, and when a record cannot be written.
pub(crate) fn run(args: &SinkArgs) -> Result<()> {
    let interrupt = Interrupt::catch()?;
    // A file is not emptied for an address that cannot be had.
    let address = args.address.tcp.or(args.address.http);
    let address = address.unwrap_or(super::LOOPBACK);
    let listener = super::listen(address)?;
    let out = args
        .out
        .as_ref()
        .map(|path| File::create(path).with_context(|| format!("create {}", path.display())));
    let recorder = Recorder::passing(out.transpose()?);
    // Neither is closed: a client that stays connected would hold that up for ever, and all threads
    // end with the process.
    let url = if args.address.tcp.is_some() {
        let server = tcp::Server::start(listener, &recorder)?;
        format!("tcp://{}", server.address())
    } else {
        let server = http::Server::start(listener, &recorder)?;
        format!("http://{}/", server.address())
    };
    eprintln!("taking records at {url} until Ctrl-C");
    let began = Instant::now();
    let mut progress = Progress::default();
    let mut due = began + INTERVAL;
    while !interrupt.is_set() && !recorder.is_broken() {
        std::thread::sleep(LOOK_INTERVAL);
        let now = Instant::now();
        if now >= due {
            let seconds = (now - due + INTERVAL).as_secs_f64();
            due = now + INTERVAL;
            progress.tell(&recorder, seconds);
        }
    }
    let ended = recorder.end_passing();
    println!("{}", totals(&recorder));
    let path = args.out.iter().map(|path| path.display().to_string());
    ended.with_context(|| format!("write {}", path.collect::<String>()))
}

/// What was told last.
#[derive(Debug, Default)]
struct Progress {
    records: u64,
    bytes: u64,
}

impl Progress {
    fn tell(&mut self, recorder: &Recorder, seconds: f64) {
        let (records, bytes) = (recorder.newlines(), recorder.bytes());
        let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        eprintln!(
            "{} records/s, {}B/s; {} records",
            short(rate(records, self.records)),
            spaced(&short(rate(bytes, self.bytes))),
            whole(records)
        );
        (self.records, self.bytes) = (records, bytes);
    }
}

/// All of it. No rate: what came with the first stretch took no time that anybody saw.
fn totals(recorder: &Recorder) -> String {
    let (records, bytes) = (recorder.newlines(), recorder.bytes());
    let all = format!("{} records, {} bytes", whole(records), whole(bytes));
    let Some((first_ns, last_ns)) = recorder.first_and_last_ns() else {
        return all;
    };
    let seconds = last_ns.saturating_sub(first_ns) as f64 / 1e9;
    format!("{all}, {seconds:.3} s from the first to the last")
}

fn whole(count: u64) -> String {
    grouped(i64::try_from(count).unwrap_or(i64::MAX))
}

/// `12 k`, `1.2 M` and `7 `, for a unit that follows.
fn spaced(short: &str) -> String {
    if short.contains(' ') {
        short.to_owned()
    } else {
        format!("{short} ")
    }
}
