//! Two jobs with one state folder, or one sink file: the second is told who has it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "util/kit.rs"]
mod util;

use util::{Bench, Ves, Writer, wait_until};

/// Starts a second job and returns what it says; it must be refused.
fn refused(bench: &Bench, args: &[&str]) -> String {
    let mut all = vec!["collect"];
    all.extend(args);
    let status = Ves::start(&all, &bench.path("second")).wait();
    assert_eq!(status.code(), Some(2));
    std::fs::read_to_string(bench.path("second")).unwrap()
}

#[test]
fn the_holder_is_told_with_its_number_and_name() {
    let bench = Bench::new();
    Writer::new(bench.path("logs/a.log")).write(1);
    let ves = bench.collect("*.log", &[]);
    wait_until("the first checkpoint", || {
        bench.path("state/checkpoint.json").exists()
    });
    let holder = format!("is in use by process {} (ves): give", ves.pid());
    let (state, watch) = (bench.path("state"), bench.path("logs/*.log"));
    let (state, watch) = (state.to_str().unwrap(), watch.to_str().unwrap());
    let said = refused(
        &bench,
        &["--watch", watch, "--state-dir", state, "--ship", "null:"],
    );
    assert!(said.contains(&holder) && said.contains(state), "{said}");
    let sink = bench.out();
    let ship = format!("file:{}", sink.display());
    let said = refused(&bench, &["--watch", watch, "--no-state", "--ship", &ship]);
    assert!(said.contains(sink.to_str().unwrap()), "{said}");
    assert!(said.contains(&holder), "{said}");
    assert!(ves.terminate().success());
}
