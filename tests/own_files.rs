//! The files that VES itself writes: sinks that are no files, that others move, delete or write
//! to, and output that would come back as input.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "util/kit.rs"]
mod util;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::Duration;

use util::{Bench, Ves, Writer, assert_each_once, becomes_so, line, wait_until};

/// `ves collect` in the folder of the bench, with its standard output appended to `stdout`.
fn collect_into(bench: &Bench, stdout: &str, args: &[&str]) -> Ves {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ves"));
    command
        .arg("collect")
        .args(args)
        .current_dir(bench.path(""));
    Ves::start_into(command, &bench.path(stdout), &bench.path("stderr"))
}

/// A FIFO was opened before it was looked at: VES hung in that until somebody read the FIFO, and
/// did not hear SIGTERM.
#[test]
fn a_fifo_as_sink_is_refused_at_once() {
    let bench = Bench::new();
    let fifo = bench.path("fifo");
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    let mut ves = collect_into(
        &bench,
        "stdout",
        &["--watch", "logs/*.log", "--no-state", "--ship", "file:fifo"],
    );
    assert!(
        becomes_so(Duration::from_secs(20), || !ves.is_running()),
        "it waits for a reader"
    );
    assert_eq!(ves.wait().code(), Some(2));
    assert!(
        bench.stderr().contains("not a regular file"),
        "{}",
        bench.stderr()
    );
}

/// Standard output went to a file that the pattern means: each record was read as a line again,
/// wrapped into a record, and so on, a gigabyte in three seconds.
#[test]
fn output_that_goes_to_a_watched_file_is_not_collected() {
    let bench = Bench::new();
    fs::write(bench.path("logs/a.log"), line(1)).unwrap();
    let ves = collect_into(
        &bench,
        "logs/out.log",
        &["--watch", "logs/*", "--no-state", "--format", "raw"],
    );
    wait_until("the record", || {
        fs::read(bench.path("logs/out.log")).is_ok_and(|out| !out.is_empty())
    });
    fs::write(bench.path("logs/b.log"), line(2)).unwrap();
    let out = || util::records(&fs::read(bench.path("logs/out.log")).unwrap());
    wait_until("the second record", || out().len() >= 2);
    assert!(ves.terminate().success());
    assert_eq!(out().len(), 2);
    let said = bench.stderr().matches("VES itself").count();
    assert_eq!(said, 1, "{}", bench.stderr());
}

/// The checkpoint in a watched folder is a new file each second: each was collected, acknowledged
/// and so written again, for ever.
#[test]
fn a_state_folder_below_the_pattern_is_not_collected() {
    let bench = Bench::new();
    fs::write(bench.path("logs/a.log"), line(1)).unwrap();
    let state = bench.path("logs/state");
    let args = ["--watch", "logs/**", "--state-dir", "logs/state"];
    let ship = ["--ship", "file:out.ndjson"];
    let ves = collect_into(&bench, "stdout", &[args.as_slice(), &ship].concat());
    wait_until("the record", || bench.records().len() == 1);
    let written = || fs::metadata(state.join("checkpoint.json")).map(|file| file.modified().ok());
    let first = written().unwrap();
    fs::write(bench.path("logs/b.log"), line(2)).unwrap();
    wait_until("the second record", || bench.records().len() >= 2);
    wait_until("another checkpoint", || {
        written().is_ok_and(|now| now != first)
    });
    fs::write(bench.path("logs/c.log"), line(3)).unwrap();
    wait_until("the third record", || bench.records().len() >= 3);
    assert!(ves.terminate().success());
    assert_each_once(&bench.numbers(), 3);
    assert!(bench.stderr().contains("is what VES itself writes"));
}

/// A sink file that was deleted or renamed went on being written, and its records acknowledged:
/// they were gone with it.
#[test]
fn a_sink_file_that_is_rotated_away_is_made_anew() {
    let bench = Bench::new();
    let mut writer = Writer::new(bench.path("logs/a.log"));
    let ves = bench.collect("a.log", &[]);
    writer.write(10);
    wait_until("the first records", || bench.records().len() == 10);
    fs::rename(bench.out(), bench.path("out.ndjson.1")).unwrap();
    wait_until("a new sink file", || {
        writer.write(1);
        bench.out().exists()
    });
    wait_until("a checkpoint of all that is in the new file", || {
        let checkpoint = fs::read(bench.path("state/checkpoint.json")).unwrap();
        let checkpoint: serde_json::Value = serde_json::from_slice(&checkpoint).unwrap();
        let (sink, file) = (&checkpoint["sink"], fs::metadata(bench.out()).unwrap());
        sink["ino"] == file.ino() && sink["length"] == file.len()
    });
    ves.kill();
    writer.write(10);
    let ves = bench.collect("a.log", &[]);
    let numbers = || {
        let old = fs::read(bench.path("out.ndjson.1")).unwrap();
        let old = util::records(&old);
        let new = bench.records();
        old.iter().chain(&new).map(util::number).collect::<Vec<_>>()
    };
    wait_until("all records", || numbers().len() as u64 >= writer.written);
    assert!(ves.terminate().success());
    assert_each_once(&numbers(), writer.written);
    let said = bench.stderr().matches("moved away or deleted").count();
    assert_eq!(said, 1, "{}", bench.stderr());
}

/// Two jobs with one sink file: a restart of one cut off what the other had written.
#[test]
fn a_second_job_on_a_sink_file_is_refused() {
    let bench = Bench::new();
    let mut writer = Writer::new(bench.path("logs/a.log"));
    writer.write(1);
    let ves = bench.collect("a.log", &[]);
    wait_until("the record", || bench.records().len() == 1);
    let mut second = collect_into(
        &bench,
        "stdout",
        &[
            "--watch",
            "logs/b.log",
            "--no-state",
            "--ship",
            "file:out.ndjson",
        ],
    );
    assert!(
        becomes_so(Duration::from_secs(20), || !second.is_running()),
        "it shares the file"
    );
    assert_eq!(second.wait().code(), Some(2));
    assert!(bench.stderr().contains("the sink file is in use by"));
    ves.kill();
    writer.write(1);
    let ves = bench.collect("a.log", &[]);
    wait_until("the second record", || bench.records().len() == 2);
    assert!(ves.terminate().success());
}
