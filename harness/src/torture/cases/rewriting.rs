//! Logs that begin anew under the same name or the same inode. What a collector has not read when a
//! log is truncated is lost to everybody: so the writer pauses until it has, for as long as is fair.

use std::fs;

use anyhow::{Context, Result};

use super::super::log::Log;
use super::super::scene::Scene;
use super::ms;

const LOG: &str = "access.log";
/// Lines in a file before it is written anew.
const LINES: usize = 400;

pub(crate) fn copy_and_truncate(scene: &mut Scene<'_>) -> Result<()> {
    let mut log = scene.log(LOG)?;
    scene.start()?;
    for round in 1..=scene.by(4, 30) {
        scene.flow(&mut [&mut log], ms(400))?;
        scene.catch_up()?;
        let copy = scene.path(&format!("copy-{round}"));
        fs::copy(log.path(), &copy).with_context(|| format!("copy to {}", copy.display()))?;
        log.truncate()?;
    }
    scene.flow(&mut [&mut log], ms(300))
}

/// The copy has a watched name, and everything: nobody has to wait for anybody.
pub(crate) fn copy_to_a_watched_name(scene: &mut Scene<'_>) -> Result<()> {
    let mut log = scene.log(LOG)?;
    scene.start()?;
    for _ in 0..scene.by(4, 30) {
        scene.flow(&mut [&mut log], ms(400))?;
        log.shift()?;
        fs::copy(log.path(), log.rotated(1)).context("copy the log")?;
        log.truncate()?;
    }
    scene.flow(&mut [&mut log], ms(300))?;
    scene.catch_up()?;
    scene.stop()?;
    scene.start()?;
    scene.flow(&mut [&mut log], ms(200))
}

pub(crate) fn equal(scene: &mut Scene<'_>) -> Result<()> {
    rewrite(scene, |scene, log, first, bytes| {
        let mut text = scene.line(first).to_vec();
        // All but the last few hundred bytes, then a line that fills the rest.
        while bytes.saturating_sub(text.len() as u64) > 2_000 {
            text.extend_from_slice(scene.take(1, log.stream)?);
        }
        let rest = usize::try_from(bytes)? - text.len() - 1;
        log.truncate()?;
        scene.ledger.wrote(first, log.stream);
        log.append(&text)?;
        scene.long(log, rest, false)
    })
}

pub(crate) fn shorter(scene: &mut Scene<'_>) -> Result<()> {
    rewrite(scene, |scene, log, first, _| {
        begin_anew(scene, log, first, LINES / 2)
    })
}

pub(crate) fn longer(scene: &mut Scene<'_>) -> Result<()> {
    rewrite(scene, |scene, log, first, _| {
        begin_anew(scene, log, first, LINES * 2)
    })
}

fn begin_anew(scene: &mut Scene<'_>, log: &mut Log, first: usize, count: usize) -> Result<()> {
    let more = scene.take(count, log.stream)?;
    let text = [scene.line(first), more].concat();
    scene.ledger.wrote(first, log.stream);
    log.truncate()?;
    log.append(&text)
}

/// Writes a log, lets the collector read it, and has `again` write it anew with the same first line:
/// it is given the number of that and the size of the log.
fn rewrite(
    scene: &mut Scene<'_>,
    again: fn(&mut Scene<'_>, &mut Log, usize, u64) -> Result<()>,
) -> Result<()> {
    for round in 0..scene.by(2, 8) {
        let mut log = scene.log(LOG)?;
        log.truncate()?;
        let first = scene.next_kept()?;
        log.append(scene.line(first))?;
        scene.ledger.wrote(first, log.stream);
        scene.burst(&mut log, LINES)?;
        if round == 0 {
            scene.start()?;
        }
        scene.catch_up()?;
        let bytes = log.bytes()?;
        again(scene, &mut log, first, bytes)?;
        scene.catch_up()?;
        scene.flow(&mut [&mut log], ms(200))?;
        scene.catch_up()?;
    }
    Ok(())
}

/// A collector that has the deleted file open keeps its inode from being used again, so every second
/// time it is stopped meanwhile.
pub(crate) fn delete_and_recreate(scene: &mut Scene<'_>) -> Result<()> {
    let mut log = scene.log(LOG)?;
    scene.start()?;
    let rounds = scene.by(6, 40);
    let mut reused = 0;
    for round in 0..rounds {
        scene.burst(&mut log, LINES)?;
        scene.flow(&mut [&mut log], ms(50))?;
        scene.catch_up()?;
        let is_stopped = round % 2 == 1;
        if is_stopped {
            scene.pause(ms(1_200))?;
            scene.stop()?;
        }
        let inode = log.inode()?;
        fs::remove_file(log.path()).context("delete the log")?;
        // The inode is free when its last descriptor is closed.
        drop(log);
        log = scene.log(LOG)?;
        reused += u32::from(log.inode()? == inode);
        if is_stopped {
            // Beyond where the state says that the old one was read to.
            scene.burst(&mut log, LINES * 3)?;
            scene.start()?;
        }
    }
    scene.flow(&mut [&mut log], ms(200))?;
    scene.note(format!(
        "{reused} of {rounds} had the inode of the one before"
    ));
    Ok(())
}
