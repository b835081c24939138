//! `file:`: records appended to a file that belongs to this sink. Its length goes into the
//! checkpoint, and a restart cuts it back to that, so that what was written after the last
//! checkpoint is not there twice. Where some of it cannot be read again it stays: better twice than
//! never.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::{Sink, SinkError};
use crate::checkpoint::SinkState;
use crate::error::{Error, Result};
use crate::report;
use crate::tail::Inode;

/// Appends to one file.
#[derive(Debug)]
pub(crate) struct FileSink {
    file: File,
    path: PathBuf,
    state: SinkState,
    /// Whether an attempt failed midway, so that there may be bytes after `state.length`.
    is_ragged: bool,
    /// The length in the checkpoint, where the file is longer and it is not settled what becomes of
    /// that.
    acknowledged: Option<u64>,
}

impl FileSink {
    /// Opens the file, which is made when it is missing, and is to be cut back to `resume`.
    ///
    /// # Errors
    /// When it cannot be opened for writing, or is not a regular file.
    pub(crate) fn open(path: &Path, resume: Option<SinkState>) -> Result<FileSink> {
        let mut options = OpenOptions::new();
        let file = options.append(true).create(true).open(path);
        let file = file.map_err(Error::file("open the sink file", path))?;
        let metadata = file
            .metadata()
            .map_err(Error::file("look at the sink file", path))?;
        if !metadata.is_file() {
            return Err(Error::Usage(format!(
                "{}: not a regular file: to write to a pipe or a device, use the shell: \
                 ves collect --ship stdout: > {}",
                path.display(),
                path.display()
            )));
        }
        let inode = Inode::of(&metadata);
        let length = metadata.len();
        let resume = resume.filter(|resume| resume.inode == inode);
        let acknowledged = resume.map(|resume| resume.length);
        if let Some(missing @ 1..) = acknowledged.and_then(|before| before.checked_sub(length)) {
            report::warning(&format!(
                "{}: {missing} bytes shorter than when its records were acknowledged: somebody \
                 else cut it",
                path.display(),
            ));
        }
        let state = SinkState { inode, length };
        Ok(FileSink {
            file,
            path: path.to_owned(),
            state,
            is_ragged: false,
            acknowledged: acknowledged.filter(|acknowledged| *acknowledged < length),
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

    fn append(&mut self, payload: &[u8]) -> std::io::Result<()> {
        if self.is_ragged {
            self.file.set_len(self.state.length)?;
            self.is_ragged = false;
        }
        let result = self.file.write_all(payload);
        self.is_ragged = result.is_err();
        result
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

impl Sink for FileSink {
    fn deliver(&mut self, payload: &[u8], _records: u64) -> std::result::Result<(), SinkError> {
        match self.append(payload) {
            Ok(()) => {
                self.state.length += payload.len() as u64;
                Ok(())
            }
            Err(error) => {
                let remedy = match error.kind() {
                    std::io::ErrorKind::StorageFull => "; free space there",
                    std::io::ErrorKind::QuotaExceeded => "; raise the quota",
                    _ => "",
                };
                let message = format!("append to {}: {error}{remedy}", self.path.display());
                Err(SinkError::Retry {
                    message,
                    retry_after: None,
                })
            }
        }
    }

    fn settle(&mut self, is_cut: bool) -> std::result::Result<(), String> {
        let Some(acknowledged) = self.acknowledged.take() else {
            return Ok(());
        };
        self.cut_back(acknowledged, is_cut)
            .map_err(|error| format!("cut back {}: {error}", self.path.display()))
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn state(&self) -> Option<SinkState> {
        Some(self.state)
    }

    fn is_local(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sink_is_cut_back_to_what_was_acknowledged_only_if_it_is_the_same_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.ndjson");
        let mut sink = FileSink::open(&path, None).unwrap();
        sink.deliver(b"{\"n\":1}\n", 1).unwrap();
        let acknowledged = sink.state();
        sink.deliver(b"{\"n\":2}\n", 1).unwrap();
        let mut sink = FileSink::open(&path, acknowledged).unwrap();
        sink.settle(true).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"{\"n\":1}\n");
        sink.deliver(b"{\"n\":3}\n", 1).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"{\"n\":1}\n{\"n\":3}\n");
        std::fs::rename(&path, dir.path().join("old")).unwrap();
        std::fs::write(&path, "another file, longer than that").unwrap();
        let mut sink = FileSink::open(&path, acknowledged).unwrap();
        sink.settle(true).unwrap();
        assert_eq!(
            std::fs::read(&path).unwrap(),
            b"another file, longer than that"
        );
    }

    #[test]
    fn what_cannot_be_read_again_is_kept_up_to_its_last_whole_record() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.ndjson");
        let mut sink = FileSink::open(&path, None).unwrap();
        sink.deliver(b"{\"n\":1}\n", 1).unwrap();
        let acknowledged = sink.state();
        sink.deliver(b"{\"n\":2}\n{\"n\":", 2).unwrap();
        let mut sink = FileSink::open(&path, acknowledged).unwrap();
        sink.settle(false).unwrap();
        sink.deliver(b"{\"n\":3}\n", 1).unwrap();
        let kept = b"{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n";
        assert_eq!(std::fs::read(&path).unwrap(), kept);
        assert_eq!(sink.state().unwrap().length, kept.len() as u64);
    }
}
