//! Finds the files of an earlier run again: by identity, under whatever name they have now.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};

use super::follow::real_path;
use super::identity::Inode;
use super::log_file;
use super::rotated_name::is_rotation_of;
use crate::checkpoint::{Entry, Past, Snapshot};

/// What the checkpoint says of files, as far as they were not found again yet.
#[derive(Debug, Default)]
pub(crate) struct Resume {
    sought: HashMap<Inode, Vec<Entry>>,
    past: Vec<Past>,
    /// Entries that cannot be read on from. What was shipped after them is only in the sink.
    lost: Vec<Entry>,
    is_changed: bool,
}

/// What the checkpoint says of an open file.
#[derive(Debug)]
pub(crate) enum Known {
    /// Read on from this entry.
    ReadOn(Entry),
    /// There is an entry of this inode, but what was read of it is not in the file any more.
    Rewritten(Entry),
    /// Nothing.
    New,
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
    pub(crate) fn new(snapshot: &Snapshot) -> Resume {
        let mut resume = Resume {
            past: snapshot.past.clone(),
            ..Resume::default()
        };
        snapshot
            .files
            .iter()
            .cloned()
            .for_each(|entry| resume.put(entry));
        resume
    }

    /// What is known of an open file: the entry that it can be read on from, of several the one that
    /// covers the most. All entries of that inode are done with then.
    ///
    /// # Errors
    /// When the file cannot be read: its entries are still sought then.
    pub(crate) fn take(&mut self, inode: Inode, file: &File) -> io::Result<Known> {
        let sought = self.sought.get(&inode);
        let (same, others) = split(sought.into_iter().flatten(), file)?;
        let past = self.past().filter(|entry| entry.inode == inode);
        let (past, _) = split(past, file)?;
        self.is_changed |= self.sought.remove(&inode).is_some();
        let last = others.last().cloned();
        // A copy that was made before is known by them, at later starts too.
        let truncated = others.iter().cloned().map(Past::of_truncated);
        self.past.extend(truncated);
        self.lost.extend(others);
        if let Some(entry) = same {
            return Ok(Known::ReadOn(entry));
        }
        if let Some(entry) = past {
            self.past.retain(|past| past.entry != entry);
            self.is_changed = true;
            return Ok(Known::ReadOn(entry));
        }
        Ok(last.map_or(Known::New, Known::Rewritten))
    }

    /// What is known of an open file when it may be a copy, too, of one that was truncated since it
    /// was read, or is gone: it is read on from where the copied one was read to, if that is further.
    pub(crate) fn go_on_in_copy(&mut self, known: Known, path: &Path, file: &File) -> Known {
        let offset = match &known {
            Known::ReadOn(entry) => entry.offset,
            Known::Rewritten(_) | Known::New => 0,
        };
        let copied = self.lost.iter().chain(self.past()).filter(|entry| {
            entry.offset > offset && entry.is_log_of(path) && entry.is_copied_in(file)
        });
        let Some(entry) = copied.max_by_key(|entry| entry.coverage()).cloned() else {
            return known;
        };
        self.find(&entry);
        Known::ReadOn(entry)
    }

    /// Takes all entries that are still sought, those of one inode together: only its file tells which
    /// of them is the one.
    pub(crate) fn take_sought(&mut self) -> Vec<Vec<Entry>> {
        std::mem::take(&mut self.sought).into_values().collect()
    }

    /// Adds an entry, to be found from now on.
    pub(crate) fn put(&mut self, entry: Entry) {
        self.sought.entry(entry.inode).or_default().push(entry);
        self.is_changed = true;
    }

    /// Notes that an entry cannot be read on from; where its file may come back, as `past`.
    pub(crate) fn lose(&mut self, entry: Entry, past: Option<Past>) {
        self.past.extend(past);
        self.lost.push(entry);
        self.is_changed = true;
    }

    /// Keeps the entry of a file that is not read any more and not missed either.
    pub(crate) fn set_aside(&mut self, past: Past) {
        self.past.push(past);
        self.is_changed = true;
    }

    /// Notes that what came after an entry was found elsewhere.
    pub(crate) fn find(&mut self, entry: &Entry) {
        self.lost.retain(|lost| lost != entry);
    }

    /// The files that are not followed any more and may be met again.
    pub(crate) fn past(&self) -> impl Iterator<Item = &Entry> {
        self.past.iter().map(|past| &past.entry)
    }

    /// Whether everything that came after the entries can be read again, now.
    pub(crate) fn is_complete(&self) -> bool {
        self.lost.is_empty() && self.sought.is_empty()
    }

    /// What the checkpoint has to keep, when it is not the same as last time.
    pub(crate) fn take_changes(&mut self) -> Option<(Vec<Entry>, Vec<Past>)> {
        std::mem::take(&mut self.is_changed).then(|| {
            let sought = self.sought.values().flatten().cloned();
            (sought.collect(), self.past.clone())
        })
    }
}

/// The entry of this file that covers the most, and those that are of others, which cannot be read any
/// more and are missed.
fn split<'a>(
    entries: impl Iterator<Item = &'a Entry>,
    file: &File,
) -> io::Result<(Option<Entry>, Vec<Entry>)> {
    let (mut same, mut others) = (None::<&Entry>, Vec::new());
    for entry in entries {
        if !entry.is_in(file)? {
            others.extend((!entry.is_finished()).then(|| entry.clone()));
        } else if same.is_none_or(|same| entry.coverage() >= same.coverage()) {
            same = Some(entry);
        }
    }
    Ok((same.cloned(), others))
}

impl Entry {
    /// Whether the file holds what was read of this entry's file: the same first bytes, the same ones
    /// before the offset, and nothing missing.
    ///
    /// # Errors
    /// When the file cannot be read, which does not make it another.
    pub(crate) fn is_in(&self, file: &File) -> io::Result<bool> {
        Ok(file.metadata()?.len() >= self.offset
            && self.fingerprint.is_in(file)?
            && self.trail.is_in(file, self.offset)?)
    }

    /// How much it covers: of several entries of a file the greatest is the one to read on from.
    fn coverage(&self) -> (u64, u64) {
        (self.fingerprint.bytes, self.offset)
    }

    /// Whether the file at `path` has a rotated form of the name of this entry's file.
    fn is_log_of(&self, path: &Path) -> bool {
        let log = Path::new(&self.path);
        let (Some(name), Some(log_name)) = (path.file_name(), log.file_name()) else {
            return false;
        };
        is_rotation_of(name, log_name) && real_path(path).parent() == log.parent()
    }

    /// [`Entry::is_in`] for another file, which may begin with the same header: enough bytes before
    /// the offset have to be the same, too. One that cannot be read is no copy: twice is better than never.
    fn is_copied_in(&self, file: &File) -> bool {
        let is_telling = self.trail.is_telling() || self.offset <= self.fingerprint.bytes;
        self.fingerprint.bytes > 0 && is_telling && self.is_in(file).unwrap_or(false)
    }
}

/// Whether the file at `path`, which has the entry's inode, is the entry's file. Where no byte was
/// known of it, a name that goes on from the old one has to do (`access.log.1` for `access.log`, or
/// `access.log.2` for that): inode numbers are used again.
///
/// # Errors
/// When the file cannot be opened.
pub(crate) fn is_file_of(entry: &Entry, path: &Path) -> io::Result<bool> {
    let Some((file, _)) = log_file::open(path)? else {
        return Ok(false);
    };
    let goes_on = || match (path.file_name(), Path::new(&entry.path).file_name()) {
        (Some(new), Some(old)) => goes_on_from(new, old),
        _ => false,
    };
    Ok((entry.fingerprint.bytes > 0 || goes_on()) && entry.is_in(&file)?)
}

/// Whether a file of the name `old` may have been renamed to `new` by a rotation.
fn goes_on_from(new: &OsStr, old: &OsStr) -> bool {
    let (new_bytes, old_bytes) = (new.as_bytes(), old.as_bytes());
    let is_of_same = |end: usize| {
        let original = old_bytes.get(..end).map(OsStr::from_bytes);
        original.is_some_and(|name| is_rotation_of(old, name) && is_rotation_of(new, name))
    };
    new_bytes.starts_with(old_bytes) || (1..old_bytes.len()).any(is_of_same)
}

/// What is in folders, by inode number. Each is listed once, however many files are sought in it.
#[derive(Debug, Default)]
pub(crate) struct Folders {
    names: HashMap<PathBuf, Option<HashMap<u64, Vec<OsString>>>>,
}

impl Folders {
    /// Looks for the file of `entry` in the folder in which it was last seen.
    pub(crate) fn seek(&mut self, entry: &Entry) -> Sought {
        let Some(folder) = Path::new(&entry.path).parent() else {
            return Sought::Gone;
        };
        let listed = self
            .names
            .entry(folder.to_owned())
            .or_insert_with(|| list(folder));
        let Some(names) = listed else {
            return Sought::Unknown;
        };
        let is_it = |path: &PathBuf| {
            std::fs::symlink_metadata(path)
                .is_ok_and(|metadata| Inode::of(&metadata) == entry.inode)
        };
        let names = names.get(&entry.inode.ino).into_iter().flatten();
        let found = names.map(|name| folder.join(name)).find(is_it);
        found.map_or(Sought::Gone, Sought::Renamed)
    }
}

fn list(folder: &Path) -> Option<HashMap<u64, Vec<OsString>>> {
    let mut names: HashMap<u64, Vec<OsString>> = HashMap::new();
    for entry in std::fs::read_dir(folder).ok()?.flatten() {
        names
            .entry(entry.ino())
            .or_default()
            .push(entry.file_name());
    }
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tail::{Fingerprint, LineState, Trail};

    /// A file that was empty at the last checkpoint and shifted from `.1` to `.2` since was given up.
    #[test]
    fn a_rotated_name_goes_on_from_the_one_before() {
        let goes_on = |new: &str, old: &str| goes_on_from(OsStr::new(new), OsStr::new(old));
        assert!(goes_on("a.log.1", "a.log") && goes_on("a.log.2", "a.log.1"));
        assert!(goes_on("a.log.10", "a.log.9") && goes_on("a.log-20261124", "a.log"));
        assert!(!goes_on("b.log.2", "a.log.1") && !goes_on("b.log", "a.log"));
    }

    /// 5000 files of a checkpoint took 5000 listings of their folder, and 9 s before the first record.
    #[test]
    fn a_folder_is_listed_once_however_many_files_are_sought_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let entry_of = |name: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, name).unwrap();
            Entry {
                inode: Inode::of(&std::fs::metadata(&path).unwrap()),
                fingerprint: Fingerprint::default(),
                offset: 0,
                line: LineState::Start,
                trail: Trail::default(),
                format: None,
                path: path.to_string_lossy().into_owned(),
                finished_at: None,
            }
        };
        let (first, second) = (entry_of("first"), entry_of("second"));
        std::fs::rename(&first.path, dir.path().join("renamed")).unwrap();
        std::fs::remove_file(&second.path).unwrap();
        let mut folders = Folders::default();
        let renamed = dir.path().join("renamed");
        assert_eq!(folders.seek(&first), Sought::Renamed(renamed));
        assert_eq!(folders.seek(&second), Sought::Gone);
        let later = entry_of("later");
        assert_eq!(
            folders.seek(&later),
            Sought::Gone,
            "it was not listed again"
        );
        assert!(matches!(
            Folders::default().seek(&later),
            Sought::Renamed(_)
        ));
    }
}
