//! VES's own messages: levels, JSON, and how often the same one is said.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "util/kit.rs"]
mod util;
#[path = "util/watched.rs"]
#[expect(dead_code, reason = "shared with the tests of the metrics")]
mod watched;

use serde_json::Value;
use util::{Bench, wait_until};
use watched::Watched;

/// A name that would reset the terminal and forge a second message.
const HOSTILE: &str = "a\x1bc\nves: error: forged \u{9b}31m.log";

fn run_on_a_hostile_folder(more: &[&str]) -> String {
    let bench = Bench::new();
    let folder = bench.path("logs").join(HOSTILE);
    std::fs::create_dir(&folder).unwrap();
    let watch = ["--watch", folder.to_str().unwrap(), "--once"];
    bench.collect("*.txt", &[&watch, more].concat()).wait();
    bench.stderr()
}

#[test]
fn levels_leave_out_what_matters_less() {
    let is_warned = |text: &str| text.contains("warning: ") && text.contains("is a folder");
    let said = run_on_a_hostile_folder(&[]);
    assert!(
        is_warned(&said) && said.contains("no file matches"),
        "{said}"
    );
    let said = run_on_a_hostile_folder(&["--log-level", "warn"]);
    assert!(
        is_warned(&said) && !said.contains("no file matches"),
        "{said}"
    );
    assert_eq!(run_on_a_hostile_folder(&["--log-level", "error"]), "");
    let bench = Bench::new();
    std::fs::write(bench.path("logs/a.log"), util::line(1)).unwrap();
    bench
        .collect("*.log", &["--once", "--log-level", "debug"])
        .wait();
    let said = bench.stderr();
    assert!(
        said.contains("debug: ") && said.contains("a.log: followed from byte 0"),
        "{said}"
    );
}

#[test]
fn nothing_that_was_named_by_others_reaches_the_terminal_raw() {
    for more in [&[][..], &["--log-format", "json"]] {
        let said = run_on_a_hostile_folder(more);
        assert!(said.contains("is a folder"), "{said}");
        let has_control = |line: &str| line.contains(char::is_control);
        assert!(!said.lines().any(has_control), "{said:?}");
        assert!(
            !said.lines().any(|line| line.starts_with("ves: error")),
            "{said}"
        );
    }
}

#[test]
fn json_has_an_object_a_line_with_figures_and_all() {
    let said = run_on_a_hostile_folder(&["--log-format", "json", "--stats"]);
    let lines: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let levels: Vec<&str> = lines
        .iter()
        .map(|line| line["level"].as_str().unwrap())
        .collect();
    assert!(
        levels.contains(&"warn") && levels.contains(&"info"),
        "{levels:?}"
    );
    assert!(lines.iter().all(|line| line["time"].is_string()));
    let messages = lines.iter().map(|line| line["message"].as_str().unwrap());
    let messages: Vec<&str> = messages.collect();
    assert!(messages.iter().any(|message| message.contains(HOSTILE)));
    assert!(messages.last().unwrap().starts_with("Summary"));
}

/// A path that came and went filled the journal with the same two lines.
#[test]
fn the_same_message_is_said_five_times_a_minute_then_counted() {
    let bench = Bench::new();
    let log = bench.path("logs/a.log");
    let ves = bench.collect("*.log", &["--metrics", "0"]);
    let watched = Watched::of(&bench);
    let said = |level| watched.value(&format!("ves_log_messages_total{{level=\"{level}\"}}"));
    wait_until("the start", || bench.stderr().contains("no file matches"));
    let info_before = said("info");
    let next = bench.path("next");
    for round in 1..=8 {
        // A symbolic link to itself cannot be opened.
        std::os::unix::fs::symlink(&log, &next).unwrap();
        std::fs::rename(&next, &log).unwrap();
        wait_until("the warning", || said("warn") >= f64::from(round));
        std::fs::write(&next, "").unwrap();
        std::fs::rename(&next, &log).unwrap();
        wait_until("the relief", || {
            said("info") >= info_before + f64::from(round)
        });
    }
    assert_eq!(watched.value("ves_log_messages_held_back_total"), 6.0);
    assert!(ves.terminate().success());
    let said = bench.stderr();
    let count = |text: &str| said.lines().filter(|line| line.contains(text)).count();
    assert_eq!(count("will try again"), 6, "{said}");
    assert_eq!(count("can be read now"), 6, "{said}");
    assert_eq!(count("repeated 3 times: "), 2, "{said}");
}

#[test]
fn live_figures_are_lines_where_nobody_could_redraw_them() {
    let bench = Bench::new();
    std::fs::write(bench.path("logs/a.log"), util::line(1)).unwrap();
    let ves = bench.collect("*.log", &["--stats"]);
    let lines = || -> Vec<String> {
        let said = bench.stderr();
        let lines = said.lines().filter(|line| line.starts_with("Throughput: "));
        lines.map(str::to_owned).collect()
    };
    wait_until("two lines", || lines().len() >= 2);
    assert!(ves.terminate().success());
    let parts: Vec<String> = lines()[0].split(" | ").map(str::to_owned).collect();
    let [throughput, cpu, latency, memory] = parts.as_slice() else {
        panic!("{parts:?}");
    };
    assert!(throughput.ends_with(" logs/sec"), "{throughput}");
    assert!(cpu.starts_with("CPU: ") && cpu.ends_with('%'), "{cpu}");
    assert!(
        latency.starts_with("Latency p99: ") && latency.ends_with("ms"),
        "{latency}"
    );
    assert!(
        memory.starts_with("Memory: ") && memory.ends_with("MB"),
        "{memory}"
    );
    let said = bench.stderr();
    assert!(!said.contains(['\r', '\x1b']), "{said:?}");
    assert!(
        said.contains("Summary\n  read                   1 lines"),
        "{said}"
    );
}

#[test]
fn live_figures_are_redrawn_in_place_on_a_terminal_and_never_wrap() {
    let bench = Bench::new();
    std::fs::write(bench.path("logs/a.log"), util::line(1)).unwrap();
    let collect = format!(
        "stty cols 40; exec timeout --signal=TERM 3.5 {} collect --stats --no-state --ship null: \
         --watch '{}'",
        env!("CARGO_BIN_EXE_ves"),
        bench.path("logs/*.log").display()
    );
    // script(1) is a terminal for what it runs.
    let output = std::process::Command::new("script")
        .args(["-qfec", &collect, "/dev/null"])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let live: Vec<&str> = said.split("\rThroughput: ").skip(1).collect();
    assert!(live.len() >= 2, "{said:?}");
    for line in live {
        let (line, _) = line.split_once("\x1b[K").unwrap();
        assert_eq!("Throughput: ".len() + line.len(), 39, "{line:?}");
    }
    assert!(said.contains("Summary"), "{said:?}");
}
