//! Copies of logs that the patterns mean, too: `cp access.log access.log.1`, then `access.log` is
//! truncated. What was read of the log is not read again from its copy, and what was not, is: so
//! nothing is lost that was written before the copy was made.
//!
//! A copy is a new file whose name is a rotated form of a log's name and that holds what the log
//! holds, or what was read of it before it was truncated. Names or first bytes alone do not tell:
//! logs begin with the same header. Nothing here is looked at for other files, and what cannot be
//! told is read: twice is better than never.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::born::original_of;
use super::chunk::{Position, Source};
use super::follow::Followed;
use super::identity::{Inode, Trail};
use super::rotation::line_state_at;
use super::truncated::{self, Before, Suspicion, Verdict};
use super::{FileId, HINT_INTERVAL, Tail};
use crate::checkpoint::Message;
use crate::report;

/// How long it is known what a log was before it was truncated.
const TRUNCATED_REMEMBERED: Duration = Duration::from_secs(600);

/// How long a log that was truncated waits for what is left of it in a copy.
const HELD_MAX: Duration = Duration::from_secs(1);

/// Truncations that are remembered. One is about 300 bytes.
const TRUNCATED_MAX: usize = 1024;

/// Bytes that are compared at each end.
const COMPARED_BYTES_MAX: u64 = 4096;

/// What is known of copies and of the logs that they are made of.
#[derive(Debug, Default)]
pub(super) struct Copies {
    before: Vec<Before>,
    /// Files to be read soon: what they wait for does not take long.
    held: Vec<FileId>,
    /// Copies of which the checkpoint does not know yet what is done.
    untold: Vec<FileId>,
}

impl Copies {
    /// Whether a log at that path was truncated.
    fn knows(&self, path: &Path) -> bool {
        self.before.iter().any(|before| before.path == path)
    }

    /// Whether a file of that size is a copy of what the log at `path` was before it was truncated, as far
    /// as was read of it.
    pub(super) fn is_copy(&self, path: &Path, file: &File, size: u64) -> io::Result<bool> {
        for before in self.before.iter().filter(|before| before.path == path) {
            if before.may_be_in(file, size)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Tail {
    /// What a new file at `path` may be a copy of, by its name.
    pub(super) fn suspicion(&self, path: &Path) -> Option<Suspicion> {
        let (folder, name) = (path.parent()?, path.file_name()?);
        let is_followed = |log: &Path| {
            let metadata = std::fs::metadata(log);
            metadata.is_ok_and(|metadata| self.by_inode.contains_key(&Inode::of(&metadata)))
        };
        let is_log = |name: &std::ffi::OsStr| {
            let log = folder.join(name);
            self.copies.knows(&log) || is_followed(&log)
        };
        let log = folder.join(original_of(name, is_log)?);
        Some(Suspicion {
            log,
            seen_in: None,
            is_settled: false,
        })
    }

    /// Whether nothing of a file is to be read now, for the sake of a copy of it or since it is one.
    pub(super) fn is_held_on(&mut self, followed: &mut Followed, now: Instant) -> io::Result<bool> {
        if followed.size <= followed.offset {
            return Ok(false);
        }
        Ok(self.is_held_for_copy(followed, now) || self.is_held_as_copy(followed, now)?)
    }

    /// Whether nothing of a file is to be read now, since it is a copy, or may be one. A copy goes on
    /// where its log was read to.
    fn is_held_as_copy(&mut self, followed: &mut Followed, now: Instant) -> io::Result<bool> {
        let Some(suspicion) = followed.suspicion.clone().filter(Suspicion::is_open) else {
            return Ok(false);
        };
        let Some(source) = followed.source.clone() else {
            return Ok(false);
        };
        let Some(file) = &source.file else {
            return Ok(false);
        };
        match self.judge(followed.id, &suspicion, file, followed.size, now)? {
            Verdict::Own => {
                followed.suspicion = None;
                if followed.offset > 0 {
                    followed.go_to(Position::START);
                    self.tell(Message::Opened(followed.id, followed.entry()));
                }
            }
            Verdict::Later => return Ok(true),
            Verdict::SoFar(id, position) => {
                followed.go_to(position);
                followed.suspicion = Some(Suspicion {
                    seen_in: Some((id, position.offset)),
                    ..suspicion
                });
                self.copies.untold.push(followed.id);
            }
            Verdict::Copy(before, position, format) => {
                followed.go_to(position);
                followed.format = format;
                report::debug(|| {
                    let (path, log) = (followed.path.display(), suspicion.log.display());
                    format!(
                        "{path}: a copy of {log}, read on from byte {}",
                        position.offset
                    )
                });
                // It may have been looked at before it was whole.
                self.look(followed, now)?;
                self.copies.untold.push(followed.id);
                self.find_unread(before, followed.size);
                followed.suspicion = Some(Suspicion {
                    is_settled: true,
                    ..suspicion
                });
            }
        }
        Ok(followed.offset >= followed.size)
    }

    fn judge(
        &mut self,
        copy: FileId,
        suspicion: &Suspicion,
        file: &File,
        size: u64,
        now: Instant,
    ) -> io::Result<Verdict> {
        if let Some((id, source)) = self.look_at_log(&suspicion.log, now)?
            && let Some(log_file) = &source.file
            && is_part_of(file, size, log_file)?
            && let Some(log) = self.files.get(&id)
        {
            // Its own and the one here.
            let is_busy = Arc::strong_count(&source) > 2;
            if log.offset >= size && !is_busy && !log.has_trouble() {
                return Ok(Verdict::SoFar(id, position_at(file, size)?));
            }
            self.troubled.insert(copy);
            return Ok(Verdict::Later);
        }
        // It may have been truncated while it was compared, and the copy was whole before that.
        self.look_at_log(&suspicion.log, now)?;
        let size = file.metadata()?.len();
        self.copies.before.iter_mut().for_each(Before::settle);
        let verdict = truncated::judge(&self.copies.before, suspicion, file, size)?;
        if verdict == Verdict::Later {
            self.hold(copy);
        }
        Ok(verdict)
    }

    /// Whether a log that was truncated is not read yet: what is left of it in a copy comes first, and
    /// the copy may not have been found yet.
    fn is_held_for_copy(&mut self, log: &mut Followed, now: Instant) -> bool {
        let Some(since) = log.truncated_at else {
            return false;
        };
        let is_scanned = self.scanned_at > since + self.scan_cost;
        let is_over = now.saturating_duration_since(since) >= HELD_MAX || self.is_once;
        if is_over || (is_scanned && !self.is_copy_awaited(&log.path)) {
            log.truncated_at = None;
            return false;
        }
        self.hold(log.id);
        true
    }

    pub(super) fn hold(&mut self, id: FileId) {
        if self.is_once {
            // These are tried again at the end.
            self.troubled.insert(id);
        } else {
            self.copies.held.push(id);
        }
    }

    /// Whether a file that may be a copy of the log at `path` was not read to its end.
    fn is_copy_awaited(&self, path: &Path) -> bool {
        self.files.values().any(|file| {
            let has_more = file.size.max(file.size_seen) > file.offset;
            let suspicion = file.suspicion.as_ref();
            has_more && suspicion.is_some_and(|suspicion| suspicion.log == path)
        })
    }

    /// Has the files read that were held.
    pub(super) fn queue_held(&mut self) {
        for id in std::mem::take(&mut self.copies.held) {
            self.queue(id);
        }
    }

    /// When that is to be done again.
    pub(super) fn held_due(&self, now: Instant) -> Option<Instant> {
        (!self.copies.held.is_empty()).then(|| now + HINT_INTERVAL)
    }

    /// Looks at the log at `path` now: it may have been truncated just before.
    fn look_at_log(
        &mut self,
        path: &Path,
        now: Instant,
    ) -> io::Result<Option<(FileId, Arc<Source>)>> {
        let Ok(metadata) = std::fs::metadata(path) else {
            return Ok(None);
        };
        let id = self.by_inode.get(&Inode::of(&metadata)).copied();
        let Some(mut log) = id.and_then(|id| self.files.remove(&id)) else {
            return Ok(None);
        };
        let looked = self.look(&mut log, now);
        let (id_now, source) = (log.id, log.source.clone());
        let has_begun_anew = Some(id_now) != id;
        log.is_queued &= !has_begun_anew;
        self.note_state(&mut log);
        self.files.insert(id_now, log);
        if has_begun_anew {
            self.queue(id_now);
        }
        match looked {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(source.map(|source| (id_now, source))),
        }
    }

    /// Remembers what a log is that was truncated, before it begins anew.
    pub(super) fn remember_truncated(&mut self, log: &mut Followed) {
        let position = log.failed_at().unwrap_or(log.position());
        if self.copies.before.len() >= TRUNCATED_MAX {
            let oldest = self.copies.before.remove(0);
            self.links.stats.add_unread(&oldest.path, oldest.unread);
        }
        self.copies.before.push(Before {
            id: log.id,
            path: log.path.clone(),
            fingerprint: log.fingerprint,
            format: log.format,
            position,
            source: log.source.clone(),
            end: position.offset + log.unread_bytes(),
            unread: log.unread_bytes(),
            at: Instant::now(),
        });
        log.truncated_at = Some(Instant::now());
        // A copy may not have been found yet.
        self.is_rescan_due = true;
        let is_suspect = |file: &&Followed| {
            let suspicion = file.suspicion.as_ref();
            suspicion.is_some_and(|suspicion| suspicion.log == log.path)
        };
        let suspects = self.files.values().filter(is_suspect);
        let suspects: Vec<FileId> = suspects.map(|file| file.id).collect();
        suspects.into_iter().for_each(|id| self.queue(id));
    }

    /// A copy of `size` bytes holds what was truncated away: only what is behind its end is lost.
    fn find_unread(&mut self, before: FileId, size: u64) {
        let mut all = self.copies.before.iter_mut();
        if let Some(before) = all.find(|known| known.id == before) {
            let lost = before.end.saturating_sub(size).min(before.unread);
            before.unread = 0;
            self.links.stats.add_unread(&before.path, lost);
        }
    }

    /// Reports what was truncated away unread and is in no copy, and forgets what is old.
    pub(super) fn forget_truncated(&mut self, now: Instant) {
        let scanned_at = self.scanned_at;
        let mut all = std::mem::take(&mut self.copies.before);
        for before in &mut all {
            before.settle();
            let is_over = before.source.is_none() && scanned_at > before.at + self.scan_cost;
            let is_old = now.saturating_duration_since(before.at) >= TRUNCATED_REMEMBERED;
            let is_found = || !self.is_copy_awaited(&before.path);
            if before.unread > 0 && is_over && (is_old || is_found()) {
                let unread = std::mem::take(&mut before.unread);
                self.links.stats.add_unread(&before.path, unread);
            }
        }
        all.retain(|before| {
            now.saturating_duration_since(before.at) < TRUNCATED_REMEMBERED
                || before.source.is_some()
        });
        self.copies.before = all;
    }

    /// The same at the end, when nothing more is found.
    pub(super) fn report_truncated(&mut self) {
        for mut before in std::mem::take(&mut self.copies.before) {
            before.settle();
            // The next run finds the copy.
            if !self.is_copy_awaited(&before.path) {
                self.links.stats.add_unread(&before.path, before.unread);
            }
        }
    }

    /// Tells the checkpoint how far copies are done, once what was read of their logs is.
    pub(super) fn tell_copies(&mut self) {
        if self.copies.untold.is_empty() || !self.links.dispatch.is_idle() {
            return;
        }
        if !self.links.dispatch.hand_over.tell_progress() {
            return;
        }
        for id in std::mem::take(&mut self.copies.untold) {
            if let Some(followed) = self.files.get(&id) {
                self.tell(Message::Opened(id, followed.entry()));
            }
        }
    }
}

/// Whether `log` begins with the `size` bytes that `copy` holds, as far as the first and the last bytes
/// of them tell.
pub(super) fn is_part_of(copy: &File, size: u64, log: &File) -> io::Result<bool> {
    let compared = size.min(COMPARED_BYTES_MAX);
    if log.metadata()?.len() < size {
        return Ok(false);
    }
    let count = usize::try_from(compared).map_err(io::Error::other)?;
    let is_same_at = |offset: u64| -> io::Result<bool> {
        let mut buffers = [[0; COMPARED_BYTES_MAX as usize]; 2];
        let [left, right] = &mut buffers;
        let reads = [(copy, left), (log, right)].map(|(file, buffer)| {
            file.read_exact_at(buffer.get_mut(..count).unwrap_or_default(), offset)
        });
        for read in reads {
            match read {
                // Truncated since.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
                read => read?,
            }
        }
        let [left, right] = &buffers;
        Ok(left == right)
    };
    Ok(is_same_at(size - compared)? && is_same_at(0)?)
}

/// The position at `offset`, everything before which is done.
fn position_at(file: &File, offset: u64) -> io::Result<Position> {
    Ok(Position {
        offset,
        line: line_state_at(file, offset)?,
        trail: Trail::before(file, offset)?,
    })
}
