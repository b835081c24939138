//! Logs that are renamed, with what their writers do around that.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::super::log::rename;
use super::super::scene::Scene;
use super::ms;

const LOG: &str = "access.log";

pub(crate) fn steady(scene: &mut Scene<'_>) -> Result<()> {
    let mut log = scene.log(LOG)?;
    scene.start()?;
    scene.flow(&mut [&mut log], scene.by(ms(1_500), ms(20_000)))
}

pub(crate) fn rename_and_create(scene: &mut Scene<'_>) -> Result<()> {
    let mut log = scene.log(LOG)?;
    scene.start()?;
    for _ in 0..scene.by(1, 5) {
        scene.flow(&mut [&mut log], ms(500))?;
        log.rotate()?;
        let mut new = scene.log(LOG)?;
        scene.flow(&mut [&mut log, &mut new], ms(3_000))?;
        log = new;
    }
    Ok(())
}

pub(crate) fn three_in_a_second(scene: &mut Scene<'_>) -> Result<()> {
    let mut log = scene.log(LOG)?;
    scene.start()?;
    for _ in 0..scene.by(2, 15) {
        scene.flow(&mut [&mut log], ms(300))?;
        for _ in 0..3 {
            scene.flow(&mut [&mut log], ms(150))?;
            log.rotate()?;
            log = scene.log(LOG)?;
        }
    }
    scene.flow(&mut [&mut log], ms(200))
}

/// Whether the rotated names match the pattern is up to the case.
pub(crate) fn while_stopped(scene: &mut Scene<'_>) -> Result<()> {
    let mut log = scene.log(LOG)?;
    for _ in 0..scene.by(1, 5) {
        scene.start()?;
        scene.flow(&mut [&mut log], ms(500))?;
        scene.catch_up()?;
        // A collector that knows where it stands only from time to time has had that time.
        scene.pause(ms(1_200))?;
        scene.stop()?;
        scene.flow(&mut [&mut log], ms(200))?;
        for _ in 0..2 {
            log.rotate()?;
            log = scene.log(LOG)?;
            scene.flow(&mut [&mut log], ms(200))?;
        }
    }
    scene.start()?;
    scene.flow(&mut [&mut log], ms(300))
}

pub(crate) fn to_a_watched_name(scene: &mut Scene<'_>) -> Result<()> {
    let mut log = scene.log(LOG)?;
    scene.start()?;
    for _ in 0..scene.by(4, 20) {
        scene.flow(&mut [&mut log], ms(300))?;
        log.rotate()?;
        log = scene.log(LOG)?;
    }
    scene.flow(&mut [&mut log], ms(200))?;
    scene.catch_up()?;
    scene.stop()?;
    scene.start()?;
    scene.flow(&mut [&mut log], ms(200))
}

pub(crate) fn into_another_folder(scene: &mut Scene<'_>) -> Result<()> {
    let archive = scene.path("archive");
    fs::create_dir(&archive)?;
    let mut log = scene.log(LOG)?;
    scene.start()?;
    for round in 0..scene.by(2, 10) {
        scene.flow(&mut [&mut log], ms(400))?;
        rename(log.path(), &archive.join(format!("access-{round}.log")))?;
        let mut new = scene.log(LOG)?;
        scene.flow(&mut [&mut log, &mut new], ms(400))?;
        log = new;
    }
    Ok(())
}

pub(crate) fn compressed_beside(scene: &mut Scene<'_>) -> Result<()> {
    let mut log = scene.log(LOG)?;
    scene.start()?;
    for round in 1..=scene.by(2, 5) {
        scene.flow(&mut [&mut log], ms(400))?;
        log.rotate()?;
        let rotated = log.rotated(1);
        log = scene.log(LOG)?;
        scene.flow(&mut [&mut log], ms(200))?;
        // logrotate's delaycompress: nobody is behind any more.
        scene.catch_up()?;
        let compressed = |index: u32| scene.path(&format!("access.log.{index}.gz"));
        for index in (1..round).rev() {
            rename(&compressed(index), &compressed(index + 1))?;
        }
        let status = Command::new("gzip").arg("-n").arg(&rotated).status();
        let status = status.context("start gzip")?;
        ensure!(status.success(), "gzip failed: {status}");
    }
    scene.flow(&mut [&mut log], ms(300))?;
    scene.catch_up()?;
    scene.stop()?;
    scene.start()?;
    scene.flow(&mut [&mut log], ms(200))
}

pub(crate) fn half_a_line(scene: &mut Scene<'_>) -> Result<()> {
    let mut log = scene.log(LOG)?;
    scene.start()?;
    for _ in 0..scene.by(3, 20) {
        scene.flow(&mut [&mut log], ms(200))?;
        let line = scene.take(1, log.stream)?;
        let middle = scene.random.below(u32::try_from(line.len() - 1)?) as usize + 1;
        let (half, rest) = line.split_at(middle);
        log.append(half)?;
        log.rotate()?;
        let mut new = scene.log(LOG)?;
        scene.flow(&mut [&mut new], ms(300))?;
        log.append(rest)?;
        log = new;
    }
    scene.flow(&mut [&mut log], ms(200))
}
