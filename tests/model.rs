//! VES against a model of it: random sequences of everything that happens to logs and to the process, on
//! a real folder with the real program, and a plain account of what must have been delivered.
//!
//! `VES_MODEL_SEQUENCES=10000 cargo test --test model` is the long run. A sequence that fails is made
//! shorter and its seed kept in `proptest-regressions/model.txt`, which every run begins with.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "model/account.rs"]
mod account;
#[path = "model/operation.rs"]
mod operation;
#[path = "util/kit.rs"]
mod util;
#[path = "model/world.rs"]
mod world;

use proptest::test_runner::{Config, FileFailurePersistence, TestCaseError, TestRunner};

use world::World;

/// Sequences of a run when nothing else is said: about 20 s.
const SEQUENCES: u32 = 200;

/// Sequences that run at the same time: most of the time they wait.
const THREADS: u32 = 4;

#[test]
fn what_must_be_delivered_is_delivered_once_whatever_happens() {
    let sequences = std::env::var("VES_MODEL_SEQUENCES");
    let sequences = sequences.map_or(SEQUENCES, |count| count.parse().unwrap());
    let failures: Vec<String> = std::thread::scope(|scope| {
        let spawn = |_| scope.spawn(|| run_sequences(sequences.div_ceil(THREADS)));
        let threads: Vec<_> = (0..THREADS).map(spawn).collect();
        let failures = threads.into_iter().map(|thread| thread.join().unwrap());
        failures.filter_map(Result::err).collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Runs the sequences that failed once, then as many new ones.
fn run_sequences(count: u32) -> Result<(), String> {
    let mut runner = TestRunner::new(Config {
        cases: count,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(
            "proptest-regressions/model.txt",
        ))),
        max_shrink_time: 120_000,
        ..Config::default()
    });
    let result = runner.run(&operation::sequences(), |sequence| {
        let mut world = World::new(sequence.is_wide);
        let reason = match world.run(&sequence.operations) {
            Ok(()) => return Ok(()),
            Err(reason) => reason,
        };
        let stderr = world.stderr();
        Err(TestCaseError::fail(format!(
            "{reason}\nves said:\n{stderr}"
        )))
    });
    result.map_err(|failure| failure.to_string())
}
