//! `ves-harness reftail` as a process: it waits for its file, follows it, and ends on SIGTERM.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn start(folder: &Path, fault: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_ves-harness"))
        .current_dir(folder)
        .args(["reftail", "--watch", "a.log", "--ship", "file:a.ndjson"])
        .args(fault)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn append(folder: &Path, text: &str) {
    let path = folder.join("a.log");
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn wait_for(folder: &Path, expected: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let found = std::fs::read_to_string(folder.join("a.ndjson")).unwrap_or_default();
        if found == expected {
            return;
        }
        assert!(Instant::now() < deadline, "{found} instead of {expected}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn terminate(mut child: Child) {
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_file_is_followed_until_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let child = start(folder.path(), &[]);
    append(folder.path(), "one\ntw");
    wait_for(folder.path(), "{\"message\":\"one\"}\n");
    append(folder.path(), "o\nthr");
    wait_for(
        folder.path(),
        "{\"message\":\"one\"}\n{\"message\":\"two\"}\n",
    );
    terminate(child);
    let all = "{\"message\":\"one\"}\n{\"message\":\"two\"}\n{\"message\":\"thr\"}\n";
    wait_for(folder.path(), all);
}

#[test]
fn a_stall_holds_back_what_comes_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    append(folder.path(), "");
    let child = start(folder.path(), &["--fault", "stall:700ms"]);
    // A line every 10 ms, and when the number of records was seen to change.
    let (mut gaps, mut seen, mut seen_at) = (Vec::new(), 0, Instant::now());
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(4) {
        append(folder.path(), "x\n");
        std::thread::sleep(Duration::from_millis(10));
        let found = std::fs::read(folder.path().join("a.ndjson"))
            .unwrap_or_default()
            .len();
        if found > seen {
            gaps.push(seen_at.elapsed());
            (seen, seen_at) = (found, Instant::now());
        }
    }
    terminate(child);
    assert!(
        gaps.iter().any(|gap| *gap >= Duration::from_millis(650)),
        "{gaps:?}"
    );
}
