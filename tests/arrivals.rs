//! Files that come while VES runs: opened as soon as their names are told, and told when they were gone
//! by then.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "util/faults.rs"]
#[allow(dead_code, reason = "each test file uses a part of it")]
mod faults;
#[path = "util/kit.rs"]
mod util;

use std::fs;
use std::io::Write;
use std::process::Command;

use faults::Faults;
use rustix::process::Signal;
use util::{Bench, Ves, append, line, wait_until};

const WATCH: [&str; 4] = ["collect", "--watch", "logs/*.log", "--no-state"];

fn collect(bench: &Bench, faults: &Faults) -> Ves {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ves"));
    command.args(WATCH).args(["--ship", "file:out.ndjson"]);
    command.current_dir(bench.path(""));
    faults.add_to(&mut command);
    Ves::start_command(command, &bench.path("stderr"))
}

/// Scans of a large folder take a tenth of the time at most, which was long after short-lived files were
/// gone. Here they find nothing at all.
#[test]
fn a_file_is_opened_by_its_name_and_not_by_the_next_scan() {
    let bench = Bench::new();
    let faults = Faults::new(&bench);
    fs::write(bench.path("logs/a.log"), line(1)).unwrap();
    let ves = collect(&bench, &faults);
    wait_until("the first file", || bench.numbers() == [1]);
    faults.set(&["random 1000 1 opendir /logs"]);
    fs::write(bench.path("logs/b.log"), line(2)).unwrap();
    wait_until("the second file", || bench.numbers() == [1, 2]);
    fs::write(bench.path("elsewhere"), line(3)).unwrap();
    fs::rename(bench.path("elsewhere"), bench.path("logs/c.log")).unwrap();
    wait_until("the third file", || bench.numbers() == [1, 2, 3]);
    assert!(ves.terminate().success());
}

/// Nothing told of it.
#[test]
fn a_file_that_came_and_went_unseen_is_told() {
    let bench = Bench::new();
    let log = |name: &str| bench.path(&format!("logs/{name}"));
    fs::write(log("seen.log"), line(1)).unwrap();
    let ves = bench.collect("*.log", &["--stats"]);
    wait_until("the first file", || bench.numbers() == [1]);
    ves.suspend();
    for name in ["deleted.log", "moved.log", "moved-out.log", "other.txt"] {
        fs::write(log(name), "").unwrap();
    }
    append(&log("moved.log"))
        .write_all(line(2).as_bytes())
        .unwrap();
    fs::rename(log("moved.log"), log("moved.log.1")).unwrap();
    fs::rename(log("moved-out.log"), bench.path("moved-out")).unwrap();
    fs::remove_file(log("deleted.log")).unwrap();
    fs::remove_file(log("other.txt")).unwrap();
    fs::remove_file(log("seen.log")).unwrap();
    std::os::unix::fs::symlink("nowhere", log("link.log")).unwrap();
    ves.signal(Signal::CONT);
    wait_until("the renamed file", || bench.numbers() == [1, 2]);
    let is_told = |name: &str| {
        let said = format!("/{name}: deleted or moved away before it could be opened");
        bench.stderr().contains(&said)
    };
    wait_until("a word of both", || {
        is_told("deleted.log") && is_told("moved-out.log")
    });
    assert!(ves.terminate().success());
    let said = bench.stderr();
    assert_eq!(
        said.matches("before it could be opened").count(),
        2,
        "{said}"
    );
    assert!(said.contains("gone, never opened"), "{said}");
}
