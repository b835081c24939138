//! Following files through everything that happens to them while VES runs.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "util/kit.rs"]
mod util;

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::process::Command;
use std::time::Duration;

use util::{Bench, Ves, Writer, assert_each_once, line, wait_until};

fn wait_for(bench: &Bench, count: u64) {
    wait_until(&format!("{count} records"), || {
        bench.records().len() as u64 >= count
    });
}

#[test]
fn files_that_appear_later_are_followed_in_new_folders_too() {
    let bench = Bench::new();
    let ves = bench.collect("**/*.log", &[]);
    wait_until("the start", || bench.path("state/checkpoint.json").exists());
    fs::write(bench.path("logs/a.log"), line(1)).unwrap();
    wait_for(&bench, 1);
    fs::create_dir_all(bench.path("logs/new/deep")).unwrap();
    fs::write(bench.path("logs/new/deep/b.log"), line(2)).unwrap();
    fs::write(bench.path("logs/new/deep/b.txt"), line(99)).unwrap();
    wait_for(&bench, 2);
    util::append(&bench.path("logs/new/deep/b.log"))
        .write_all(line(3).as_bytes())
        .unwrap();
    wait_for(&bench, 3);
    assert!(ves.terminate().success());
    assert_each_once(&bench.numbers(), 3);
}

#[test]
fn a_missing_folder_is_waited_for() {
    let bench = Bench::new();
    let ves = bench.collect("later/*.log", &[]);
    wait_until("the start", || bench.path("state/checkpoint.json").exists());
    fs::create_dir(bench.path("logs/later")).unwrap();
    fs::write(bench.path("logs/later/a.log"), line(1)).unwrap();
    wait_for(&bench, 1);
    assert!(ves.terminate().success());
}

#[test]
fn the_old_file_is_read_on_while_its_writer_keeps_it() {
    let bench = Bench::new();
    let mut writer = Writer::new(bench.path("logs/a.log"));
    let ves = bench.collect("a.log", &[]);
    wait_until("the start", || bench.path("state/checkpoint.json").exists());
    writer.write(100);
    writer.rename(&bench.path("logs/a.log.1"));
    let mut new = util::append(&bench.path("logs/a.log"));
    for number in 0..50 {
        writer.write(1);
        new.write_all(line(1000 + number).as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    wait_for(&bench, 200);
    assert!(ves.terminate().success());
    let (old, new): (Vec<u64>, Vec<u64>) = bench.numbers().iter().partition(|&&n| n < 1000);
    assert_each_once(&old, 150);
    assert!(old.is_sorted() && new == (1000..1050).collect::<Vec<u64>>());
}

#[test]
fn rotations_in_quick_succession_lose_nothing() {
    let bench = Bench::new();
    let mut writer = Writer::new(bench.path("logs/a.log"));
    let ves = bench.collect("*.log", &[]);
    wait_until("the start", || bench.path("state/checkpoint.json").exists());
    for round in 0..200 {
        writer.write(20);
        writer.rename(&bench.path(&format!("logs/a.log.{round}")));
        writer.reopen();
    }
    writer.write(1);
    wait_for(&bench, writer.written);
    assert!(ves.terminate().success());
    assert_each_once(&bench.numbers(), writer.written);
}

#[test]
fn a_rotated_name_that_matches_too_is_not_read_again() {
    let bench = Bench::new();
    let mut writer = Writer::new(bench.path("logs/a.log"));
    let ves = bench.collect("a.log*", &[]);
    for round in (1..6).rev() {
        writer.write(200);
        writer.rename(&bench.path(&format!("logs/a.log.{round}")));
        writer.write(10);
        writer.reopen();
    }
    writer.write(1);
    wait_for(&bench, writer.written);
    assert!(ves.terminate().success());
    assert!(bench.collect("a.log*", &["--once"]).wait().success());
    assert_each_once(&bench.numbers(), writer.written);
}

#[test]
fn a_file_that_is_deleted_and_made_again_is_a_new_one() {
    let bench = Bench::new();
    let mut writer = Writer::new(bench.path("logs/a.log"));
    let ves = bench.collect("*.log", &[]);
    for round in 1..=20 {
        writer.write(50);
        wait_for(&bench, 50 * round);
        fs::remove_file(bench.path("logs/a.log")).unwrap();
        // Often the same inode again.
        writer.reopen();
    }
    assert!(ves.terminate().success());
    assert_each_once(&bench.numbers(), 1000);
}

#[test]
fn a_link_is_followed_to_where_it_leads_and_to_where_it_is_moved() {
    let bench = Bench::new();
    fs::write(bench.path("one"), line(1)).unwrap();
    fs::write(bench.path("two"), line(2)).unwrap();
    symlink(bench.path("one"), bench.path("logs/a.log")).unwrap();
    let ves = bench.collect("*.log", &[]);
    wait_for(&bench, 1);
    symlink(bench.path("two"), bench.path("logs/next")).unwrap();
    fs::rename(bench.path("logs/next"), bench.path("logs/a.log")).unwrap();
    wait_for(&bench, 2);
    util::append(&bench.path("two"))
        .write_all(line(3).as_bytes())
        .unwrap();
    wait_for(&bench, 3);
    assert!(ves.terminate().success());
    assert_each_once(&bench.numbers(), 3);
}

/// Collects `logs/*.log`, which are there already, as a user whom permissions bind: root is not.
fn collect_as_nobody(bench: &Bench) -> Ves {
    let nobody = 65534;
    let watch = bench.path("logs/*.log");
    let ship = format!("file://{}", bench.out().display());
    let args = [
        "collect",
        "--watch",
        watch.to_str().unwrap(),
        "--ship",
        &ship,
        "--no-state",
    ];
    if !rustix::process::geteuid().is_root() {
        return Ves::start(&args, &bench.path("stderr"));
    }
    let logs = fs::read_dir(bench.path("logs")).unwrap();
    let logs = logs.map(|entry| entry.unwrap().path());
    for path in logs.chain([bench.path(""), bench.path("logs")]) {
        chown(path, Some(nobody), Some(nobody)).unwrap();
    }
    // The program may stand in a folder that nobody else can enter.
    let program = bench.path("ves");
    fs::copy(env!("CARGO_BIN_EXE_ves"), &program).unwrap();
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(program)
        .args(args);
    Ves::start_command(command, &bench.path("stderr"))
}

/// The warning said that it would be tried again, and it was not.
#[test]
fn an_unreadable_file_that_was_renamed_is_read_when_it_can_be() {
    let bench = Bench::new();
    let (log, rotated) = (bench.path("logs/a.log"), bench.path("logs/a.log.1"));
    fs::write(&log, line(1)).unwrap();
    fs::set_permissions(&log, Permissions::from_mode(0o000)).unwrap();
    let ves = collect_as_nobody(&bench);
    wait_until("the first warning", || {
        bench.stderr().contains("cannot open")
    });
    fs::rename(&log, &rotated).unwrap();
    wait_until("the warning", || {
        bench.stderr().contains("a.log.1: cannot open")
    });
    fs::set_permissions(&rotated, Permissions::from_mode(0o644)).unwrap();
    wait_for(&bench, 1);
    assert!(ves.terminate().success());
    assert_each_once(&bench.numbers(), 1);
}

#[test]
fn an_unreadable_file_is_reported_once_and_read_when_it_can_be() {
    let bench = Bench::new();
    let secret = bench.path("logs/secret.log");
    fs::write(bench.path("logs/a.log"), line(1)).unwrap();
    fs::write(&secret, line(2)).unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o000)).unwrap();
    let ves = collect_as_nobody(&bench);
    wait_for(&bench, 1);
    wait_until("the warning", || bench.stderr().contains("secret.log"));
    // Several rounds of trying again.
    std::thread::sleep(Duration::from_millis(3500));
    assert_eq!(
        bench.stderr().matches("cannot open").count(),
        1,
        "{}",
        bench.stderr()
    );
    fs::set_permissions(&secret, Permissions::from_mode(0o644)).unwrap();
    wait_for(&bench, 2);
    wait_until("the all-clear", || {
        bench.stderr().contains("can be read now")
    });
    assert!(ves.terminate().success());
    assert_each_once(&bench.numbers(), 2);
}

#[test]
fn once_reads_many_files_to_their_ends() {
    let bench = Bench::new();
    for file in 0..700 {
        let lines: String = (file * 3 + 1..=file * 3 + 3).map(line).collect();
        fs::write(bench.path(&format!("logs/{file}.log")), lines).unwrap();
    }
    assert!(bench.collect("*.log", &["--once"]).wait().success());
    assert_each_once(&bench.numbers(), 2100);
}

#[test]
fn a_line_without_an_end_is_shipped_when_its_time_is_over_and_so_is_its_rest() {
    let bench = Bench::new();
    let mut file = util::append(&bench.path("logs/a.log"));
    let ves = bench.collect(
        "a.log",
        &["--format", "raw", "--partial-line-timeout", "300ms"],
    );
    file.write_all(b"whole\nbegun").unwrap();
    wait_for(&bench, 2);
    file.write_all(b" and ended\nnext\n").unwrap();
    wait_for(&bench, 4);
    assert!(ves.terminate().success());
    let shown = |record: &serde_json::Value| {
        (
            record["message"].as_str().unwrap().to_owned(),
            record["partial"] == true,
        )
    };
    let expected = [
        ("whole", false),
        ("begun", true),
        (" and ended", true),
        ("next", false),
    ];
    let expected = expected.map(|(message, partial)| (message.to_owned(), partial));
    assert_eq!(
        bench.records().iter().map(shown).collect::<Vec<_>>(),
        expected
    );
}

#[test]
fn the_sink_itself_is_not_collected() {
    let bench = Bench::new();
    fs::write(bench.path("logs/a.log"), line(1)).unwrap();
    let ship = format!("file://{}", bench.path("logs/out.log").display());
    let watch = bench.path("logs/*.log");
    let args = [
        "collect",
        "--watch",
        watch.to_str().unwrap(),
        "--ship",
        &ship,
        "--no-state",
    ];
    let ves = Ves::start(&args, &bench.path("stderr"));
    wait_until("the warning", || {
        bench.stderr().contains("is what VES itself writes")
    });
    wait_until("the record", || {
        fs::read(bench.path("logs/out.log")).is_ok_and(|o| !o.is_empty())
    });
    std::thread::sleep(Duration::from_millis(500));
    assert!(ves.terminate().success());
    let out = fs::read(bench.path("logs/out.log")).unwrap();
    assert_eq!(util::records(&out).len(), 1);
}

/// The name of a FIFO changed to one outside of the pattern, and VES opened it as a file that was
/// rotated: the open waited for a writer, and nothing else was collected from then on.
#[test]
fn a_fifo_that_is_renamed_does_not_hold_up_the_files() {
    let bench = Bench::new();
    let fifo = bench.path("logs/p.log");
    let made = Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    let mut writer = Writer::new(bench.path("logs/a.log"));
    writer.write(1);
    let ves = bench.collect("*.log", &[]);
    wait_for(&bench, 1);
    fs::rename(&fifo, bench.path("logs/p.old")).unwrap();
    // This one is read by the same way, after the FIFO.
    fs::write(bench.path("logs/b.log"), line(2)).unwrap();
    fs::rename(bench.path("logs/b.log"), bench.path("logs/b.old")).unwrap();
    writer.written = 2;
    writer.write(1);
    wait_for(&bench, 3);
    assert!(ves.terminate().success());
    assert_each_once(&bench.numbers(), 3);
}

/// Writes files into `folder` that are renamed out of the pattern before any scan can see them:
/// only a watch of that folder tells of them.
fn write_and_rename(folder: &std::path::Path, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        fs::write(folder.join("r.log"), line(number)).unwrap();
        fs::rename(folder.join("r.log"), folder.join(format!("r.{number}"))).unwrap();
    }
}

/// The watch stayed on a folder that was moved away, so the new one at its path had none.
#[test]
fn a_folder_that_is_moved_and_made_again_is_watched_again() {
    let bench = Bench::new();
    let folder = bench.path("logs/l");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("a.log"), line(1)).unwrap();
    let ves = bench.collect("l/*.log", &[]);
    wait_for(&bench, 1);
    fs::rename(&folder, bench.path("logs/l.old")).unwrap();
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("b.log"), line(2)).unwrap();
    wait_for(&bench, 2);
    write_and_rename(&folder, 3..=22);
    wait_for(&bench, 22);
    assert!(ves.terminate().success());
    assert_each_once(&bench.numbers(), 22);
}

/// The same for a link that leads to another folder from now on, which causes no event at all.
#[test]
fn a_link_to_another_folder_moves_the_watch_there() {
    let bench = Bench::new();
    let (one, two) = (bench.path("one"), bench.path("two"));
    fs::create_dir(&one).unwrap();
    fs::create_dir(&two).unwrap();
    fs::write(one.join("a.log"), line(1)).unwrap();
    fs::write(two.join("b.log"), line(2)).unwrap();
    symlink(&one, bench.path("logs/current")).unwrap();
    let ves = bench.collect("current/*.log", &[]);
    wait_for(&bench, 1);
    symlink(&two, bench.path("logs/new")).unwrap();
    fs::rename(bench.path("logs/new"), bench.path("logs/current")).unwrap();
    wait_for(&bench, 2);
    write_and_rename(&two, 3..=22);
    wait_for(&bench, 22);
    assert!(ves.terminate().success());
    assert_each_once(&bench.numbers(), 22);
}

/// The first half was shipped as a partial line, and what it was decided by: raw, for good.
#[test]
fn a_first_line_in_two_halves_does_not_decide_the_format() {
    let bench = Bench::new();
    let mut file = util::append(&bench.path("logs/a.log"));
    let first = line(1);
    let (half, rest) = first.split_at(40);
    file.write_all(half.as_bytes()).unwrap();
    let ves = bench.collect("a.log", &["--partial-line-timeout", "100ms"]);
    wait_for(&bench, 1);
    file.write_all((rest.to_owned() + &line(2)).as_bytes())
        .unwrap();
    wait_for(&bench, 3);
    assert!(ves.terminate().success());
    let records = bench.records();
    assert!(records[0]["partial"] == true && records[1]["partial"] == true);
    assert_eq!(util::number(&records[2]), 2);
}

/// A copy was young enough to be taken for a rotated file that nobody had seen.
#[test]
fn a_copy_made_before_a_truncation_is_not_read_when_others_are_rotated_unseen() {
    let bench = Bench::new();
    let mut writer = Writer::new(bench.path("logs/a.log"));
    writer.write(10);
    let ves = bench.collect("a.log", &[]);
    wait_for(&bench, 10);
    writer.copy_and_truncate(&bench.path("logs/a.log.1"));
    writer.write(1);
    wait_for(&bench, 11);
    for number in 2..32 {
        writer.rename(&bench.path(&format!("logs/a.log.{number}")));
        writer.reopen();
        writer.write(1);
    }
    wait_for(&bench, 41);
    assert!(ves.terminate().success());
    assert_each_once(&bench.numbers(), 41);
}

/// The end of a deleted file that was no whole line was lost without a word.
#[test]
fn an_unfinished_line_of_a_deleted_file_is_counted_at_the_end() {
    let bench = Bench::new();
    let mut writer = Writer::new(bench.path("logs/a.log"));
    writer.write(1);
    let ves = bench.collect("*.log", &["--partial-line-timeout", "1h"]);
    wait_for(&bench, 1);
    writer.file.write_all(b"a line that is ").unwrap();
    fs::remove_file(bench.path("logs/a.log")).unwrap();
    // Whatever happened before this was looked at.
    fs::write(bench.path("logs/b.log"), line(2)).unwrap();
    wait_for(&bench, 2);
    assert!(ves.terminate().success());
    let said = "15 bytes were truncated or deleted before they could be read";
    assert!(bench.stderr().contains(said), "{}", bench.stderr());
    assert_each_once(&bench.numbers(), 2);
}
