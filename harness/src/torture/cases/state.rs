//! What happens to the folder in which a collector keeps what it has delivered.

use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

use super::super::scene::Scene;
use super::{ms, without_override};

const LOG: &str = "access.log";
/// Room for the state of every collector in the short time of a case.
const DISK: u64 = 24 << 20;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) fn full(scene: &mut Scene<'_>) -> Result<()> {
    scene.mount("state", DISK)?;
    let mut log = scene.log(LOG)?;
    scene.start()?;
    scene.flow(&mut [&mut log], ms(1_300))?;
    scene.disk()?.fill()?;
    scene.flow(&mut [&mut log], scene.by(ms(1_500), ms(15_000)))?;
    log.rotate()?;
    log = scene.log(LOG)?;
    scene.flow(&mut [&mut log], ms(300))?;
    scene.disk()?.free()?;
    restart(scene)?;
    scene.flow(&mut [&mut log], ms(300))
}

pub(crate) fn read_only(scene: &mut Scene<'_>) -> Result<()> {
    scene.wrapper = without_override()?;
    let mut log = scene.log(LOG)?;
    scene.start()?;
    scene.flow(&mut [&mut log], ms(1_300))?;
    set_mode(&scene.state(), 0o555)?;
    scene.flow(&mut [&mut log], scene.by(ms(1_500), ms(15_000)))?;
    set_mode(&scene.state(), 0o755)?;
    restart(scene)?;
    scene.flow(&mut [&mut log], ms(300))
}

/// Ends it in order after the state could be written again for a while, and starts it.
fn restart(scene: &mut Scene<'_>) -> Result<()> {
    scene.catch_up()?;
    scene.pause(ms(2_500))?;
    scene.stop()?;
    scene.start()
}

fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode)).context("change the mode")
}

pub(crate) fn corrupted(scene: &mut Scene<'_>) -> Result<()> {
    let mut log = scene.log(LOG)?;
    let mut count = 0;
    for _ in 0..scene.by(2, 5) {
        scene.start()?;
        scene.flow(&mut [&mut log], ms(700))?;
        scene.catch_up()?;
        scene.pause(ms(1_200))?;
        scene.stop()?;
        let files = files_below(&scene.state())?;
        count += files.len();
        for path in files {
            let size = usize::try_from(fs::metadata(&path)?.len())?;
            let random = &mut scene.random;
            let noise: Vec<u8> = (0..size).map(|_| random.next().to_le_bytes()[3]).collect();
            fs::write(&path, noise).with_context(|| format!("write {}", path.display()))?;
        }
        scene.flow(&mut [&mut log], ms(100))?;
    }
    scene.start()?;
    scene.note(format!("{count} files of state"));
    scene.flow(&mut [&mut log], ms(300))
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            match entry.file_type()? {
                kind if kind.is_dir() => folders.push(entry.path()),
                kind if kind.is_file() => files.push(entry.path()),
                _ => {}
            }
        }
    }
    files.sort();
    Ok(files)
}

pub(crate) fn from_the_future(scene: &mut Scene<'_>) -> Result<()> {
    let mut log = scene.log(LOG)?;
    for _ in 0..scene.by(1, 5) {
        scene.start()?;
        scene.flow(&mut [&mut log], ms(500))?;
        scene.catch_up()?;
        scene.pause(ms(1_200))?;
        scene.stop()?;
        let tomorrow = FileTimes::new().set_modified(SystemTime::now() + DAY);
        for path in files_below(&scene.state())? {
            let file = File::options().append(true).open(&path);
            let file = file.with_context(|| format!("open {}", path.display()))?;
            file.set_times(tomorrow).context("set the time of a file")?;
        }
        for _ in 0..2 {
            log.rotate()?;
            log = scene.log(LOG)?;
            scene.flow(&mut [&mut log], ms(150))?;
        }
    }
    scene.start()?;
    scene.flow(&mut [&mut log], ms(300))
}

pub(crate) fn ahead(scene: &mut Scene<'_>) -> Result<()> {
    let mut log = scene.log(LOG)?;
    scene.start()?;
    scene.burst(&mut log, 2_000)?;
    let backup = fs::read(log.path())?;
    scene.flow(&mut [&mut log], ms(700))?;
    scene.catch_up()?;
    scene.pause(ms(1_200))?;
    scene.stop()?;
    // What was there at the time of the backup is delivered, and so is what came after.
    log.truncate()?;
    log.append(&backup)?;
    scene.start()?;
    scene.flow(&mut [&mut log], ms(300))?;
    scene.catch_up()?;
    scene.flow(&mut [&mut log], ms(300))
}
