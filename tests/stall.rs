//! Files that grow unseen, and files that are only held by VES any more.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "util/faults.rs"]
#[allow(dead_code, reason = "each test file uses a part of it")]
mod faults;
#[path = "util/http_server.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "shared with the unit tests of the sink"
)]
mod http_server;
#[path = "util/kit.rs"]
mod util;
#[path = "util/watched.rs"]
#[expect(dead_code, reason = "each test file uses a part of it")]
mod watched;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use faults::Faults;
use http_server::HttpServer;
use util::{Bench, Ves, Writer, assert_each_once, wait_until};
use watched::Watched;

/// A network file system may go on telling an open file's old size.
#[test]
fn a_file_that_grows_while_its_offset_stands_still_is_opened_again() {
    let bench = Bench::new();
    let faults = Faults::new(&bench);
    let mut writer = Writer::new(bench.path("logs/a.log"));
    writer.write(10);
    let mut command = Command::new(env!("CARGO_BIN_EXE_ves"));
    command
        .arg("collect")
        .arg("--watch")
        .arg(bench.path("logs/*.log"));
    command
        .arg("--ship")
        .arg(format!("file:{}", bench.out().display()));
    command.args(["--no-state", "--stats", "--metrics", "0"]);
    faults.set(&["stale 0 a.log"]);
    faults.add_to(&mut command);
    let ves = Ves::start_command(command, &bench.path("stderr"));
    wait_until("the first records", || bench.records().len() == 10);
    writer.write(10);
    // Another file is read meanwhile: nothing holds this one up.
    fs::write(bench.path("logs/b.log"), util::line(21)).unwrap();
    wait_until("the other file's record", || bench.records().len() == 11);
    assert!(!bench.stderr().contains("stood still"));
    let watched = Watched::of(&bench);
    assert_eq!(watched.value("ves_files_reopened_total"), 0.0);
    wait_until("the rest", || bench.records().len() == 21);
    assert_eq!(watched.value("ves_files_reopened_total"), 1.0);
    assert!(ves.terminate().success());
    assert_each_once(&bench.numbers(), 21);
    let stderr = bench.stderr();
    let said: Vec<&str> = stderr
        .lines()
        .filter(|line| line.contains("stood still at"))
        .collect();
    assert_eq!(said.len(), 1, "{stderr}");
    assert!(
        said[0].contains("a.log") && said[0].contains("for 10 s: opened again"),
        "{stderr}"
    );
    let row = stderr
        .lines()
        .find(|line| line.contains("stood still, reopened"));
    assert!(row.is_some_and(|row| row.ends_with(" 1")), "{stderr}");
}

/// A log of a container's image is copied when it is first written: what was opened before is the old
/// file for ever, and it was shipped again from its beginning.
#[test]
fn a_log_that_an_overlay_file_system_copies_is_read_on() {
    let bench = Bench::new();
    for folder in ["lower", "upper", "work"] {
        fs::create_dir(bench.path(folder)).unwrap();
    }
    Writer::new(bench.path("lower/a.log")).write(1000);
    let layer = |name: &str| bench.path(name).display().to_string();
    let layers = format!(
        "lowerdir={},upperdir={},workdir={}",
        layer("lower"),
        layer("upper"),
        layer("work")
    );
    let mut mount = Command::new("mount");
    mount.args(["-t", "overlay", "-o", &layers, "ves-test"]);
    if !mount.arg(bench.path("logs")).status().unwrap().success() {
        let why = "an overlay cannot be mounted here (not root, or on another overlay)";
        return util::say_skipped("a_log_that_an_overlay_file_system_copies_is_read_on", why);
    }
    let unmount = Unmount(bench.path("logs"));
    let ves = bench.collect("a.log", &[]);
    wait_until("the lower records", || bench.records().len() == 1000);
    let mut writer = Writer::new(bench.path("logs/a.log"));
    writer.written = 1000;
    writer.write(1000);
    wait_until("the upper records", || bench.records().len() >= 2000);
    writer.write(10);
    wait_until("all records", || {
        bench.records().len() as u64 >= writer.written
    });
    assert!(ves.terminate().success());
    assert_each_once(&bench.numbers(), writer.written);
    drop((writer, unmount));
}

/// What is mounted there goes before the folder does.
struct Unmount(PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Whatever the clock says: a file is let go of when it is read to its end, however long the sink takes.
#[test]
fn a_deleted_file_is_read_to_its_end_after_an_outage_that_is_longer_than_its_grace() {
    let bench = Bench::new();
    let mut server = HttpServer::start();
    server.refuse();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ves"));
    command
        .arg("collect")
        .arg("--watch")
        .arg(bench.path("logs/*.log"));
    command
        .args(["--ship", &server.url("/")])
        .args(["--no-state", "--workers", "1"]);
    command.env("NO_PROXY", "127.0.0.1");
    let ves = Ves::start_command(command, &bench.path("stderr"));
    let mut writer = Writer::new(bench.path("logs/a.log"));
    // More than may be in flight.
    writer.write(30_000);
    wait_until("the file to be open", || ves.has_open(&writer.file));
    fs::remove_file(bench.path("logs/a.log")).unwrap();
    // Quiet for ten seconds is enough for a deleted file that was read.
    std::thread::sleep(Duration::from_secs(13));
    assert!(ves.has_open(&writer.file));
    // Its writer still has it, too.
    writer.write(10);
    server.accept_again();
    let taken = || util::records(&server.taken());
    wait_until("all records", || taken().len() as u64 >= writer.written);
    wait_until("the file to be let go", || !ves.has_open(&writer.file));
    assert!(ves.terminate().success());
    let numbers: Vec<u64> = taken().iter().map(util::number).collect();
    assert_each_once(&numbers, writer.written);
}
