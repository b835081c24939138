//! What happens to the means by which a collector learns that something happened: inotify's queue
//! and watches, and the clock.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use super::super::log::Log;
use super::super::scene::{Scene, not_applicable};
use super::ms;

const LOG: &str = "access.log";

/// More events than this are more than a case can make in reasonable time.
const EVENTS_MAX: usize = 60_000;

pub(crate) fn queue_overflow(scene: &mut Scene<'_>) -> Result<()> {
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events")
        .ok()
        .and_then(|text| text.trim().parse::<usize>().ok())
        .unwrap_or(usize::MAX);
    if limit > EVENTS_MAX {
        not_applicable(format!("fs.inotify.max_queued_events is {limit} here"))?;
    }
    let mut logs = Vec::new();
    for index in 0..20 {
        logs.push(scene.log(&format!("{index:02}.log"))?);
    }
    scene.start()?;
    scene.flow(&mut logs.iter_mut().collect::<Vec<_>>(), ms(400))?;
    scene.catch_up()?;
    scene.signal(Signal::SIGSTOP)?;
    // Equal events in a row are put together: files in turn give one each.
    let count = logs.len();
    for index in 0..limit + limit / 4 {
        let log = logs.get_mut(index % count).context("a log")?;
        scene.burst(log, 1)?;
    }
    // These renames are in no event.
    let mut new: Vec<Log> = Vec::new();
    for log in &logs {
        log.rotate()?;
        let name = log.path().file_name().unwrap_or_default().to_owned();
        new.push(scene.log(&name.to_string_lossy())?);
    }
    let mut both: Vec<&mut Log> = logs.iter_mut().chain(&mut new).collect();
    scene.flow(&mut both, ms(400))?;
    scene.signal(Signal::SIGCONT)?;
    scene.flow(&mut both, ms(400))
}

pub(crate) fn watch_limit(scene: &mut Scene<'_>) -> Result<()> {
    // A user namespace has limits of its own.
    let words = [
        "unshare",
        "--user",
        "--map-root-user",
        "sh",
        "-c",
        "echo 4 > /proc/sys/user/max_inotify_watches && exec \"$0\" \"$@\"",
    ];
    let wrapper: Vec<String> = words.map(str::to_owned).to_vec();
    let tried = Command::new(words[0])
        .args(&words[1..])
        .arg("true")
        .output();
    if !tried.is_ok_and(|output| output.status.success()) {
        not_applicable("user namespaces are not allowed here")?;
    }
    scene.wrapper = wrapper;
    let mut logs = Vec::new();
    for index in 0..50 {
        logs.push(scene.log(&format!("{index:02}.log"))?);
    }
    scene.start()?;
    scene.flow(
        &mut logs.iter_mut().collect::<Vec<_>>(),
        scene.by(ms(1_500), ms(10_000)),
    )?;
    for log in &mut logs {
        log.rotate()?;
        let name = log.path().file_name().unwrap_or_default().to_owned();
        *log = scene.log(&name.to_string_lossy())?;
    }
    scene.flow(&mut logs.iter_mut().collect::<Vec<_>>(), ms(500))
}

/// Where Debian has the library that changes the clock of a process.
const FAKETIME: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
];

pub(crate) fn clock_set_back(scene: &mut Scene<'_>) -> Result<()> {
    let Some(library) = FAKETIME.iter().find(|path| Path::new(path).exists()) else {
        return not_applicable("libfaketime is not installed (apt-get install faketime)");
    };
    let clock = scene.path("../clock");
    let set = |days: u32| fs::write(&clock, format!("-{days}d\n")).context("set the clock");
    set(0)?;
    for (name, value) in [
        ("LD_PRELOAD", *library),
        ("FAKETIME_TIMESTAMP_FILE", &clock.display().to_string()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        // The times of files stay as they are.
        ("NO_FAKE_STAT", "1"),
    ] {
        scene.environment.push((name.to_owned(), value.to_owned()));
    }
    let mut log = scene.log(LOG)?;
    scene.start()?;
    scene.flow(&mut [&mut log], ms(700))?;
    if !scene.catch_up()? {
        return not_applicable("it does not run with libfaketime");
    }
    set(1)?;
    scene.flow(&mut [&mut log], ms(400))?;
    log.rotate()?;
    log = scene.log(LOG)?;
    scene.flow(&mut [&mut log], scene.by(ms(1_000), ms(5_000)))?;
    scene.catch_up()?;
    scene.pause(Duration::from_millis(1_200))?;
    scene.stop()?;
    set(2)?;
    scene.flow(&mut [&mut log], ms(100))?;
    log.rotate()?;
    log = scene.log(LOG)?;
    scene.start()?;
    scene.flow(&mut [&mut log], ms(400))
}
