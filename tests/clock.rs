//! The clock of the wall is set: nothing is lost or repeated.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "util/faults.rs"]
#[allow(dead_code, reason = "each test file uses a part of it")]
mod faults;
#[path = "util/kit.rs"]
mod util;

use std::fs;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use faults::Faults;
use rustix::process::Signal;
use util::{Bench, Ves, Writer, assert_each_once, wait_until};

fn collect(bench: &Bench, faults: &Faults) -> Ves {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ves"));
    command
        .arg("collect")
        .arg("--watch")
        .arg(bench.path("logs/a.log"));
    command
        .arg("--ship")
        .arg(format!("file:{}", bench.out().display()));
    command.arg("--state-dir").arg(bench.path("state"));
    faults.add_to(&mut command);
    Ves::start_command(command, &bench.path("stderr"))
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap().as_secs().cast_signed()
}

/// When the checkpoint was written, by the clock of its writer.
fn alive_at(bench: &Bench) -> i64 {
    let text = fs::read(bench.path("state/checkpoint.json")).unwrap();
    let checkpoint: serde_json::Value = serde_json::from_slice(&text).unwrap();
    checkpoint["alive_at"]["secs_since_epoch"].as_i64().unwrap()
}

#[test]
fn days_ahead_and_back_at_work_and_between_two_runs() {
    let bench = Bench::new();
    let faults = Faults::new(&bench);
    let mut writer = Writer::new(bench.path("logs/a.log"));
    let mut ves = collect(&bench, &faults);
    for (ahead, then) in [(86_400, -86_400), (0, 900), (-900, -900_000_000)] {
        writer.write(100);
        wait_until("what was written", || {
            bench.records().len() as u64 >= writer.written
        });
        faults.set(&[&format!("clock {ahead} -")]);
        writer.shift();
        writer.write(100);
        wait_until("what was written", || {
            bench.records().len() as u64 >= writer.written
        });
        wait_until("a checkpoint of that time", || {
            (alive_at(&bench) - now() - ahead).abs() < 1000
        });
        ves.kill();
        faults.set(&[&format!("clock {then} -")]);
        writer.write(100);
        ves = collect(&bench, &faults);
        // In the old file, and what comes from now on.
        wait_until("what was written", || {
            bench.records().len() as u64 >= writer.written
        });
    }
    writer.copy_and_truncate(&bench.path("logs/a.log.0"));
    writer.write(10);
    wait_until("what was written", || {
        bench.records().len() as u64 >= writer.written
    });
    assert!(ves.terminate().success());
    assert_each_once(&bench.numbers(), writer.written);
    let said = bench.stderr().matches("the clock was set back by").count();
    assert_eq!(said, 2, "{}", bench.stderr());
}

/// Files that were rotated away long ago seemed to be new, and were shipped again.
#[test]
fn old_files_are_not_taken_for_new_ones_after_the_clock_was_set_back() {
    let bench = Bench::new();
    let faults = Faults::new(&bench);
    fs::write(bench.path("logs/a.log.9"), util::line(999_999)).unwrap();
    // To the process that file is an hour old.
    faults.set(&["clock 3600 -"]);
    let mut writer = Writer::new(bench.path("logs/a.log"));
    writer.write(1);
    let ves = collect(&bench, &faults);
    wait_until("the first record", || bench.records().len() == 1);
    faults.set(&["clock -3600 -"]);
    // A file comes and is rotated away before anybody sees it.
    ves.suspend();
    for _ in 0..3 {
        writer.shift();
        writer.write(1);
    }
    ves.signal(Signal::CONT);
    wait_until("the others", || bench.records().len() >= 4);
    writer.write(1);
    wait_until("one more", || bench.numbers().contains(&5));
    assert!(ves.terminate().success());
    assert_each_once(&bench.numbers(), 5);
}
