//! Files that are truncated under the reader: the process lives, and nothing false is shipped.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "util/kit.rs"]
mod util;

use std::collections::HashSet;
use std::io::Write;

use util::{Bench, assert_each_once, line, wait_until};

/// Truncations under load. The lines of a round are written at once, so the reader is in the middle
/// of them when they go.
const ROUNDS: u64 = 400;

#[test]
fn nothing_false_is_shipped_while_a_file_is_truncated_under_the_reader() {
    let bench = Bench::new();
    let mut file = util::append(&bench.path("logs/a.log"));
    let mut ves = bench.collect("a.log", &["--format", "nginx"]);
    let mut written = 0;
    for round in 0..ROUNDS {
        let count = 500 + round * 7919 % 9000;
        let block: String = (written + 1..=written + count).map(line).collect();
        written += count;
        file.write_all(block.as_bytes()).unwrap();
        // From nothing to about as long as it takes to read the block.
        for _ in 0..round * 100_003 % 300_000 {
            std::hint::spin_loop();
        }
        file.set_len(0).unwrap();
    }
    assert!(ves.is_running());
    // After the last truncation everything is as ever.
    written += 1;
    file.write_all(line(written).as_bytes()).unwrap();
    wait_until("the last line", || bench.numbers().last() == Some(&written));
    assert!(ves.terminate().success());
    // `numbers` compares every field of every record with the line of its number.
    let numbers = bench.numbers();
    let unique: HashSet<u64> = numbers.iter().copied().collect();
    assert_eq!(unique.len(), numbers.len(), "a line was shipped twice");
    assert!(numbers.is_sorted(), "the order of the file was not kept");
    assert!(
        (unique.len() as u64) < written,
        "no truncation met the reader: this shows nothing"
    );
    assert!(
        bench.stderr().contains("were read: these are lost"),
        "lost bytes were not reported"
    );
}

#[test]
fn copytruncate_loses_nothing_that_was_there_long_enough() {
    let bench = Bench::new();
    let mut writer = util::Writer::new(bench.path("logs/a.log"));
    let ves = bench.collect("a.log", &[]);
    for round in 0..20 {
        writer.write(500);
        wait_until("all lines", || {
            bench.numbers().len() as u64 == writer.written
        });
        writer.copy_and_truncate(&bench.path(&format!("logs/a.log.{round}")));
    }
    writer.write(10);
    wait_until("all lines", || {
        bench.numbers().len() as u64 == writer.written
    });
    assert!(ves.terminate().success());
    assert_each_once(&bench.numbers(), writer.written);
    assert!(!bench.stderr().contains("lost"), "{}", bench.stderr());
}

#[test]
fn a_file_written_anew_with_other_and_longer_content_is_read_from_its_beginning() {
    let bench = Bench::new();
    let path = bench.path("logs/a.log");
    std::fs::write(&path, line(1)).unwrap();
    let ves = bench.collect("a.log", &[]);
    wait_until("the first line", || bench.numbers() == [1]);
    // O_TRUNC and a longer text at once: the size alone does not show it.
    std::fs::write(&path, [line(2), line(3), line(4)].concat()).unwrap();
    wait_until("the new lines", || bench.numbers() == [1, 2, 3, 4]);
    assert!(ves.terminate().success());
}

/// The first 256 bytes were all that was compared, so lines before the old offset were never read.
#[test]
fn a_file_written_anew_behind_the_same_header_is_read_from_its_beginning() {
    let bench = Bench::new();
    let path = bench.path("logs/a.log");
    let header = format!("#Fields: {}\n", "h".repeat(300));
    let content = |letter: char, count: u32| {
        let lines = (0..count).map(|number| format!("{letter} line number {number:04}\n"));
        [header.clone(), lines.collect()].concat()
    };
    let letters = |bench: &Bench, letter: &str| {
        let records = bench.records();
        let messages = records
            .iter()
            .map(|record| record["message"].as_str().unwrap());
        messages
            .filter(|message| message.starts_with(letter))
            .count()
    };
    std::fs::write(&path, content('a', 10)).unwrap();
    let ves = bench.collect("a.log", &["--format", "raw"]);
    wait_until("the first lines", || letters(&bench, "a") == 10);
    std::fs::write(&path, content('b', 300)).unwrap();
    wait_until("the new lines", || letters(&bench, "b") == 300);
    assert!(ves.terminate().success());
    // The same while nobody looks.
    std::fs::write(&path, content('c', 900)).unwrap();
    let once = bench
        .collect("a.log", &["--format", "raw", "--once"])
        .wait();
    assert!(once.success());
    assert_eq!(
        ["a", "b", "c"].map(|letter| letters(&bench, letter)),
        [10, 300, 900]
    );
}
