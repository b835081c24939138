//! `ves-harness soak` on a forwarder whose faults are known: each has to be seen and named.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// A folder in which "VES" is `reftail` with a fault.
fn bench(fault: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let own = dir.path().join("competitors/ves");
    fs::create_dir_all(&own).unwrap();
    let mut start = vec!["reftail", "--watch", "{{watch}}", "--ship", "{{sink}}"];
    start.extend(fault);
    let description = format!(
        "title = \"subject\"\nprograms = [\"{{harness}}\"]\nversion = []\ninstall = \"-\"\n\
         fidelity = \"raw\"\nstart = {start:?}\nnull_end = \"exit\"\n\
         [config.durable.sinks]\nfile = \"file:{{{{sink_path}}}}\"\n"
    );
    fs::write(own.join("competitor.toml"), description).unwrap();
    dir
}

/// It follows no rotation and keeps no state, so there is neither a rotation nor a kill.
fn soak(folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ves-harness"))
        .current_dir(folder)
        .args([
            "soak",
            "--duration",
            "3s",
            "--calm",
            "0s",
            "--rate",
            "2000",
            "--out",
            "report",
        ])
        .args(["--rotate-every", "1h", "--kill-every", "0s", "--work", "."])
        .output()
        .unwrap()
}

fn report(folder: &Path) -> String {
    fs::read_to_string(folder.join("report/report.md")).unwrap()
}

#[test]
fn a_clean_forwarder_is_clean() {
    let bench = bench(&[]);
    let output = soak(bench.path());
    let text = report(bench.path());
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("| lost | 0 |") && text.contains("**As it should be.**"),
        "{text}"
    );
    let rows = fs::read_to_string(bench.path().join("report/soak.csv")).unwrap();
    assert!(rows.lines().count() >= 3, "{rows}");
    // Reports are not written over.
    let again = soak(bench.path());
    let said = String::from_utf8_lossy(&again.stderr);
    assert!(
        !again.status.success() && said.contains("holds a report already"),
        "{said}"
    );
}

#[test]
fn each_fault_is_seen_and_named() {
    for (fault, complaint) in [
        ("drop:1000", " lost"),
        ("duplicate-batch", " duplicated"),
        ("swap", "1 out of order"),
    ] {
        let bench = bench(&["--fault", fault]);
        let output = soak(bench.path());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && said.contains(complaint),
            "{fault}: {said}"
        );
        assert!(report(bench.path()).contains("**Wrong: "));
    }
}

#[test]
fn a_crash_ends_it_and_is_named() {
    let bench = bench(&["--no-such-flag"]);
    let output = soak(bench.path());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(
        said.contains("VES ended by itself") && said.contains("--no-such-flag"),
        "{said}"
    );
    assert!(report(bench.path()).contains("**It did not come to its end.**"));
}
