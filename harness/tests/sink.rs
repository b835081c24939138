//! `ves-harness sink`: what VES and others deliver is counted and written, and what is not taken is not
//! acknowledged.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long anything may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running sink, and the address that it tells.
struct Sink {
    child: Option<Child>,
    url: String,
}

impl Sink {
    fn start(folder: &Path, args: &[&str]) -> Sink {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ves-harness"))
            .current_dir(folder)
            .arg("sink")
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        stderr.read_line(&mut said).unwrap();
        let url = said.split(' ').find(|word| word.contains("://"));
        let url = url.expect(&said).to_owned();
        child.stderr = Some(stderr.into_inner());
        Sink {
            child: Some(child),
            url,
        }
    }

    /// Ctrl-C, and what it printed.
    fn end(mut self) -> Output {
        let child = self.child.as_mut().unwrap();
        kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
        self.wait()
    }

    /// What it printed until its end.
    fn wait(&mut self) -> Output {
        let deadline = Instant::now() + PATIENCE;
        let child = self.child.as_mut().unwrap();
        while child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "it goes on");
            std::thread::sleep(Duration::from_millis(1));
        }
        self.child.take().unwrap().wait_with_output().unwrap()
    }

    fn connect(&self) -> TcpStream {
        let address = self.url.split('/').nth(2).unwrap();
        TcpStream::connect(address).unwrap()
    }

    /// The status of the answer to a POST.
    fn post(&self, header: &str, body: &str) -> String {
        let mut stream = self.connect();
        let length = body.len();
        let head =
            format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n{header}\r\n");
        stream.write_all((head + body).as_bytes()).unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        String::from_utf8_lossy(&status[9..]).into_owned()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

/// The program beside this one, which is built where nobody did that yet.
fn ves() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_ves-harness")).with_file_name("ves");
    if !program.exists() {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--locked", "--package", "ves"]);
        assert!(cargo.status().unwrap().success());
    }
    program
}

fn first_line(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn what_ves_delivers_is_counted_and_written() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let lines: String = (0..5000).map(|number| format!("line {number}\n")).collect();
    fs::write(dir.join("a.log"), lines).unwrap();
    let sink = Sink::start(dir, &["--http", "127.0.0.1:0", "--out", "out.ndjson"]);
    let status = Command::new(ves())
        .current_dir(dir)
        .args(["collect", "--once", "--no-state", "--watch", "a.log"])
        .args(["--format", "raw", "--ship", &sink.url])
        .env("NO_PROXY", "127.0.0.1")
        .status()
        .unwrap();
    assert!(status.success());
    let ended = sink.end();
    assert!(ended.status.success(), "{ended:?}");
    let record = |number| format!("{{\"message\":\"line {number}\"}}\n");
    let expected: String = (0..5000).map(record).collect();
    let found = fs::read_to_string(dir.join("out.ndjson")).unwrap();
    assert!(found == expected, "{} bytes", found.len());
    let totals = first_line(&ended);
    let expected = format!("5 000 records, {} bytes", grouped(expected.len()));
    assert!(totals.starts_with(&expected), "{totals}");
    assert!(
        totals.ends_with(" s from the first to the last"),
        "{totals}"
    );
}

fn grouped(bytes: usize) -> String {
    format!("{} {:03}", bytes / 1000, bytes % 1000)
}

/// The collector may go on for ever.
#[test]
fn lines_are_taken_by_tcp_and_open_connections_hold_nothing_up() {
    let folder = tempfile::tempdir().unwrap();
    let sink = Sink::start(folder.path(), &["--tcp", "127.0.0.1:0", "--out", "out"]);
    fs::write(folder.path().join("a.log"), "one\ntwo\nthr").unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_ves-harness"))
        .current_dir(folder.path())
        .args(["reftail", "--once", "--watch", "a.log"])
        .args(["--ship", &sink.url])
        .status()
        .unwrap();
    assert!(status.success());
    let mut open = sink.connect();
    open.write_all(b"four\nfi").unwrap();
    let expected = "{\"message\":\"one\"}\n{\"message\":\"two\"}\n{\"message\":\"thr\"}\n";
    let found = || fs::read_to_string(folder.path().join("out")).unwrap();
    // Each connection has a thread: either may be first.
    let deadline = Instant::now() + PATIENCE;
    while !(found().contains(expected) && found().contains("four\n")) {
        assert!(Instant::now() < deadline, "{}", found());
        std::thread::sleep(Duration::from_millis(1));
    }
    open.write_all(b"ve\nsi").unwrap();
    while !found().contains("\nfive\n") {
        assert!(Instant::now() < deadline, "{}", found());
        std::thread::sleep(Duration::from_millis(1));
    }
    let ended = sink.end();
    assert!(ended.status.success(), "{ended:?}");
    assert!(!found().contains("si"), "{}", found());
    let totals = first_line(&ended);
    assert!(totals.starts_with("5 records, "), "{totals}");
}

#[test]
fn what_is_not_taken_is_not_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let sink = Sink::start(folder.path(), &["--http", "127.0.0.1:0", "--out", "out"]);
    assert_eq!(sink.post("", "{}\n{}\n"), "200");
    assert_eq!(sink.post("Content-Encoding: zstd\r\n", "abc"), "415");
    assert_eq!(sink.post("Content-Encoding: identity\r\n", "{}"), "200");
    let ended = sink.end();
    let totals = first_line(&ended);
    assert!(totals.starts_with("3 records, 9 bytes"), "{totals}");
    assert_eq!(fs::read_to_string(out).unwrap(), "{}\n{}\n{}\n");

    let mut full = Sink::start(
        folder.path(),
        &["--http", "127.0.0.1:0", "--out", "/dev/full"],
    );
    assert_eq!(full.post("", "{}\n"), "503");
    // It ends by itself: nothing could be taken any more.
    let ended = full.wait();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success(), "{said}");
    assert!(
        said.contains("write /dev/full: No space left on device"),
        "{said}"
    );
    assert!(first_line(&ended).starts_with("0 records"), "{ended:?}");
}

#[test]
fn an_address_that_is_taken_or_missing_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    fs::write(folder.path().join("kept"), "records").unwrap();
    for (args, reason) in [
        (&["--http", &address][..], address.as_str()),
        (&["--tcp", &address], address.as_str()),
        (&["--http", &address, "--out", "kept"], address.as_str()),
        (&["--http", "nowhere"], "invalid socket address"),
        (&[], "--http"),
        (
            &["--http", &address, "--tcp", &address],
            "cannot be used with",
        ),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_ves-harness"))
            .current_dir(folder.path())
            .arg("sink")
            .args(args)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{args:?}");
        assert!(said.contains(reason), "{args:?}: {said}");
    }
    let kept = fs::read_to_string(folder.path().join("kept")).unwrap();
    assert_eq!(kept, "records", "the file was emptied for nothing");
}
