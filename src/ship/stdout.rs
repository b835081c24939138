//! `stdout:`: records on standard output.

use std::fs::File;
use std::io::{ErrorKind, Write};

use rustix::event::{PollFd, PollFlags, poll};

use super::{Sink, SinkError};
use crate::error::{Error, Result};

/// Writes to a duplicate of descriptor 1, past std's buffer: a batch is a write.
#[derive(Debug)]
pub(crate) struct StdoutSink {
    out: File,
    /// Bytes of the current payload that were written before an attempt failed.
    written_bytes: usize,
}

impl StdoutSink {
    /// Opens standard output.
    ///
    /// # Errors
    /// When it is closed.
    pub(crate) fn open() -> Result<StdoutSink> {
        let out = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)
            .map_err(|errno| Error::system("open standard output")(errno.into()))?;
        Ok(StdoutSink {
            out: File::from(out),
            written_bytes: 0,
        })
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
}
