//! inotify at its limits: VES says so, names the sysctl, and reads all the same.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "util/kit.rs"]
mod util;

use std::fs;
use std::io::Write;
use std::process::Command;

use rustix::process::Signal;
use util::{Bench, Ves, Writer, assert_each_once, line, wait_until};

/// Starts VES in a user namespace of its own, which has limits of its own.
fn collect_limited(bench: &Bench, limit: &str, count: u32) -> Ves {
    let script = format!(
        "echo {count} > /proc/sys/user/{limit} && exec {} collect --watch 'logs/*.log' \
         --ship file:out.ndjson --no-state",
        env!("CARGO_BIN_EXE_ves")
    );
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "sh", "-c", &script]);
    command.current_dir(bench.path(""));
    Ves::start_command(command, &bench.path("stderr"))
}

fn reads_on_at_the_limit(limit: &str, count: u32, said: &str) {
    let mut probe = Command::new("unshare");
    probe.args(["--user", "--map-root-user", "test", "-w", "/proc/sys/user"]);
    if !probe.status().unwrap().success() {
        return util::say_skipped(limit, "user namespaces are not allowed here");
    }
    let bench = Bench::new();
    for number in 1..=20 {
        fs::write(bench.path(&format!("logs/{number}.log")), line(number)).unwrap();
    }
    let ves = collect_limited(&bench, limit, count);
    wait_until("the first records", || bench.records().len() == 20);
    for number in 1..=20 {
        let mut file = util::append(&bench.path(&format!("logs/{number}.log")));
        file.write_all(line(20 + number).as_bytes()).unwrap();
    }
    fs::write(bench.path("logs/new.log"), line(41)).unwrap();
    wait_until("the next", || bench.records().len() == 41);
    fs::rename(bench.path("logs/new.log"), bench.path("logs/new.log.1")).unwrap();
    fs::write(bench.path("logs/new.log"), line(42)).unwrap();
    wait_until("the last", || bench.records().len() == 42);
    assert!(ves.terminate().success());
    assert_each_once(&bench.numbers(), 42);
    let stderr = bench.stderr();
    assert_eq!(stderr.matches("raise the sysctl").count(), 1, "{stderr}");
    assert!(stderr.contains(said), "{stderr}");
}

#[test]
fn files_without_a_watch_are_polled() {
    let said = "so it is polled: the limit of watches is reached: raise the sysctl \
                fs.inotify.max_user_watches";
    reads_on_at_the_limit("max_inotify_watches", 5, said);
}

#[test]
fn without_any_watch_all_is_polled() {
    let said = "files are polled; raise the sysctl fs.inotify.max_user_instances";
    reads_on_at_the_limit("max_inotify_instances", 0, said);
}

#[test]
fn lost_events_make_it_look_at_everything() {
    let bench = Bench::new();
    let mut first = Writer::new(bench.path("logs/a.log"));
    let mut second = util::append(&bench.path("logs/b.log"));
    first.write(1);
    let mut third = util::append(&bench.path("logs/c.log"));
    let ves = bench.collect("*.log", &[]);
    wait_until("the first record", || bench.records().len() == 1);
    let queue = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let queue: u64 = queue.trim().parse().unwrap();
    ves.suspend();
    // Two files in turn: events that are alike become one.
    for _ in 0..queue {
        first.write(1);
        second.write_all(b"\n").unwrap();
    }
    // Of these there is no event.
    first.shift();
    first.write(1);
    first.written += 1;
    third.write_all(line(first.written).as_bytes()).unwrap();
    ves.signal(Signal::CONT);
    wait_until("all records", || {
        bench.records().len() as u64 >= first.written
    });
    assert!(ves.terminate().success());
    assert_each_once(&bench.numbers(), first.written);
    let stderr = bench.stderr();
    let said = stderr
        .matches("raise the sysctl fs.inotify.max_queued_events")
        .count();
    assert_eq!(said, 1, "{stderr}");
}
