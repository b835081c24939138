//! Many logs, logs that look alike, and names that stop to lead to a log.

use std::collections::VecDeque;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Instant;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use super::super::log::{Log, rename};
use super::super::scene::Scene;
use super::{ms, without_override};

const LOG: &str = "access.log";

pub(crate) fn same_first_kilobyte(scene: &mut Scene<'_>) -> Result<()> {
    let mut head = Vec::new();
    let mut numbers = Vec::new();
    while head.len() < 1024 {
        let number = scene.next_number()?;
        head.extend_from_slice(scene.line(number));
        numbers.push(number);
    }
    let begin = |scene: &mut Scene<'_>, name: &str| -> Result<Log> {
        let mut log = scene.log(name)?;
        log.append(&head)?;
        for &number in &numbers {
            scene.ledger.wrote(number, log.stream);
        }
        Ok(log)
    };
    let mut one = begin(scene, "one.log")?;
    let mut two = begin(scene, "two.log")?;
    scene.start()?;
    scene.flow(&mut [&mut one, &mut two], ms(400))?;
    let mut three = begin(scene, "three.log")?;
    scene.flow(&mut [&mut one, &mut three], ms(400))?;
    scene.catch_up()?;
    scene.pause(ms(1_200))?;
    scene.stop()?;
    scene.flow(&mut [&mut two], ms(100))?;
    scene.start()?;
    scene.flow(&mut [&mut one, &mut two, &mut three], ms(400))
}

pub(crate) fn link_is_moved(scene: &mut Scene<'_>) -> Result<()> {
    fs::create_dir(scene.path("real"))?;
    let mut old = scene.log("real/0")?;
    symlink(old.path(), scene.path(LOG)).context("make a link")?;
    scene.start()?;
    for round in 1..=scene.by(2, 10) {
        scene.flow(&mut [&mut old], ms(400))?;
        let mut new = scene.log(&format!("real/{round}"))?;
        symlink(new.path(), scene.path("next")).context("make a link")?;
        rename(&scene.path("next"), &scene.path(LOG))?;
        scene.flow(&mut [&mut old, &mut new], ms(400))?;
        old = new;
    }
    Ok(())
}

pub(crate) fn folder_instead(scene: &mut Scene<'_>) -> Result<()> {
    let mut log = scene.log(LOG)?;
    scene.start()?;
    for _ in 0..scene.by(2, 5) {
        scene.flow(&mut [&mut log], ms(400))?;
        log.rotate()?;
        let folder = scene.path(LOG);
        fs::create_dir(&folder).context("make a folder")?;
        fs::write(folder.join("access.log"), "not for you\n")?;
        scene.pause(ms(500))?;
        fs::remove_dir_all(&folder).context("delete the folder")?;
        log = scene.log(LOG)?;
    }
    scene.flow(&mut [&mut log], ms(400))
}

pub(crate) fn permissions(scene: &mut Scene<'_>) -> Result<()> {
    scene.wrapper = without_override()?;
    let mut log = scene.log(LOG)?;
    scene.start()?;
    for _ in 0..scene.by(1, 4) {
        scene.flow(&mut [&mut log], ms(400))?;
        scene.catch_up()?;
        // Who has it open reads on; who opens it again may not.
        set_mode(&log, 0o000)?;
        scene.flow(&mut [&mut log], ms(400))?;
        set_mode(&log, 0o644)?;
        scene.catch_up()?;
        log.rotate()?;
        log = scene.log(LOG)?;
        set_mode(&log, 0o000)?;
        scene.flow(&mut [&mut log], ms(800))?;
        set_mode(&log, 0o644)?;
    }
    scene.flow(&mut [&mut log], ms(200))
}

fn set_mode(log: &Log, mode: u32) -> Result<()> {
    fs::set_permissions(log.path(), Permissions::from_mode(mode)).context("change the mode")
}

pub(crate) fn busy(scene: &mut Scene<'_>) -> Result<()> {
    let mut logs = Vec::new();
    for index in 0..1_000 {
        logs.push(scene.log(&format!("{index:04}.log"))?);
    }
    scene.start()?;
    let mut all: Vec<&mut Log> = logs.iter_mut().collect();
    scene.flow(&mut all, scene.by(ms(2_000), ms(20_000)))
}

pub(crate) fn idle(scene: &mut Scene<'_>) -> Result<()> {
    for index in 0..10_000 {
        let mut log = scene.log(&format!("idle-{index:05}.log"))?;
        scene.burst(&mut log, 1)?;
    }
    let mut log = scene.log("busy.log")?;
    scene.start()?;
    scene.flow(&mut [&mut log], scene.by(ms(1_500), ms(20_000)))?;
    scene.catch_up()?;
    // One of those that were idle wakes up.
    let mut woken = scene.log("idle-07000.log")?;
    scene.flow(&mut [&mut woken], ms(200))
}

pub(crate) fn churn(scene: &mut Scene<'_>) -> Result<()> {
    come_and_go(scene, |_, _| Ok(()))
}

/// As on a machine that has too much to do: the collector stands still for 200 ms of every 500.
pub(crate) fn churn_held_up(scene: &mut Scene<'_>) -> Result<()> {
    come_and_go(scene, |scene, index| match index % 100 {
        20 => scene.signal(Signal::SIGSTOP),
        60 => scene.signal(Signal::SIGCONT),
        _ => Ok(()),
    })
}

/// `at` is called before each log is made, with its number.
fn come_and_go(
    scene: &mut Scene<'_>,
    at: impl Fn(&mut Scene<'_>, u32) -> Result<()>,
) -> Result<()> {
    let (pace, life) = (ms(5), ms(500));
    scene.start()?;
    // A collector that looks for files once in a second has begun.
    scene.pause(ms(1_500))?;
    let mut alive: VecDeque<(Instant, Log)> = VecDeque::new();
    let count = scene.by(600, 12_000);
    let began = Instant::now();
    for index in 0..count {
        scene.pause((pace * index).saturating_sub(began.elapsed()))?;
        at(scene, index)?;
        let mut log = scene.log(&format!("{index:05}.log"))?;
        scene.burst(&mut log, 3)?;
        alive.push_back((Instant::now(), log));
        while alive.front().is_some_and(|(born, _)| born.elapsed() > life) {
            if let Some((_, log)) = alive.pop_front() {
                fs::remove_file(log.path()).context("delete a log")?;
            }
        }
    }
    scene.note(format!("{count} logs"));
    Ok(())
}
