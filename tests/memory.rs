//! Memory stays within what the configuration says, whatever the sink does and whatever the lines are.
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

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::Command;

use http_server::HttpServer;
use util::{Bench, Ves, assert_each_once, line, wait_until};

const MIB: usize = 1 << 20;

/// The most memory that the process has had, in bytes.
fn most_rss(pid: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.unwrap().trim().strip_suffix(" kB").unwrap();
    kilobytes.parse::<usize>().unwrap() << 10
}

fn collect(bench: &Bench, ship: &str, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ves"));
    command
        .arg("collect")
        .arg("--watch")
        .arg(bench.path("logs/*.log"));
    command
        .args(["--ship", ship, "--no-state", "--workers", "2"])
        .args(more);
    command.env("NO_PROXY", "127.0.0.1");
    command
}

/// The same after a while in which it could have grown.
fn most_over_a_while(ves: &Ves) -> usize {
    std::thread::sleep(std::time::Duration::from_secs(2));
    most_rss(ves.pid())
}

/// 200 MiB wait for a sink that takes nothing: the logs are the buffer.
#[test]
fn a_sink_that_is_down_makes_reading_wait() {
    let bench = Bench::new();
    let mut number = 0;
    let mut block = || {
        let range = number + 1..=number + 2000;
        number += 2000;
        range.map(line).collect::<String>()
    };
    // One that is larger than all windows, and many.
    for name in 0..60 {
        let mut file = util::append(&bench.path(&format!("logs/{name}.log")));
        for _ in 0..if name == 0 { 20 } else { 1 } {
            file.write_all(block().as_bytes()).unwrap();
        }
    }
    let mut server = HttpServer::start();
    server.refuse();
    let ves = Ves::start_command(
        collect(&bench, &server.url("/"), &[]),
        &bench.path("stderr"),
    );
    wait_until("a refusal", || bench.stderr().contains("trying again"));
    let most = most_over_a_while(&ves);
    println!("a sink that is down: {} MiB", most / MIB);
    assert!(most < 32 * MIB, "{} MiB", most / MIB);
    server.accept_again();
    let taken = || util::records(&server.taken()).len() as u64;
    wait_until("all records", || taken() >= number);
    assert!(ves.terminate().success());
    let numbers: Vec<u64> = util::records(&server.taken())
        .iter()
        .map(util::number)
        .collect();
    assert_each_once(&numbers, number);
}

/// Lines of 1 and of 5 MiB, whose bytes take six times as many in JSON, to a reader that reads none.
#[test]
fn long_lines_to_a_reader_that_waits() {
    let bench = Bench::new();
    let mut file = util::append(&bench.path("logs/a.log"));
    for index in 0..40 {
        let bytes = if index % 2 == 0 { MIB } else { 5 * MIB };
        file.write_all(&vec![b'\x01'; bytes]).unwrap();
        file.write_all(b"\n").unwrap();
    }
    let (ves, out) = Ves::start_piped(
        collect(&bench, "stdout:", &["--format", "raw"]),
        &bench.path("stderr"),
    );
    let most = most_over_a_while(&ves);
    println!("long lines, nobody reads: {} MiB", most / MIB);
    assert!(most < 80 * MIB, "{} MiB", most / MIB);
    let mut lengths = Vec::new();
    let mut truncated = 0;
    for record in BufReader::new(out).lines().take(40) {
        let record: serde_json::Value = serde_json::from_str(&record.unwrap()).unwrap();
        lengths.push(record["message"].as_str().unwrap().len());
        truncated += usize::from(record["truncated"] == true);
    }
    let most = most_rss(ves.pid());
    println!("long lines, all read: {} MiB", most / MIB);
    assert!(most < 80 * MIB, "{} MiB", most / MIB);
    assert_eq!((lengths, truncated), (vec![MIB; 40], 20));
    assert!(ves.terminate().success());
}

/// The same through standard input, which has no file to wait in: its writer waits.
#[test]
fn long_lines_of_standard_input_while_the_sink_is_down() {
    let bench = Bench::new();
    let mut server = HttpServer::start();
    server.refuse();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ves"));
    command.args([
        "collect",
        "--watch",
        "-",
        "--format",
        "raw",
        "--workers",
        "2",
    ]);
    command
        .args(["--ship", &server.url("/")])
        .env("NO_PROXY", "127.0.0.1");
    let (mut ves, mut stdin) = Ves::start_fed(command, &bench.path("stderr"));
    let writer = std::thread::spawn(move || {
        for _ in 0..40 {
            stdin.write_all(&vec![b'x'; 5 * MIB]).unwrap();
            stdin.write_all(b"\n").unwrap();
        }
    });
    wait_until("a refusal", || bench.stderr().contains("trying again"));
    let most = most_over_a_while(&ves);
    println!("standard input: {} MiB", most / MIB);
    assert!(most < 48 * MIB, "{} MiB", most / MIB);
    assert!(!writer.is_finished(), "all was read");
    server.accept_again();
    writer.join().unwrap();
    assert!(ves.wait().success());
    let taken = util::records(&server.taken());
    assert_eq!(taken.len(), 40);
    assert!(taken.iter().all(|record| record["truncated"] == true));
}
