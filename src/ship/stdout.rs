//! `stdout:`: records on standard output.

use std::fs::File;
use std::io::{ErrorKind, Write};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::FileType;
use rustix::io::ioctl_fionread;
use rustix::pipe::fcntl_getpipe_size;

use super::{Sink, SinkError};
use crate::error::{Error, Result};

/// Writes to a duplicate of descriptor 1, past std's buffer: a batch is a write.
#[derive(Debug)]
pub(crate) struct StdoutSink {
    out: File,
    /// Bytes of the current payload that were written before an attempt failed.
    written_bytes: usize,
    kind: Kind,
}

/// What standard output is, as far as it matters for a write that must not block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    File,
    Pipe,
    Other,
}

impl StdoutSink {
    /// Opens standard output.
    ///
    /// # Errors
    /// When it is closed.
    pub(crate) fn open() -> Result<StdoutSink> {
        let out = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)
            .map_err(|errno| Error::system("open standard output")(errno.into()))?;
        let status = rustix::fs::fstat(&out)
            .map_err(|errno| Error::system("look at standard output")(errno.into()))?;
        let kind = match FileType::from_raw_mode(status.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Fifo => Kind::Pipe,
            _ => Kind::Other,
        };
        Ok(StdoutSink {
            out: File::from(out),
            written_bytes: 0,
            kind,
        })
    }

    /// Whether the pipe is empty and large enough. What is free in one that is not empty cannot be
    /// told: a page with a few bytes in it may not be filled up.
    fn has_pipe_room(&self, bytes: usize) -> bool {
        let is_empty = ioctl_fionread(&self.out).is_ok_and(|waiting| waiting == 0);
        is_empty && fcntl_getpipe_size(&self.out).is_ok_and(|size| bytes <= size)
    }

    fn is_writable(&self) -> bool {
        let mut out = [PollFd::new(&self.out, PollFlags::OUT)];
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        poll(&mut out, Some(&at_once)).is_ok_and(|ready| ready > 0)
    }
}

impl Sink for StdoutSink {
    fn deliver(&mut self, payload: &[u8], _records: u64) -> std::result::Result<(), SinkError> {
        while let Some(rest) = payload
            .get(self.written_bytes..)
            .filter(|rest| !rest.is_empty())
        {
            match self.out.write(rest) {
                Ok(count) => self.written_bytes += count,
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::BrokenPipe => return Err(SinkError::Closed),
                    // Somebody made the descriptor, which others share, non-blocking.
                    ErrorKind::WouldBlock => {
                        let _ = poll(&mut [PollFd::new(&self.out, PollFlags::OUT)], None);
                    }
                    _ => {
                        let message = format!("write to standard output: {error}");
                        return Err(SinkError::Retry {
                            message,
                            retry_after: None,
                        });
                    }
                },
            }
        }
        self.written_bytes = 0;
        Ok(())
    }

    fn name(&self) -> String {
        "standard output".to_owned()
    }

    fn is_local(&self) -> bool {
        true
    }

    fn is_ready(&self, bytes: usize) -> bool {
        match self.kind {
            Kind::File => true,
            Kind::Pipe => self.has_pipe_room(bytes),
            Kind::Other => self.is_writable(),
        }
    }
}
