//! Finds the files of an earlier run again: by identity, under whatever name they have now.

use std::fs::File;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::identity::Inode;
use super::log_file;
use super::rotated_name::is_rotation_of;
use crate::checkpoint::{Entry, Loaded};

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
    let Some((file, metadata)) = log_file::open(path)? else {
        return Ok(false);
    };
    let is_long_enough = metadata.len() >= entry.offset;
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

/// How much older than the checkpoint a file may be that the checkpoint does not know: it was made
/// in the moment between two of its versions.
const BORN_BEFORE_MAX: Duration = Duration::from_secs(2);

/// Files beside those of the checkpoint whose names go on from theirs (`access.log.1` beside
/// `access.log`) and that were born after it: made and rotated away while VES was not running, in
/// order of birth. One that begins like a file of the checkpoint which is shorter now is a copy made
/// before a truncation: it comes with an entry to read on from where that file was read to.
pub(crate) fn seek_born_meanwhile(loaded: &Loaded) -> Vec<(PathBuf, Option<Entry>)> {
    let known = &loaded.snapshot.files;
    let mut found: Vec<(SystemTime, PathBuf, Option<Entry>)> = Vec::new();
    for entry in known {
        let path = Path::new(&entry.path);
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            continue;
        };
        let Ok(siblings) = std::fs::read_dir(folder) else {
            continue;
        };
        for sibling in siblings.flatten() {
            let path = sibling.path();
            if !is_rotation_of(&sibling.file_name(), name)
                || found.iter().any(|found| found.1 == path)
            {
                continue;
            }
            let Ok(metadata) = sibling.metadata() else {
                continue;
            };
            let Ok(born_at) = metadata.created() else {
                continue;
            };
            let inode = Inode::of(&metadata);
            let is_known = known.iter().any(|entry| entry.inode == inode);
            let is_young = born_at.checked_add(BORN_BEFORE_MAX) >= Some(loaded.written_at);
            if metadata.is_file() && !is_known && is_young {
                let copied = copied_from(known, &path, inode);
                found.push((born_at, path, copied));
            }
        }
    }
    found.sort();
    found
        .into_iter()
        .map(|(_, path, copied)| (path, copied))
        .collect()
}

/// Where to read on in the file at `path`, if it is a copy of a file of the checkpoint that was
/// truncated after.
fn copied_from(known: &[Entry], path: &Path, inode: Inode) -> Option<Entry> {
    let (file, metadata) = log_file::open(path).ok()??;
    let size = metadata.len();
    let is_whole = |entry: &Entry| {
        let Some((original, metadata)) = log_file::open(Path::new(&entry.path))? else {
            return Ok(false);
        };
        let is_long_enough = metadata.len() >= entry.offset;
        Ok::<_, std::io::Error>(is_long_enough && entry.fingerprint.matches(&original))
    };
    let is_copy = |entry: &&Entry| {
        let is_same_start = entry.fingerprint.bytes > 0 && entry.fingerprint.matches(&file);
        is_same_start && size >= entry.offset && !is_whole(entry).unwrap_or(true)
    };
    let original = known.iter().find(is_copy)?;
    Some(Entry {
        inode,
        path: path.to_string_lossy().into_owned(),
        ..original.clone()
    })
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
