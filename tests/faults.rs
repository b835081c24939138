//! System calls that fail or do less than they were asked to, at random, under everything that VES reads
//! and writes: nothing ends it, and every line is in the file sink once.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "util/faults.rs"]
#[allow(dead_code, reason = "each test file uses a part of it")]
mod faults;
#[path = "util/kit.rs"]
mod util;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use faults::Faults;
use util::{Bench, Random, Ves, Writer, assert_each_once, becomes_so, wait_until};

/// Every call that VES makes while it runs, on what, and what the path of that ends in. Of `read` there is
/// inotify alone: logs are mapped, and the checkpoint is read at a start.
const CALLS: [(&str, &str, &str); 21] = [
    ("open", "log", "a.log"),
    ("open", "checkpoint", ".new"),
    ("open", "state folder", "/state"),
    ("stat", "log", "a.log"),
    ("fstat", "log", "a.log"),
    ("stat", "sink", "out.ndjson"),
    ("stat", "logs folder", "/logs"),
    ("stat", "lock", "/lock"),
    ("fstat", "lock", "/lock"),
    ("map", "log", "a.log"),
    ("pread", "log", "a.log"),
    ("opendir", "logs folder", "/logs"),
    ("watch", "log", "a.log"),
    ("read", "inotify", "inotify"),
    ("write", "sink", "out.ndjson"),
    ("write", "checkpoint", ".new"),
    ("truncate", "sink", "out.ndjson"),
    ("fsync", "checkpoint", ".new"),
    ("fsync", "state folder", "/state"),
    ("fdatasync", "sink", "out.ndjson"),
    ("rename", "checkpoint", ".new"),
];

/// Runs, each with a seed of its own. Each call is the one that fails most in two of them: in the first
/// there is a kill in the middle.
const RUNS: u64 = 2 * CALLS.len() as u64;

/// Runs at the same time: they wait most of the time.
const THREADS: u64 = 4;

/// Steps of a run, about 20 ms each: longer than a second, so that everything is looked at that VES looks
/// at once a second.
const STEPS: u64 = 70;

fn collect(bench: &Bench, faults: &Faults, sync: &str) -> Ves {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ves"));
    command.arg("collect").arg("--watch");
    command.arg(bench.path("logs/*.log*")).arg("--ship");
    command.arg(format!("file:{}", bench.out().display()));
    command.arg("--state-dir").arg(bench.path("state"));
    command.args(["--sync", sync, "--log-level", "debug"]);
    faults.add_to(&mut command);
    Ves::start_command(command, &bench.path("stderr"))
}

/// Waits until there are `count` records. A kill may leave records that the next start cuts off.
fn wait_for(bench: &Bench, seed: u64, count: u64) {
    let is_there = || bench.records().len() as u64 >= count;
    let came = becomes_so(util::PATIENCE, is_there);
    let there = bench.records().len();
    assert!(came, "seed {seed}: {there} of {count}\n{}", bench.stderr());
}

/// The rules of a run: the call that fails most, and all others.
fn rules(seed: u64, rate: u64) -> Vec<String> {
    let (call, role, path) = CALLS[seed as usize % CALLS.len()];
    let mut rules = vec![format!("random {rate} {seed}")];
    // These are made seldom. A sink is cut after a write that failed.
    let is_seldom = role == "sink" && call != "write";
    if call == "truncate" {
        rules.push(format!("random 300 {seed} write {path}"));
    }
    let rate = if is_seldom { 1000 } else { 300 };
    rules.push(format!("random {rate} {seed} {call} {path}"));
    rules
}

/// One run: two logs, of which one is rotated, under faults from the first line on. Returns what failed:
/// the call, how, and what it was called on.
fn run(seed: u64) -> Vec<(String, String, &'static str)> {
    let bench = Bench::new();
    let faults = Faults::new(&bench);
    let mut random = Random(seed * 2 + 1);
    let round = seed / CALLS.len() as u64;
    let sync = ["interval", "batch", "none"][(seed + round) as usize % 3];
    let rules = rules(seed, 20 + random.below(80));
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let mut writer = Writer::new(bench.path("logs/a.log"));
    writer.write(10);
    let mut ves = collect(&bench, &faults, sync);
    wait_for(&bench, seed, 10);
    let kill_in = (round == 0).then(|| random.below(STEPS));
    let mut rotations = 0;
    faults.set(&rules);
    for step in 0..STEPS {
        writer.write(random.below(40));
        if random.below(8) == 0 {
            rotations += 1;
            writer.rename(&bench.path(&format!("logs/a.log.{rotations}")));
            // Its writer keeps the old file for a while.
            writer.write(random.below(5));
            writer.reopen();
        }
        if random.below(8) == 0 {
            writer.written += 1;
            let path = bench.path(&format!("logs/b{}.log", writer.written));
            fs::write(path, util::line(writer.written)).unwrap();
        }
        std::thread::sleep(Duration::from_millis(random.below(40)));
        assert!(ves.is_running(), "seed {seed}: ended\n{}", bench.stderr());
        if kill_in == Some(step) {
            ves.kill();
            // A start says what it cannot do, and ends: that is for the tests of starts.
            faults.set(&[]);
            ves = collect(&bench, &faults, sync);
            let before = writer.written;
            writer.write(1);
            wait_until("the new start", || bench.numbers().contains(&(before + 1)));
            faults.set(&rules);
        }
    }
    faults.set(&[]);
    writer.write(10);
    wait_for(&bench, seed, writer.written);
    assert!(ves.is_running(), "seed {seed}: ended\n{}", bench.stderr());
    let status = ves.terminate();
    let stderr = bench.stderr();
    // A sink that could not be flushed keeps the checkpoint back, which is the one failure that lasts.
    let is_unflushed = stderr.contains("the sink file cannot be flushed");
    assert!(status.success() || is_unflushed, "seed {seed}:\n{stderr}");
    println!("seed {seed}, {rules:?}, --sync {sync}");
    assert_each_once(&bench.numbers(), writer.written);
    for said in ["truncated", "these are lost", "will come twice"] {
        assert!(!stderr.contains(said), "seed {seed}: {said}\n{stderr}");
    }
    let role = |(call, how, path): (String, String, std::path::PathBuf)| {
        let role = role(&bench, &path);
        (call, how, role)
    };
    faults.random().into_iter().map(role).collect()
}

/// What a path is to VES.
fn role(bench: &Bench, path: &Path) -> &'static str {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match path.parent() {
        _ if *path == bench.out() => "sink",
        _ if *path == bench.path("state") => "state folder",
        _ if *path == bench.path("logs") => "logs folder",
        Some(folder) if folder == bench.path("logs") => "log",
        Some(folder) if folder == bench.path("state") && name == "lock" => "lock",
        Some(folder) if folder == bench.path("state") => "checkpoint",
        _ if path.starts_with("anon_inode:inotify") => "inotify",
        _ => "other",
    }
}

#[test]
fn nothing_is_lost_or_repeated_whatever_call_fails() {
    let mut found: BTreeMap<(String, &str), (u64, u64)> = BTreeMap::new();
    let results: Vec<_> = std::thread::scope(|scope| {
        let run_all = |first: u64| {
            let seeds = (first..RUNS).step_by(THREADS as usize);
            seeds.flat_map(run).collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..THREADS)
            .map(|first| scope.spawn(move || run_all(first)))
            .collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Vec<_>>| thread.join().unwrap();
        threads.into_iter().flat_map(join).collect()
    });
    for (call, how, role) in results {
        let (errors, shorts) = found.entry((call, role)).or_default();
        *if how == "short" { shorts } else { errors } += 1;
    }
    for ((call, role), (errors, shorts)) in &found {
        println!("{call} on {role}: {errors} failed, {shorts} did less than they were asked to");
    }
    let count = |call: &str, role: &'static str| found.get(&(call.to_owned(), role)).copied();
    for (call, role, _) in CALLS {
        let is_hit = count(call, role).is_some_and(|(errors, _)| errors > 0);
        assert!(is_hit, "{call} on {role} never failed: {found:?}");
    }
    for (call, role) in [("pread", "log"), ("write", "sink"), ("write", "checkpoint")] {
        let is_hit = count(call, role).is_some_and(|(_, shorts)| shorts > 0);
        assert!(is_hit, "{call} on {role} never did less: {found:?}");
    }
}
