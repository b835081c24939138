//! Files that are rotated and deleted while the sink takes nothing: all of them are read later.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "util/http_server.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "shared with the unit tests of the sink"
)]
mod http_server;
#[path = "util/kit.rs"]
mod util;

use std::io::Read;
use std::process::{ChildStdout, Command};

use http_server::HttpServer;
use util::{Bench, Ves, Writer, assert_each_once, wait_until};

fn collect(bench: &Bench, pattern: &str, ship: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ves"));
    command
        .args(["collect", "--ship", ship, "--watch"])
        .arg(bench.path("logs").join(pattern))
        .arg("--state-dir")
        .arg(bench.path("state"))
        .env("NO_PROXY", "127.0.0.1");
    command
}

fn numbers(ndjson: &[u8]) -> Vec<u64> {
    util::records(ndjson).iter().map(util::number).collect()
}

/// Writes to each new file and waits until VES has opened it, however little the sink takes.
fn write_and_wait(ves: &Ves, writer: &mut Writer) {
    writer.write(3);
    wait_until("the new file is open", || ves.has_open(&writer.file));
}

/// Only the newest files were found: the tail waited for the sink and saw no rename meanwhile.
#[test]
fn files_rotated_while_the_server_is_down_are_all_read() {
    let bench = Bench::new();
    let mut server = HttpServer::start();
    server.refuse();
    let mut writer = Writer::new(bench.path("logs/a.log"));
    let ves = Ves::start_command(
        collect(&bench, "a.log", &server.url("/")),
        &bench.path("stderr"),
    );
    wait_until("the start", || bench.path("state/checkpoint.json").exists());
    // More of them than may be in flight.
    for _ in 0..8 {
        writer.write(1);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    for _ in 0..5 {
        writer.shift();
        write_and_wait(&ves, &mut writer);
    }
    std::fs::remove_file(bench.path("logs/a.log")).unwrap();
    writer.reopen();
    write_and_wait(&ves, &mut writer);
    server.accept_again();
    wait_until("all records", || {
        numbers(&server.taken()).len() as u64 >= writer.written
    });
    assert!(ves.terminate().success());
    assert_each_once(&numbers(&server.taken()), writer.written);
}

/// The tail thread was stuck in write(2), or waited for those who were.
#[test]
fn files_rotated_while_nobody_reads_standard_output_are_all_read() {
    let bench = Bench::new();
    let mut writer = Writer::new(bench.path("logs/a.log"));
    let (ves, out) = Ves::start_piped(collect(&bench, "a.log", "stdout:"), &bench.path("stderr"));
    wait_until("the start", || bench.path("state/checkpoint.json").exists());
    // A little more than the pipe holds, as one small work unit after another.
    for _ in 0..40 {
        writer.write(10);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    for _ in 0..4 {
        writer.shift();
        write_and_wait(&ves, &mut writer);
    }
    let reader = std::thread::spawn(move || read_all(out));
    // Everything was seen: it is read before the end.
    assert!(ves.terminate().success());
    let first = reader.join().unwrap();
    let once = collect(&bench, "a.log", "stdout:").arg("--once").output();
    let shipped = [first, once.unwrap().stdout].concat();
    assert_each_once(&numbers(&shipped), writer.written);
}

fn read_all(mut out: ChildStdout) -> Vec<u8> {
    let mut bytes = Vec::new();
    out.read_to_end(&mut bytes).unwrap();
    bytes
}

/// A file whose name was given to the next one before anybody looked was never opened.
#[test]
fn shifting_rotations_in_quick_succession_lose_nothing() {
    let bench = Bench::new();
    let mut writer = Writer::new(bench.path("logs/a.log"));
    let ves = bench.collect("a.log", &[]);
    wait_until("the start", || bench.path("state/checkpoint.json").exists());
    for round in 0..400 {
        writer.write(5);
        // None is ever deleted: the oldest is moved on under a name of its own.
        let oldest = bench.path("logs/a.log.6");
        if oldest.exists() {
            std::fs::rename(&oldest, bench.path(&format!("logs/a.log-{round}"))).unwrap();
        }
        writer.shift();
        std::thread::sleep(std::time::Duration::from_micros([0, 500, 2000][round % 3]));
    }
    writer.write(1);
    let has_all = || bench.numbers().len() as u64 >= writer.written;
    let is_complete = util::becomes_so(std::time::Duration::from_secs(10), has_all);
    assert!(ves.terminate().success());
    assert_each_once(&bench.numbers(), writer.written);
    assert!(is_complete);
}

/// The sizes of files that waited for the sink were not looked at, so that nobody knew what a
/// truncation meanwhile had cost.
#[test]
fn what_is_truncated_while_the_server_is_down_is_counted_to_the_byte() {
    let bench = Bench::new();
    let mut server = HttpServer::start();
    server.refuse();
    let log = bench.path("logs/a.log");
    let mut writer = Writer::new(log.clone());
    let ves = Ves::start_command(
        collect(&bench, "a.log", &server.url("/")),
        &bench.path("stderr"),
    );
    wait_until("the start", || bench.path("state/checkpoint.json").exists());
    // More of them than may be in flight.
    for _ in 0..25 {
        writer.write(1);
        std::thread::sleep(std::time::Duration::from_millis(30));
    }
    util::append(&log).set_len(0).unwrap();
    writer.write(1);
    server.accept_again();
    let taken = || numbers(&server.taken());
    wait_until("the last record", || taken().contains(&writer.written));
    wait_until("a word of the loss", || bench.stderr().contains("are lost"));
    assert!(ves.terminate().success());
    let lost = (1..=writer.written).filter(|number| !taken().contains(number));
    let lost_bytes: usize = lost.map(|number| util::line(number).len()).sum();
    assert!(lost_bytes > 0);
    let said = format!("truncated before {lost_bytes} of its bytes");
    assert!(bench.stderr().contains(&said), "{said}: {}", bench.stderr());
}
