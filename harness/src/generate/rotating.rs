//! A log that is rotated by the one who writes it, at set times.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::cli::{GenerateArgs, RotateHow};

/// The log and its rotation.
#[derive(Debug)]
pub(super) struct RotatingFile {
    path: PathBuf,
    file: File,
    how: RotateHow,
    every: Option<Duration>,
    next: Instant,
    keep: u32,
    rotations: u32,
}

impl RotatingFile {
    /// Makes the log anew.
    pub(super) fn create(args: &GenerateArgs) -> Result<RotatingFile> {
        let every = args.rotate_every;
        Ok(RotatingFile {
            file: create(&args.output)?,
            path: args.output.clone(),
            how: args.rotate,
            every,
            next: Instant::now() + every.unwrap_or_default(),
            keep: args.rotate_keep.max(1),
            rotations: 0,
        })
    }

    /// Writes a line, after a rotation if one is due.
    pub(super) fn write(&mut self, line: &[u8]) -> Result<()> {
        if let Some(every) = self.every
            && Instant::now() >= self.next
        {
            self.next += every;
            self.rotate()?;
        }
        self.file
            .write_all(line)
            .with_context(|| format!("write {}", self.path.display()))
    }

    /// How often it was rotated.
    pub(super) fn rotations(&self) -> u32 {
        self.rotations
    }

    fn rotate(&mut self) -> Result<()> {
        for number in (1..self.keep).rev() {
            let from = self.rotated(number);
            if from.exists() {
                rename(&from, &self.rotated(number + 1))?;
            }
        }
        let first = self.rotated(1);
        match self.how {
            RotateHow::Rename => {
                rename(&self.path, &first)?;
                self.file = create(&self.path)?;
            }
            RotateHow::Copytruncate => {
                fs::copy(&self.path, &first)
                    .with_context(|| format!("copy to {}", first.display()))?;
                self.file
                    .set_len(0)
                    .with_context(|| format!("truncate {}", self.path.display()))?;
            }
        }
        self.rotations += 1;
        Ok(())
    }

    fn rotated(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    }
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).with_context(|| format!("rename {} to {}", from.display(), to.display()))
}

/// Appending, as servers do: after a truncation it goes on at the start.
fn create(path: &Path) -> Result<File> {
    File::create(path)
        .and_then(|_| File::options().append(true).open(path))
        .with_context(|| format!("create {}", path.display()))
}
