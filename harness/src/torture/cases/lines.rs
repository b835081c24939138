//! Lines that are not what a server writes on a good day.

use anyhow::Result;

use super::super::log::Log;
use super::super::scene::Scene;
use super::ms;

const LOG: &str = "access.log";

pub(crate) fn no_newline(scene: &mut Scene<'_>) -> Result<()> {
    let mut log = scene.log(LOG)?;
    scene.start()?;
    scene.flow(&mut [&mut log], ms(300))?;
    scene.special(&mut log, b"", b"", true)
}

pub(crate) fn tiny(scene: &mut Scene<'_>) -> Result<()> {
    mixed(scene, |scene, log| {
        log.append(b"\nx\n")?;
        scene.ledger.wrote_optional(b"");
        scene.ledger.wrote_text(b"x");
        Ok(())
    })
}

pub(crate) fn of_65537_bytes(scene: &mut Scene<'_>) -> Result<()> {
    mixed(scene, |scene, log| scene.long(log, 65_537, false))
}

pub(crate) fn of_1_mib(scene: &mut Scene<'_>) -> Result<()> {
    mixed(scene, |scene, log| scene.long(log, 1 << 20, false))
}

pub(crate) fn of_5_mib(scene: &mut Scene<'_>) -> Result<()> {
    mixed(scene, |scene, log| scene.long(log, 5 << 20, true))
}

pub(crate) fn crlf(scene: &mut Scene<'_>) -> Result<()> {
    mixed(scene, |scene, log| scene.special(log, b"", b"\r\n", false))
}

pub(crate) fn nul(scene: &mut Scene<'_>) -> Result<()> {
    mixed(scene, |scene, log| {
        scene.special(log, b" \0\0 and more", b"\n", false)
    })
}

pub(crate) fn invalid_utf8(scene: &mut Scene<'_>) -> Result<()> {
    mixed(scene, |scene, log| {
        scene.special(log, b" \xff caf\xe9 \xc3\xa9", b"\n", false)
    })
}

/// Has `odd` write a line now and then between others.
fn mixed(scene: &mut Scene<'_>, odd: fn(&mut Scene<'_>, &mut Log) -> Result<()>) -> Result<()> {
    let mut log = scene.log(LOG)?;
    // The format of the file is clear before anything odd comes.
    scene.burst(&mut log, 20)?;
    scene.start()?;
    for _ in 0..scene.by(8, 30) {
        scene.flow(&mut [&mut log], ms(100))?;
        odd(scene, &mut log)?;
    }
    scene.flow(&mut [&mut log], ms(100))
}

pub(crate) fn torn(scene: &mut Scene<'_>) -> Result<()> {
    let mut log = scene.log(LOG)?;
    scene.start()?;
    for piece_max in [2, 40, 400, 4_000, 200_000] {
        for _ in 0..scene.by(1, 4) {
            let count = if piece_max < 10 { 200 } else { 2_000 };
            scene.torn(&mut log, count, piece_max)?;
            scene.flow(&mut [&mut log], ms(250))?;
            log.rotate()?;
            log = scene.log(LOG)?;
        }
    }
    Ok(())
}
