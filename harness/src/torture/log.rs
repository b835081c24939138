//! A log as its writer has it: a descriptor that goes on to the same file whatever becomes of its
//! name. Knows where lines end and nothing of what is in them.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::ledger::Stream;

/// A file that is written to.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    /// Appending, as servers do: after a truncation it goes on at the start.
    file: File,
    pub(super) stream: Stream,
}

impl Log {
    /// Makes the file, or goes on in it.
    ///
    /// # Errors
    /// When that is not possible.
    pub(super) fn open(path: &Path, stream: Stream) -> Result<Log> {
        let mut options = File::options();
        let file = options.create(true).append(true).open(path);
        Ok(Log {
            file: file.with_context(|| format!("open {}", path.display()))?,
            path: path.to_owned(),
            stream,
        })
    }

    /// Its name when it was opened.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends with one write.
    ///
    /// # Errors
    /// When not all of it could be written.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.file.write_all(bytes);
        written.with_context(|| format!("write {}", self.path.display()))
    }

    /// Empties it.
    ///
    /// # Errors
    /// When that is not possible.
    pub(super) fn truncate(&self) -> Result<()> {
        let truncated = self.file.set_len(0);
        truncated.with_context(|| format!("truncate {}", self.path.display()))
    }

    /// Its size.
    ///
    /// # Errors
    /// When it cannot be told.
    pub(super) fn bytes(&self) -> Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Its inode.
    ///
    /// # Errors
    /// When it cannot be told.
    pub(super) fn inode(&self) -> Result<u64> {
        Ok(self.file.metadata()?.ino())
    }

    /// Renames `NAME` to `NAME.1`, after `NAME.1` to `NAME.2` and so on, as logrotate does.
    ///
    /// # Errors
    /// When a file cannot be renamed.
    pub(super) fn rotate(&self) -> Result<()> {
        self.shift()?;
        rename(&self.path, &self.rotated(1))
    }

    /// Makes `NAME.1` free, in the same way.
    ///
    /// # Errors
    /// When a file cannot be renamed.
    pub(super) fn shift(&self) -> Result<()> {
        let count = (1..).find(|&index| !self.rotated(index).exists());
        for index in (1..count.unwrap_or(1)).rev() {
            rename(&self.rotated(index), &self.rotated(index + 1))?;
        }
        Ok(())
    }

    /// `NAME.1` and so on.
    pub(super) fn rotated(&self, index: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{index}"));
        PathBuf::from(name)
    }
}

/// Renames a file.
///
/// # Errors
/// When that is not possible.
pub(super) fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).with_context(|| format!("rename {} to {}", from.display(), to.display()))
}
