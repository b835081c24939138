//! `ves-harness torture` on a collector whose faults are known: each has to be seen and named, and a
//! run that is interrupted leaves nothing behind.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long anything may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(120);

/// A folder of collectors in which "VES" is another program.
struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    /// `start` are its arguments, of `program`.
    fn new(program: &str, start: &[&str]) -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("competitors/ves");
        fs::create_dir_all(&own).unwrap();
        let description = format!(
            "title = \"subject\"\nprograms = [{program:?}]\nversion = []\ninstall = \"-\"\n\
             fidelity = \"raw\"\nstart = {start:?}\nnull_end = \"exit\"\nstop_timeout_s = 1\n\
             [config.durable.sinks]\nfile = \"file:{{{{sink_path}}}}\"\n"
        );
        fs::write(own.join("competitor.toml"), description).unwrap();
        fs::create_dir(dir.path().join("work")).unwrap();
        Bench { dir }
    }

    /// `reftail` with these arguments: it forwards the lines of one file, whatever it is called.
    fn reftail(more: &[&str]) -> Bench {
        let mut start = vec!["reftail", "--watch", "{{watch}}", "--ship", "{{sink}}"];
        start.extend(more);
        Bench::new("{harness}", &start)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn start(&self, cases: &str) -> Child {
        let err = fs::File::create(self.path("stderr")).unwrap();
        Command::new(env!("CARGO_BIN_EXE_ves-harness"))
            .current_dir(self.dir.path())
            .args(["torture", "--quick", "--rate", "1000", "--out", "report"])
            .args(["--work", "work", "--cases", cases])
            .stdout(Stdio::null())
            .stderr(err)
            .spawn()
            .unwrap()
    }

    /// Runs the cases. Gives whether it succeeded, the rows of the matrix and what was said.
    fn run(&self, cases: &str) -> (bool, Vec<Row>, String) {
        let is_good = wait(self.start(cases));
        let mut reader = csv::Reader::from_path(self.path("report/matrix.csv")).unwrap();
        let rows = reader.deserialize().map(Result::unwrap).collect();
        let said = fs::read_to_string(self.path("stderr")).unwrap();
        (is_good, rows, said)
    }
}

/// A row of `matrix.csv`, as far as it is looked at.
#[derive(Debug, serde::Deserialize)]
struct Row {
    verdict: String,
    reason: String,
    expected: u64,
    lost: u64,
    duplicated: u64,
    corrupted: u64,
    reordered: u64,
}

impl Row {
    fn counts(&self) -> [u64; 4] {
        [self.lost, self.duplicated, self.corrupted, self.reordered]
    }
}

/// Whether it succeeded.
fn wait(mut child: Child) -> bool {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.success();
        }
        if Instant::now() >= until {
            child.kill().unwrap();
            panic!("it did not end");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_clean_collector_is_clean_and_the_report_is_whole() {
    let bench = Bench::reftail(&[]);
    let (is_good, rows, said) = bench.run("steady");
    assert!(is_good, "{said}");
    let row = &rows[0];
    assert_eq!((row.verdict.as_str(), row.expected), ("clean", 1500));
    assert_eq!(row.counts(), [0; 4]);
    let report = fs::read_to_string(bench.path("report/report.md")).unwrap();
    assert!(
        report.contains("| 1 | steady |") && report.contains("| ok |"),
        "{report}"
    );
    let picture = fs::read(bench.path("report/matrix.png")).unwrap();
    assert!(picture.starts_with(b"\x89PNG") && picture.len() > 5_000);
    // Reports are not written over.
    assert!(!wait(bench.start("steady")));
    let said = fs::read_to_string(bench.path("stderr")).unwrap();
    assert!(said.contains("holds a report already"), "{said}");
    let rest = fs::read_dir(bench.path("work")).unwrap().count();
    assert_eq!(rest, 0, "folders are left");
}

#[test]
fn each_fault_is_seen_and_named() {
    type IsSeen = fn(&Row) -> bool;
    let lost = |row: &Row| row.counts() == [3, 0, 0, 0] && row.verdict == "wrong";
    let twice = |row: &Row| {
        let [lost, duplicated, corrupted, _] = row.counts();
        lost + corrupted == 0 && duplicated > 0 && row.verdict == "duplicated"
    };
    let order = |row: &Row| row.counts() == [0, 0, 0, 1] && row.verdict == "wrong";
    let checks: [(&str, IsSeen); 3] = [
        ("drop:500", lost),
        ("duplicate-batch", twice),
        ("swap", order),
    ];
    for (fault, is_seen) in checks {
        let (is_good, rows, said) = Bench::reftail(&["--fault", fault]).run("1");
        assert!(
            !is_good && said.contains("VES failed 1 cases: steady"),
            "{said}"
        );
        assert!(is_seen(&rows[0]), "{fault}: {rows:?}");
    }
}

#[test]
fn what_changes_records_is_seen() {
    let script = "tail -n +1 -F \"$0\" 2>/dev/null | sed -u -e 's/^/x/' > \"$1\"";
    let bench = Bench::new("/bin/sh", &["-c", script, "{{watch}}", "{{sink_path}}"]);
    let (is_good, rows, _) = bench.run("steady");
    assert!(!is_good);
    assert_eq!(rows[0].counts(), [0, 0, 1500, 0], "{rows:?}");
    assert!(rows[0].reason.contains("not JSON"), "{rows:?}");
}

#[test]
fn a_collector_that_does_not_follow_rotations_loses_lines() {
    let (is_good, rows, _) = Bench::reftail(&[]).run("three-rotations,rename-create");
    assert!(!is_good && rows.len() == 2);
    for row in rows {
        assert!(row.lost > 0 && row.lost < row.expected, "{row:?}");
        assert_eq!(row.counts()[1..], [0, 0, 0]);
    }
}

#[test]
fn crashes_and_hangs_are_failures_and_a_missing_sink_is_none() {
    let (_, rows, _) = Bench::new("/bin/false", &["{{watch}}"]).run("steady");
    assert_eq!(rows[0].verdict, "failed");
    assert!(rows[0].reason.contains("it ended by itself"), "{rows:?}");
    let deaf = Bench::new("/bin/sh", &["-c", "trap '' TERM; sleep 600 & wait; wait"]);
    let (_, rows, _) = deaf.run("steady");
    assert_eq!(rows[0].verdict, "failed");
    assert!(rows[0].reason.contains("did not end within 1s"), "{rows:?}");
    assert_eq!(rows[0].lost, rows[0].expected);
    let (is_good, rows, _) = Bench::reftail(&[]).run("sink-down");
    assert!(is_good, "a case that does not apply is no failure");
    assert_eq!(rows[0].verdict, "not-applicable");
    assert_eq!(rows[0].reason, "it has no http sink here");
}

#[test]
fn an_interrupt_leaves_nothing_running() {
    let bench = Bench::reftail(&[]);
    // It loses lines, so the run would wait for them for long.
    let child = bench.start("rename-create");
    let work = fs::canonicalize(bench.path("work")).unwrap();
    let until = Instant::now() + PATIENCE;
    while subjects(&work).is_empty() {
        assert!(Instant::now() < until, "no subject was started");
        std::thread::sleep(Duration::from_millis(10));
    }
    let pid = Pid::from_raw(child.id().cast_signed());
    kill(pid, Signal::SIGINT).unwrap();
    assert!(!wait(child));
    assert_eq!(subjects(&work), Vec::<i32>::new());
    assert_eq!(fs::read_dir(&work).unwrap().count(), 0);
    let said = fs::read_to_string(bench.path("stderr")).unwrap();
    assert!(said.contains("interrupted"), "{said}");
}

/// Processes that work in a folder below `work`.
fn subjects(work: &Path) -> Vec<i32> {
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else {
            continue;
        };
        let folder = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        if folder.starts_with(work) {
            pids.push(pid);
        }
    }
    pids
}
