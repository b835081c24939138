//! SIGHUP: the configuration is read again, and not a line is lost or repeated.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "util/http_server.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "shared with the unit tests of the sink"
)]
mod http_server;
#[path = "util/kit.rs"]
mod util;
#[path = "util/watched.rs"]
#[expect(dead_code, reason = "each test file uses a part of it")]
mod watched;

use std::fs;
use std::io::{BufRead, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use http_server::HttpServer;
use util::{Bench, Ves, Writer, assert_each_once, wait_until};
use watched::Watched;

const RELOADED: &str = "the configuration is reloaded";

/// `ves`, told nothing about SIGHUP by whoever runs the tests: under nohup it is ignored.
fn ves() -> Command {
    let mut command = Command::new("env");
    command.args(["--default-signal=HUP", env!("CARGO_BIN_EXE_ves"), "collect"]);
    command.env("NO_PROXY", "127.0.0.1");
    command
}

fn write_config(bench: &Bench, lines: &[&str]) {
    let root = bench.path("");
    let text = lines.join("\n").replace("ROOT", root.to_str().unwrap());
    // As editors do: never a half of it.
    fs::write(bench.path("new.toml"), text).unwrap();
    fs::rename(bench.path("new.toml"), bench.path("ves.toml")).unwrap();
}

fn collect(bench: &Bench, more: &[&str]) -> Ves {
    let mut command = ves();
    command
        .arg("--config")
        .arg(bench.path("ves.toml"))
        .args(more);
    Ves::start_command(command, &bench.path("stderr"))
}

/// SIGHUP, and waits until it is done.
fn reload(bench: &Bench, ves: &Ves) {
    let count = || bench.stderr().matches(RELOADED).count();
    let before = count();
    ves.hang_up();
    wait_until("the reload", || count() > before);
}

fn numbers(path: &Path) -> Vec<u64> {
    let records = util::records(&fs::read(path).unwrap_or_default());
    records.iter().map(util::number).collect()
}

const WATCH: &str = "watch_path = \"ROOT/logs/*.log\"";
const SHIP: &str = "ship_url = \"file:ROOT/out.ndjson\"";
const STATE: &str = "state_dir = \"ROOT/state\"";

/// Reloads while a log is written, renamed, and deleted with its writer still at it.
fn reload_under_load(state: &str) {
    let bench = Bench::new();
    write_config(&bench, &[WATCH, SHIP, state]);
    let mut writer = Writer::new(bench.path("logs/a.log"));
    writer.write(5);
    let ves = collect(&bench, &[]);
    wait_until("the first records", || bench.numbers().len() == 5);
    for round in 0..12 {
        writer.write(400);
        match round % 3 {
            0 => {
                writer.rename(&bench.path(&format!("logs/a.log.{round}")));
                writer.write(40);
            }
            1 => {
                wait_until("the file is open", || ves.has_open(&writer.file));
                fs::remove_file(bench.path("logs/a.log")).unwrap();
                writer.write(40);
            }
            _ => {}
        }
        ves.hang_up();
        // In the old file, whatever became of its name.
        for _ in 0..20 {
            writer.write(10);
            std::thread::sleep(Duration::from_millis(2));
        }
        writer.reopen();
        writer.write(50);
        wait_until("what was written", || {
            bench.records().len() as u64 >= writer.written
        });
    }
    assert!(ves.terminate().success());
    assert_each_once(&bench.numbers(), writer.written);
    assert!(
        bench.stderr().matches(RELOADED).count() >= 6,
        "{}",
        bench.stderr()
    );
}

#[test]
fn nothing_is_lost_or_repeated() {
    reload_under_load(STATE);
}

#[test]
fn nothing_is_lost_or_repeated_without_a_state_folder() {
    reload_under_load("no_state = true");
}

#[test]
fn the_new_settings_hold_from_then_on() {
    let bench = Bench::new();
    write_config(
        &bench,
        &[WATCH, SHIP, "no_state = true", "add = { round = 1 }"],
    );
    let mut writer = Writer::new(bench.path("logs/a.log"));
    writer.write(3);
    let ves = collect(&bench, &["--from", "end"]);
    wait_until("the start", || {
        ves.has_open(&writer.file) && bench.out().exists()
    });
    writer.write(3);
    wait_until("the first records", || bench.records().len() == 3);
    // A pattern more, whose file is there already, and another sink.
    fs::write(bench.path("logs/b.txt"), util::line(100)).unwrap();
    let watch = "watch_path = [\"ROOT/logs/*.log\", \"ROOT/logs/*.txt\"]";
    let ship = "ship_url = \"file:ROOT/second.ndjson\"";
    write_config(
        &bench,
        &[watch, ship, "no_state = true", "add = { round = 2 }"],
    );
    reload(&bench, &ves);
    writer.write(3);
    wait_until("the records", || {
        numbers(&bench.path("second.ndjson")).len() == 3
    });
    // --from end is for files that the patterns did not mean before.
    util::append(&bench.path("logs/b.txt"))
        .write_all(util::line(101).as_bytes())
        .unwrap();
    let mut second = Vec::new();
    wait_until("the other file's record", || {
        second = util::records(&fs::read(bench.path("second.ndjson")).unwrap());
        second.len() == 4
    });
    assert!(ves.terminate().success());
    assert!(
        second.iter().all(|record| record["round"] == 2),
        "{second:?}"
    );
    assert!(bench.records().iter().all(|record| record["round"] == 1));
    assert_eq!(bench.numbers(), [4, 5, 6]);
    let mut second: Vec<u64> = second.iter().map(util::number).collect();
    second.sort_unstable();
    assert_eq!(second, [7, 8, 9, 101]);
}

#[test]
fn a_pattern_that_is_taken_out_and_put_back_goes_on_where_it_was() {
    let bench = Bench::new();
    write_config(&bench, &[WATCH, SHIP, STATE]);
    let mut writer = Writer::new(bench.path("logs/a.log"));
    writer.write(10);
    let ves = collect(&bench, &[]);
    wait_until("the first records", || bench.records().len() == 10);
    write_config(&bench, &["watch_path = \"ROOT/logs/*.txt\"", SHIP, STATE]);
    reload(&bench, &ves);
    wait_until("the file to be closed", || !ves.has_open(&writer.file));
    writer.write(10);
    write_config(&bench, &[WATCH, SHIP, STATE]);
    reload(&bench, &ves);
    wait_until("the rest", || bench.records().len() >= 20);
    assert!(ves.terminate().success());
    assert_each_once(&bench.numbers(), 20);
}

#[test]
fn metrics_go_on_at_their_address() {
    let bench = Bench::new();
    write_config(&bench, &[WATCH, SHIP, STATE, "metrics = \"127.0.0.1:0\""]);
    let mut writer = Writer::new(bench.path("logs/a.log"));
    let ves = collect(&bench, &[]);
    let watched = Watched::of(&bench);
    for written in [100.0, 200.0, 300.0] {
        writer.write(100);
        wait_until("the count", || {
            watched.value("ves_records_shipped_total") == written
        });
        wait_until("health", || watched.get("/healthz").status == 200);
        reload(&bench, &ves);
    }
    let says = |keys: &str| {
        let line = format!("warning: {keys}: changed, which takes a restart of VES");
        bench.stderr().contains(&line)
    };
    assert!(!bench.stderr().contains("takes a restart"));
    write_config(
        &bench,
        &[
            WATCH,
            SHIP,
            STATE,
            "metrics = \"127.0.0.1:0\"",
            "metrics_host = \"logs.example.com\"\nmetrics_per_file = true",
        ],
    );
    reload(&bench, &ves);
    assert!(says("metrics_host, metrics_per_file"), "{}", bench.stderr());
    assert_eq!(watched.get_as("/healthz", "logs.example.com").status, 421);
    write_config(&bench, &[WATCH, SHIP, STATE]);
    reload(&bench, &ves);
    assert!(says("metrics"), "{}", bench.stderr());
    assert_eq!(watched.value("ves_records_shipped_total"), 300.0);
    assert!(ves.terminate().success());
}

/// The configuration in the first event of the stream, which a page asks for again when it ends.
fn shown_config(events: &mut impl BufRead) -> String {
    let mut lines = events.lines().map(Result::unwrap);
    let data = lines.find_map(|line| Some(line.strip_prefix("data: ")?.to_owned()));
    let hello: serde_json::Value = serde_json::from_str(&data.unwrap()).unwrap();
    hello["config"].as_str().unwrap().to_owned()
}

#[test]
fn the_dashboard_shows_the_configuration_that_holds() {
    let bench = Bench::new();
    let metrics = "metrics = \"127.0.0.1:0\"";
    let batch = |size: u32| format!("batch_size = {size}");
    let is_of = |size: u32, config: &str| config.lines().any(|line| line == batch(size));
    write_config(&bench, &[WATCH, SHIP, STATE, metrics, &batch(11)]);
    let ves = collect(&bench, &[]);
    let watched = Watched::of(&bench);
    let mut open_page = watched.events();
    let config = shown_config(&mut open_page);
    assert!(is_of(11, &config), "{config}");
    let per_file = "metrics_per_file = true";
    write_config(&bench, &[WATCH, SHIP, STATE, metrics, per_file, &batch(22)]);
    reload(&bench, &ves);
    // A page that is open would go on showing the old one for as long as its stream goes on.
    open_page.read_to_string(&mut String::new()).unwrap();
    let config = shown_config(&mut watched.events());
    assert!(is_of(22, &config), "{config}");
    assert!(config.contains("\nmetrics_per_file = false\n"), "{config}");
    // One that is refused never held.
    let missing = "ship_url = \"file:ROOT/missing/out.ndjson\"";
    write_config(&bench, &[WATCH, missing, STATE, metrics, &batch(33)]);
    ves.hang_up();
    wait_until("a refusal", || bench.stderr().contains("is refused"));
    let config = shown_config(&mut watched.events());
    assert!(is_of(22, &config), "{config}");
    assert!(ves.terminate().success());
}

/// `systemctl reload`: without it a job has to be restarted for each change.
#[test]
fn the_unit_reloads_it() {
    let bench = Bench::new();
    write_config(&bench, &[WATCH, SHIP, STATE]);
    let mut writer = Writer::new(bench.path("logs/a.log"));
    writer.write(1);
    let ves = collect(&bench, &[]);
    wait_until("the record", || bench.records().len() == 1);
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/package/ves@.service");
    let unit = fs::read_to_string(unit).unwrap();
    let reload = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecReload="))
        .expect("the unit says how to reload");
    let mut shell = Command::new("sh");
    shell.args(["-c", reload]);
    shell.env("MAINPID", ves.pid().to_string());
    assert!(shell.status().unwrap().success());
    wait_until("the reload", || bench.stderr().contains(RELOADED));
    assert!(ves.terminate().success());
}

/// The default state folder is another one with each pattern and sink.
#[test]
fn another_state_folder_has_it_all_and_what_it_knew_before() {
    let bench = Bench::new();
    // What another run has read of another file.
    fs::write(
        bench.path("logs/b.txt"),
        (101..=110).map(util::line).collect::<String>(),
    )
    .unwrap();
    let other = "state_dir = \"ROOT/other\"";
    write_config(&bench, &["watch_path = \"ROOT/logs/*.txt\"", SHIP, other]);
    assert!(collect(&bench, &["--once"]).wait().success());
    let mut writer = Writer::new(bench.path("logs/a.log"));
    writer.write(50);
    write_config(&bench, &[WATCH, SHIP, STATE]);
    let ves = collect(&bench, &[]);
    wait_until("the first records", || bench.records().len() == 60);
    let both = "watch_path = [\"ROOT/logs/*.log\", \"ROOT/logs/*.txt\"]";
    write_config(&bench, &[both, SHIP, other]);
    reload(&bench, &ves);
    let mut text = util::append(&bench.path("logs/b.txt"));
    text.write_all(util::line(111).as_bytes()).unwrap();
    writer.write(50);
    wait_until("more records", || bench.records().len() == 111);
    ves.kill();
    writer.write(1);
    let ves = collect(&bench, &[]);
    let numbers = || bench.numbers().into_iter().filter(|&number| number <= 100);
    wait_until("the last", || {
        bench
            .numbers()
            .iter()
            .filter(|&&number| number == 101)
            .count()
            == 2
    });
    assert!(ves.terminate().success());
    let of_text = bench.numbers().into_iter().filter(|&number| number > 101);
    assert_each_once(&numbers().collect::<Vec<u64>>(), 100);
    assert_eq!(
        of_text.collect::<Vec<u64>>(),
        (102..=111).collect::<Vec<u64>>()
    );
}

#[test]
fn what_was_wrong_is_refused_in_full_and_the_old_goes_on() {
    let bench = Bench::new();
    write_config(&bench, &[WATCH, SHIP, STATE]);
    let mut writer = Writer::new(bench.path("logs/a.log"));
    let ves = collect(&bench, &[]);
    wait_until("the start", || bench.path("state/checkpoint.json").exists());
    let missing = "ship_url = \"file:ROOT/missing/out.ndjson\"";
    for (settings, said) in [
        (
            [WATCH, SHIP, "batch_sise = 5\nworkers = 0"],
            [
                "unknown key `batch_sise`",
                "workers: expected an integer from 1 to 64",
            ],
        ),
        (
            [WATCH, missing, STATE],
            ["open the sink file", "missing/out.ndjson: No such file"],
        ),
    ] {
        write_config(&bench, &settings);
        let count = || bench.stderr().matches("is refused: going on").count();
        let before = count();
        ves.hang_up();
        wait_until("a refusal", || count() > before);
        let stderr = bench.stderr();
        assert!(said.iter().all(|said| stderr.contains(said)), "{stderr}");
        writer.write(10);
        wait_until("records all the same", || {
            bench.records().len() as u64 == writer.written
        });
    }
    assert!(ves.terminate().success());
    assert!(!bench.stderr().contains(RELOADED), "{}", bench.stderr());
    assert_each_once(&bench.numbers(), writer.written);
}

/// A file that is deleted has no name by which another start could find it.
#[test]
fn a_sink_that_is_down_is_replaced_and_deleted_files_are_read_all_the_same() {
    let bench = Bench::new();
    let mut server = HttpServer::start();
    server.refuse();
    let url = format!("ship_url = \"{}\"", server.url("/"));
    write_config(&bench, &[WATCH, &url, STATE, "shutdown_timeout = \"1s\""]);
    let mut writer = Writer::new(bench.path("logs/a.log"));
    let ves = collect(&bench, &[]);
    for _ in 0..3 {
        writer.write(50_000);
        wait_until("the file is open", || ves.has_open(&writer.file));
        fs::remove_file(bench.path("logs/a.log")).unwrap();
        writer.reopen();
    }
    writer.write(10);
    wait_until("the file is open", || ves.has_open(&writer.file));
    write_config(&bench, &[WATCH, SHIP, STATE]);
    reload(&bench, &ves);
    wait_until("all records", || {
        bench.records().len() as u64 >= writer.written
    });
    assert!(ves.terminate().success());
    assert_each_once(&bench.numbers(), writer.written);
}

#[test]
fn a_sink_file_that_logrotate_moved_is_made_anew() {
    let bench = Bench::new();
    write_config(&bench, &[WATCH, SHIP, STATE]);
    let mut writer = Writer::new(bench.path("logs/a.log"));
    let ves = collect(&bench, &[]);
    let old = bench.path("out.ndjson.1");
    writer.write(10);
    wait_until("the first records", || bench.records().len() == 10);
    fs::rename(bench.out(), &old).unwrap();
    reload(&bench, &ves);
    writer.write(10);
    wait_until("the next", || bench.records().len() == 10);
    assert!(ves.terminate().success());
    let all = [numbers(&old), bench.numbers()].concat();
    assert_eq!(all, (1..=20).collect::<Vec<u64>>());
}

/// Standard input cannot be opened again: the same one is read on, half a line included.
#[test]
fn a_line_of_standard_input_may_come_in_two_halves() {
    let bench = Bench::new();
    write_config(&bench, &["watch_path = \"-\"", SHIP]);
    let mut command = ves();
    command.arg("--config").arg(bench.path("ves.toml"));
    let (mut ves, mut stdin) = Ves::start_fed(command, &bench.path("stderr"));
    let lines: String = (1..=4).map(util::line).collect();
    let (first, second) = lines.split_at(lines.len() - 150);
    stdin.write_all(first.as_bytes()).unwrap();
    wait_until("whole lines", || !bench.records().is_empty());
    // The rest was read with them.
    for round in 1..=2 {
        ves.hang_up();
        wait_until("the reload", || {
            bench.stderr().matches(RELOADED).count() == round
        });
    }
    stdin.write_all(second.as_bytes()).unwrap();
    drop(stdin);
    assert!(ves.wait().success());
    assert_each_once(&bench.numbers(), 4);
    assert!(
        bench
            .records()
            .iter()
            .all(|record| record.get("partial").is_none())
    );
}

/// What was read of standard input cannot be read again, so the old sink has to take it.
#[test]
fn standard_input_is_kept_until_the_sink_takes_it() {
    let bench = Bench::new();
    let mut server = HttpServer::start();
    server.refuse();
    let url = format!("ship_url = \"{}\"", server.url("/"));
    let stdin = "watch_path = \"-\"";
    write_config(&bench, &[stdin, &url, "shutdown_timeout = \"100ms\""]);
    let mut command = ves();
    command.arg("--config").arg(bench.path("ves.toml"));
    let (mut ves, mut input) = Ves::start_fed(command, &bench.path("stderr"));
    input
        .write_all((1..=100).map(util::line).collect::<String>().as_bytes())
        .unwrap();
    wait_until("a refusal", || bench.stderr().contains("trying again"));
    write_config(&bench, &[stdin, SHIP]);
    ves.hang_up();
    wait_until("a word of it", || {
        bench.stderr().contains("SIGHUP: going on")
    });
    std::thread::sleep(Duration::from_millis(1500));
    assert!(!bench.stderr().contains(RELOADED));
    server.accept_again();
    wait_until("the reload", || bench.stderr().contains(RELOADED));
    input
        .write_all((101..=200).map(util::line).collect::<String>().as_bytes())
        .unwrap();
    drop(input);
    assert!(ves.wait().success());
    let taken = util::records(&server.taken());
    let mut numbers: Vec<u64> = taken.iter().map(util::number).collect();
    numbers.extend(bench.numbers());
    assert_each_once(&numbers, 200);
}

/// Whoever closes a terminal wants the job in it to end, not to go on unseen.
#[test]
fn a_terminal_that_is_closed_ends_it() {
    let bench = Bench::new();
    write_config(&bench, &[WATCH, SHIP, STATE]);
    let mut writer = Writer::new(bench.path("logs/a.log"));
    writer.write(1);
    let job = format!(
        "echo $$ > {}; exec env --default-signal=HUP {} collect --config {}",
        bench.path("pid").display(),
        env!("CARGO_BIN_EXE_ves"),
        bench.path("ves.toml").display()
    );
    let mut terminal = Command::new("script");
    terminal.args(["-qec", &job]).arg(bench.path("typescript"));
    terminal.stdin(Stdio::piped()).stdout(Stdio::null());
    let mut terminal = terminal.spawn().unwrap();
    wait_until("the record", || bench.records().len() == 1);
    let pid = fs::read_to_string(bench.path("pid")).unwrap();
    terminal.kill().unwrap();
    terminal.wait().unwrap();
    let process = Path::new("/proc").join(pid.trim());
    let has_ended = util::becomes_so(util::PATIENCE, || !process.exists());
    if !has_ended {
        Command::new("kill").arg(pid.trim()).status().unwrap();
    }
    assert!(has_ended, "it goes on without its terminal");
}

/// The old content of a truncated file and the new one have the same inode. The entry of either came first,
/// and where it was the old one, the file was shipped again from its beginning.
#[test]
fn a_file_that_was_truncated_and_rotated_just_before_is_read_on() {
    for pause in 0..12 {
        let bench = Bench::new();
        write_config(&bench, &[WATCH, SHIP, STATE]);
        let mut writer = Writer::new(bench.path("logs/a.log"));
        let ves = collect(&bench, &[]);
        // Reloads that are said: the same message comes five times a minute.
        for round in 0..4 {
            writer.write(10);
            let count = || bench.numbers().len() as u64;
            wait_until("the records", || count() == writer.written);
            writer.file.set_len(0).unwrap();
            writer.write(10);
            std::thread::sleep(Duration::from_micros(200 * pause));
            writer.rename(&bench.path(&format!("logs/a.log.{round}")));
            reload(&bench, &ves);
            writer.reopen();
        }
        writer.write(1);
        wait_until("the rest", || bench.numbers().contains(&writer.written));
        assert!(ves.terminate().success());
        assert_each_once(&bench.numbers(), writer.written);
    }
}

/// Catching SIGHUP would undo nohup: the demo and the bench end by it.
#[test]
fn who_is_told_to_ignore_it_does() {
    for args in [
        &[
            "collect",
            "--no-state",
            "--ship",
            "stdout:",
            "--watch",
            "*.log",
        ][..],
        &["demo", "--rate", "100"],
    ] {
        let bench = Bench::new();
        Writer::new(bench.path("logs/a.log")).write(10);
        let mut command = Command::new("env");
        command
            .args(["--ignore-signal=HUP", env!("CARGO_BIN_EXE_ves")])
            .args(args)
            .current_dir(bench.path("logs"))
            .env("TMPDIR", bench.path(""));
        let ves = Ves::start_into(command, &bench.out(), &bench.path("stderr"));
        wait_until("records", || !bench.records().is_empty());
        let status = fs::read_to_string(format!("/proc/{}/status", ves.pid())).unwrap();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let ignored = u64::from_str_radix(ignored.unwrap().trim(), 16).unwrap();
        assert_eq!(ignored & 1, 1, "{args:?}: {status}");
        assert!(ves.terminate().success(), "{}", bench.stderr());
    }
}
