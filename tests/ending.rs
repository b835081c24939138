//! Ends that are none: what was not read by then is said, or still shipped.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "util/kit.rs"]
mod util;

use std::fs::{self, File};
use std::io::Write;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use util::{Bench, wait_until};

/// `ves collect` into the sink file of the bench, in its folder.
fn collect(bench: &Bench, stdin: impl Into<Stdio>, args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_ves"))
        .args(["collect", "--ship", "file:out.ndjson", "--no-state"])
        .args(["--format", "raw"])
        .args(args)
        .current_dir(bench.path(""))
        .stdin(stdin)
        .stderr(util::append(&bench.path("stderr")))
        .spawn()
        .unwrap()
}

fn messages(bench: &Bench) -> Vec<String> {
    let message = |record: &serde_json::Value| record["message"].as_str().unwrap().to_owned();
    bench.records().iter().map(message).collect()
}

/// SIGTERM came while a line on standard input had no newline yet: the line was dropped without a
/// word.
#[test]
fn an_unfinished_line_of_standard_input_is_shipped_at_sigterm() {
    let bench = Bench::new();
    let mut ves = collect(&bench, Stdio::piped(), &["--watch", "-"]);
    let mut stdin = ves.stdin.take().unwrap();
    stdin.write_all(b"one\ntwo-unfinished").unwrap();
    wait_until("the first line", || messages(&bench) == ["one"]);
    kill_process(Pid::from_child(&ves), Signal::TERM).unwrap();
    assert!(ves.wait().unwrap().success());
    assert_eq!(messages(&bench), ["one", "two-unfinished"]);
    assert_eq!(bench.records()[1]["partial"], true);
}

/// An error on standard input was reported and the exit code was 0.
#[test]
fn standard_input_that_cannot_be_read_is_a_failure() {
    let bench = Bench::new();
    let folder = File::open(bench.path("logs")).unwrap();
    let mut ves = collect(&bench, folder, &["--watch", "-"]);
    assert_eq!(ves.wait().unwrap().code(), Some(1));
    let said = "not everything was read: standard input";
    assert!(bench.stderr().contains(said), "{}", bench.stderr());
}

/// `--once` with a file that it may not open, or cannot look at, ended with 0.
#[test]
fn once_fails_when_a_file_cannot_be_read() {
    let bench = Bench::new();
    fs::write(bench.path("logs/a.log"), "one\n").unwrap();
    std::os::unix::fs::symlink("loop.log", bench.path("logs/loop.log")).unwrap();
    let mut ves = collect(&bench, Stdio::null(), &["--watch", "logs/*.log", "--once"]);
    assert_eq!(ves.wait().unwrap().code(), Some(1));
    assert_eq!(messages(&bench), ["one"]);
    let said = "not everything was read";
    let stderr = bench.stderr();
    assert!(
        stderr.contains(said) && stderr.contains("loop.log could not be read"),
        "{stderr}"
    );
}

/// SIGTERM during `--once` ended it with 0, whatever was left.
#[test]
fn once_fails_when_it_is_ended_before_everything_is_read() {
    let bench = Bench::new();
    let mut ves = collect(&bench, Stdio::piped(), &["--watch", "-", "--once"]);
    let mut stdin = ves.stdin.take().unwrap();
    stdin.write_all(b"one\n").unwrap();
    wait_until("the first line", || messages(&bench) == ["one"]);
    kill_process(Pid::from_child(&ves), Signal::TERM).unwrap();
    assert_eq!(ves.wait().unwrap().code(), Some(1));

    // Read faster than a signal comes, unless it is a lot: a sparse file is one line of zeros.
    let big = File::create(bench.path("logs/big.log")).unwrap();
    big.set_len(4 << 40).unwrap();
    let mut ves = collect(&bench, Stdio::null(), &["--watch", "logs/*.log", "--once"]);
    wait_until("the cut line", || messages(&bench).len() == 2);
    kill_process(Pid::from_child(&ves), Signal::TERM).unwrap();
    assert_eq!(ves.wait().unwrap().code(), Some(1));
    let said = " bytes of 1 files are left";
    assert!(bench.stderr().contains(said), "{}", bench.stderr());
}
