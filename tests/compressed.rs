//! Compressed files beside logs, within the pattern: they hold no lines, and are left alone.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "util/kit.rs"]
mod util;
#[path = "util/watched.rs"]
#[expect(dead_code, reason = "shared with other tests")]
mod watched;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use util::{Bench, Writer, assert_each_once, line, wait_until};
use watched::Watched;

fn wait_for(bench: &Bench, count: u64) {
    wait_until(&format!("{count} records"), || {
        bench.records().len() as u64 >= count
    });
}

/// What gzip makes of that text.
fn gzipped(text: &str) -> Vec<u8> {
    let mut gzip = Command::new("gzip")
        .arg("-c")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("gzip is there: scripts/test installs it");
    let mut stdin = gzip.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).unwrap();
    drop(stdin);
    let output = gzip.wait_with_output().unwrap();
    assert!(output.status.success() && output.stdout.starts_with(b"\x1f\x8b\x08"));
    output.stdout
}

fn gzip(path: &Path) {
    let status = Command::new("gzip").arg("-n").arg(path).status().unwrap();
    assert!(status.success());
}

/// Writes files as Python's modules compress the text, and one as the crate zstd does.
fn compress_each_way(folder: &Path, text: &str) -> [&'static str; 5] {
    let program = "import bz2, gzip, lzma, sys, zipfile
folder, text = sys.argv[1], sys.argv[2].encode()
gzip.open(folder + '/a.log.gz', 'wb').write(text)
bz2.open(folder + '/a.log.bz2', 'wb').write(text)
lzma.open(folder + '/a.log.xz', 'wb').write(text)
zipfile.ZipFile(folder + '/a.log.zip', 'w').writestr('a.log', text)";
    let mut python = Command::new("python3");
    let status = python.args(["-c", program]).arg(folder).arg(text).status();
    assert!(status.unwrap().success());
    let zstd = zstd::encode_all(text.as_bytes(), 1).unwrap();
    fs::write(folder.join("a.log.zst"), zstd).unwrap();
    [
        "a.log.gz",
        "a.log.bz2",
        "a.log.xz",
        "a.log.zip",
        "a.log.zst",
    ]
}

fn times_said(bench: &Bench, name: &str) -> usize {
    let said = bench.stderr();
    let is_it = |said: &&str| said.contains(&format!("/{name}: is compressed"));
    said.lines().filter(is_it).count()
}

/// Their bytes were collected as lines, thousands of records with a `parse_error`.
#[test]
fn each_kind_is_left_alone_and_said_once_with_what_to_do() {
    let bench = Bench::new();
    let text: String = (1..=3).map(line).collect();
    fs::write(bench.path("logs/a.log"), &text).unwrap();
    let names = compress_each_way(&bench.path("logs"), &text);
    let ves = bench.collect("a.log*", &["--once", "--stats"]).wait();
    assert!(ves.success(), "{}", bench.stderr());
    assert_each_once(&bench.numbers(), 3);
    for name in names {
        assert_eq!(times_said(&bench, name), 1, "{name}: {}", bench.stderr());
    }
    let said = bench.stderr();
    assert!(said.contains("is compressed (bzip2)") && said.contains("--exclude"));
    assert!(said.contains("zstdcat /"), "{said}");
    assert!(said.contains("compressed, not read   5 files"), "{said}");
}

#[test]
fn a_named_one_is_worth_a_warning() {
    let bench = Bench::new();
    fs::write(bench.path("logs/a.gz"), gzipped(&line(1))).unwrap();
    assert!(bench.collect("a.gz", &["--once"]).wait().success());
    let said = bench.stderr();
    assert!(
        said.contains("warning: ") && times_said(&bench, "a.gz") == 1,
        "{said}"
    );
    assert!(bench.records().is_empty());
}

/// gzip makes an empty file, fills it, and deletes the log; logrotate renames it each day.
#[test]
fn a_log_that_is_compressed_in_its_place_is_collected_once() {
    let bench = Bench::new();
    let mut writer = Writer::new(bench.path("logs/a.log"));
    let ves = bench.collect("a.log*", &["--metrics", "0"]);
    let watched = Watched::of(&bench);
    for day in 1..=4 {
        writer.write(500);
        wait_for(&bench, writer.written);
        let log = bench.path(&format!("logs/a.log.{day}"));
        writer.rename(&log);
        writer.reopen();
        writer.write(1);
        gzip(&log);
        wait_until("the word", || {
            times_said(&bench, &format!("a.log.{day}.gz")) == 1
        });
        let (from, to) = (bench.path(&format!("logs/a.log.{day}.gz")), day + 10);
        fs::rename(from, bench.path(&format!("logs/a.log.{to}.gz"))).unwrap();
        wait_until("the count", || {
            watched.value("ves_files_compressed") == f64::from(day)
        });
    }
    fs::remove_file(bench.path("logs/a.log.11.gz")).unwrap();
    wait_until("that it is gone", || {
        watched.value("ves_files_compressed") == 3.0
    });
    ves.hang_up();
    wait_until("the reload", || bench.stderr().contains("configuration"));
    writer.write(1);
    wait_for(&bench, writer.written);
    assert_eq!(
        bench.stderr().matches("is compressed").count(),
        4,
        "{}",
        bench.stderr()
    );
    assert!(ves.terminate().success());
    assert!(bench.collect("a.log*", &["--once"]).wait().success());
    assert_each_once(&bench.numbers(), writer.written);
}

/// The same inode all the time.
#[test]
fn a_file_may_become_compressed_and_a_log_again() {
    let bench = Bench::new();
    let path = bench.path("logs/a.log");
    let compressed = gzipped(&(1..=50).map(line).collect::<String>());
    let mut writer = Writer::new(path.clone());
    let ves = bench.collect("a.log", &[]);
    for round in 1..=3 {
        writer.write(20);
        wait_for(&bench, writer.written);
        writer.file.set_len(0).unwrap();
        writer.file.write_all(&compressed).unwrap();
        wait_until("the word", || times_said(&bench, "a.log") == round);
        writer.file.set_len(0).unwrap();
    }
    writer.write(20);
    wait_for(&bench, writer.written);
    fs::remove_file(&path).unwrap();
    fs::write(&path, &compressed).unwrap();
    wait_until("the word", || times_said(&bench, "a.log") == 4);
    fs::remove_file(&path).unwrap();
    writer.reopen();
    writer.write(1);
    wait_for(&bench, writer.written);
    assert!(ves.terminate().success());
    assert_each_once(&bench.numbers(), writer.written);
}

#[test]
fn first_bytes_that_come_one_by_one_are_waited_for() {
    let bench = Bench::new();
    let mut text = util::append(&bench.path("logs/text.log"));
    let mut gz = util::append(&bench.path("logs/gz.log"));
    let ves = bench.collect("*.log", &["--format", "raw"]);
    wait_until("the start", || bench.path("state/checkpoint.json").exists());
    let compressed = gzipped(&line(1));
    for (index, byte) in compressed.iter().enumerate() {
        gz.write_all(&[*byte]).unwrap();
        if index < 3 {
            text.write_all(&[*byte & 0x7f]).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
    text.write_all(b" is text\n").unwrap();
    wait_for(&bench, 1);
    wait_until("the word", || times_said(&bench, "gz.log") == 1);
    assert!(ves.terminate().success());
    assert_eq!(bench.records().len(), 1);
}

/// Only what is there at the start is skipped: what came after that was collected.
#[test]
fn one_that_grows_is_left_alone_from_the_end_on_too() {
    let bench = Bench::new();
    let compressed = gzipped(&(1..=2000).map(line).collect::<String>());
    let (first, rest) = compressed.split_at(1000);
    let mut gz = util::append(&bench.path("logs/a.gz"));
    gz.write_all(first).unwrap();
    let ves = bench.collect("*", &["--from", "end"]);
    wait_until("the word", || times_said(&bench, "a.gz") == 1);
    gz.write_all(rest).unwrap();
    fs::write(bench.path("logs/a.log"), line(1)).unwrap();
    wait_for(&bench, 1);
    assert!(ves.terminate().success());
    assert_each_once(&bench.numbers(), 1);
    assert_eq!(times_said(&bench, "a.gz"), 1, "{}", bench.stderr());
}

/// The inode of a log of the checkpoint may be that of a compressed file by now.
#[test]
fn a_restart_does_not_take_one_for_the_log_whose_inode_it_has() {
    let bench = Bench::new();
    let mut writer = Writer::new(bench.path("logs/a.log"));
    writer.write(30);
    assert!(bench.collect("*", &["--once"]).wait().success());
    writer.rename(&bench.path("logs/a.log.1.gz"));
    writer.file.set_len(0).unwrap();
    writer.file.write_all(&gzipped(&line(1))).unwrap();
    writer.reopen();
    writer.write(30);
    assert!(bench.collect("*", &["--once"]).wait().success());
    assert!(bench.collect("*", &["--once"]).wait().success());
    assert_each_once(&bench.numbers(), 60);
    let said = bench.stderr();
    assert_eq!(
        said.matches("a.log: the file that was here during the last run is gone")
            .count(),
        1,
        "{said}"
    );
    assert!(!said.contains("reading it from the beginning"), "{said}");
}
