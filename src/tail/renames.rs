//! Files that were renamed before any scan saw them: rename events tell which names they have had,
//! and they are opened under the one that they have now.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::follow::real_path;
use super::identity::Inode;
use super::log_file;
use super::rotated_name::is_rotation_of;
use super::{FileId, NAME_REMEMBERED, Tail, report_trouble};
use crate::report;

/// Up to this age a file that is not followed can be one that no scan has seen. One that was
/// followed and let go of is older: that takes [`super::RENAMED_QUIET`] at least.
const UNSEEN_AGE_MAX: Duration = Duration::from_secs(30);

/// What is known of files that no scan has seen.
#[derive(Debug, Default)]
pub(super) struct Unseen {
    /// Names that such files were given, with the watched name that they had at first.
    names: HashMap<PathBuf, (PathBuf, Instant)>,
    /// Files that could not be opened, with their last known path.
    unopened: HashMap<Inode, PathBuf>,
}

impl Unseen {
    fn remember(&mut self, name: PathBuf, origin: &Path) {
        self.names.insert(name, (origin.to_owned(), Instant::now()));
    }

    /// Forgets names that no event can mean any more.
    pub(super) fn forget_old_names(&mut self, now: Instant) {
        self.names
            .retain(|_, (_, at)| now.saturating_duration_since(*at) < NAME_REMEMBERED);
    }
}

impl Tail {
    /// Files were renamed from names that the patterns mean, or that an unseen file has had, to
    /// others. Those that no scan has seen are opened under their new names. These may be old already
    /// and lead to a newer file, so every such name is remembered, and all its rotated forms are
    /// looked at when one of them was new.
    pub(super) fn meet_renamed(&mut self, renames: &[(PathBuf, PathBuf)]) {
        let names = &self.unseen.names;
        let origin_of = |from: &PathBuf| match names.get(from) {
            Some((origin, _)) => Some(origin.clone()),
            None => self.discover.matches(from).then(|| from.clone()),
        };
        let mut beside = BTreeSet::new();
        for (path, origin) in last_names(renames, origin_of) {
            if !self.discover.matches(&path) && self.meet_unseen(&path, &origin) {
                beside.insert((path.parent().map(Path::to_owned), origin));
            }
        }
        for (folder, origin) in beside {
            if let Some(folder) = folder {
                self.look_beside(&folder, &origin);
            }
        }
    }

    /// Opens the file at `path`, which was renamed from `origin`. Returns whether it was not followed
    /// before, or is not there any more.
    fn meet_unseen(&mut self, path: &Path, origin: &Path) -> bool {
        self.unseen.remember(path.to_owned(), origin);
        let last_id = self.next_id;
        match self.open(path) {
            Ok(Some(id)) => {
                self.detach(id);
                self.next_id != last_id
            }
            Ok(None) => false,
            // Renamed again already.
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => {
                self.try_later(path, &error);
                false
            }
        }
    }

    /// Opens the rotated forms of `origin` in `folder` that are young enough for no scan to have seen
    /// them.
    fn look_beside(&mut self, folder: &Path, origin: &Path) {
        let (Some(name), Ok(siblings)) = (origin.file_name(), std::fs::read_dir(folder)) else {
            return;
        };
        for sibling in siblings.flatten() {
            let path = sibling.path();
            if self.is_unseen(&sibling, name)
                && !self.discover.matches(&path)
                // One that cannot be read now is better read twice than never.
                && !self.is_copy(&path, origin).unwrap_or(false)
            {
                self.meet_unseen(&path, origin);
            }
        }
    }

    /// Whether the file at `path` is a copy of what the log `origin` was before it was truncated.
    fn is_copy(&self, path: &Path, origin: &Path) -> io::Result<bool> {
        let Some((file, metadata)) = log_file::open(path)? else {
            return Ok(false);
        };
        if self.copies.is_copy(origin, &file, metadata.len())? {
            return Ok(true);
        }
        let (Some(folder), Some(name)) = (origin.parent(), origin.file_name()) else {
            return Ok(false);
        };
        let origin = real_path(folder).join(name);
        for entry in self.resume.past() {
            let is_candidate = entry.fingerprint.bytes > 0 && Path::new(&entry.path) == origin;
            if is_candidate && entry.is_in(&file)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn is_unseen(&self, sibling: &std::fs::DirEntry, name: &OsStr) -> bool {
        if !is_rotation_of(&sibling.file_name(), name) {
            return false;
        }
        let Ok(metadata) = sibling.metadata() else {
            return false;
        };
        // One that was born in the future is old, and the clock was set back.
        let age = metadata.created().ok().and_then(|born_at| {
            let age = SystemTime::now().duration_since(born_at);
            age.ok()
        });
        metadata.is_file()
            && !self.by_inode.contains_key(&Inode::of(&metadata))
            && age.is_some_and(|age| age < UNSEEN_AGE_MAX)
    }

    fn try_later(&mut self, path: &Path, error: &io::Error) {
        if let Ok(metadata) = std::fs::metadata(path)
            && self
                .unseen
                .unopened
                .insert(Inode::of(&metadata), path.to_owned())
                .is_none()
        {
            report_trouble(path, "open", error);
        }
    }

    /// Tries again what could not be opened, under whatever name it has in its folder by now.
    pub(super) fn open_unopened(&mut self) {
        for (inode, path) in std::mem::take(&mut self.unseen.unopened) {
            let Some(path) = find(inode, &path) else {
                report::warning(&format!("{}: gone before it could be read", path.display()));
                continue;
            };
            match self.open(&path) {
                Ok(Some(id)) => {
                    self.detach(id);
                    report::notice(&format!("{}: can be read now", path.display()));
                }
                Ok(None) => {}
                Err(_) => drop(self.unseen.unopened.insert(inode, path)),
            }
        }
    }

    pub(super) fn detach(&mut self, id: FileId) {
        if let Some(followed) = self.files.get_mut(&id) {
            followed.detached_at.get_or_insert_with(Instant::now);
        }
    }
}

/// The names that files have after all `renames`, in order, with their origins: those for whose first
/// name `origin_of` has one. A file whose name was given to another is gone.
fn last_names(
    renames: &[(PathBuf, PathBuf)],
    origin_of: impl Fn(&PathBuf) -> Option<PathBuf>,
) -> HashMap<PathBuf, PathBuf> {
    let mut origins = HashMap::new();
    for (from, to) in renames {
        let origin = origins.remove(from).or_else(|| origin_of(from));
        origins.remove(to);
        if let Some(origin) = origin {
            origins.insert(to.clone(), origin);
        }
    }
    origins
}

/// Where the file is that was at `path`.
fn find(inode: Inode, path: &Path) -> Option<PathBuf> {
    let is_it =
        |path: &Path| std::fs::metadata(path).is_ok_and(|metadata| Inode::of(&metadata) == inode);
    if is_it(path) {
        return Some(path.to_owned());
    }
    let siblings = std::fs::read_dir(path.parent()?).ok()?;
    let mut paths = siblings.flatten().map(|sibling| sibling.path());
    paths.find(|path| is_it(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_of_renames_ends_at_the_last_name_of_each_file() {
        let path = |name: &str| PathBuf::from("/l").join(name);
        let renames = [
            ("a", "a.1"),
            ("a.1", "a.2"),
            ("a", "a.1"),
            ("a.2", "a.3"),
            ("a.1", "a.2"),
            ("other", "a.9"),
            ("a", "a.9"),
            ("a", "a.9"),
        ];
        let renames = renames.map(|(from, to)| (path(from), path(to)));
        let origin_of = |from: &PathBuf| (*from == path("a")).then(|| path("a"));
        let last = last_names(&renames, origin_of);
        let mut names: Vec<&PathBuf> = last.keys().collect();
        names.sort();
        assert_eq!(names, [&path("a.2"), &path("a.3"), &path("a.9")]);
    }
}
