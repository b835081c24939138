//! What a tail leaves to the next one of the same process, when the configuration is read again: open
//! files, which may have no name any more, and what was read of standard input.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::Tail;
use super::chunk::Source;
use super::compressed::CompressedFiles;
use super::discover::Discover;
use super::follow::Followed;
use super::identity::Inode;
use super::own_files::OwnFiles;
use super::stdin::Stdin;
use crate::checkpoint::{Entry, Loaded, Past};

/// How long the entry of a file is kept that is not meant by the patterns any more: they may be put
/// back.
const UNWATCHED_REMEMBERED: Duration = Duration::from_secs(24 * 3600);

/// What is left of a tail that has ended.
pub(crate) struct Left {
    /// What the patterns meant.
    pub(super) discover: Discover,
    /// The files that were followed.
    pub(super) files: HashMap<Inode, LeftFile>,
    /// Standard input, where it was read.
    pub(super) stdin: Option<Stdin>,
    /// The last number of a file.
    pub(super) last_id: u64,
    /// What this process has written.
    pub(super) own_files: OwnFiles,
    /// The compressed files that were there.
    pub(super) compressed: CompressedFiles,
    /// The checkpoint that the tail began with, where it did not find all of it again.
    pub(crate) loaded: Option<Loaded>,
}

/// A file that was followed.
pub(super) struct LeftFile {
    source: Option<Arc<Source>>,
    path: PathBuf,
    is_detached: bool,
}

impl Left {
    /// Whether bytes of standard input are left that nobody can read again.
    pub(crate) fn has_input(&self) -> bool {
        self.stdin.as_ref().is_some_and(Stdin::has_rest)
    }
}

impl Tail {
    /// What the next tail goes on with.
    pub(super) fn leave(self) -> Left {
        let file = |followed: Followed| {
            let file = LeftFile {
                source: followed.source,
                path: followed.path,
                is_detached: followed.detached_at.is_some(),
            };
            (followed.inode, file)
        };
        // Not all of it was found again yet where the start was cut short.
        let (discover, mut files) = match self.left {
            Some(left) => (left.discover, left.files),
            None => (self.discover, HashMap::new()),
        };
        files.extend(self.files.into_values().map(file));
        Left {
            discover,
            files,
            stdin: self.stdin,
            last_id: self.next_id,
            own_files: self.own_files,
            compressed: self.compressed,
            loaded: self.links.loaded,
        }
    }

    /// Goes on with a file of the last tail that the patterns did not find, which has the inode of these
    /// entries. Returns whether it was one; an error where it could not be opened.
    pub(super) fn take_over(&mut self, entries: &[Entry]) -> io::Result<bool> {
        let inode = entries.last().map(|entry| entry.inode);
        let left = self.left.as_ref();
        let Some(file) = inode.and_then(|inode| left?.files.get(&inode)) else {
            return Ok(false);
        };
        let (source, path) = (file.source.clone(), file.path.clone());
        if !file.is_detached && !self.discover.matches(&path) {
            for entry in entries {
                let past = Past::new(entry.clone(), UNWATCHED_REMEMBERED);
                self.resume.set_aside(past);
            }
            return Ok(true);
        }
        let Some(open) = source.as_ref().and_then(|source| source.file.as_ref()) else {
            return Ok(false);
        };
        let (open, metadata) = (open.try_clone()?, open.metadata()?);
        for entry in entries {
            self.resume.put(entry.clone());
        }
        let opened = self.adopt(&path, open, &metadata);
        self.detach_opened(&path, opened);
        Ok(true)
    }

    /// Whether the last tail would have found a file at that path.
    pub(super) fn was_watched(&self, path: &Path) -> bool {
        let left = self.left.as_ref();
        left.is_some_and(|left| left.discover.matches(path))
    }

    /// Standard input: the one of the last tail with what is left of it, or a new one.
    pub(super) fn go_on_with_stdin(&mut self, line_bytes_max: usize) {
        let source = self.new_source(PathBuf::from("-"), None);
        let left = self.left.as_mut().and_then(|left| left.stdin.take());
        self.stdin = Some(match left {
            Some(stdin) => stdin.go_on(source, line_bytes_max),
            None => Stdin::new(source, line_bytes_max),
        });
    }
}
