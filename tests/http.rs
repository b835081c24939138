//! The built binary against an HTTP server that misbehaves: nothing is lost, nothing is
//! acknowledged too early, and memory stays bounded.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumptions do")]

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use http_server::{HttpServer, Reply};
use rustix::process::{Pid, Signal, kill_process};

#[path = "util/http_server.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "shared with the unit tests of the sink"
)]
mod http_server;

/// Long enough for a debug build on a busy machine; no test waits that long when it passes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with an access log, a state folder and what the collector printed.
struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    /// The log holds `count` numbered lines.
    fn new(count: usize) -> Site {
        let site = Site {
            folder: tempfile::tempdir().unwrap(),
        };
        let log: String = (0..count).map(line).collect();
        fs::write(site.log(), log).unwrap();
        site
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("access.log")
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Starts `ves collect` on the log, shipping to `server`.
    fn collect(&self, server: &HttpServer, options: &[&str]) -> Collector {
        self.start(self.command(&server.url("/ingest")).args(options))
    }

    fn command(&self, url: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ves"));
        command
            .args([
                "collect",
                "--format",
                "nginx",
                "--batch-size",
                "500",
                "--ship",
                url,
            ])
            .arg("--watch")
            .arg(self.log())
            .arg("--state-dir")
            .arg(self.state())
            .env("NO_PROXY", "127.0.0.1,localhost")
            .env_remove("SSL_CERT_DIR");
        command
    }

    fn start(&self, command: &mut Command) -> Collector {
        let printed = self.folder.path().join("stderr");
        let child = command
            .stderr(File::create(&printed).unwrap())
            .spawn()
            .unwrap();
        Collector { child, printed }
    }
}

/// One nginx combined line with its number.
fn line(number: usize) -> String {
    format!(
        "192.0.2.7 - - [24/Nov/2026:03:36:21 +0000] \"GET /item/{number} HTTP/1.1\" 200 {number} \
         \"-\" \"Mozilla/5.0 (X11; Linux x86_64) test\"\n"
    )
}

/// A running collector; killed when a test ends early.
struct Collector {
    child: Child,
    printed: PathBuf,
}

impl Collector {
    fn printed(&self) -> String {
        fs::read_to_string(&self.printed).unwrap()
    }

    #[track_caller]
    fn wait(&mut self, timeout: Duration) -> ExitStatus {
        let mut status = None;
        poll(timeout, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap_or_else(|| panic!("still running; it printed:\n{}", self.printed()))
    }

    #[track_caller]
    fn succeeds(&mut self) {
        let status = self.wait(PATIENCE);
        assert!(
            status.success(),
            "{status}; it printed:\n{}",
            self.printed()
        );
    }

    fn terminate(&self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).unwrap();
    }

    /// The most memory that the process ever held, in KiB.
    fn memory_peak_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .unwrap();
        peak.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        // Both fail when it has ended by itself, as it should have.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks every few milliseconds until the answer is yes; `false` after `timeout`.
fn poll(timeout: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + timeout;
    while !condition() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// The numbers of the records in bodies that were answered 2xx, in order.
fn numbers_taken(server: &HttpServer) -> Vec<usize> {
    let taken = server.taken();
    let records = taken.split_inclusive(|byte| *byte == b'\n');
    records.map(number).collect()
}

fn number(record: &[u8]) -> usize {
    let record: serde_json::Value = serde_json::from_slice(record).unwrap();
    let number = record["path"]
        .as_str()
        .unwrap()
        .strip_prefix("/item/")
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(
        record["body_bytes_sent"].as_u64().unwrap() as usize,
        number,
        "{record}"
    );
    number
}

/// Every number below `count` was taken, some perhaps more than once.
#[track_caller]
fn assert_all_taken(server: &HttpServer, count: usize) {
    let taken: HashSet<_> = numbers_taken(server).into_iter().collect();
    let mut missing = String::new();
    (0..count)
        .filter(|n| !taken.contains(n))
        .take(10)
        .for_each(|n| write!(missing, " {n}").unwrap());
    assert!(missing.is_empty(), "never taken:{missing} ...");
    assert_eq!(taken.len(), count);
}

/// The first offset of every file in the checkpoint, none without a checkpoint.
fn checkpoint_offsets(state: &Path) -> Vec<u64> {
    let Ok(text) = fs::read(state.join("checkpoint.json")) else {
        return Vec::new();
    };
    let checkpoint: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let files = checkpoint["files"].as_array().unwrap();
    files
        .iter()
        .map(|file| file["offset"].as_u64().unwrap())
        .collect()
}

#[test]
fn every_line_survives_a_server_that_fails_in_every_way() {
    const COUNT: usize = 20_000;
    let site = Site::new(COUNT);
    let mut server = HttpServer::start();
    let faults = [
        Reply::Status(500),
        Reply::Hang,
        Reply::DropBeforeBody,
        Reply::Status(200),
        Reply::DropMidBody,
        Reply::DropAfterBody,
        Reply::Status(204),
        Reply::Raw(b"garbage\r\n\r\n".to_vec()),
        Reply::with_header(503, "retry-after", "0"),
        Reply::with_header(302, "location", "/elsewhere"),
    ];
    let fault_count = faults.len();
    server.then(faults);
    server.refuse();
    let mut collector = site.collect(&server, &["--request-timeout", "300ms", "--once"]);
    let refused = poll(PATIENCE, || collector.printed().contains("refused"));
    assert!(
        refused,
        "no word of the refusal in:\n{}",
        collector.printed()
    );
    server.accept_again();
    collector.succeeds();
    assert_all_taken(&server, COUNT);
    let requests = server.requests();
    assert!(
        requests.len() >= fault_count + COUNT / 500 - 2,
        "{} requests",
        requests.len()
    );
    assert!(
        requests
            .iter()
            .all(|request| request.line == "POST /ingest HTTP/1.1")
    );
    assert!(
        collector.printed().contains("work again"),
        "{}",
        collector.printed()
    );
}

/// Runs against a server that never takes anything, ends with SIGTERM, and runs again against one
/// that does.
#[track_caller]
fn nothing_is_acknowledged_before_a_2xx(reply: Reply) {
    const COUNT: usize = 20_000;
    let site = Site::new(COUNT);
    let server = HttpServer::start();
    server.always(reply);
    let options = ["--request-timeout", "300ms", "--shutdown-timeout", "1s"];
    let mut collector = site.collect(&server, &options);
    let tried = server.wait_until(PATIENCE, |requests| requests.len() >= 3);
    assert!(tried, "it printed:\n{}", collector.printed());
    collector.terminate();
    let status = collector.wait(Duration::from_secs(5));
    assert_eq!(
        status.code(),
        Some(1),
        "it printed:\n{}",
        collector.printed()
    );
    assert_eq!(server.taken(), b"");
    let offsets = checkpoint_offsets(&site.state());
    assert!(
        offsets.iter().all(|offset| *offset == 0),
        "acknowledged: {offsets:?}"
    );

    server.always(Reply::Status(200));
    server.release();
    site.collect(&server, &["--once"]).succeeds();
    assert_all_taken(&server, COUNT);
    let offsets = checkpoint_offsets(&site.state());
    assert_eq!(offsets, [fs::metadata(site.log()).unwrap().len()]);
}

#[test]
fn a_server_that_hangs_for_ever_acknowledges_nothing() {
    nothing_is_acknowledged_before_a_2xx(Reply::Hang);
}

#[test]
fn a_server_that_answers_500_for_ever_acknowledges_nothing() {
    nothing_is_acknowledged_before_a_2xx(Reply::Status(500));
}

#[test]
fn a_redirect_for_ever_acknowledges_nothing() {
    nothing_is_acknowledged_before_a_2xx(Reply::with_header(307, "location", "/elsewhere"));
}

#[test]
fn a_request_that_hangs_does_not_hold_up_the_end() {
    let site = Site::new(1_000);
    let server = HttpServer::start();
    server.always(Reply::Hang);
    let options = ["--request-timeout", "60s", "--shutdown-timeout", "1s"];
    let mut collector = site.collect(&server, &options);
    assert!(
        poll(PATIENCE, || server.hanging() > 0),
        "it printed:\n{}",
        collector.printed()
    );
    collector.terminate();
    let status = collector.wait(Duration::from_secs(5));
    assert_eq!(
        status.code(),
        Some(1),
        "it printed:\n{}",
        collector.printed()
    );
}

#[test]
fn memory_stays_bounded_while_the_server_hangs() {
    const INPUT_BYTES: usize = 200_000_000;
    let site = Site::new(0);
    let block: String = (0..10_000).map(line).collect();
    let mut log = BufWriter::new(File::create(site.log()).unwrap());
    for _ in 0..INPUT_BYTES.div_ceil(block.len()) {
        log.write_all(block.as_bytes()).unwrap();
    }
    log.into_inner().unwrap();
    let server = HttpServer::start();
    server.always(Reply::Hang);
    let mut collector = site.collect(&server, &["--request-timeout", "60s"]);
    assert!(
        poll(PATIENCE, || server.hanging() > 0),
        "it printed:\n{}",
        collector.printed()
    );
    // Two seconds are enough to read all of it many times over, if anything let it.
    let grew = poll(Duration::from_secs(2), || {
        collector.memory_peak_kib() > 64 * 1024
    });
    assert!(!grew, "peak {} KiB", collector.memory_peak_kib());
    assert!(collector.child.try_wait().unwrap().is_none(), "ended early");
}

#[test]
fn compressed_bodies_decode_to_every_line() {
    const COUNT: usize = 5_000;
    let site = Site::new(COUNT);
    let server = HttpServer::start();
    site.collect(&server, &["--compression", "zstd", "--once"])
        .succeeds();
    assert_eq!(numbers_taken(&server), (0..COUNT).collect::<Vec<_>>());
    for request in server.requests() {
        assert_eq!(request.header("content-encoding"), Some("zstd"));
        assert_eq!(request.header("content-type"), Some("application/x-ndjson"));
        assert!(
            request.wire_bytes < request.body.len() / 3,
            "{request:.200?}"
        );
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn batches_that_are_too_large_are_cut_and_no_line_is_sent_twice() {
    const COUNT: usize = 5_000;
    let site = Site::new(COUNT);
    let server = HttpServer::start();
    server.limit_body(20_000);
    site.collect(&server, &["--once"]).succeeds();
    assert_eq!(numbers_taken(&server), (0..COUNT).collect::<Vec<_>>());
    assert!(
        server
            .requests()
            .iter()
            .any(|request| request.status == Some(413))
    );
}

#[test]
fn a_cut_batch_resumes_after_a_failure_without_sending_a_line_twice() {
    const COUNT: usize = 2_000;
    let site = Site::new(COUNT);
    let server = HttpServer::start();
    server.limit_body(20_000);
    server.then([
        Reply::Status(200),
        Reply::Status(500),
        Reply::Status(200),
        Reply::Status(503),
    ]);
    site.collect(&server, &["--once"]).succeeds();
    assert_eq!(numbers_taken(&server), (0..COUNT).collect::<Vec<_>>());
}

#[test]
fn headers_reach_the_server() {
    let site = Site::new(10);
    let server = HttpServer::start();
    let options = ["--header", "Authorization: Bearer s3cret", "--once"];
    let mut collector = site.collect(&server, &options);
    collector.succeeds();
    assert_all_taken(&server, 10);
    assert_eq!(
        server.requests()[0].header("authorization"),
        Some("Bearer s3cret")
    );
    assert!(!collector.printed().contains("s3cret"));
}

#[test]
fn https_trusts_the_system_store_or_the_ca_file_and_nobody_else() {
    let site = Site::new(1_000);
    let (server, ca_file) = HttpServer::start_tls(site.folder.path());
    let url = format!("https://localhost:{}/ingest", server.port());
    let nobody = site.folder.path().join("empty.pem");
    fs::write(&nobody, "").unwrap();

    // The variable stands for the system's store.
    let mut collector = site.start(
        site.command(&url)
            .arg("--once")
            .env("SSL_CERT_FILE", &nobody),
    );
    assert_eq!(
        collector.wait(PATIENCE).code(),
        Some(2),
        "{}",
        collector.printed()
    );
    assert!(
        collector.printed().contains("--ca-file"),
        "{}",
        collector.printed()
    );
    assert_eq!(server.requests().len(), 0);

    site.start(
        site.command(&url)
            .arg("--once")
            .env("SSL_CERT_FILE", &ca_file),
    )
    .succeeds();
    assert_all_taken(&server, 1_000);

    fs::remove_dir_all(site.state()).unwrap();
    let (server, ca_file) = HttpServer::start_tls(site.folder.path());
    let url = format!("https://localhost:{}/ingest", server.port());
    let mut command = site.command(&url);
    command
        .arg("--ca-file")
        .arg(ca_file)
        .arg("--once")
        .env("SSL_CERT_FILE", &nobody);
    site.start(&mut command).succeeds();
    assert_all_taken(&server, 1_000);
}
