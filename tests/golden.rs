//! Lines of every odd kind, and what becomes of them: `tests/golden/*.log` to `*.ndjson`, which are
//! written anew with `UPDATE_GOLDEN=1` and checked against the reference parser in any case.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "util/kit.rs"]
mod util;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use util::{Bench, reference};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

/// Runs `ves collect` with `input` on standard input.
fn collect_stdin(input: &[u8], more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ves"));
    command.args(["collect", "--watch", "-"]).args(more);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    output
}

/// Runs `ves collect --once` on a file.
fn collect_file(path: &Path, more: &[&str]) -> Vec<u8> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ves"));
    command
        .arg("collect")
        .arg("--watch")
        .arg(path)
        .args(["--once", "--no-state"])
        .args(more);
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// The lines of a log as the reference parser reads them.
fn expected(log: &[u8]) -> Vec<Value> {
    let lines = log
        .strip_suffix(b"\n")
        .unwrap_or(log)
        .split(|&byte| byte == b'\n');
    let lines = lines.filter(|line| !line.is_empty() && *line != b"\r");
    lines
        .map(|line| Value::Object(reference::record(line)))
        .collect()
}

fn blur_reasons(mut records: Vec<Value>) -> Vec<Value> {
    for record in &mut records {
        if let Some(reason) = record.get_mut("parse_error") {
            assert!(reason.is_string());
            *reason = json!(true);
        }
    }
    records
}

#[test]
fn odd_lines_become_the_records_that_they_should() {
    let log = fs::read(golden("odd.log")).unwrap();
    let out = collect_file(&golden("odd.log"), &["--format", "nginx"]);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(golden("odd.ndjson"), &out).unwrap();
    }
    let golden = fs::read(golden("odd.ndjson")).unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        String::from_utf8(golden.clone()).unwrap()
    );
    assert_eq!(blur_reasons(util::records(&golden)), expected(&log));
}

#[test]
fn keys_stand_in_the_documented_order() {
    let line = util::line(7);
    let out = collect_stdin(line.as_bytes(), &["--add", "env=prod"]).stdout;
    let out = String::from_utf8(out).unwrap();
    let keys = [
        "remote_addr",
        "remote_user",
        "time_local",
        "method",
        "path",
        "protocol",
        "status",
    ];
    let more = ["body_bytes_sent", "http_referer", "http_user_agent", "env"];
    let places = keys
        .iter()
        .chain(&more)
        .map(|key| out.find(&format!("\"{key}\":")).unwrap());
    assert!(places.collect::<Vec<usize>>().is_sorted(), "{out}");
}

#[test]
fn real_nginx_lines_are_read_as_the_reference_parser_reads_them() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets/nginx-sample.log");
    let log = fs::read(&path).unwrap();
    let records = blur_reasons(util::records(&collect_file(&path, &[])));
    let expected = expected(&log);
    assert!(expected.len() > 2000);
    assert_eq!(records, expected);
    assert!(
        records
            .iter()
            .all(|record| record.get("parse_error").is_none())
    );
}

#[test]
fn a_line_of_two_mebibytes_is_cut_and_flagged_and_the_next_one_is_whole() {
    let bench = Bench::new();
    let path = bench.path("logs/a.log");
    let mut file = File::create(&path).unwrap();
    let long = "x".repeat(2 << 20);
    write!(file, "before\n{long}\nafter\n{long}").unwrap();
    for raw in [collect_file(&path, &["--format", "raw"]), {
        let input = fs::read(&path).unwrap();
        collect_stdin(&input, &["--format", "raw"]).stdout
    }] {
        let records = util::records(&raw);
        let cut = json!({"message": "x".repeat(1 << 20), "truncated": true});
        let whole = |text: &str| json!({ "message": text });
        assert!(
            records == [whole("before"), cut.clone(), whole("after"), cut],
            "wrong records"
        );
    }
}

/// The figures at the end left out the part of a cut line that is not shipped.
#[test]
fn the_rest_of_a_cut_line_is_counted_as_read() {
    let input = format!("{}\nafter\n", "x".repeat(1_999_993));
    let bench = Bench::new();
    let path = bench.path("logs/a.log");
    fs::write(&path, &input).unwrap();
    let args = ["--format", "raw", "--line-bytes-max", "64KiB", "--stats"];
    let from_stdin = collect_stdin(input.as_bytes(), &args);
    let mut ves = bench.collect("a.log", &[args.as_slice(), &["--once"]].concat());
    assert!(ves.wait().success());
    for stderr in [
        String::from_utf8(from_stdin.stderr).unwrap(),
        bench.stderr(),
    ] {
        assert!(stderr.contains("2 lines, 2MB"), "{stderr}");
    }
}

#[test]
fn standard_input_ends_with_its_last_line() {
    let output = collect_stdin(
        b"one\n\ntwo\r\nthree",
        &["--format", "raw", "--add", "file"],
    );
    assert!(output.status.success());
    let expected = [
        json!({"message": "one", "file": "-"}),
        json!({"message": "two", "file": "-"}),
        json!({"message": "three", "partial": true, "file": "-"}),
    ];
    assert_eq!(util::records(&output.stdout), expected);
}

#[test]
fn the_format_is_found_by_itself_and_said_once() {
    let output = collect_stdin(b"plain\nlines\n", &[]);
    assert_eq!(
        util::records(&output.stdout),
        [json!({"message": "plain"}), json!({"message": "lines"})]
    );
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(stderr.matches("not nginx combined").count(), 1, "{stderr}");
    let output = collect_stdin(util::line(1).as_bytes(), &[]);
    assert_eq!(util::number(&util::records(&output.stdout)[0]), 1);
}

#[test]
fn filters_and_other_formats_work_on_the_command_line() {
    let lines: String = (1..=100).map(util::line).collect();
    let drop = [
        "--drop",
        "path contains \"n=1\" or body_bytes_sent >= 50",
        "--keep",
        "status == 200",
    ];
    let records = util::records(&collect_stdin(lines.as_bytes(), &drop).stdout);
    let numbers: Vec<u64> = records.iter().map(util::number).collect();
    let expected: Vec<u64> = (1..50)
        .filter(|number| !number.to_string().starts_with('1'))
        .collect();
    assert_eq!(numbers, expected);
    let format = ["--format", "$remote_addr|$request_time|$request"];
    let out = collect_stdin(b"::1|0.25|GET / HTTP/1.0\nx\n", &format).stdout;
    let expected = json!({"remote_addr": "::1", "request_time": "0.25", "method": "GET", "path": "/",
        "protocol": "HTTP/1.0"});
    let records = util::records(&out);
    assert_eq!(records[0], expected);
    assert_eq!(records[1]["message"], "x");
}

#[test]
fn a_reader_that_leaves_ends_ves_quietly() {
    let bench = Bench::new();
    let lines: String = (1..=50_000).map(util::line).collect();
    fs::write(bench.path("logs/a.log"), lines).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ves"));
    command
        .args(["collect", "--format", "nginx", "--watch"])
        .arg(bench.path("logs/a.log"));
    command.arg("--state-dir").arg(bench.path("state"));
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    reader.read_line(&mut first).unwrap();
    drop(reader);
    let mut stderr = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{stderr}");
    assert_eq!(stderr, "");
    assert!(first.starts_with("{\"remote_addr\":\"10.0.0.1\""));
    // What was not written was not acknowledged: another run ships the rest, at the latest from
    // where the pipe was full.
    let mut command = Command::new(env!("CARGO_BIN_EXE_ves"));
    command
        .args(["collect", "--once", "--watch"])
        .arg(bench.path("logs/a.log"));
    let output = command
        .arg("--state-dir")
        .arg(bench.path("state"))
        .output()
        .unwrap();
    let rest: Vec<u64> = util::records(&output.stdout)
        .iter()
        .map(util::number)
        .collect();
    assert_eq!(rest.last(), Some(&50_000));
    assert!(
        rest.len() as u64 == 50_000 - rest[0] + 1 && rest[0] < 20_000,
        "from {}",
        rest[0]
    );
}
