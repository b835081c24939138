//! More files than may be open at the same time.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "util/kit.rs"]
mod util;

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use util::{Bench, Ves, assert_each_once, line, wait_until};

/// `ves collect` of `logs/*.log` that may have 64 descriptors, so that it keeps 32 files open.
fn collect(bench: &Bench, more: &str) -> Ves {
    let script = format!(
        "ulimit -n 64; exec {} collect --watch 'logs/*.log' --ship file:out.ndjson --no-state {more}",
        env!("CARGO_BIN_EXE_ves")
    );
    let mut command = Command::new("sh");
    command.args(["-c", &script]).current_dir(bench.path(""));
    Ves::start_command(command, &bench.path("stderr"))
}

fn log(bench: &Bench, number: u64) -> PathBuf {
    bench.path(&format!("logs/{number:03}.log"))
}

fn write_logs(bench: &Bench, count: u64) {
    for number in 1..=count {
        fs::write(log(bench, number), line(number)).unwrap();
    }
}

/// All files that did not fit were opened and stayed open until the next second: the rest could not
/// be opened then, were taken for deleted ones, and skipped with success.
#[test]
fn once_reads_more_files_than_there_are_descriptors() {
    let bench = Bench::new();
    write_logs(&bench, 500);
    assert!(collect(&bench, "--once").wait().success());
    assert_each_once(&bench.numbers(), 500);
}

/// A line that came into a closed file just before its end was lost without a word.
#[test]
fn what_is_lost_with_a_closed_file_is_said() {
    let bench = Bench::new();
    write_logs(&bench, 100);
    let ves = collect(&bench, "");
    wait_until("all records", || bench.records().len() == 100);
    let descriptors = PathBuf::from(format!("/proc/{}/fd", ves.pid()));
    // Besides its own few VES keeps the files that fit and closes the others.
    wait_until("most files to be closed", || {
        fs::read_dir(&descriptors).unwrap().count() < 50
    });
    for number in 1..=100 {
        let mut file = util::append(&log(&bench, number));
        file.write_all(line(100 + number).as_bytes()).unwrap();
        fs::remove_file(log(&bench, number)).unwrap();
    }
    let is_known = |number: u64| {
        let said = format!("{number:03}.log: deleted or moved away");
        bench.numbers().contains(&(100 + number)) || bench.stderr().contains(&said)
    };
    wait_until("a record or a word of each line", || {
        (1..=100).all(is_known)
    });
    assert!(ves.terminate().success());
}
