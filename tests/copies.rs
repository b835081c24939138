//! Logs that are copied to a name within the pattern and truncated: each line once, and what was
//! written before the copy was made is not lost.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "util/kit.rs"]
mod util;

use std::fs;
use std::io::Write;
use std::time::Duration;

use rustix::process::Signal;
use util::{Bench, Ves, Writer, assert_each_once, line, wait_until};

fn wait_for(bench: &Bench, count: u64) {
    wait_until(&format!("{count} records"), || {
        bench.records().len() as u64 >= count
    });
}

/// The log, and VES that has read its first hundred lines.
fn following(bench: &Bench) -> (Writer, Ves) {
    let mut writer = Writer::new(bench.path("logs/a.log"));
    writer.write(100);
    let ves = bench.collect("a.log*", &["--log-level", "debug", "--log-format", "json"]);
    wait_for(bench, 100);
    (writer, ves)
}

/// Ends it, and has another one look whether it finds anything new.
fn assert_all_once(bench: &Bench, ves: Ves, count: u64) {
    wait_for(bench, count);
    assert!(ves.terminate().success());
    assert!(bench.collect("a.log*", &["--once"]).wait().success());
    let said = bench.stderr();
    eprintln!("{said}");
    assert_each_once(&bench.numbers(), count);
    assert!(
        !said.contains("are lost") && !said.contains("before they could be read"),
        "{said}"
    );
}

/// Its lines were collected a second time, as those of a new file.
#[test]
fn a_copy_with_a_watched_name_is_not_read_again() {
    let bench = Bench::new();
    let (mut writer, ves) = following(&bench);
    for round in 1..=10 {
        writer.write(300);
        writer.copy_and_truncate(&bench.path(&format!("logs/a.log.{round}")));
        writer.write(30);
    }
    assert_all_once(&bench, ves, writer.written);
}

/// The log was truncated before VES had read all of it.
#[test]
fn what_was_truncated_away_unread_is_read_from_the_copy_in_order() {
    let bench = Bench::new();
    let (mut writer, ves) = following(&bench);
    for round in 1..=3 {
        ves.suspend();
        writer.write(5000);
        writer.copy_and_truncate(&bench.path(&format!("logs/a.log.{round}")));
        writer.write(50);
        ves.signal(Signal::CONT);
        wait_for(&bench, writer.written);
    }
    assert_all_once(&bench, ves, writer.written);
    assert!(bench.numbers().is_sorted());
}

/// The copy ends before what was read of the log.
#[test]
fn lines_between_the_copy_and_the_truncation_are_read_once() {
    let bench = Bench::new();
    let (mut writer, ves) = following(&bench);
    for round in 1..=3 {
        let copy = bench.path(&format!("logs/a.log.{round}"));
        fs::copy(bench.path("logs/a.log"), &copy).unwrap();
        wait_until("the copy is seen", || {
            bench.stderr().contains(&format!("a.log.{round}: followed"))
        });
        writer.write(20);
        wait_for(&bench, writer.written);
        writer.file.set_len(0).unwrap();
        writer.write(20);
        wait_for(&bench, writer.written);
    }
    assert_all_once(&bench, ves, writer.written);
}

#[test]
fn a_copy_that_takes_its_time_is_waited_for() {
    let bench = Bench::new();
    let (mut writer, ves) = following(&bench);
    writer.write(3000);
    let content = fs::read(bench.path("logs/a.log")).unwrap();
    let mut copy = util::append(&bench.path("logs/a.log.1"));
    for part in content.chunks(content.len() / 7) {
        copy.write_all(part).unwrap();
        std::thread::sleep(Duration::from_millis(30));
    }
    writer.file.set_len(0).unwrap();
    writer.write(10);
    assert_all_once(&bench, ves, writer.written);
}

/// A log of its own that begins as the other does, byte for byte until it goes on otherwise, whatever
/// happens to the other meanwhile.
#[test]
fn a_log_with_the_name_of_a_copy_and_the_same_beginning_is_read_from_its_beginning() {
    for is_truncated in [false, true] {
        let bench = Bench::new();
        let header: String = (1..=100).map(line).collect();
        let (mut writer, ves) = following(&bench);
        writer.write(200);
        wait_for(&bench, 300);
        let mut own = util::append(&bench.path("logs/a.log.1"));
        own.write_all(header.as_bytes()).unwrap();
        wait_until("it is seen", || {
            bench.stderr().contains("a.log.1: followed")
        });
        // Taken for a copy as far as it goes.
        std::thread::sleep(Duration::from_millis(300));
        if is_truncated {
            writer.file.set_len(0).unwrap();
            writer.write(1);
            wait_for(&bench, 301);
        }
        for number in 1001..=1100 {
            own.write_all(line(number).as_bytes()).unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
        let count = writer.written + 200;
        wait_for(&bench, count);
        assert!(ves.terminate().success());
        assert!(bench.collect("a.log*", &["--once"]).wait().success());
        let (own, mut log): (Vec<u64>, Vec<u64>) = bench.numbers().iter().partition(|&&n| n > 1000);
        assert_eq!(own, (1001..=1100).collect::<Vec<u64>>());
        log.sort_unstable();
        let mut expected: Vec<u64> = (1..=100).chain(1..=writer.written).collect();
        expected.sort_unstable();
        assert_eq!(log, expected);
    }
}

/// What was known of the log before is in the checkpoint.
#[test]
fn a_copy_that_was_made_while_stopped_is_read_on() {
    let bench = Bench::new();
    let (mut writer, ves) = following(&bench);
    assert!(ves.terminate().success());
    writer.write(100);
    writer.copy_and_truncate(&bench.path("logs/a.log.1"));
    writer.write(40);
    let ves = bench.collect("a.log*", &[]);
    assert_all_once(&bench, ves, writer.written);
}

/// Whether that many records are in the sink, and the checkpoint holds them.
fn are_known(bench: &Bench, count: u64) -> bool {
    let checkpoint = fs::read(bench.path("state/checkpoint.json")).unwrap_or_default();
    let checkpoint: serde_json::Value = serde_json::from_slice(&checkpoint).unwrap_or_default();
    let out = fs::read(bench.out()).unwrap_or_default();
    util::records(&out).len() as u64 == count && checkpoint["sink"]["length"] == out.len()
}

/// The checkpoint of that moment may not say yet that the log was truncated, or that the new file is a
/// copy of it.
#[test]
fn a_kill_right_after_the_copy_repeats_nothing() {
    let bench = Bench::new();
    let (mut writer, mut ves) = following(&bench);
    for round in 1..=10 {
        wait_until("the checkpoint", || are_known(&bench, writer.written));
        writer.write(200);
        writer.copy_and_truncate(&bench.path(&format!("logs/a.log.{round}")));
        writer.write(20);
        if round % 2 == 0 {
            wait_for(&bench, writer.written);
        }
        std::thread::sleep(Duration::from_millis(round * 7));
        ves.kill();
        ves = bench.collect("a.log*", &[]);
        wait_for(&bench, writer.written);
    }
    assert_all_once(&bench, ves, writer.written);
}

/// A copy of a log that goes on, and one more of that.
#[test]
fn a_copy_of_a_log_that_is_not_truncated_is_not_read_again() {
    let bench = Bench::new();
    let (mut writer, ves) = following(&bench);
    fs::copy(bench.path("logs/a.log"), bench.path("logs/a.log.1")).unwrap();
    writer.write(50);
    fs::copy(bench.path("logs/a.log"), bench.path("logs/a.log-20261125")).unwrap();
    writer.write(50);
    wait_for(&bench, writer.written);
    wait_until("both are seen", || {
        bench.stderr().contains("a.log.1: followed")
            && bench.stderr().contains("-20261125: followed")
    });
    std::thread::sleep(Duration::from_millis(600));
    assert_all_once(&bench, ves, writer.written);
}

/// All of it is there at the first start: the log is read, and its copy is not.
#[test]
fn once_reads_a_log_and_not_its_copy() {
    let bench = Bench::new();
    let mut writer = Writer::new(bench.path("logs/a.log"));
    writer.write(2000);
    fs::copy(bench.path("logs/a.log"), bench.path("logs/a.log.1")).unwrap();
    writer.write(10);
    assert!(bench.collect("a.log*", &["--once"]).wait().success());
    assert_each_once(&bench.numbers(), writer.written);
}
