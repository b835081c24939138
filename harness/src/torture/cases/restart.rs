//! What happens to the process of the collector.

use anyhow::Result;
use nix::sys::signal::Signal;

use super::super::scene::Scene;
use super::ms;

const LOG: &str = "access.log";

pub(crate) fn terminated(scene: &mut Scene<'_>) -> Result<()> {
    let mut log = scene.log(LOG)?;
    for _ in 0..scene.by(6, 50) {
        scene.start()?;
        let life = 100 + u64::from(scene.random.below(300));
        scene.flow(&mut [&mut log], ms(life))?;
        scene.signal(Signal::SIGTERM)?;
        // The writer does not wait for its end.
        scene.flow(&mut [&mut log], ms(50))?;
        scene.wait_for_end(Signal::SIGTERM)?;
    }
    scene.start()?;
    scene.flow(&mut [&mut log], ms(200))
}

pub(crate) fn killed(scene: &mut Scene<'_>) -> Result<()> {
    let mut log = scene.log(LOG)?;
    for round in 0..scene.by(6, 50) {
        scene.start()?;
        let life = 100 + u64::from(scene.random.below(1_400));
        scene.flow(&mut [&mut log], ms(life))?;
        if round % 3 == 1 {
            log.rotate()?;
            log = scene.log(LOG)?;
            scene.flow(&mut [&mut log], ms(50))?;
        }
        scene.kill()?;
        if round % 3 == 2 {
            scene.flow(&mut [&mut log], ms(50))?;
            log.rotate()?;
            log = scene.log(LOG)?;
        }
    }
    scene.start()?;
    scene.flow(&mut [&mut log], ms(200))
}

pub(crate) fn suspended(scene: &mut Scene<'_>) -> Result<()> {
    let mut log = scene.log(LOG)?;
    scene.start()?;
    scene.flow(&mut [&mut log], ms(400))?;
    scene.signal(Signal::SIGSTOP)?;
    for _ in 0..3 {
        scene.flow(&mut [&mut log], scene.by(ms(500), ms(2_500)))?;
        log.rotate()?;
        log = scene.log(LOG)?;
    }
    scene.flow(&mut [&mut log], scene.by(ms(500), ms(2_500)))?;
    scene.signal(Signal::SIGCONT)?;
    scene.flow(&mut [&mut log], ms(400))
}
