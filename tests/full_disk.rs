//! Disks that are full, read-only, broken or gone, under the sink, the checkpoint and the logs: said
//! once, tried again, and nothing is lost.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "util/faults.rs"]
#[allow(dead_code, reason = "each test file uses a part of it")]
mod faults;
#[path = "util/kit.rs"]
mod util;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use faults::Faults;
use util::{Bench, Ves, Writer, assert_each_once, becomes_so, wait_until};

/// A small file system of its own in the folder of a test.
struct Disk {
    path: PathBuf,
}

impl Disk {
    /// `None`, which is said, where nothing can be mounted: then only the tests with faults show it.
    fn new(bench: &Bench, name: &str) -> Option<Disk> {
        let path = bench.path(name);
        fs::create_dir(&path).unwrap();
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", "size=128k", "ves-test"]);
        if !command.arg(&path).status().unwrap().success() {
            util::say_skipped("a full disk", "a tmpfs cannot be mounted here (not root)");
            return None;
        }
        Some(Disk { path })
    }

    fn remount(&self, option: &str) {
        let mut command = Command::new("mount");
        command.args(["-o", &format!("remount,{option}")]);
        assert!(command.arg(&self.path).status().unwrap().success());
    }

    /// Leaves no byte.
    fn fill(&self) {
        let mut ballast = util::append(&self.path.join("ballast"));
        while ballast.write_all(&[0; 4096]).is_ok() {}
    }

    fn free(&self) {
        fs::remove_file(self.path.join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

/// `ves collect` of `logs/*.log`.
fn collect(bench: &Bench, sink: &Path, state: &Path, faults: Option<&Faults>) -> Ves {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ves"));
    command
        .arg("collect")
        .arg("--watch")
        .arg(bench.path("logs/*.log"));
    command
        .arg("--ship")
        .arg(format!("file:{}", sink.display()));
    command.arg("--state-dir").arg(state);
    if let Some(faults) = faults {
        faults.add_to(&mut command);
    }
    Ves::start_command(command, &bench.path("stderr"))
}

fn count(sink: &Path) -> u64 {
    util::records(&fs::read(sink).unwrap_or_default()).len() as u64
}

fn numbers(sink: &Path) -> Vec<u64> {
    let records = util::records(&fs::read(sink).unwrap());
    records.iter().map(util::number).collect()
}

/// Asserts that it was said once, with all of these words.
fn assert_said_once(bench: &Bench, words: &[&str]) {
    let stderr = bench.stderr();
    let has_all = |line: &&str| words.iter().all(|word| line.contains(word));
    let said: Vec<&str> = stderr.lines().filter(has_all).collect();
    assert_eq!(said.len(), 1, "{words:?} in\n{stderr}");
}

/// With a kill in the middle, and without.
#[test]
fn a_sink_on_a_full_disk_goes_on_when_there_is_space() {
    for is_killed in [false, true] {
        let bench = Bench::new();
        let Some(disk) = Disk::new(&bench, "disk") else {
            return;
        };
        let sink = disk.path.join("out.ndjson");
        let mut writer = Writer::new(bench.path("logs/a.log"));
        let mut ves = collect(&bench, &sink, &bench.path("state"), None);
        writer.write(3000);
        let complaints = || bench.stderr().matches("No space left").count();
        wait_until("a word of it", || complaints() == 1);
        assert!(ves.is_running());
        if is_killed {
            ves.kill();
            ves = collect(&bench, &sink, &bench.path("state"), None);
            wait_until("another", || complaints() == 2);
        } else {
            let words = ["out.ndjson", "No space left on device", "free space there"];
            assert_said_once(&bench, &words);
        }
        disk.remount("size=8m");
        wait_until("all records", || count(&sink) >= writer.written);
        assert!(ves.terminate().success());
        assert_each_once(&numbers(&sink), writer.written);
    }
}

#[test]
fn a_checkpoint_on_a_full_disk_is_written_when_there_is_space() {
    let bench = Bench::new();
    let Some(disk) = Disk::new(&bench, "state") else {
        return;
    };
    disk.fill();
    let mut writer = Writer::new(bench.path("logs/a.log"));
    writer.write(100);
    let ves = collect(&bench, &bench.out(), &disk.path, None);
    wait_until("records", || count(&bench.out()) == 100);
    wait_until("a word of it", || bench.stderr().contains("No space left"));
    disk.free();
    wait_until("a checkpoint", || {
        bench.stderr().contains("can be written again")
    });
    writer.write(100);
    wait_until("more records", || count(&bench.out()) == 200);
    ves.kill();
    writer.write(100);
    let ves = collect(&bench, &bench.out(), &disk.path, None);
    wait_until("the rest", || count(&bench.out()) >= 300);
    assert!(ves.terminate().success());
    assert_each_once(&bench.numbers(), 300);
    assert_said_once(
        &bench,
        &["write the checkpoint", "No space left", "will try again"],
    );
}

#[test]
fn a_checkpoint_that_cannot_be_written_is_written_later() {
    // Without space, on a disk with errors, and on one that is read-only since it has some.
    for (fault, said) in [
        ("write 28 checkpoint.json", "No space left on device"),
        ("sync 5 checkpoint.json", "os error 5"),
        ("open 30 checkpoint.json", "Read-only file system"),
    ] {
        let bench = Bench::new();
        let (faults, state) = (Faults::new(&bench), bench.path("state"));
        let mut writer = Writer::new(bench.path("logs/a.log"));
        let ves = collect(&bench, &bench.out(), &state, Some(&faults));
        wait_until("the start", || state.join("checkpoint.json").exists());
        faults.set(&[fault]);
        writer.write(100);
        wait_until("records", || count(&bench.out()) == 100);
        wait_until("a word of it", || bench.stderr().contains(said));
        faults.set(&[]);
        wait_until("a checkpoint", || {
            bench.stderr().contains("can be written again")
        });
        ves.kill();
        writer.write(100);
        let ves = collect(&bench, &bench.out(), &state, None);
        wait_until("the rest", || count(&bench.out()) >= 200);
        assert!(ves.terminate().success());
        assert_each_once(&bench.numbers(), 200);
        assert_said_once(&bench, &["write the checkpoint", said, "will try again"]);
    }
}

/// The lock was gone with the folder, so that a second process could have begun.
#[test]
fn a_state_folder_that_is_deleted_is_made_again() {
    let bench = Bench::new();
    let mut writer = Writer::new(bench.path("logs/a.log"));
    writer.write(100);
    let state = bench.path("state");
    let ves = collect(&bench, &bench.out(), &state, None);
    wait_until("the start", || state.join("checkpoint.json").exists());
    fs::remove_dir_all(&state).unwrap();
    writer.write(100);
    wait_until("a checkpoint", || state.join("checkpoint.json").exists());
    let second = collect(&bench, &bench.path("other"), &state, None).wait();
    assert_eq!(second.code(), Some(2));
    wait_until("records", || count(&bench.out()) == 200);
    assert!(ves.terminate().success());
    let ves = collect(&bench, &bench.out(), &state, None);
    writer.write(100);
    wait_until("the rest", || count(&bench.out()) >= 300);
    assert!(ves.terminate().success());
    assert_each_once(&bench.numbers(), 300);
    assert_said_once(&bench, &["the state folder was deleted: made again"]);
}

#[test]
fn a_checkpoint_that_cannot_be_read_is_set_aside_and_from_decides() {
    for (text, reason) in [
        ("{\"version\":1,\"sink\":nu", "EOF while parsing"),
        ("{\"version\":99,\"whatever\":{}}", "it is of version 99"),
    ] {
        let bench = Bench::new();
        let mut writer = Writer::new(bench.path("logs/a.log"));
        writer.write(100);
        fs::create_dir(bench.path("state")).unwrap();
        fs::write(bench.path("state/checkpoint.json"), text).unwrap();
        let ves = bench.collect("*.log", &["--from", "end"]);
        let aside = bench.path("state/checkpoint.json.unreadable-1");
        wait_until("the start", || {
            aside.exists() && bench.path("state/checkpoint.json").exists()
        });
        assert_eq!(fs::read_to_string(aside).unwrap(), text);
        writer.write(1);
        wait_until("the new line", || count(&bench.out()) == 1);
        assert!(ves.terminate().success());
        assert_eq!(bench.numbers(), [101]);
        let words = ["checkpoint.json", reason, "set aside as", "first start"];
        assert_said_once(&bench, &words);
    }
}

#[test]
fn a_sink_that_cannot_be_written_is_tried_again() {
    for (errno, remedy) in [(28, "free space there"), (5, "look at the disk")] {
        let bench = Bench::new();
        let faults = Faults::new(&bench);
        let mut writer = Writer::new(bench.path("logs/a.log"));
        writer.write(10);
        let ves = collect(&bench, &bench.out(), &bench.path("state"), Some(&faults));
        wait_until("the first records", || count(&bench.out()) == 10);
        faults.set(&[&format!("write {errno} out.ndjson")]);
        writer.write(10);
        let said = format!("os error {errno}");
        wait_until("a word of it", || bench.stderr().contains(&said));
        faults.set(&[]);
        wait_until("the rest", || count(&bench.out()) == 20);
        assert!(ves.terminate().success());
        assert_each_once(&bench.numbers(), 20);
        assert_said_once(&bench, &["out.ndjson", &said, remedy]);
    }
}

/// Writes a line now and then until VES says that.
fn write_until_said(writer: &mut Writer, bench: &Bench, text: &str) {
    wait_until("a word of it", || {
        writer.write(1);
        std::thread::sleep(std::time::Duration::from_millis(50));
        bench.stderr().contains(text)
    });
}

#[test]
fn a_sink_that_cannot_be_opened_is_tried_again() {
    let bench = Bench::new();
    let faults = Faults::new(&bench);
    let mut writer = Writer::new(bench.path("logs/a.log"));
    writer.write(10);
    let mut ves = collect(&bench, &bench.out(), &bench.path("state"), Some(&faults));
    wait_until("the first records", || count(&bench.out()) == 10);
    faults.set(&["open 13 out.ndjson"]);
    fs::rename(bench.out(), bench.path("old")).unwrap();
    // It looks once a second whether it was moved away.
    write_until_said(&mut writer, &bench, "os error 13");
    assert!(ves.is_running() && !bench.out().exists());
    faults.set(&[]);
    let all = || [numbers(&bench.path("old")), bench.numbers()].concat();
    wait_until("the rest", || all().len() as u64 >= writer.written);
    assert!(ves.terminate().success());
    assert_each_once(&all(), writer.written);
    assert_said_once(
        &bench,
        &["out.ndjson", "os error 13", "the permission to write"],
    );
}

/// It was taken for one that was moved away: opened once more, and found to be in use by this process.
#[test]
fn a_sink_that_cannot_be_looked_at_is_not_taken_for_moved() {
    let bench = Bench::new();
    let faults = Faults::new(&bench);
    let mut writer = Writer::new(bench.path("logs/a.log"));
    writer.write(10);
    let ves = collect(&bench, &bench.out(), &bench.path("state"), Some(&faults));
    wait_until("the first records", || count(&bench.out()) == 10);
    faults.set(&["random 1000 1 stat out.ndjson"]);
    write_until_said(&mut writer, &bench, "look at the sink file");
    faults.set(&[]);
    wait_until("the rest", || count(&bench.out()) >= writer.written);
    assert!(ves.terminate().success());
    assert_each_once(&bench.numbers(), writer.written);
    assert!(!bench.stderr().contains("in use"), "{}", bench.stderr());
}

/// A page that the disk could not read was taken for a truncation: the file was shipped again from its
/// beginning, over and over.
#[test]
fn a_log_that_the_disk_cannot_read_is_read_on_later_and_others_meanwhile() {
    let bench = Bench::new();
    let faults = Faults::new(&bench);
    let mut writer = Writer::new(bench.path("logs/a.log"));
    writer.write(5000);
    let ves = collect(&bench, &bench.out(), &bench.path("state"), Some(&faults));
    wait_until("the first records", || count(&bench.out()) == 5000);
    wait_until("the window to go", || {
        let maps = fs::read_to_string(format!("/proc/{}/maps", ves.pid())).unwrap();
        !maps.contains("logs/a.log")
    });
    faults.set(&["map 0 a.log"]);
    writer.write(5000);
    wait_until("a word of it", || {
        bench.stderr().contains("cannot be read from byte")
    });
    fs::write(bench.path("logs/b.log"), util::line(10_001)).unwrap();
    wait_until("the other file's record", || count(&bench.out()) == 5001);
    // At least twice more.
    std::thread::sleep(std::time::Duration::from_secs(4));
    assert_eq!(count(&bench.out()), 5001);
    assert_said_once(
        &bench,
        &["a.log", "I/O error", "look at the disk", "will try again"],
    );
    faults.set(&[]);
    wait_until("the rest", || count(&bench.out()) >= 10_001);
    wait_until("a word of it", || {
        bench.stderr().contains("can be read again")
    });
    assert!(ves.terminate().success());
    assert_each_once(&bench.numbers(), 10_001);
    assert!(!bench.stderr().contains("truncated"), "{}", bench.stderr());
}

/// A log that could not be read went on under a new number, for which everything before that place was
/// said to be done, also what the sink had not taken yet: a kill then lost it.
#[test]
fn what_the_sink_has_not_taken_is_not_done_when_the_log_cannot_be_read_on() {
    let bench = Bench::new();
    let faults = Faults::new(&bench);
    let mut writer = Writer::new(bench.path("logs/a.log"));
    let start = || collect(&bench, &bench.out(), &bench.path("state"), Some(&faults));
    faults.set(&["write 28 out.ndjson"]);
    writer.write(10);
    let ves = start();
    wait_until("a word of the sink", || {
        bench.stderr().contains("append to")
    });
    wait_until("the window to go", || {
        let maps = fs::read_to_string(format!("/proc/{}/maps", ves.pid())).unwrap();
        !maps.contains("logs/a.log")
    });
    faults.set(&["write 28 out.ndjson", "map 0 a.log"]);
    writer.write(10);
    let is_said_to_be_done = || {
        let checkpoint = fs::read(bench.path("state/checkpoint.json")).unwrap();
        let checkpoint: serde_json::Value = serde_json::from_slice(&checkpoint).unwrap();
        checkpoint["files"][0]["offset"] != 0
    };
    let patience = std::time::Duration::from_secs(3);
    assert!(!becomes_so(patience, is_said_to_be_done));
    ves.kill();
    faults.set(&[]);
    let ves = start();
    wait_until("the records", || count(&bench.out()) >= 20);
    assert!(ves.terminate().success());
    assert_each_once(&bench.numbers(), 20);
}

#[test]
fn once_fails_when_the_disk_cannot_read_all_of_a_log() {
    let bench = Bench::new();
    let faults = Faults::new(&bench);
    faults.set(&["map 0 a.log"]);
    Writer::new(bench.path("logs/a.log")).write(10);
    fs::write(bench.path("logs/b.log"), util::line(1)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ves"));
    command
        .arg("collect")
        .arg("--watch")
        .arg(bench.path("logs/*.log"));
    command
        .arg("--ship")
        .arg(format!("file:{}", bench.out().display()));
    command.args(["--once", "--no-state"]);
    faults.add_to(&mut command);
    let mut ves = Ves::start_command(command, &bench.path("stderr"));
    assert!(becomes_so(util::PATIENCE, || !ves.is_running()));
    assert_eq!(ves.wait().code(), Some(1));
    assert_eq!(bench.numbers(), [1]);
    let bytes = fs::metadata(bench.path("logs/a.log")).unwrap().len();
    assert_said_once(&bench, &[&format!("{bytes} bytes of 1 files are left")]);
}

/// First and last bytes that could not be read were taken for others: the file was shipped again from its
/// beginning.
#[test]
fn a_log_whose_identity_cannot_be_read_is_not_taken_for_another() {
    let bench = Bench::new();
    let faults = Faults::new(&bench);
    let mut writer = Writer::new(bench.path("logs/a.log"));
    writer.write(100);
    let start = || collect(&bench, &bench.out(), &bench.path("state"), Some(&faults));
    let complaints = || bench.stderr().matches("os error 5").count();
    let ves = start();
    wait_until("the first records", || count(&bench.out()) == 100);
    faults.set(&["read 5 a.log"]);
    writer.write(100);
    wait_until("a word of it", || complaints() > 0);
    faults.set(&[]);
    wait_until("the rest", || count(&bench.out()) >= 200);
    assert!(ves.terminate().success());
    // The same at a start.
    faults.set(&["read 5 a.log"]);
    let before = complaints();
    let ves = start();
    wait_until("another", || complaints() > before);
    faults.set(&[]);
    writer.write(100);
    wait_until("more records", || bench.numbers().contains(&300));
    assert!(ves.terminate().success());
    assert_each_once(&bench.numbers(), 300);
    assert!(!bench.stderr().contains("truncated"), "{}", bench.stderr());
}
