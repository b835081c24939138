//! Memory is allocated per run, window and file, never per line: the same bytes in four times as
//! many lines take no more allocations. Counted by an allocator that counts, in the whole process.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::System;
use std::path::Path;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use ves::config::Settings;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const BYTES: usize = 24 << 20;

/// Writes combined lines of `line_bytes` bytes. Returns how many.
fn write_log(path: &Path, line_bytes: usize) -> usize {
    let head = "10.0.0.1 - - [24/Nov/2026:00:00:00 +0000] \"GET /";
    let tail = " HTTP/1.1\" 200 512 \"-\" \"curl/8.5\"\n";
    let filler = "a".repeat(line_bytes - head.len() - tail.len());
    let line = format!("{head}{filler}{tail}");
    let count = BYTES / line_bytes;
    std::fs::write(path, line.repeat(count)).unwrap();
    count
}

/// Allocations of a drain of `log` into `sink`.
fn allocations(log: &Path, sink: &Path, lines: usize) -> usize {
    let mut settings = Settings::default();
    settings.set_flags("watch_path", "watch", vec![log.display().to_string()]);
    settings.set_flags("drop", "drop", vec!["status == 404".to_owned()]);
    settings.set_flags("add", "add", vec!["host=test".to_owned()]);
    settings.set_flag("format", "format", "nginx".to_owned());
    settings.set_flag("ship_url", "ship", format!("file:{}", sink.display()));
    settings.set_switch("once", "once");
    settings.set_switch("no_state", "no-state");
    let config = settings.resolve().unwrap();
    let region = Region::new(ALLOCATOR);
    let figures = ves::pipeline::run(config).unwrap();
    let change = region.change();
    assert_eq!(figures.records_shipped, lines as u64);
    change.allocations + change.reallocations
}

#[test]
fn allocations_do_not_grow_with_lines() {
    let folder = tempfile::tempdir().unwrap();
    let (few, many) = (
        folder.path().join("few.log"),
        folder.path().join("many.log"),
    );
    let (few_lines, many_lines) = (write_log(&few, 800), write_log(&many, 200));
    assert_eq!(many_lines / few_lines, 4);
    let sink = folder.path().join("out.ndjson");
    // The first run sets up what a process needs once.
    allocations(&few, &sink, few_lines);
    let of_few = allocations(&few, &sink, few_lines);
    let of_many = allocations(&many, &sink, many_lines);
    println!("{of_few} allocations for {few_lines} lines, {of_many} for {many_lines}");
    // Which thread finds an empty buffer in the pool differs from run to run by some.
    let extra_lines = many_lines - few_lines;
    assert!(
        of_many < of_few + extra_lines / 500,
        "{of_few} allocations for {few_lines} lines, {of_many} for {many_lines}"
    );
}
