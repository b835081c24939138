//! `ves bench`: what it says adds up, and nothing of it is left behind.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "util/kit.rs"]
mod kit;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use kit::wait_until;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

fn bench(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ves"));
    command.args(["bench", "--folder", folder.to_str().unwrap()]);
    command.args(args);
    command
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

fn results(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_drain_is_repeated_and_told_as_json() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["--json", "--duration", "100ms", "--lines", "20000"];
    let results = results(&bench(folder.path(), &args).output().unwrap());
    assert_eq!(results["load"]["backlog"]["lines"], 20_000);
    assert!(results["runs"].as_u64().unwrap() >= 3);
    let rate = &results["lines_per_second"];
    let [min, median, max] = ["min", "median", "max"].map(|key| rate[key].as_f64().unwrap());
    assert!(0.0 < min && min <= median && median <= max, "{rate}");
    assert!(
        results["cpu_seconds_per_million_lines"]["median"]
            .as_f64()
            .unwrap()
            > 0.0
    );
    assert!(results["start_ms"]["median"].as_f64().unwrap() > 0.0);
    assert!(results["rss_peak_bytes"].as_u64().unwrap() > 1 << 20);
    // 20 000 lines less the health checks, at most 1000 to a batch.
    assert!(results["flush"]["count"].as_u64().unwrap() >= 17);
    assert!(is_empty(folder.path()));
}

#[test]
fn following_finds_every_line_in_the_sink_once() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["--json", "--duration", "1s", "--rate", "3000"];
    let results = results(&bench(folder.path(), &args).output().unwrap());
    let load = &results["load"]["paced"];
    // One second of warm-up comes before the one that is measured.
    assert_eq!(load["lines"], 6000);
    let arrivals = &load["arrivals"];
    assert_eq!(
        (&arrivals["lost"], &arrivals["duplicated"]),
        (&0.into(), &0.into())
    );
    // Of 3000 measured lines one in eight is a health check, which the filter drops.
    let seen = arrivals["latency"]["count"].as_u64().unwrap();
    assert!((2500..2750).contains(&seen), "{seen}");
    assert!(arrivals["latency"]["p50_us"].as_u64().unwrap() > 0);
    assert!(is_empty(folder.path()));
}

#[test]
fn the_table_has_a_row_for_each_figure() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["--duration", "10ms", "--lines", "5000", "--sink", "null"];
    let output = bench(folder.path(), &args).output().unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    for row in [
        "drain of 5.0k lines",
        "Throughput",
        "Latency, read to hand-over  p50 ",
        "CPU ",
        "Memory",
        "Flush of a batch",
        "Start to first records",
        "Cost of 1M lines",
    ] {
        assert!(table.contains(row), "no {row:?} in\n{table}");
    }
}

#[test]
fn ctrl_c_leaves_no_files_and_no_process_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = bench(folder.path(), &["--duration", "60s", "--rate", "1000"]);
    let mut child = command
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("records", || {
        let folders = std::fs::read_dir(folder.path()).unwrap();
        folders
            .flatten()
            .any(|entry| entry.path().join("records.ndjson").exists())
    });
    let own = Pid::from_raw(child.id().cast_signed()).unwrap();
    let children = format!("/proc/{0}/task/{0}/children", own.as_raw_nonzero());
    let collector = std::fs::read_to_string(children).unwrap();
    let collector = collector.trim().to_owned();
    assert!(Path::new("/proc").join(&collector).exists());
    kill_process(own, Signal::INT).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(1));
    assert!(is_empty(folder.path()));
    wait_until("the collector's end", || {
        !Path::new("/proc").join(&collector).exists()
    });
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (args, reason) in [
        (&["--rate", "0"][..], "--rate"),
        (&["--duration", "soon"], "--duration"),
        (&["--rate", "5", "--lines", "7"], "cannot be used with"),
        (&["--batch-size", "0"], "batch-size"),
        (&["--sink", "stdout"], "possible values: file, null"),
    ] {
        let output = bench(folder.path(), args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(reason), "{args:?}: {said}");
    }
}
