//! `file:`: records appended to a file that belongs to this sink. Its length goes into the
//! checkpoint, and a restart cuts it back to that, so that what was written after the last
//! checkpoint is not there twice. Where some of it cannot be read again it stays: better twice than
//! never. The file is locked: a second job would be cut off with it.
//!
//! A record that is not whole, because a process died while it wrote it, is cut off before anything is
//! written behind it.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::{Sink, SinkError};
use crate::checkpoint::SinkState;
use crate::config::SyncMode;
use crate::error::{Error, Result};
use crate::lock;
use crate::process;
use crate::report;
use crate::tail::Inode;

/// Time between two looks at whether the path still leads to the open file.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Bytes that are looked at together for the beginning of the last record.
const BLOCK_BYTES: u64 = 64 << 10;

/// Appends to one file.
#[derive(Debug)]
pub(crate) struct FileSink {
    file: Arc<File>,
    path: PathBuf,
    sync: SyncMode,
    state: SinkState,
    /// Whether an attempt failed midway, so that there may be bytes after `state.length`.
    is_ragged: bool,
    looked_at: Instant,
    /// The length in the checkpoint, where the file is longer and it is not settled what becomes of
    /// that.
    acknowledged: Option<u64>,
}

impl FileSink {
    /// Opens the file, which is made when it is missing, and is to be cut back to the one of `resume`
    /// that is of it.
    ///
    /// # Errors
    /// When it cannot be opened for writing, and [`Error::Usage`] when it is not a regular file or
    /// another process has it as its sink.
    pub(crate) fn open(
        path: &Path,
        sync: SyncMode,
        resume: impl IntoIterator<Item = SinkState>,
    ) -> Result<FileSink> {
        let (file, state) = open_locked(path, sync)?;
        let mut resume = resume.into_iter();
        let resume = resume.find(|resume| resume.inode == state.inode);
        let acknowledged = resume.map(|resume| resume.length);
        if let Some(missing @ 1..) =
            acknowledged.and_then(|before| before.checked_sub(state.length))
        {
            report_cut(path, missing);
        }
        Ok(FileSink {
            file: Arc::new(file),
            path: path.to_owned(),
            sync,
            state,
            is_ragged: false,
            looked_at: Instant::now(),
            acknowledged: acknowledged.filter(|acknowledged| *acknowledged < state.length),
        })
    }

    fn cut_back(&mut self, acknowledged: u64, is_cut: bool) -> std::io::Result<()> {
        let length = if is_cut {
            acknowledged
        } else {
            // The last record may not be whole.
            end_of_lines(&self.path, acknowledged)?
        };
        self.file.set_len(length)?;
        self.state.length = length;
        if length > acknowledged {
            report::warning(&format!(
                "{}: the last {} bytes were written after the last checkpoint and are kept, since \
                 a file of that time cannot be read again: some of these records will come twice",
                self.path.display(),
                length - acknowledged
            ));
        }
        Ok(())
    }

    /// Looks, once in a while, whether the path still leads to the open file. One that was renamed
    /// (logrotate) or deleted keeps what it has, and a new one is opened at the path.
    fn look(&mut self) -> Result<()> {
        if self.looked_at.elapsed() < LOOK_INTERVAL {
            return Ok(());
        }
        match std::fs::metadata(&self.path) {
            Ok(found) if Inode::of(&found) == self.state.inode => {
                if found.len() < self.state.length {
                    report_cut(&self.path, self.state.length - found.len());
                    self.state.length = found.len();
                }
            }
            // What cannot be looked at is not known to be gone.
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(Error::file("look at the sink file", &self.path)(error));
            }
            _ => self.reopen()?,
        }
        self.looked_at = Instant::now();
        Ok(())
    }

    fn reopen(&mut self) -> Result<()> {
        let (file, mut state) = open_locked(&self.path, self.sync)?;
        // The payload that was begun in the old file comes again, whole. Where it cannot be cut
        // off there, its beginning is there twice.
        let _ = self.cut_ragged();
        if self.sync != SyncMode::None {
            // The checkpoint is about to claim it, and nobody flushes it later.
            let flush = Error::file("flush the sink file that was moved away", &self.path);
            self.file.sync_data().map_err(flush)?;
        }
        let mend = Error::file("mend the end of", &self.path);
        state.length = mend_end(&file, &self.path, state.length).map_err(mend)?;
        (self.file, self.state, self.is_ragged) = (Arc::new(file), state, false);
        report::notice(&format!(
            "{}: the sink file was moved away or deleted: going on in the one that is there now",
            self.path.display()
        ));
        Ok(())
    }

    fn cut_ragged(&mut self) -> std::io::Result<()> {
        if self.is_ragged {
            self.file.set_len(self.state.length)?;
            self.is_ragged = false;
        }
        Ok(())
    }

    fn append(&mut self, payload: &[u8]) -> std::io::Result<()> {
        self.cut_ragged()?;
        let write = || {
            (&*self.file).write_all(payload)?;
            if self.sync == SyncMode::Batch {
                self.file.sync_data()?;
            }
            Ok(())
        };
        let result = write();
        // What could not be flushed is written again, too.
        self.is_ragged = result.is_err();
        result
    }
}

impl Drop for FileSink {
    fn drop(&mut self) {
        // Nobody knows this file any more when it was moved away meanwhile.
        let _ = self.cut_ragged();
    }
}

/// The end of the last line of the file, `start` where no line ends after that.
fn end_of_lines(path: &Path, start: u64) -> std::io::Result<u64> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    let mut reader = BufReader::new(file);
    let (mut end, mut line) = (start, Vec::new());
    while reader.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
        end += line.len() as u64;
        line.clear();
    }
    Ok(end)
}

/// Puts the end of a file in order of which no checkpoint tells how long it should be: a record that is
/// not whole is cut off, and behind anything else without a newline comes one. Returns the length.
fn mend_end(file: &File, path: &Path, length: u64) -> std::io::Result<u64> {
    // The file is open for appending only.
    let reader = File::open(path)?;
    let (mut start, mut block) = (length, Vec::new());
    let begin = loop {
        let before = start.saturating_sub(BLOCK_BYTES);
        block.resize(usize::try_from(start - before).unwrap_or_default(), 0);
        reader.read_exact_at(&mut block, before)?;
        match memchr::memrchr(b'\n', &block) {
            Some(newline) => break before + newline as u64 + 1,
            None if before == 0 => break 0,
            None => start = before,
        }
    };
    if begin == length {
        return Ok(length);
    }
    let mut first = [0];
    reader.read_exact_at(&mut first, begin)?;
    let shown = path.display();
    if first == *b"{" {
        file.set_len(begin)?;
        report::notice(&format!(
            "{shown}: the last {} bytes were a record that is not whole: cut off",
            length - begin
        ));
        return Ok(begin);
    }
    // Not written by a sink: it is not this one's to cut.
    (&*file).write_all(b"\n")?;
    Ok(length + 1)
}

impl Sink for FileSink {
    fn deliver(&mut self, payload: &[u8], _records: u64) -> std::result::Result<(), SinkError> {
        let retry = |message| SinkError::Retry {
            message,
            retry_after: None,
        };
        self.look().map_err(|error| {
            let remedy = match &error {
                Error::File { source, .. } => remedy(source),
                _ => "",
            };
            retry(format!("{}{remedy}", report::chain(&error)))
        })?;
        self.append(payload).map_err(|error| {
            let path = self.path.display();
            retry(format!("append to {path}: {error}{}", remedy(&error)))
        })?;
        self.state.length += payload.len() as u64;
        Ok(())
    }

    fn settle(&mut self, is_cut: bool) -> std::result::Result<(), String> {
        let settled = match self.acknowledged {
            Some(acknowledged) => self.cut_back(acknowledged, is_cut),
            None => mend_end(&self.file, &self.path, self.state.length)
                .map(|length| self.state.length = length),
        };
        settled.map_err(|error| {
            let path = self.path.display();
            format!("put the end of {path} in order: {error}{}", remedy(&error))
        })?;
        self.acknowledged = None;
        Ok(())
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn state(&self) -> Option<SinkState> {
        Some(self.state)
    }

    fn unflushed(&self) -> Option<Arc<File>> {
        (self.sync == SyncMode::Interval).then(|| self.file.clone())
    }

    fn is_local(&self) -> bool {
        true
    }
}

/// Opens the file at `path` for appending, makes it when it is missing, and locks it. The lock ends
/// with the process, however that ends.
fn open_locked(path: &Path, sync: SyncMode) -> Result<(File, SinkState)> {
    // Opened, a FIFO would wait for its reader; so it is looked at first.
    if let Ok(metadata) = std::fs::metadata(path) {
        refuse_irregular(path, &metadata)?;
    }
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)
        .map_err(Error::file("open the sink file", path))?;
    let metadata = file
        .metadata()
        .map_err(Error::file("look at the sink file", path))?;
    refuse_irregular(path, &metadata)?;
    let inode = Inode::of(&metadata);
    if !lock::lock(&file) {
        return Err(Error::Usage(format!(
            "{}: the sink file is in use by {}: give this job a file of its own with --ship, or \
             end the other",
            path.display(),
            lock_holder(inode)
        )));
    }
    if sync != SyncMode::None {
        // Its name has to be on the disk, too. Some file systems cannot flush a folder.
        let folder = path.parent().unwrap_or(path);
        match File::open(folder).and_then(|folder| folder.sync_all()) {
            Err(error) if error.kind() != std::io::ErrorKind::InvalidInput => {
                return Err(Error::file("flush the folder of the sink file", folder)(
                    error,
                ));
            }
            _ => {}
        }
    }
    // Who had it before may have written to the end.
    let length = file
        .metadata()
        .map_err(Error::file("look at the sink file", path))?
        .len();
    Ok((file, SinkState { inode, length }))
}

/// What the operator can do about it.
fn remedy(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::StorageFull => "; free space there",
        ErrorKind::QuotaExceeded => "; raise the quota",
        ErrorKind::PermissionDenied => "; give this user the permission to write it",
        ErrorKind::ReadOnlyFilesystem => "; mount it for writing",
        ErrorKind::NotFound => "; make its folder again",
        _ if Errno::from_io_error(error) == Some(Errno::IO) => {
            "; look at the disk (dmesg tells more)"
        }
        _ => "",
    }
}

fn refuse_irregular(path: &Path, metadata: &Metadata) -> Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "{}: not a regular file: to write to a pipe or a device, use the shell: \
         ves collect --ship stdout: > {}",
        path.display(),
        path.display()
    )))
}

/// Who has the lock on that file, as far as the kernel tells.
fn lock_holder(inode: Inode) -> String {
    let locks = procfs::locks().unwrap_or_default();
    let holder = locks
        .iter()
        .find(|lock| lock.inode == inode.ino && lock.lock_type == procfs::LockType::FLock);
    match holder.and_then(|lock| lock.pid) {
        Some(pid) => process::shown(pid),
        None => "another process, perhaps another job of ves".to_owned(),
    }
}

fn report_cut(path: &Path, bytes: u64) {
    report::warning(&format!(
        "{}: {bytes} bytes shorter than when its records were acknowledged: somebody else cut it, or \
         the system went down before they were on the disk (see --sync)",
        path.display()
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sink_is_cut_back_to_what_was_acknowledged_only_if_it_is_the_same_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.ndjson");
        let mut sink = FileSink::open(&path, SyncMode::None, None).unwrap();
        sink.deliver(b"{\"n\":1}\n", 1).unwrap();
        let acknowledged = sink.state();
        sink.deliver(b"{\"n\":2}\n", 1).unwrap();
        drop(sink);
        let mut sink = FileSink::open(&path, SyncMode::None, acknowledged).unwrap();
        sink.settle(true).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"{\"n\":1}\n");
        sink.deliver(b"{\"n\":3}\n", 1).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"{\"n\":1}\n{\"n\":3}\n");
        std::fs::rename(&path, dir.path().join("old")).unwrap();
        std::fs::write(&path, "another file, longer than that").unwrap();
        let mut sink = FileSink::open(&path, SyncMode::None, acknowledged).unwrap();
        sink.settle(true).unwrap();
        assert_eq!(
            std::fs::read(&path).unwrap(),
            b"another file, longer than that\n"
        );
    }

    #[test]
    fn a_file_that_is_moved_away_keeps_what_it_has_and_a_new_one_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let (path, old) = (dir.path().join("out"), dir.path().join("out.1"));
        let mut sink = FileSink::open(&path, SyncMode::None, None).unwrap();
        sink.deliver(b"one\n", 1).unwrap();
        std::fs::rename(&path, &old).unwrap();
        sink.looked_at -= LOOK_INTERVAL;
        sink.deliver(b"number two\n", 1).unwrap();
        assert_eq!(std::fs::read(&old).unwrap(), b"one\n");
        assert_eq!(std::fs::read(&path).unwrap(), b"number two\n");
        let inode = Inode::of(&std::fs::metadata(&path).unwrap());
        assert_eq!(sink.state(), Some(SinkState { inode, length: 11 }));
    }

    #[test]
    fn without_a_place_for_a_new_file_nothing_is_acknowledged() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("folder");
        std::fs::create_dir(&folder).unwrap();
        let mut sink = FileSink::open(&folder.join("out"), SyncMode::None, None).unwrap();
        std::fs::rename(&folder, dir.path().join("away")).unwrap();
        sink.looked_at -= LOOK_INTERVAL;
        assert!(sink.deliver(b"one\n", 1).is_err());
        std::fs::create_dir(&folder).unwrap();
        sink.deliver(b"one\n", 1).unwrap();
        assert_eq!(std::fs::read(folder.join("out")).unwrap(), b"one\n");
    }

    #[test]
    fn a_file_that_somebody_cut_is_counted_from_its_new_length_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let mut sink = FileSink::open(&path, SyncMode::None, None).unwrap();
        sink.deliver(b"one\n", 1).unwrap();
        std::fs::write(&path, "").unwrap();
        sink.looked_at -= LOOK_INTERVAL;
        sink.deliver(b"number two\n", 1).unwrap();
        assert_eq!(sink.state().unwrap().length, 11);
    }

    #[test]
    fn a_second_process_is_told_who_holds_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let _first = FileSink::open(&path, SyncMode::None, None).unwrap();
        let error = FileSink::open(&path, SyncMode::None, None).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let text = error.to_string();
        assert!(text.contains(&path.display().to_string()), "{text}");
        let holder = format!("in use by process {}", std::process::id());
        assert!(
            text.contains(&holder) || text.contains("another process"),
            "{text}"
        );
    }

    /// The next record was glued to one that a kill had left half written.
    #[test]
    fn a_record_that_is_not_whole_is_cut_where_no_checkpoint_tells_the_length() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.ndjson");
        let long = format!("{{\"n\":\"{}", "x".repeat(3 * BLOCK_BYTES as usize));
        for (before, after) in [
            ("{\"n\":1}\n{\"n\":", "{\"n\":1}\n"),
            ("{\"n\":", ""),
            (&format!("{{\"n\":1}}\n{long}"), "{\"n\":1}\n"),
            ("a note", "a note\n"),
            ("", ""),
        ] {
            std::fs::write(&path, before).unwrap();
            let mut sink = FileSink::open(&path, SyncMode::None, None).unwrap();
            sink.settle(true).unwrap();
            sink.deliver(b"{\"n\":2}\n", 1).unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            assert_eq!(text, format!("{after}{{\"n\":2}}\n"));
            assert_eq!(sink.state().unwrap().length, text.len() as u64);
        }
    }

    #[test]
    fn what_cannot_be_read_again_is_kept_up_to_its_last_whole_record() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.ndjson");
        let mut sink = FileSink::open(&path, SyncMode::None, None).unwrap();
        sink.deliver(b"{\"n\":1}\n", 1).unwrap();
        let acknowledged = sink.state();
        sink.deliver(b"{\"n\":2}\n{\"n\":", 2).unwrap();
        drop(sink);
        let mut sink = FileSink::open(&path, SyncMode::None, acknowledged).unwrap();
        sink.settle(false).unwrap();
        sink.deliver(b"{\"n\":3}\n", 1).unwrap();
        let kept = b"{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n";
        assert_eq!(std::fs::read(&path).unwrap(), kept);
        assert_eq!(sink.state().unwrap().length, kept.len() as u64);
    }
}
