//! A log that is rotated as logrotate does it: the file is renamed, its writer goes on in it for a
//! while, then makes a new one.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Rotated files that are kept.
const KEPT: u32 = 3;

/// The log and what was rotated away from it.
#[derive(Debug)]
pub(super) struct RotatedLog {
    path: PathBuf,
    file: File,
    rotations: u32,
    /// Whether the file was renamed and is still written to.
    is_renamed: bool,
}

impl RotatedLog {
    /// Makes the file.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn create(path: PathBuf) -> Result<RotatedLog> {
        Ok(RotatedLog {
            file: create(&path)?,
            path,
            rotations: 0,
            is_renamed: false,
        })
    }

    /// How often it was rotated.
    pub(super) fn rotations(&self) -> u32 {
        self.rotations
    }

    /// Appends whole lines. The first ones after a rotation go to the renamed file.
    ///
    /// # Errors
    /// When the disk is full, say.
    pub(super) fn append(&mut self, lines: &[u8]) -> Result<()> {
        let written = self.file.write_all(lines);
        written.map_err(Error::file("write the traffic to", &self.path))?;
        if std::mem::take(&mut self.is_renamed) {
            self.file = create(&self.path)?;
        }
        Ok(())
    }

    /// Renames the file to `.1`, the one that had that name to `.2`, and so on; the last one goes.
    ///
    /// # Errors
    /// When that is not possible.
    pub(super) fn rotate(&mut self) -> Result<()> {
        let name = |number: u32| PathBuf::from(format!("{}.{number}", self.path.display()));
        for number in (1..KEPT).rev().filter(|number| name(*number).exists()) {
            let moved = std::fs::rename(name(number), name(number + 1));
            moved.map_err(Error::file("rotate", name(number)))?;
        }
        let moved = std::fs::rename(&self.path, name(1));
        moved.map_err(Error::file("rotate", &self.path))?;
        self.rotations += 1;
        self.is_renamed = true;
        Ok(())
    }
}

fn create(path: &Path) -> Result<File> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.map_err(Error::file("make", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotated_files_move_on_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = RotatedLog::create(folder.path().join("access.log")).unwrap();
        for round in 1..=5 {
            log.append(format!("{round} before\n").as_bytes()).unwrap();
            log.rotate().unwrap();
            log.append(format!("{round} late\n").as_bytes()).unwrap();
        }
        let text = |name: &str| std::fs::read_to_string(folder.path().join(name)).ok();
        assert_eq!(text("access.log").unwrap(), "");
        for (name, round) in [
            ("access.log.1", 5),
            ("access.log.2", 4),
            ("access.log.3", 3),
        ] {
            let expected = format!("{round} before\n{round} late\n");
            assert_eq!(text(name), Some(expected), "{name}");
        }
        assert_eq!((text("access.log.4"), log.rotations()), (None, 5));
    }
}
