//! Ends of every kind and what the next start makes of them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "util/kit.rs"]
mod util;

use std::io::Write;
use std::process::Command;
use std::time::Duration;

use util::{Bench, Random, Ves, Writer, assert_each_once, becomes_so, wait_until};

#[test]
fn a_file_sink_holds_every_line_once_over_25_kills_and_rotations() {
    let seed = std::env::var("VES_TEST_SEED").map_or(11, |seed| seed.parse().unwrap());
    println!("VES_TEST_SEED={seed}");
    let mut random = Random(seed);
    let bench = Bench::new();
    let mut writer = Writer::new(bench.path("logs/access.log"));
    let mut ves = bench.collect("*.log", &[]);
    let mut rotations = 0;
    let mut rotate = |writer: &mut Writer| {
        rotations += 1;
        writer.rename(&bench.path(&format!("logs/access.log.{rotations}")));
        // nginx goes on in the old file until it is told to reopen.
        writer.write(30);
        writer.reopen();
    };
    for round in 0..25 {
        writer.write(random.below(3000));
        if random.below(2) == 0 {
            rotate(&mut writer);
        }
        writer.write(random.below(1000));
        // Sometimes before the first checkpoint of a run, sometimes after several: the offsets and
        // the length of the sink have to fit each other in all of them.
        for _ in 0..(round % 4) * 4 {
            writer.write(random.below(200));
            std::thread::sleep(Duration::from_millis(random.below(300)));
        }
        std::thread::sleep(Duration::from_millis(random.below(300)));
        ves.kill();
        if random.below(2) == 0 {
            writer.write(random.below(500));
            rotate(&mut writer);
            writer.write(random.below(500));
        }
        ves = bench.collect("*.log", &[]);
    }
    writer.write(10);
    // A kill can have left records behind the last checkpoint, which the start cuts off again: only
    // a stable count is the end.
    let count = || bench.records().len() as u64;
    let is_complete = becomes_so(util::PATIENCE, || count() >= writer.written);
    assert!(ves.terminate().success());
    assert_each_once(&bench.numbers(), writer.written);
    assert!(is_complete);
    assert!(rotations >= 10, "{rotations} rotations");
}

#[test]
fn after_sigterm_nothing_is_repeated_and_nothing_missing() {
    let bench = Bench::new();
    let mut writer = Writer::new(bench.path("logs/a.log"));
    for _ in 0..5 {
        let ves = bench.collect("a.log", &[]);
        writer.write(700);
        let written = writer.written;
        wait_until("lines of this round", || {
            bench.numbers().last() > Some(&(written - 700))
        });
        assert!(ves.terminate().success());
        writer.write(70);
    }
    let status = bench.collect("a.log", &["--once"]).wait();
    assert!(status.success());
    assert_each_once(&bench.numbers(), writer.written);
}

#[test]
fn standard_output_gets_every_line_once_over_orderly_ends() {
    let bench = Bench::new();
    let mut writer = Writer::new(bench.path("logs/a.log"));
    let (watch, out) = (bench.path("logs/a.log"), bench.path("stdout"));
    let state = bench.path("state");
    let numbers = || {
        let out = std::fs::read(bench.path("stdout")).unwrap_or_default();
        util::records(&out)
            .iter()
            .map(util::number)
            .collect::<Vec<u64>>()
    };
    for _ in 0..4 {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ves"));
        command.args(["collect", "--watch", watch.to_str().unwrap()]);
        command.args(["--state-dir", state.to_str().unwrap()]);
        let ves = Ves::start_into(command, &out, &bench.path("stderr"));
        writer.write(1500);
        let written = writer.written;
        wait_until("lines of this round", || {
            numbers().last() > Some(&(written - 1500))
        });
        assert!(ves.terminate().success());
        writer.write(70);
    }
    // Nothing is cut back here, so every line must have been acknowledged when it was written.
    let before = numbers();
    assert!(before.len() as u64 + 70 <= writer.written && before.is_sorted());
    assert_each_once(&before, before.len() as u64);
}

#[test]
fn from_end_skips_only_what_was_there_at_the_first_start() {
    let bench = Bench::new();
    let mut writer = Writer::new(bench.path("logs/a.log"));
    writer.write(100);
    let ves = bench.collect("*.log", &["--from", "end"]);
    wait_until("the first checkpoint", || {
        bench.path("state/checkpoint.json").exists()
    });
    writer.write(50);
    wait_until("the new lines", || bench.numbers().len() == 50);
    assert!(ves.terminate().success());
    // Written while VES is not running: new all the same, as is a file that came meanwhile.
    writer.write(25);
    std::fs::write(bench.path("logs/b.log"), util::line(1000)).unwrap();
    let ves = bench.collect("*.log", &["--from", "end"]);
    wait_until("what came meanwhile", || bench.numbers().len() == 76);
    assert!(ves.terminate().success());
    let mut numbers = bench.numbers();
    numbers.sort_unstable();
    assert_eq!(numbers, (101..=175).chain([1000]).collect::<Vec<u64>>());
}

#[test]
fn a_file_rotated_out_of_the_pattern_while_stopped_is_read_to_its_end() {
    let bench = Bench::new();
    let mut writer = Writer::new(bench.path("logs/a.log"));
    writer.write(10);
    let ves = bench.collect("a.log", &[]);
    wait_until("the first lines", || bench.numbers().len() == 10);
    assert!(ves.terminate().success());
    writer.write(5);
    writer.rename(&bench.path("logs/old-name-of-a"));
    writer.write(5);
    writer.reopen();
    writer.write(5);
    assert!(bench.collect("a.log", &["--once"]).wait().success());
    assert_each_once(&bench.numbers(), 25);
}

#[test]
fn a_linked_file_rotated_while_stopped_is_found_where_it_really_is() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("real")).unwrap();
    let mut writer = Writer::new(bench.path("real/x.log"));
    std::os::unix::fs::symlink(bench.path("real/x.log"), bench.path("logs/a.log")).unwrap();
    writer.write(10);
    let ves = bench.collect("a.log", &[]);
    wait_until("the first lines", || bench.numbers().len() == 10);
    assert!(ves.terminate().success());
    writer.write(5);
    writer.rename(&bench.path("real/elsewhere"));
    writer.reopen();
    writer.write(5);
    assert!(bench.collect("a.log", &["--once"]).wait().success());
    assert_each_once(&bench.numbers(), 20);
}

#[test]
fn a_copy_made_before_a_truncation_while_stopped_is_read_on() {
    let bench = Bench::new();
    let mut writer = Writer::new(bench.path("logs/a.log"));
    writer.write(10);
    let ves = bench.collect("a.log", &[]);
    wait_until("the first lines", || bench.numbers().len() == 10);
    assert!(ves.terminate().success());
    writer.write(5);
    writer.copy_and_truncate(&bench.path("logs/a.log.1"));
    writer.write(5);
    assert!(bench.collect("a.log", &["--once"]).wait().success());
    assert_each_once(&bench.numbers(), 20);
}

/// The start that found the original truncated was the last one that knew it: a copy that was young
/// enough was read again at the next.
#[test]
fn a_copy_made_before_a_truncation_while_stopped_is_known_at_later_starts() {
    let bench = Bench::new();
    let mut writer = Writer::new(bench.path("logs/a.log"));
    writer.write(10);
    for _ in 0..3 {
        assert!(bench.collect("a.log", &["--once"]).wait().success());
        if writer.written == 10 {
            writer.copy_and_truncate(&bench.path("logs/a.log.1"));
        }
        writer.write(1);
    }
    assert_each_once(&bench.numbers(), 12);
}

#[test]
fn a_second_process_with_the_same_state_is_refused() {
    let bench = Bench::new();
    let ves = bench.collect("*.log", &[]);
    wait_until("the first checkpoint", || {
        bench.path("state/checkpoint.json").exists()
    });
    let status = bench.collect("*.log", &[]).wait();
    assert_eq!(status.code(), Some(2));
    let holder = format!("in use by process {}", ves.pid());
    assert!(bench.stderr().contains(&holder), "{}", bench.stderr());
}

/// The rest of a line that was cut off is read, but no record tells so: the entry waited for it.
#[test]
fn a_deleted_file_that_ends_in_the_rest_of_a_long_line_leaves_the_checkpoint() {
    let bench = Bench::new();
    let path = bench.path("logs/a.log");
    std::fs::write(&path, "x".repeat(300_000)).unwrap();
    let options = ["--format", "raw", "--line-bytes-max", "1000"];
    let ves = bench.collect("a.log", &options);
    wait_until("the record", || bench.records().len() == 1);
    std::fs::remove_file(&path).unwrap();
    let checkpoint = || std::fs::read_to_string(bench.path("state/checkpoint.json"));
    wait_until("the file is let go of", || {
        checkpoint().is_ok_and(|text| !text.contains("a.log"))
    });
    assert!(ves.terminate().success());
}

/// The sink was cut back although nothing could be read again: delivered records were erased.
#[test]
fn a_kill_erases_nothing_of_a_file_that_cannot_be_read_again() {
    let delete = |bench: &Bench| std::fs::remove_file(bench.path("logs/a.log")).unwrap();
    let truncate = |bench: &Bench| drop(std::fs::File::create(bench.path("logs/a.log")).unwrap());
    let move_away = |bench: &Bench| {
        std::fs::rename(bench.path("logs/a.log"), bench.path("a.log.1")).unwrap();
    };
    let ends: [&dyn Fn(&Bench); 3] = [&delete, &truncate, &move_away];
    for (case, end) in ends.iter().enumerate() {
        let bench = Bench::new();
        let mut writer = Writer::new(bench.path("logs/a.log"));
        writer.write(1);
        let ves = bench.collect("a.log", &[]);
        wait_until("the first line", || bench.numbers() == [1]);
        wait_until("its checkpoint", || {
            let checkpoint = std::fs::read_to_string(bench.path("state/checkpoint.json"));
            checkpoint.is_ok_and(|text| !text.contains("\"offset\":0"))
        });
        writer.write(50);
        wait_until("the lines", || bench.numbers().len() == 51);
        end(&bench);
        ves.kill();
        writer.reopen();
        writer.write(1);
        assert!(bench.collect("a.log", &["--once"]).wait().success());
        let mut numbers = bench.numbers();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers, (1..=52).collect::<Vec<u64>>(), "case {case}");
    }
}

/// A truncation was in the checkpoint before what was shipped last of the old content: the sink was cut
/// back to a length of before.
#[test]
fn a_kill_just_after_a_truncation_erases_nothing() {
    let bench = Bench::new();
    let checkpoint = || {
        let text = std::fs::read(bench.path("state/checkpoint.json"));
        let text = text.unwrap_or_else(|_| b"null".to_vec());
        let checkpoint: serde_json::Value = serde_json::from_slice(&text).unwrap();
        checkpoint
    };
    let mut writer = Writer::new(bench.path("logs/a.log"));
    writer.write(1);
    let ves = bench.collect("a.log", &[]);
    wait_until("its checkpoint", || {
        checkpoint()["files"][0]["offset"].as_u64() > Some(0)
    });
    // Another version may be written at once again.
    std::thread::sleep(Duration::from_millis(150));
    // The checkpoint is told of the first at once, of the others half a second later.
    for count in [1, 50] {
        writer.write(count);
        wait_until("the lines", || {
            bench.numbers().len() as u64 == writer.written
        });
    }
    writer.file.set_len(0).unwrap();
    wait_until("word of it in the checkpoint", || {
        let files = checkpoint()["files"].as_array().unwrap().clone();
        files.iter().any(|entry| entry["offset"] == 0)
    });
    ves.kill();
    assert!(bench.collect("a.log", &["--once"]).wait().success());
    assert_each_once(&bench.numbers(), 52);
}

/// Its original goes on under a new number, so nothing told that the copy was read already.
#[test]
fn a_copy_made_before_a_truncation_is_not_read_again_after_a_restart() {
    for is_killed in [false, true] {
        let bench = Bench::new();
        let mut writer = Writer::new(bench.path("logs/a.log"));
        writer.write(100);
        let ves = bench.collect("a.log", &[]);
        wait_until("the lines", || bench.numbers().len() == 100);
        writer.copy_and_truncate(&bench.path("logs/a.log.1"));
        writer.write(1);
        wait_until("the line after it", || bench.numbers().len() == 101);
        if is_killed {
            ves.kill();
        } else {
            assert!(ves.terminate().success());
        }
        assert!(bench.collect("a.log", &["--once"]).wait().success());
        assert_each_once(&bench.numbers(), 101);
    }
}

/// Whatever name went on from that of a log was taken for a rotated one.
#[test]
fn what_lies_beside_a_log_is_not_taken_for_a_rotated_one() {
    let bench = Bench::new();
    let mut writer = Writer::new(bench.path("logs/a.log"));
    writer.write(100);
    let ves = bench.collect("a.log", &[]);
    wait_until("the lines", || bench.numbers().len() == 100);
    assert!(ves.terminate().success());
    let log = bench.path("logs/a.log");
    for copy in ["logs/a.log.bak", "logs/a.log.1"] {
        std::fs::copy(&log, bench.path(copy)).unwrap();
    }
    std::fs::write(bench.path("logs/a.log.pos"), "12345\n").unwrap();
    writer.write(1);
    // This one is new.
    std::fs::write(bench.path("logs/a.log.2"), util::line(102)).unwrap();
    assert!(bench.collect("a.log", &["--once"]).wait().success());
    assert_each_once(&bench.numbers(), 102);
}

/// A copy was matched with the first file that began like it, whatever its name.
#[test]
fn copies_of_two_logs_with_the_same_header_are_told_apart() {
    let bench = Bench::new();
    let header = format!("#Fields: {}\n", "h".repeat(400));
    let lines = |letter: &str, numbers: std::ops::Range<u32>| -> String {
        numbers
            .map(|number| format!("{letter}{number:05}\n"))
            .collect()
    };
    let log = |letter: &str| bench.path(&format!("logs/{letter}.log"));
    std::fs::write(log("a"), header.clone() + &lines("a", 0..2000)).unwrap();
    std::fs::write(log("b"), header + &lines("b", 0..100)).unwrap();
    let ves = bench.collect("*.log", &["--format", "raw"]);
    wait_until("the lines", || bench.records().len() == 2102);
    assert!(ves.terminate().success());
    let more = lines("b", 100..3000);
    util::append(&log("b")).write_all(more.as_bytes()).unwrap();
    for letter in ["a", "b"] {
        std::fs::copy(log(letter), bench.path(&format!("logs/{letter}.log.1"))).unwrap();
        std::fs::write(log(letter), "anew\n").unwrap();
    }
    let once = bench
        .collect("*.log", &["--format", "raw", "--once"])
        .wait();
    assert!(once.success());
    let records = bench.records();
    let mut messages: Vec<&str> = records
        .iter()
        .map(|record| record["message"].as_str().unwrap())
        .filter(|message| message.starts_with(['a', 'b']) && *message != "anew")
        .collect();
    messages.sort_unstable();
    let expected = lines("a", 0..2000) + &lines("b", 0..3000);
    assert_eq!(messages, expected.lines().collect::<Vec<_>>());
}

/// As a mount point is whose file system comes later: its entries were forgotten.
#[test]
fn a_folder_that_was_empty_during_one_run_is_read_on_after() {
    let bench = Bench::new();
    let mut writer = Writer::new(bench.path("logs/a.log"));
    writer.write(100);
    assert!(bench.collect("a.log", &["--once"]).wait().success());
    std::fs::rename(bench.path("logs"), bench.path("away")).unwrap();
    std::fs::create_dir(bench.path("logs")).unwrap();
    assert!(bench.collect("a.log", &["--once"]).wait().success());
    std::fs::remove_dir(bench.path("logs")).unwrap();
    std::fs::rename(bench.path("away"), bench.path("logs")).unwrap();
    writer.write(1);
    assert!(bench.collect("a.log", &["--once"]).wait().success());
    assert_each_once(&bench.numbers(), 101);
}

/// Rotated into another folder (logrotate's olddir) before the kill, written to after it.
#[test]
fn a_file_that_was_moved_to_another_folder_is_found_there() {
    let bench = Bench::new();
    let mut writer = Writer::new(bench.path("logs/a.log"));
    writer.write(10);
    let ves = bench.collect("a.log", &[]);
    wait_until("the first lines", || bench.numbers().len() == 10);
    writer.rename(&bench.path("a.log.1"));
    wait_until("the new path in the checkpoint", || {
        let checkpoint = std::fs::read_to_string(bench.path("state/checkpoint.json"));
        checkpoint.is_ok_and(|text| text.contains("a.log.1"))
    });
    ves.kill();
    writer.write(5);
    assert!(bench.collect("a.log", &["--once"]).wait().success());
    assert_each_once(&bench.numbers(), 15);
}

/// A line that is not of the format was among the first ones at the second start: all went raw.
#[test]
fn the_format_of_a_file_is_the_same_after_a_restart() {
    let bench = Bench::new();
    let mut writer = Writer::new(bench.path("logs/a.log"));
    writer.write(1);
    let ves = bench.collect("a.log", &[]);
    wait_until("the first line", || bench.numbers() == [1]);
    writer.file.write_all(b"not of the format\n").unwrap();
    wait_until("the odd line", || bench.records().len() == 2);
    assert!(ves.terminate().success());
    writer.write(1);
    assert!(bench.collect("a.log", &["--once"]).wait().success());
    let records = bench.records();
    assert_eq!(records[1]["message"], "not of the format");
    assert_eq!(util::number(&records[2]), 2);
}

/// A file that was deleted long after its last line was shipped counted as lost for ten seconds: a
/// kill in that time kept the end of the sink, and records of other files were there twice.
#[test]
fn a_file_that_was_done_before_it_was_deleted_is_not_missed_after_a_kill() {
    let bench = Bench::new();
    let mut first = Writer::new(bench.path("logs/a.log"));
    first.write(50);
    let ves = bench.collect("*.log", &[]);
    wait_until("the records", || bench.records().len() == 50);
    std::fs::remove_file(bench.path("logs/a.log")).unwrap();
    let checkpoint = || std::fs::read_to_string(bench.path("state/checkpoint.json")).unwrap();
    wait_until("a word of the deletion", || {
        checkpoint().contains("finished_at")
    });
    let mut second = Writer::new(bench.path("logs/b.log"));
    second.written = 50;
    for count in 51..=250 {
        second.write(1);
        wait_until("the record", || bench.records().len() == count);
    }
    ves.kill();
    let ves = bench.collect("*.log", &[]);
    second.write(1);
    wait_until("the last record", || bench.numbers().contains(&251));
    assert!(ves.terminate().success());
    assert_each_once(&bench.numbers(), 251);
}

/// Waits until the checkpoint says of a file that it is finished.
fn wait_until_finished(bench: &Bench) {
    wait_until("a word of the end of a rotated log", || {
        let text = std::fs::read_to_string(bench.path("state/checkpoint.json")).unwrap_or_default();
        let checkpoint: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let files = checkpoint["files"].as_array().cloned();
        let is_finished = |file: &serde_json::Value| file["finished_at"] == file["offset"];
        files.is_some_and(|files| files.iter().any(is_finished))
    });
}

/// VES with a log of 50 lines that was rotated to `a.log.1`, of which the checkpoint says that it is
/// finished.
fn with_a_rotated_log(pattern: &str) -> (Bench, Writer, Ves) {
    let bench = Bench::new();
    let mut writer = Writer::new(bench.path("logs/a.log"));
    writer.write(50);
    let ves = bench.collect(pattern, &[]);
    wait_until("the records", || bench.records().len() == 50);
    writer.shift();
    wait_until_finished(&bench);
    (bench, writer, ves)
}

/// Logrotate deletes the oldest log each time: a kill within a second of that kept the end of the sink,
/// and the records of that second were there twice.
#[test]
fn a_kill_just_after_an_old_log_was_deleted_repeats_nothing() {
    // The rotated name is one that the pattern means, or not.
    for pattern in ["a.log", "a.log*"] {
        let (bench, mut writer, ves) = with_a_rotated_log(pattern);
        std::fs::remove_file(bench.path("logs/a.log.1")).unwrap();
        for count in 51..=250 {
            writer.write(1);
            wait_until("the record", || bench.records().len() == count);
        }
        ves.kill();
        let ves = bench.collect(pattern, &[]);
        writer.write(1);
        wait_until("the last record", || bench.numbers().contains(&251));
        assert!(ves.terminate().success());
        assert_each_once(&bench.numbers(), 251);
    }
}

/// What the checkpoint calls finished is not, when its writer goes on in it.
#[test]
fn a_kill_erases_nothing_of_an_old_log_that_was_written_to_again() {
    for pattern in ["a.log", "a.log*"] {
        let (bench, mut writer, ves) = with_a_rotated_log(pattern);
        let mut old = Writer::new(bench.path("logs/a.log.1"));
        old.written = 50;
        old.write(1);
        wait_until("the late record", || bench.records().len() == 51);
        ves.kill();
        std::fs::remove_file(bench.path("logs/a.log.1")).unwrap();
        writer.written = 51;
        let ves = bench.collect(pattern, &[]);
        writer.write(1);
        wait_until("the last record", || bench.numbers().contains(&52));
        assert!(ves.terminate().success());
        assert_each_once(&bench.numbers(), 52);
    }
}
