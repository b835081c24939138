//! The kit of the end-to-end tests: the built program as a process, conditions to wait for, lines
//! with numbers in them, and what came out.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

pub(crate) mod reference;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long anything may take before a test gives up on it. Generous: machines are shared.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `is_so`, looking every few milliseconds.
pub(crate) fn wait_until(what: &str, is_so: impl FnMut() -> bool) {
    assert!(becomes_so(PATIENCE, is_so), "waited in vain: {what}");
}

/// Whether `is_so` within `patience`.
pub(crate) fn becomes_so(patience: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + patience;
    while !is_so() {
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// Says, past the test harness, that a test shows nothing here, and why.
pub(crate) fn say_skipped(test: &str, why: &str) {
    let line = format!("\n*** SKIPPED {test}: {why}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// A small generator (xorshift64*), so that a seed gives the same run everywhere.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }
}

/// A folder for one test with the usual names in it, removed at the end.
pub(crate) struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new() -> Bench {
        let bench = Bench {
            dir: tempfile::tempdir().unwrap(),
        };
        std::fs::create_dir(bench.path("logs")).unwrap();
        bench
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The sink file.
    pub(crate) fn out(&self) -> PathBuf {
        self.path("out.ndjson")
    }

    /// `ves collect` of `pattern` below `logs`, into the sink file, with a checkpoint.
    pub(crate) fn collect(&self, pattern: &str, more: &[&str]) -> Ves {
        let watch = self.path("logs").join(pattern);
        let ship = format!("file://{}", self.out().display());
        let state = self.path("state");
        let mut args = vec![
            "collect",
            "--watch",
            watch.to_str().unwrap(),
            "--ship",
            &ship,
        ];
        args.extend(["--state-dir", state.to_str().unwrap()]);
        args.extend(more);
        Ves::start(&args, &self.path("stderr"))
    }

    pub(crate) fn stderr(&self) -> String {
        std::fs::read_to_string(self.path("stderr")).unwrap_or_default()
    }

    /// The records in the sink; the last one may still be written.
    pub(crate) fn records(&self) -> Vec<Value> {
        records(&std::fs::read(self.out()).unwrap_or_default())
    }

    /// The numbers of the records in the sink, in order.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        self.records().iter().map(number).collect()
    }
}

/// Reads NDJSON up to the last newline.
pub(crate) fn records(bytes: &[u8]) -> Vec<Value> {
    let end = bytes
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |at| at + 1);
    let lines = bytes[..end].split_inclusive(|&byte| byte == b'\n');
    lines
        .map(|line| serde_json::from_slice(line).expect("every line is JSON"))
        .collect()
}

/// `ves` as a process; killed when dropped.
pub(crate) struct Ves {
    child: Child,
}

impl Ves {
    /// Starts it; its standard error is appended to `stderr`.
    pub(crate) fn start(args: &[&str], stderr: &Path) -> Ves {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ves"));
        command.args(args);
        Ves::start_command(command, stderr)
    }

    pub(crate) fn start_command(command: Command, stderr: &Path) -> Ves {
        Ves::start_into(command, Path::new("/dev/null"), stderr)
    }

    /// The same with standard output appended to `stdout`.
    pub(crate) fn start_into(mut command: Command, stdout: &Path, stderr: &Path) -> Ves {
        let stdout = append(stdout);
        command
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(append(stderr));
        Ves {
            child: command.spawn().unwrap(),
        }
    }

    /// The same with standard output as a pipe.
    pub(crate) fn start_piped(mut command: Command, stderr: &Path) -> (Ves, ChildStdout) {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(append(stderr));
        let mut child = command.spawn().unwrap();
        let out = child.stdout.take().unwrap();
        (Ves { child }, out)
    }

    /// The same with standard input as a pipe.
    pub(crate) fn start_fed(mut command: Command, stderr: &Path) -> (Ves, ChildStdin) {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(append(stderr));
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        (Ves { child }, stdin)
    }

    /// Whether it holds the file open.
    pub(crate) fn has_open(&self, file: &File) -> bool {
        let wanted = file.metadata().unwrap();
        let descriptors = std::fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap();
        let mut files = descriptors
            .flatten()
            .filter_map(|fd| std::fs::metadata(fd.path()).ok());
        files.any(|file| (file.dev(), file.ino()) == (wanted.dev(), wanted.ino()))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// SIGSTOP, and waits until all threads stand still: that takes a moment after the signal.
    pub(crate) fn suspend(&self) {
        self.signal(Signal::STOP);
        wait_until("all threads to stand still", || {
            let threads = std::fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap();
            let is_stopped = |thread: std::fs::DirEntry| {
                let status = std::fs::read_to_string(thread.path().join("status")).unwrap();
                status.contains("State:\tT")
            };
            threads.flatten().all(is_stopped)
        });
    }

    /// SIGHUP.
    pub(crate) fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    /// SIGTERM, then its end.
    pub(crate) fn terminate(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the end of ves", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Ves {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A combined line that holds `number`.
pub(crate) fn line(number: u64) -> String {
    format!(
        "10.0.0.{} - - [24/Nov/2026:00:00:{:02} +0000] \"GET /item?n={number} HTTP/1.1\" 200 {} \
         \"https://example.com/{number}\" \"agent {number}\"\n",
        number % 250,
        number % 60,
        number % 5000
    )
}

/// The number of a record made of [`line`], which must be whole.
pub(crate) fn number(record: &Value) -> u64 {
    let path = record["path"]
        .as_str()
        .unwrap_or_else(|| panic!("no path in {record}"));
    let number: u64 = path.strip_prefix("/item?n=").unwrap().parse().unwrap();
    let expected = reference::combined(line(number).trim_end().as_bytes()).unwrap();
    for (key, value) in &expected {
        assert_eq!(&record[key], value, "{key} of {record}");
    }
    number
}

/// Appends lines with consecutive numbers, one write each, to a file that can be rotated.
pub(crate) struct Writer {
    /// The file that lines go to.
    pub(crate) file: File,
    path: PathBuf,
    /// Lines written so far: the last number.
    pub(crate) written: u64,
}

impl Writer {
    pub(crate) fn new(path: PathBuf) -> Writer {
        Writer {
            file: append(&path),
            path,
            written: 0,
        }
    }

    pub(crate) fn write(&mut self, count: u64) {
        for _ in 0..count {
            self.written += 1;
            self.file.write_all(line(self.written).as_bytes()).unwrap();
        }
    }

    /// Renames the file; the writer keeps the old descriptor until [`Writer::reopen`].
    pub(crate) fn rename(&self, to: &Path) {
        std::fs::rename(&self.path, to).unwrap();
    }

    pub(crate) fn reopen(&mut self) {
        self.file = append(&self.path);
    }

    /// Rotates as logrotate does by default: `.1` to `.2` and so on, the file to `.1`, then a new file.
    pub(crate) fn shift(&mut self) {
        let name = |number: u32| PathBuf::from(format!("{}.{number}", self.path.display()));
        let count = (1..).take_while(|number| name(*number).exists()).count() as u32;
        for number in (1..=count).rev() {
            std::fs::rename(name(number), name(number + 1)).unwrap();
        }
        self.rename(&name(1));
        self.reopen();
    }

    /// Copies the file, then cuts it to nothing.
    pub(crate) fn copy_and_truncate(&self, to: &Path) {
        std::fs::copy(&self.path, to).unwrap();
        self.file.set_len(0).unwrap();
    }
}

pub(crate) fn append(path: &Path) -> File {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap()
}

/// Asserts that `numbers` are 1 to `count`, each once, in whatever order.
pub(crate) fn assert_each_once(numbers: &[u64], count: u64) {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    let twice: Vec<u64> = sorted
        .windows(2)
        .filter(|two| two[0] == two[1])
        .map(|two| two[0])
        .collect();
    let missing: Vec<u64> = (1..=count)
        .filter(|number| sorted.binary_search(number).is_err())
        .collect();
    assert!(
        twice.is_empty() && missing.is_empty() && sorted.len() as u64 == count,
        "of {count}: {} twice from {:?}, {} missing from {:?}",
        twice.len(),
        twice.first(),
        missing.len(),
        missing.first()
    );
}
