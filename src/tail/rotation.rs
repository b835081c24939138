//! Arrivals and departures: which files are followed, under whatever name, from which byte on.

use std::collections::HashSet;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::discover::Found;
use super::follow::{Followed, real_path};
use super::identity::{Fingerprint, Inode};
use super::log_file;
use super::resume::{self, Folders, Known, Sought};
use super::{FileId, LineState, Tail};
use crate::checkpoint::{Entry, Message, Past};
use crate::config;
use crate::report;

/// How long the entry of a file that was gone at a start is kept.
const GONE_REMEMBERED: Duration = Duration::from_secs(24 * 3600);

/// Files of the last run that are gone, or rewritten, of which each is reported.
pub(super) const REPORTED_EACH_MAX: usize = 10;

impl Tail {
    /// Brings what is followed in step with what the patterns find.
    pub(super) fn scan(&mut self) {
        let begun_at = Instant::now();
        self.is_rescan_due = false;
        let mut scan = self.discover.scan();
        // A watch set now misses what came since the scan: scan again where one is new.
        let folders = scan.folders.iter();
        let new_folders = folders.filter(|folder| self.watcher.watch_folder(folder));
        if new_folders.count() > 0 {
            scan = self.discover.scan();
        }
        self.is_folder_missing = scan.is_folder_missing;
        let mut failing = HashSet::new();
        for (path, error) in scan.failures {
            self.report_failing(&path, "look at", &error);
            failing.insert(path);
        }
        let mut present = HashSet::new();
        for found in &scan.files {
            if self.links.shutdown.begun() {
                return;
            }
            match self.arrive(found) {
                Ok(Some(id)) => drop(present.insert(id)),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    self.report_failing(&found.path, "open", &error);
                    failing.insert(found.path.clone());
                }
            }
        }
        self.detach_absent(&present, &failing);
        if failing.is_empty() {
            let found = scan.files.iter().map(|found| found.inode);
            self.compressed.keep(&found.collect());
        }
        self.links
            .stats
            .set_files_compressed(self.compressed.count());
        if self.has_scanned {
            self.tell_carried();
        }
        for path in self
            .failing
            .difference(&failing)
            .filter(|path| path.exists())
        {
            report::notice(&format!("{}: can be read now", path.display()));
        }
        self.failing = failing;
        self.links.stats.set_files_followed(self.files.len());
        self.scanned_at = Instant::now();
        self.scan_cost = self.scanned_at.duration_since(begun_at);
    }

    /// Takes note of a file that a scan found.
    pub(super) fn arrive(&mut self, found: &Found) -> io::Result<Option<FileId>> {
        if let Some(&id) = self.by_inode.get(&found.inode) {
            self.meet_again(id, found);
            return Ok(Some(id));
        }
        if self.compressed.has(found.inode, found.state) {
            return Ok(None);
        }
        self.open(&found.path)
    }

    /// A followed file is there, maybe under another name.
    pub(super) fn meet_again(&mut self, id: FileId, found: &Found) {
        let Some(followed) = self.files.get_mut(&id) else {
            return;
        };
        let was_detached = followed.detached_at.take().is_some();
        if followed.path != found.path {
            let is_still_there = std::fs::metadata(&followed.path)
                .is_ok_and(|metadata| Inode::of(&metadata) == followed.inode);
            if !is_still_there {
                followed.path.clone_from(&found.path);
                followed.real_path = real_path(&found.path);
                let path = followed.real_path.to_string_lossy().into_owned();
                self.tell(Message::Moved(id, path));
            }
        }
        if was_detached {
            self.queue(id);
        }
    }

    /// Files that no watched path leads to any more were rotated away: read on to their end.
    pub(super) fn detach_absent(&mut self, present: &HashSet<FileId>, troubled: &HashSet<PathBuf>) {
        let now = Instant::now();
        let mut detached = Vec::new();
        for (id, followed) in &mut self.files {
            let is_below = |path: &PathBuf| followed.path.starts_with(path);
            if !present.contains(id)
                && followed.detached_at.is_none()
                && !troubled.iter().any(is_below)
            {
                followed.detached_at = Some(now);
                detached.push(*id);
            }
        }
        // What was shipped of a file that is gone cannot be read again after a kill.
        self.is_sync_due |= !detached.is_empty();
        if !detached.is_empty() {
            // What the scan did not find may have been written to just before: that is still to be
            // heard.
            self.take_hints();
        }
        for id in detached {
            self.reopen_detached(id);
            self.note_moved(id);
            self.queue(id);
        }
    }

    /// Counts what is left of deleted files at the end, such as a line that was never finished: nobody can
    /// read it any more.
    pub(super) fn count_deleted(&mut self) {
        for followed in self.files.values_mut() {
            let source = followed.source.as_ref();
            let file = source.and_then(|source| source.file.as_ref());
            let metadata = file.and_then(|file| file.metadata().ok());
            if metadata.is_some_and(|metadata| metadata.nlink() == 0) {
                followed.note_size();
                let bytes = followed.unread_bytes();
                self.links.stats.add_lost(&followed.path, bytes, false);
            }
        }
    }

    /// Notes where an open file was moved to, so that the next start looks for it there.
    fn note_moved(&mut self, id: FileId) {
        let Some(followed) = self.files.get_mut(&id) else {
            return;
        };
        let source = followed.source.as_ref();
        let Some(file) = source.and_then(|source| source.file.as_ref()) else {
            return;
        };
        // A deleted file has a path that leads nowhere.
        let path = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()));
        if let Ok(path) = path
            && path != followed.real_path
            && path.exists()
        {
            let told = path.to_string_lossy().into_owned();
            followed.real_path = path;
            self.tell(Message::Moved(id, told));
        }
    }

    /// A file that was rotated away after a long quiet time is opened by its new name while that
    /// can still be found; writers may go on in it.
    pub(super) fn reopen_detached(&mut self, id: FileId) {
        let Some(mut followed) = self.files.remove(&id) else {
            return;
        };
        if followed.source.is_none() && self.reopen(&mut followed).is_err() {
            // It has no name to be found by.
            self.links.stats.add_lost(
                &followed.path,
                followed.unread_bytes(),
                followed.is_written_closed,
            );
            self.forget(&followed, Some(followed.handed_on));
            return;
        }
        self.note_state(&mut followed);
        self.files.insert(id, followed);
    }

    /// Opens a file that was not followed. `None` where it turns out to be followed after all.
    pub(super) fn open(&mut self, path: &Path) -> io::Result<Option<FileId>> {
        match log_file::open(path)? {
            Some((file, metadata)) => self.adopt(path, file, &metadata),
            None => Ok(None),
        }
    }

    /// Follows an open file that was at `path`. `None` where it is not to be followed.
    pub(super) fn adopt(
        &mut self,
        path: &Path,
        file: File,
        metadata: &Metadata,
    ) -> io::Result<Option<FileId>> {
        let inode = Inode::of(metadata);
        if self.own_files.has(path, inode) {
            return Ok(None);
        }
        if let Some(&id) = self.by_inode.get(&inode) {
            return Ok(Some(id));
        }
        if self.is_compressed(path, &file, metadata)? {
            return Ok(None);
        }
        // An entry is only taken when nothing is in the way any more.
        let open = file.try_clone()?;
        let known = self.resume.take(inode, &file)?;
        let known = self.resume.go_on_in_copy(known, path, &file);
        let is_skipped = self.from == config::From::End
            && !self.has_scanned
            // It came while the configuration was read again.
            && !self.was_watched(path);
        let now = Instant::now();
        let source = self.new_source(path.to_owned(), Some(open));
        let mut followed = Followed::new(source, inode, 0, now);
        match known {
            Known::ReadOn(entry) => {
                (followed.offset, followed.line) = (entry.offset, entry.line);
                (followed.handed_on, followed.trail) = (entry.offset, entry.trail);
                followed.fingerprint = entry.fingerprint;
                followed.format = entry.format;
                followed.finished_at = entry.finished_at;
            }
            Known::Rewritten(entry) => self.report_rewritten(path, &entry),
            Known::New if is_skipped => {
                followed.offset = metadata.len();
                followed.handed_on = metadata.len();
                followed.line = line_state_at(&file, followed.offset)?;
                followed.fingerprint = Fingerprint::take(&file, followed.offset)?;
            }
            Known::New => {}
        }
        if followed.offset == 0 {
            followed.suspicion = self.suspicion(path);
        }
        followed.size_seen = metadata.len();
        let id = followed.id;
        report::debug(|| {
            let (path, offset) = (path.display(), followed.offset);
            format!("{path}: followed from byte {offset} of {}", metadata.len())
        });
        self.watch(&mut followed);
        self.tell(Message::Opened(id, followed.entry()));
        self.by_inode.insert(inode, id);
        self.note_state(&mut followed);
        self.files.insert(id, followed);
        self.queue(id);
        Ok(Some(id))
    }

    fn report_rewritten(&mut self, path: &Path, entry: &Entry) {
        self.rewritten += 1;
        let path = path.display();
        match self.rewritten.checked_sub(REPORTED_EACH_MAX) {
            None | Some(0) => report::warning(&format!(
                "{path}: truncated or replaced since the last run, which had read {} bytes: reading \
                 it from the beginning; what was written after those bytes is only read if a copy \
                 is found beside it",
                entry.offset
            )),
            Some(1) => report::warning(&format!("{path}: the same, and so may more files")),
            Some(_) => {}
        }
    }

    pub(super) fn watch(&mut self, followed: &mut Followed) {
        let Some(source) = &followed.source else {
            return;
        };
        let Some(file) = &source.file else { return };
        followed.watch = self.watcher.watch_file(file, &followed.path, followed.id);
        if followed.watch.is_none() {
            self.polled.insert(followed.id);
        }
    }

    /// Looks for the files of the checkpoint that no pattern found: rotated while VES was stopped.
    /// Those that could not be looked for are sought on.
    pub(super) fn seek_missing(&mut self) {
        let mut folders = Folders::default();
        let mut carried = Vec::new();
        let mut gone = Vec::new();
        for entries in self.resume.take_sought() {
            if self.links.shutdown.begun() {
                return;
            }
            match self.take_over(&entries) {
                Ok(false) => {}
                Ok(true) => continue,
                Err(error) => {
                    self.complain_of(&entries, &error);
                    carried.extend(entries);
                    continue;
                }
            }
            // Each may have been seen in another folder.
            let sought: Vec<Sought> = entries.iter().map(|entry| folders.seek(entry)).collect();
            let path = sought.iter().find_map(|sought| match sought {
                Sought::Renamed(path) => Some(path.clone()),
                Sought::Gone | Sought::Unknown => None,
            });
            if let Some(path) = path {
                if let Err(error) = self.open_rotated(&path, &entries) {
                    self.complain(&path, "open", &error);
                    carried.extend(entries);
                }
            } else if sought.contains(&Sought::Unknown) {
                carried.extend(entries);
            } else {
                gone.extend(entries);
            }
        }
        let (finished, gone): (Vec<_>, Vec<_>) = gone.into_iter().partition(Entry::is_finished);
        carried.into_iter().for_each(|entry| self.resume.put(entry));
        report_gone(&gone);
        // A file system that is not mounted now may be at the next start.
        for entry in finished {
            self.resume.set_aside(Past::new(entry, GONE_REMEMBERED));
        }
        for entry in gone {
            let past = Past::new(entry.clone(), GONE_REMEMBERED);
            self.resume.lose(entry, Some(past));
        }
    }

    /// Reads on in a file that has a name outside of the patterns now, if it is the file of one of the
    /// entries, which have its inode.
    ///
    /// # Errors
    /// When it cannot be looked at: nothing is made of the entries then.
    fn open_rotated(&mut self, path: &Path, entries: &[Entry]) -> io::Result<()> {
        let mut is_known = false;
        let mut others = Vec::new();
        for entry in entries {
            match resume::is_file_of(entry, path)? {
                true => is_known = true,
                false => others.push(entry),
            }
        }
        for entry in entries.iter().filter(|entry| !others.contains(entry)) {
            self.resume.put(entry.clone());
        }
        for entry in others.into_iter().filter(|entry| !entry.is_finished()) {
            // A copy that was made before a truncation is known by it.
            let past = Past::of_truncated(entry.clone());
            self.resume.lose(entry.clone(), Some(past));
        }
        if is_known {
            let opened = self.open(path);
            self.detach_opened(path, opened);
        }
        Ok(())
    }

    /// Follows a file until it is read, since the patterns do not mean it. Where it could not be opened
    /// its entries are sought on.
    pub(super) fn detach_opened(&mut self, path: &Path, opened: io::Result<Option<FileId>>) {
        match opened {
            Ok(Some(id)) => self.detach(id),
            Ok(None) => {}
            Err(error) => self.complain(path, "open", &error),
        }
    }

    fn complain_of(&mut self, entries: &[Entry], error: &io::Error) {
        if let Some(entry) = entries.last() {
            self.complain(Path::new(&entry.path), "open", error);
        }
    }

    /// Has the checkpoint keep what is still sought.
    pub(super) fn tell_carried(&mut self) {
        if let Some((entries, past)) = self.resume.take_changes() {
            self.tell(Message::Carried(entries, past));
        }
    }
}

pub(super) fn report_gone(entries: &[Entry]) {
    for entry in entries.iter().take(REPORTED_EACH_MAX) {
        report::notice(&format!(
            "{}: the file that was here during the last run is gone; {} bytes of it were collected",
            entry.path, entry.offset
        ));
    }
    if let Some(more @ 1..) = entries.len().checked_sub(REPORTED_EACH_MAX) {
        report::notice(&format!("{more} more files of the last run are gone"));
    }
}

/// What the byte at `offset` belongs to: the rest of a line unless a newline comes before it.
pub(super) fn line_state_at(file: &File, offset: u64) -> io::Result<LineState> {
    let Some(before) = offset.checked_sub(1) else {
        return Ok(LineState::Start);
    };
    let mut byte = [0];
    file.read_exact_at(&mut byte, before)?;
    Ok(if byte == *b"\n" {
        LineState::Start
    } else {
        LineState::Skipping
    })
}
