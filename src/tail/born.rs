//! Files that came while VES was not running and are out of the patterns already: made and rotated
//! away, or copied before a truncation.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::copies::is_part_of;
use super::identity::Inode;
use super::log_file;
use super::rotated_name::is_rotation_of;
use super::{Tail, report_trouble};
use crate::checkpoint::{Entry, Loaded};
use crate::report;

/// How much older than the last sign of life a file may be that the checkpoint does not know: it was
/// made in the moment between two of its versions.
const BORN_BEFORE_MAX: Duration = Duration::from_secs(2);

/// A file that came meanwhile.
struct Born {
    at: SystemTime,
    path: PathBuf,
    /// The name that it is a rotated form of.
    original: PathBuf,
}

impl Tail {
    /// Looks beside the files of the checkpoint for rotated forms of logs that came after it, in order
    /// of birth.
    /// A copy is read on from where its original was read to; one of a file that is still whole is
    /// left alone.
    pub(super) fn seek_born_meanwhile(&mut self, loaded: &Loaded) {
        if let Ok(ahead) = loaded.alive_at.duration_since(SystemTime::now())
            && ahead > BORN_BEFORE_MAX
        {
            report::warning(&format!(
                "the clock was set back by {} s since the last run: logs that were made and rotated \
                 away since then cannot be told from older ones and are not looked for",
                ahead.as_secs()
            ));
        }
        let mut entries: HashMap<&Path, Vec<&Entry>> = HashMap::new();
        let past = loaded.snapshot.past.iter().map(|past| &past.entry);
        for entry in loaded.snapshot.files.iter().chain(past) {
            entries
                .entry(Path::new(&entry.path))
                .or_default()
                .push(entry);
        }
        let folders: HashSet<&Path> = entries.keys().filter_map(|path| path.parent()).collect();
        let is_log = |path: &Path| entries.contains_key(path) || self.discover.matches(path);
        let born = folders.iter().map(|folder| born_in(folder, loaded, is_log));
        let mut born: Vec<Born> = born.flatten().collect();
        born.sort_by(|left, right| (left.at, &left.path).cmp(&(right.at, &right.path)));
        for born in born {
            if self.links.shutdown.begun() {
                return;
            }
            // A file that a pattern means was found by it.
            if self.discover.matches(&born.path) {
                continue;
            }
            let originals = entries.get(born.original.as_path());
            if let Err(error) = self.meet_born(&born, originals.map_or(&[], Vec::as_slice)) {
                report_trouble(&born.path, "open", &error);
            }
        }
    }

    fn meet_born(&mut self, born: &Born, originals: &[&Entry]) -> io::Result<()> {
        let Some((file, metadata)) = log_file::open(&born.path)? else {
            return Ok(());
        };
        let inode = Inode::of(&metadata);
        if self.by_inode.contains_key(&inode) {
            return Ok(());
        }
        // Names are not enough: two logs may begin with the same header.
        let mut copied: Option<&Entry> = None;
        for &entry in originals {
            let is_candidate = entry.fingerprint.bytes > 0 && !self.reads_on_from(entry);
            if is_candidate
                && copied.is_none_or(|copied| entry.offset >= copied.offset)
                && entry.is_in(&file)?
            {
                copied = Some(entry);
            }
        }
        if let Some(entry) = copied {
            self.resume.find(entry);
            if metadata.len() == entry.offset {
                // Nobody writes to a copy.
                return Ok(());
            }
            self.resume.put(Entry {
                inode,
                path: born.path.to_string_lossy().into_owned(),
                ..entry.clone()
            });
        } else if self.is_part_of_followed(&file, born, originals) {
            return Ok(());
        }
        if let Some(id) = self.open(&born.path)? {
            self.detach(id);
        }
        Ok(())
    }

    /// Whether the entry's own file was found and is read on from there.
    fn reads_on_from(&self, entry: &Entry) -> bool {
        let id = self.by_inode.get(&entry.inode);
        let followed = id.and_then(|id| self.files.get(id));
        followed.is_some_and(|followed| {
            followed.fingerprint == entry.fingerprint && followed.offset == entry.offset
        })
    }

    /// Whether a file that is followed, and that this one may be a copy of, holds all of it.
    fn is_part_of_followed(&self, file: &File, born: &Born, originals: &[&Entry]) -> bool {
        let known = originals.iter().map(|entry| entry.inode);
        let current = std::fs::metadata(&born.original).ok();
        let inodes = known.chain(current.map(|metadata| Inode::of(&metadata)));
        let followed = inodes.filter_map(|inode| self.files.get(self.by_inode.get(&inode)?));
        let mut paths = followed.map(|followed| followed.path.as_path());
        let size = file.metadata().map_or(0, |metadata| metadata.len());
        let is_part = |path: &Path| -> io::Result<bool> {
            let original = log_file::open(path)?;
            original.map_or(Ok(false), |(original, _)| is_part_of(file, size, &original))
        };
        size > 0 && paths.any(|path| is_part(path).unwrap_or(false))
    }
}

/// The files in `folder` that are rotated forms of logs and were born after the checkpoint.
fn born_in(folder: &Path, loaded: &Loaded, is_log: impl Fn(&Path) -> bool) -> Vec<Born> {
    let Ok(siblings) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let born = siblings.flatten().filter_map(|sibling| {
        let is_original = |name: &OsStr| is_log(&folder.join(name));
        let original = folder.join(original_of(&sibling.file_name(), is_original)?);
        let metadata = sibling.metadata().ok()?;
        let at = metadata.created().ok()?;
        let is_young = at.checked_add(BORN_BEFORE_MAX) >= Some(loaded.alive_at);
        let path = sibling.path();
        (metadata.is_file() && is_young).then_some(Born { at, path, original })
    });
    born.collect()
}

/// The name that `name` is a rotated form of, if it is one.
pub(super) fn original_of(name: &OsStr, is_original: impl Fn(&OsStr) -> bool) -> Option<OsString> {
    let bytes = name.as_bytes();
    let is_end = |end: &usize| matches!(bytes.get(*end), Some(b'.' | b'-' | b'_'));
    let names = (1..bytes.len())
        .rev()
        .filter(is_end)
        .filter_map(|end| bytes.get(..end).map(OsStr::from_bytes));
    let mut originals = names.filter(|original| is_rotation_of(name, original));
    originals
        .find(|original| is_original(original))
        .map(OsStr::to_owned)
}
