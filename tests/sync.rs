//! `--sync`: what a file sink has on the disk, and a last record that is not whole.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "util/faults.rs"]
#[allow(dead_code, reason = "each test file uses a part of it")]
mod faults;
#[path = "util/kit.rs"]
mod util;

use std::fs;
use std::process::Command;

use faults::Faults;
use serde_json::Value;
use util::{Bench, Ves, Writer, assert_each_once, wait_until};

fn collect(bench: &Bench, faults: &Faults, more: &[&str]) -> Ves {
    // SIGHUP is ignored where somebody runs the tests under nohup.
    let mut command = Command::new("env");
    command.args(["--default-signal=HUP", env!("CARGO_BIN_EXE_ves"), "collect"]);
    command.arg("--watch").arg(bench.path("logs/*.log"));
    command
        .arg("--ship")
        .arg(format!("file:{}", bench.out().display()));
    command.args(more);
    faults.add_to(&mut command);
    Ves::start_command(command, &bench.path("stderr"))
}

fn state(bench: &Bench) -> String {
    format!("--state-dir={}", bench.path("state").display())
}

fn checkpoint(bench: &Bench) -> Value {
    let text = fs::read(bench.path("state/checkpoint.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// Writes in several seconds, so that there are several checkpoints. Returns the syncs.
fn syncs(sync: &str) -> (Bench, Vec<(String, String, u64)>) {
    let bench = Bench::new();
    let faults = Faults::new(&bench);
    let mut writer = Writer::new(bench.path("logs/a.log"));
    let ves = collect(&bench, &faults, &[&state(&bench), "--sync", sync]);
    for _ in 0..30 {
        writer.write(100);
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    wait_until("all records", || {
        bench.records().len() as u64 == writer.written
    });
    assert!(ves.terminate().success());
    assert_each_once(&bench.numbers(), writer.written);
    let syncs = faults.syncs();
    (bench, syncs)
}

fn is_of_sink(sync: &(String, String, u64)) -> bool {
    sync.0 == "fdatasync" && sync.1.ends_with("/out.ndjson")
}

fn is_of_checkpoint(sync: &(String, String, u64)) -> bool {
    sync.1.ends_with("/checkpoint.json.new")
}

#[test]
fn interval_flushes_the_sink_before_each_checkpoint_that_claims_something_of_it() {
    let (bench, syncs) = syncs("interval");
    let checkpoints = syncs.iter().filter(|sync| is_of_checkpoint(sync)).count();
    let flushes = syncs.iter().filter(|sync| is_of_sink(sync)).count();
    assert!(checkpoints >= 3 && flushes <= checkpoints, "{syncs:?}");
    // Each checkpoint comes right after a flush of the sink.
    let mut flushed = None;
    for sync in &syncs {
        if is_of_sink(sync) {
            flushed = Some(sync.2);
        } else if is_of_checkpoint(sync) {
            assert!(flushed.take().is_some(), "{syncs:?}");
        }
    }
    let last = syncs.iter().rfind(|sync| is_of_sink(sync)).unwrap();
    assert_eq!(checkpoint(&bench)["sink"]["length"], last.2);
}

#[test]
fn batch_flushes_the_sink_after_each_batch_and_none_never() {
    let (bench, of_batch) = syncs("batch");
    let flushed: Vec<u64> = of_batch
        .iter()
        .filter(|sync| is_of_sink(sync))
        .map(|sync| sync.2)
        .collect();
    assert!(flushed.len() >= 30 && flushed.is_sorted(), "{flushed:?}");
    assert_eq!(
        checkpoint(&bench)["sink"]["length"],
        *flushed.last().unwrap()
    );
    let (_, of_none) = syncs("none");
    assert!(!of_none.iter().any(is_of_sink) && of_none.iter().any(is_of_checkpoint));
}

#[test]
fn a_batch_that_cannot_be_flushed_is_written_again() {
    let bench = Bench::new();
    let faults = Faults::new(&bench);
    let mut writer = Writer::new(bench.path("logs/a.log"));
    let ves = collect(&bench, &faults, &[&state(&bench), "--sync", "batch"]);
    writer.write(10);
    wait_until("the first records", || bench.records().len() == 10);
    faults.set(&["sync 5 out.ndjson"]);
    writer.write(10);
    wait_until("a word of it", || bench.stderr().contains("os error 5"));
    faults.set(&[]);
    wait_until("the end of it", || bench.stderr().contains("work again"));
    writer.write(10);
    wait_until("all records", || {
        bench.records().len() as u64 >= writer.written
    });
    assert!(ves.terminate().success());
    assert_each_once(&bench.numbers(), writer.written);
}

/// The system may throw away what it could not write, and says so once.
#[test]
fn after_a_flush_that_failed_the_checkpoint_stands_still_until_all_since_is_shipped_again() {
    for is_hung_up in [true, false] {
        let bench = Bench::new();
        let faults = Faults::new(&bench);
        let mut writer = Writer::new(bench.path("logs/a.log"));
        let mut ves = collect(&bench, &faults, &[&state(&bench), "--sync", "interval"]);
        writer.write(10);
        let length = || checkpoint(&bench)["sink"]["length"].as_u64();
        wait_until("a checkpoint", || {
            bench.path("state/checkpoint.json").exists()
                && length() == fs::metadata(bench.out()).ok().map(|file| file.len())
                && length() > Some(0)
        });
        let before = length();
        faults.set(&["sync 5 out.ndjson"]);
        writer.write(10);
        wait_until("a word of it", || {
            bench.stderr().contains("cannot be flushed to the disk")
        });
        writer.write(10);
        std::thread::sleep(std::time::Duration::from_millis(2500));
        assert_eq!(bench.records().len(), 30, "it goes on");
        assert_eq!(length(), before, "the checkpoint claims what may be lost");
        if is_hung_up {
            faults.set(&[]);
            ves.hang_up();
        } else {
            // After a pause, and when the sink can be had again.
            faults.set(&["open 5 out.ndjson"]);
            wait_until("a try", || bench.stderr().contains("open the sink file"));
            assert!(ves.is_running());
            faults.set(&[]);
        }
        wait_until("the checkpoint", || {
            length() > before && bench.records().len() == 30
        });
        writer.write(10);
        wait_until("the rest", || bench.records().len() == 40);
        assert!(ves.terminate().success());
        assert_each_once(&bench.numbers(), writer.written);
        let said = bench.stderr().matches("cannot be flushed").count();
        assert_eq!(said, 1, "{}", bench.stderr());
    }
}

/// Without a checkpoint the next record was glued to the half of one that a kill had left.
#[test]
fn a_record_that_is_not_whole_is_cut_off_before_others_are_written() {
    let bench = Bench::new();
    let faults = Faults::new(&bench);
    let whole = "{\"path\":\"/item?n=0\"}\n";
    fs::write(bench.out(), format!("{whole}{{\"remote_addr\":\"10.0")).unwrap();
    let mut writer = Writer::new(bench.path("logs/a.log"));
    writer.write(5);
    let mut ves = collect(&bench, &faults, &["--no-state", "--once"]);
    assert!(ves.wait().success());
    let text = fs::read_to_string(bench.out()).unwrap();
    let rest = text.strip_prefix(whole).unwrap();
    let numbers: Vec<u64> = util::records(rest.as_bytes())
        .iter()
        .map(util::number)
        .collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    assert!(
        bench.stderr().contains("not whole: cut off"),
        "{}",
        bench.stderr()
    );
}
