//! Sinks that are down, slow, cut off or full.

use anyhow::Result;

use super::super::proxy::Mood;
use super::super::scene::Scene;
use super::ms;

const LOG: &str = "access.log";
/// The disk of a sink file: less than what a case writes, and more.
const SMALL: u64 = 1 << 20;
const LARGE: u64 = 256 << 20;

pub(crate) fn down(scene: &mut Scene<'_>) -> Result<()> {
    let mut log = scene.log(LOG)?;
    scene.start()?;
    scene.flow(&mut [&mut log], ms(400))?;
    scene.network(Mood::Down)?;
    scene.flow(&mut [&mut log], scene.by(ms(3_000), ms(30_000)))?;
    scene.network(Mood::Up)?;
    scene.flow(&mut [&mut log], ms(400))
}

pub(crate) fn slow(scene: &mut Scene<'_>) -> Result<()> {
    let mut log = scene.log(LOG)?;
    scene.start()?;
    scene.flow(&mut [&mut log], ms(400))?;
    scene.network(Mood::Slow)?;
    scene.flow(&mut [&mut log], scene.by(ms(2_000), ms(20_000)))?;
    scene.network(Mood::Up)?;
    scene.flow(&mut [&mut log], ms(400))
}

pub(crate) fn resets(scene: &mut Scene<'_>) -> Result<()> {
    let mut log = scene.log(LOG)?;
    scene.start()?;
    scene.flow(&mut [&mut log], ms(400))?;
    scene.network(Mood::Cutting)?;
    scene.flow(&mut [&mut log], scene.by(ms(2_500), ms(20_000)))?;
    scene.network(Mood::Up)?;
    scene.flow(&mut [&mut log], ms(400))?;
    let cuts = scene.cuts();
    scene.note(format!("{cuts} connections were reset"));
    Ok(())
}

pub(crate) fn down_and_killed(scene: &mut Scene<'_>) -> Result<()> {
    let mut log = scene.log(LOG)?;
    for _ in 0..scene.by(2, 10) {
        scene.network(Mood::Up)?;
        scene.start()?;
        scene.flow(&mut [&mut log], ms(700))?;
        scene.network(Mood::Down)?;
        scene.flow(&mut [&mut log], ms(200))?;
        log.rotate()?;
        log = scene.log(LOG)?;
        scene.flow(&mut [&mut log], ms(200))?;
        scene.kill()?;
        scene.flow(&mut [&mut log], ms(100))?;
    }
    scene.network(Mood::Up)?;
    scene.start()?;
    scene.flow(&mut [&mut log], ms(200))
}

pub(crate) fn full(scene: &mut Scene<'_>) -> Result<()> {
    scene.mount("out", SMALL)?;
    let mut log = scene.log(LOG)?;
    scene.start()?;
    // About three times what there is room for.
    scene.flow(&mut [&mut log], ms(1_500))?;
    scene.pause(scene.by(ms(1_500), ms(20_000)))?;
    scene.disk()?.resize(LARGE)?;
    scene.flow(&mut [&mut log], ms(400))
}
