//! Files that come: opened as soon as an event tells their names. The next scan may be some time away,
//! since scans of a large folder take a tenth of the time at most, and a file may be gone by then.
//! Names that were gone before they could be looked at are told.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::discover::Discover;
use super::{FileId, NAME_REMEMBERED, Tail};

/// What happened to a name in a watched folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NameEvent {
    /// A file was made, or given this name.
    Came(PathBuf),
    /// The file that had it was deleted, or given another.
    Went(PathBuf),
}

/// Names that came and were gone when they were looked at. Those that were renamed are found by that,
/// in these events or the next ones.
#[derive(Debug, Default)]
pub(super) struct Missed {
    names: HashMap<PathBuf, Instant>,
    /// The last file that was followed when events were taken before.
    last_id: u64,
}

impl Missed {
    /// Takes out the names that no later event can explain any more.
    fn take_old(&mut self, now: Instant) -> Vec<PathBuf> {
        let is_old =
            |_: &PathBuf, at: &mut Instant| now.saturating_duration_since(*at) >= NAME_REMEMBERED;
        self.names
            .extract_if(is_old)
            .map(|(path, _)| path)
            .collect()
    }
}

impl Tail {
    /// Opens the files whose names have come, in order of the names. What cannot be opened is left to
    /// the next scan, which reports why.
    pub(super) fn meet_named(&mut self, events: &[NameEvent], renames: &[(PathBuf, PathBuf)]) {
        // The first scan finds all that is there, and the checkpoint tells what is new.
        if !self.has_scanned {
            return;
        }
        let mut came = BTreeSet::new();
        for event in events {
            match event {
                NameEvent::Came(path) if self.discover.matches(path) => {
                    came.insert(path);
                }
                NameEvent::Went(path) if came.remove(path) => self.miss(path),
                NameEvent::Came(_) | NameEvent::Went(_) => {}
            }
        }
        for path in came {
            match Discover::look_at(path) {
                Ok(Some(found)) => match self.arrive(&found) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => self.miss(path),
                    Ok(_) | Err(_) => {}
                },
                // A link that leads nowhere is still there.
                Err(error)
                    if error.kind() == io::ErrorKind::NotFound
                        && std::fs::symlink_metadata(path).is_err() =>
                {
                    self.miss(path);
                }
                Ok(None) | Err(_) => {}
            }
        }
        for (from, _) in renames {
            self.missed.names.remove(from);
        }
        self.missed.last_id = self.next_id;
    }

    /// Notes that a file came and went unseen, unless a scan has found it in between.
    fn miss(&mut self, path: &Path) {
        let since = (
            Bound::Excluded(FileId(self.missed.last_id)),
            Bound::Unbounded,
        );
        let mut found = self.files.range(since);
        if !found.any(|(_, followed)| followed.path == path) {
            self.missed.names.insert(path.to_owned(), Instant::now());
        }
    }

    /// Counts and reports the files that nobody can find any more.
    pub(super) fn tell_missed(&mut self, now: Instant) {
        for path in self.missed.take_old(now) {
            self.links.stats.add_missed(&path);
        }
    }
}
