//! Finds the files of an earlier run again: by identity, under whatever name they have now.

use std::fs::File;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};

use super::identity::Inode;
use crate::checkpoint::Entry;

/// Entries of the checkpoint that were not found again yet.
#[derive(Debug, Default)]
pub(crate) struct Resume {
    entries: Vec<Entry>,
}

/// What became of the file of an entry that no watched path leads to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sought {
    /// It has another name in its folder.
    Renamed(PathBuf),
    /// Its folder does not have it any more.
    Gone,
    /// Its folder cannot be looked into.
    Unknown,
}

impl Resume {
    /// The entries of a checkpoint.
    pub(crate) fn new(entries: Vec<Entry>) -> Resume {
        Resume { entries }
    }

    /// The entry of an open file: same device and inode, and still the same first bytes. Of several
    /// the one that covers the most bytes. All entries of that inode are done with then.
    pub(crate) fn take(&mut self, inode: Inode, file: &File) -> Option<Entry> {
        if !self.entries.iter().any(|entry| entry.inode == inode) {
            return None;
        }
        let (same, others) = self
            .entries
            .drain(..)
            .partition(|entry| entry.inode == inode);
        self.entries = others;
        let same: Vec<Entry> = same;
        let matching = same
            .into_iter()
            .filter(|entry| entry.fingerprint.matches(file));
        matching.max_by_key(|entry| entry.fingerprint.bytes)
    }

    /// Takes all entries that are left.
    pub(crate) fn take_all(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.entries)
    }

    /// Puts entries back, to be found later.
    pub(crate) fn keep(&mut self, entries: Vec<Entry>) {
        self.entries = entries;
    }

    /// The entries that are still sought.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

/// Whether the file at `path`, which has the entry's inode, is the entry's file: same first bytes
/// and nothing missing. Where no byte was known of it, a name that goes on from the old one has to
/// do (`access.log.1` for `access.log`): inode numbers are used again.
///
/// # Errors
/// When the file cannot be opened.
pub(crate) fn is_file_of(entry: &Entry, path: &Path) -> std::io::Result<bool> {
    let file = File::open(path)?;
    let is_long_enough = file.metadata()?.len() >= entry.offset;
    let name = |path: &Path| {
        path.file_name()
            .map(|name| name.to_string_lossy().into_owned())
    };
    let goes_on = || match (name(path), name(Path::new(&entry.path))) {
        (Some(new), Some(old)) => new.starts_with(&old),
        _ => false,
    };
    let is_known = entry.fingerprint.bytes > 0 || goes_on();
    Ok(is_known && is_long_enough && entry.fingerprint.matches(&file))
}

/// Looks for the file of `entry` in the folder in which it was last seen.
pub(crate) fn seek(entry: &Entry) -> Sought {
    let Some(folder) = Path::new(&entry.path).parent() else {
        return Sought::Gone;
    };
    let Ok(names) = std::fs::read_dir(folder) else {
        return Sought::Unknown;
    };
    for name in names.flatten() {
        if name.ino() != entry.inode.ino {
            continue;
        }
        let is_it = name
            .metadata()
            .is_ok_and(|metadata| Inode::of(&metadata) == entry.inode);
        if is_it {
            return Sought::Renamed(name.path());
        }
    }
    Sought::Gone
}
