//! `ves demo`: what it says adds up, nothing of it is left behind, and it shows whose file it is told
//! to.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "util/kit.rs"]
mod util;
#[path = "util/watched.rs"]
#[expect(dead_code, reason = "shared with the tests of the metrics")]
mod watched;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;
use util::{Bench, Ves, append, records, wait_until};
use watched::Watched;

/// A demo with a folder for temporary files of its own.
struct Demo {
    bench: Bench,
    ves: Ves,
}

/// The name in the documents, which the installer makes a link.
fn link(bench: &Bench) -> PathBuf {
    let link = bench.path("ves-log-collector");
    if !link.exists() {
        symlink(env!("CARGO_BIN_EXE_ves"), &link).unwrap();
    }
    link
}

fn temporary(bench: &Bench) -> PathBuf {
    let folder = bench.path("tmp");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

impl Demo {
    fn start(args: &[&str]) -> Demo {
        Demo::start_on(Bench::new(), args)
    }

    fn start_on(bench: Bench, args: &[&str]) -> Demo {
        let mut command = Command::new(link(&bench));
        command
            .args(args)
            .current_dir(bench.path("logs"))
            .env("TMPDIR", temporary(&bench))
            .process_group(0);
        let ves = Ves::start_into(command, &bench.out(), &bench.path("stderr"));
        Demo { bench, ves }
    }

    /// To its whole group, as a terminal does it.
    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.ves.pid().cast_signed()).unwrap();
        kill_process_group(pid, signal).unwrap();
    }

    /// The process of its `ves collect`.
    fn collector(&self) -> Pid {
        let pid = self.ves.pid();
        let children = format!("/proc/{pid}/task/{pid}/children");
        let children = std::fs::read_to_string(children).unwrap();
        Pid::from_raw(children.trim().parse().unwrap()).unwrap()
    }

    fn end(&mut self) -> ExitStatus {
        let status = self.ves.wait();
        let said = self.bench.stderr();
        // Standard error is a file: nothing on it is meant for a terminal.
        let has_control = |line: &str| line.contains(char::is_control);
        assert!(!said.lines().any(has_control), "{said:?}");
        let left = std::fs::read_dir(temporary(&self.bench)).unwrap();
        assert_eq!(left.count(), 0, "files are left behind");
        status
    }

    /// The whole number behind a name in the summary.
    fn summary(&self, name: &str) -> u64 {
        let said = self.bench.stderr();
        let (_, summary) = said
            .split_once("Summary\n")
            .unwrap_or_else(|| panic!("no summary in {said}"));
        let row = summary
            .lines()
            .find_map(|line| line.trim_start().strip_prefix(name));
        let row = row.unwrap_or_else(|| panic!("no {name} in {summary}"));
        let digits: String = row
            .trim_start()
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        digits.parse().unwrap()
    }

    fn assert_adds_up(&self) {
        let written = self.summary("lines written");
        let (came, dropped) = (self.summary("records"), self.summary("dropped"));
        assert!(came > 0 && dropped > 0, "{came} {dropped}");
        assert_eq!(written, came + dropped);
        assert!(self.bench.stderr().contains("nothing lost, nothing twice"));
    }
}

#[test]
fn a_demo_ends_by_itself_and_accounts_for_every_line() {
    let mut demo = Demo::start(&["demo", "--duration", "3s", "--rate", "5000"]);
    let status = demo.end();
    let said = demo.bench.stderr();
    assert!(status.success(), "{said}");
    demo.assert_adds_up();
    // 15 000 by the mean, and the crest of a wave.
    let written = demo.summary("lines written");
    assert!((15_000..20_000).contains(&written), "{written}");
    // Three, unless the machine stood still.
    let rotations = said.matches("is rotated").count();
    assert!((1..=3).contains(&rotations), "{said}");
    let files = format!("in {} files", rotations + 1);
    assert!(said.contains(&files), "{said}");
    assert!(said.contains("dashboard  http://127.0.0.1:"), "{said}");
    assert!(said.contains("Throughput: "), "{said}");
    // Four records a second are shown, as they are.
    let shown = records(&std::fs::read(demo.bench.out()).unwrap());
    assert!((3..=20).contains(&shown.len()), "{}", shown.len());
    for record in &shown {
        let text = record.to_string();
        assert!(
            text.contains("seq=") && record["host"].is_string(),
            "{text}"
        );
    }
}

#[test]
fn ctrl_c_ends_a_demo_in_order() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut demo = Demo::start(&["demo", "--duration", "10min", "--rate", "1000"]);
        let watched = Watched::at(&demo.bench, "dashboard  http://");
        wait_until("records", || demo.bench.records().len() > 1);
        assert_eq!(watched.get("/healthz").status, 200);
        assert!(watched.get("/").body.contains("<html"));
        let collector = demo.collector();
        demo.signal(signal);
        let status = demo.end();
        assert!(status.success(), "{}", demo.bench.stderr());
        demo.assert_adds_up();
        let proc = format!("/proc/{}", collector.as_raw_nonzero());
        assert!(!Path::new(&proc).exists());
    }
}

#[test]
fn a_collector_that_dies_is_told_and_one_that_is_left_ends() {
    let mut demo = Demo::start(&["demo", "--duration", "10min", "--rate", "1000"]);
    wait_until("records", || demo.bench.records().len() > 1);
    kill_process(demo.collector(), Signal::KILL).unwrap();
    assert_eq!(demo.end().code(), Some(1));
    let said = demo.bench.stderr();
    assert!(said.contains("ves: error: ves collect failed"), "{said}");

    let demo = Demo::start(&["demo", "--duration", "10min", "--rate", "1000"]);
    wait_until("records", || demo.bench.records().len() > 1);
    let proc = format!("/proc/{}", demo.collector().as_raw_nonzero());
    demo.ves.kill();
    wait_until("the end of the collector", || !Path::new(&proc).exists());
}

#[test]
fn a_reader_that_leaves_ends_a_demo() {
    let bench = Bench::new();
    let mut command = Command::new(link(&bench));
    command
        .args(["demo", "--duration", "10min", "--rate", "1000"])
        .env("TMPDIR", temporary(&bench));
    let (mut ves, out) = Ves::start_piped(command, &bench.path("stderr"));
    let mut first = String::new();
    BufReader::new(out).read_line(&mut first).unwrap();
    assert!(first.starts_with("{\"remote_addr\":"), "{first}");
    assert!(ves.wait().success(), "{}", bench.stderr());
}

#[test]
fn records_of_a_file_are_shown_as_its_lines_are_appended() {
    let mut demo = Demo::start(&["--demo", "--watch", "./nginx.log"]);
    let log = demo.bench.path("logs/nginx.log");
    wait_until("the file", || log.exists());
    let mut file = append(&log);
    for number in 1..=3 {
        file.write_all(util::line(number).as_bytes()).unwrap();
        wait_until("its record", || demo.bench.numbers().len() as u64 == number);
    }
    assert_eq!(demo.bench.numbers(), [1, 2, 3]);
    demo.signal(Signal::INT);
    assert!(demo.end().success(), "{}", demo.bench.stderr());
    let summary = (demo.summary("lines read"), demo.summary("records"));
    assert_eq!(summary, (3, 3));
    assert!(demo.bench.stderr().contains("which was made and is empty"));
    let lines: String = (1..=3).map(util::line).collect();
    assert_eq!(std::fs::read_to_string(&log).unwrap(), lines);

    // What is there by now is not shown again.
    let mut demo = Demo::start_on(demo.bench, &["--demo", "--watch", "./nginx.log"]);
    let starts = || demo.bench.stderr().matches("dashboard  http://").count();
    wait_until("the second start", || starts() == 2);
    // A line before VES has looked at the file would be one that was there.
    let is_skipped = |address: &Watched| address.value("ves_files_followed") == 1.0;
    let watched = Watched::at(&demo.bench, "dashboard  http://");
    wait_until("the file is followed", || is_skipped(&watched));
    file.write_all(util::line(4).as_bytes()).unwrap();
    wait_until("the new record", || demo.bench.numbers().contains(&4));
    demo.signal(Signal::INT);
    assert!(demo.end().success(), "{}", demo.bench.stderr());
    assert_eq!(demo.bench.numbers(), [1, 2, 3, 4]);
}

/// The name was taken for a pattern.
#[test]
fn the_name_of_a_file_is_no_pattern() {
    let mut demo = Demo::start(&["--demo", "--watch", "a[1]*.log"]);
    let log = demo.bench.path("logs/a[1]*.log");
    wait_until("the file", || log.exists());
    append(&log).write_all(b"one\n").unwrap();
    wait_until("its record", || !demo.bench.records().is_empty());
    assert_eq!(
        demo.bench.records(),
        [serde_json::json!({"message": "one"})]
    );
    demo.signal(Signal::INT);
    assert!(demo.end().success(), "{}", demo.bench.stderr());
}

#[test]
fn a_flood_of_lines_is_shown_in_part_and_counted() {
    let mut demo = Demo::start(&["--demo", "--watch", "nginx.log"]);
    let log = demo.bench.path("logs/nginx.log");
    wait_until("the file", || log.exists());
    let lines: String = (1..=5000).map(util::line).collect();
    append(&log).write_all(lines.as_bytes()).unwrap();
    let skipped = || -> u64 {
        let said = demo.bench.stderr();
        let counts = said.lines().filter_map(|line| {
            line.strip_prefix("(and ")?
                .strip_suffix(" more)")?
                .parse::<u64>()
                .ok()
        });
        counts.sum()
    };
    wait_until("records", || !demo.bench.records().is_empty());
    demo.signal(Signal::INT);
    assert!(demo.ves.wait().success());
    assert_eq!(demo.summary("records"), 5000);
    let shown = demo.bench.records().len() as u64;
    assert_eq!(shown + skipped(), 5000);
    assert!((100..2000).contains(&shown), "{shown}");
}

/// Runs a demo on a terminal of 90 columns: script(1) is one for what it runs.
fn on_a_terminal(environment: &[(&str, &str)]) -> String {
    let bench = Bench::new();
    let command = format!(
        "stty cols 90 rows 30; exec {} demo --duration 2s --rate 2000",
        link(&bench).display()
    );
    let output = Command::new("script")
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .env("TERM", "xterm-256color")
        .env("TMPDIR", temporary(&bench))
        .env_remove("NO_COLOR")
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    text
}

/// The text without escape sequences.
fn without_escapes(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\x1b[") {
        out.push_str(before);
        let end = after.find(|character: char| character.is_ascii_alphabetic());
        rest = &after[end.unwrap() + 1..];
    }
    out + rest
}

/// The methods of the traffic that the demo makes.
const METHODS: [&str; 7] = ["GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"];

#[test]
fn a_terminal_gets_rows_in_colours_and_figures_in_place() {
    let text = on_a_terminal(&[]);
    // The figures are taken off the screen before a row is printed in their place.
    assert!(text.contains("\r\x1b[K"), "{text:?}");
    assert!(text.contains("\x1b[32m200\x1b[0m"), "{text:?}");
    let plain = without_escapes(&text);
    let is_row = |line: &&str| line.get(2..3) == Some(":") && line.get(5..6) == Some(":");
    let last = |line| str::rsplit(line, '\r').find(|part| !part.is_empty());
    let rows: Vec<&str> = plain.lines().filter_map(last).filter(is_row).collect();
    assert!(rows.len() >= 3, "{text:?}");
    for row in rows {
        assert!(row.chars().count() < 90, "{row:?}");
        let method = row.split_whitespace().nth(2).unwrap();
        assert!(METHODS.contains(&method), "{row:?}");
    }
    assert!(plain.contains("  \"remote_addr\": \""), "{text:?}");

    let uncoloured = on_a_terminal(&[("NO_COLOR", "1")]);
    assert!(!uncoloured.contains("m200"), "{uncoloured:?}");
    assert!(uncoloured.contains("\r\x1b[K"), "{uncoloured:?}");
}

#[test]
fn what_cannot_be_shown_is_refused() {
    let bench = Bench::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (args, code, reason) in [
        // The durations end what would be shown after all.
        (
            &["--demo", "--watch", ".", "--duration", "1s"][..],
            2,
            "not a regular file",
        ),
        (
            &["--demo", "--watch", "no/such/a.log", "--duration", "1s"],
            2,
            "cannot be made",
        ),
        (&["demo", "--rate", "0"], 2, "--rate"),
        (
            &["demo", "--rate", "5", "--watch", "x"],
            2,
            "cannot be used with",
        ),
        (&["demo", "--duration", "soon"], 2, "--duration"),
        (&["demo", "--metrics", &port], 2, "another program has it"),
        (&["demo", "--metrics", "nowhere"], 2, "metrics"),
        (&["demo", "--folder", "/no/such"], 1, "/no/such"),
        (
            &["--watch", "nginx.log"],
            2,
            "unexpected argument '--watch'",
        ),
        (&["--demo", "--wacht", "nginx.log"], 2, "--watch"),
    ] {
        let mut command = Command::new(link(&bench));
        let output = command
            .args(args)
            .current_dir(bench.path("logs"))
            .env("TMPDIR", temporary(&bench))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(said.contains(reason), "{args:?}: {said}");
        let left = std::fs::read_dir(temporary(&bench)).unwrap();
        assert_eq!(left.count(), 0, "{args:?}");
    }
}

#[test]
fn the_other_name_has_the_bench_too() {
    let bench = Bench::new();
    let mut command = Command::new(link(&bench));
    command.args(["bench", "--duration", "10ms", "--lines", "5000", "--json"]);
    let output = command.output().unwrap();
    assert!(output.status.success());
    let results: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(results["load"]["backlog"]["lines"], 5000);
}

/// The demo for a stage, without its pauses.
fn stage(bench: &Bench) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(root.join("scripts/demo.sh"));
    command
        .arg("--fast")
        .env("VES", env!("CARGO_BIN_EXE_ves"))
        .env("TMPDIR", temporary(bench));
    command
}

/// Processes that work in a folder.
fn working_in(folder: &Path) -> usize {
    let folder = std::fs::canonicalize(folder).unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let folders = processes.filter_map(|entry| std::fs::read_link(entry.path().join("cwd")).ok());
    folders.filter(|cwd| cwd.starts_with(&folder)).count()
}

#[test]
fn the_demo_for_a_stage_proves_that_nothing_is_lost() {
    let bench = Bench::new();
    let output = stage(&bench).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{errors}");
    assert_eq!(errors, "");
    for words in [
        "== 1. ",
        "dashboard: http://127.0.0.1:",
        "$ mv logs/access.log logs/access.log.1\n",
        "$ kill -9 ",
        "# twice\n0\n",
        "Nothing was lost, nothing came twice.",
        "Start to first records",
        "== 7. ",
    ] {
        assert!(said.contains(words), "no {words:?} in {said}");
    }
    assert_eq!(working_in(&temporary(&bench)), 0);
    let left = std::fs::read_dir(temporary(&bench)).unwrap();
    assert_eq!(left.count(), 0);
}

#[test]
fn the_demo_for_a_stage_cleans_up_when_it_is_interrupted() {
    let bench = Bench::new();
    let out = bench.path("said");
    let mut ves = Ves::start_into(stage(&bench), &out, &bench.path("stderr"));
    wait_until("the second step", || {
        std::fs::read_to_string(&out).is_ok_and(|said| said.contains("and so on:"))
    });
    assert!(working_in(&temporary(&bench)) > 1);
    let pid = Pid::from_raw(ves.pid().cast_signed()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    assert_eq!(ves.wait().code(), Some(130));
    let left = std::fs::read_dir(temporary(&bench)).unwrap();
    assert_eq!(left.count(), 0);
    // What the writer slept with ends by itself.
    wait_until("the end of all processes", || {
        working_in(&temporary(&bench)) == 0
    });
}
