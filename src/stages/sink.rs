//! A sink as the ship stage calls it, without the stage around it.

use crate::config::Config;
use crate::error::{Error, Result};
use crate::ship::{self, Sink, SinkError};

/// An open sink.
pub struct OpenSink(Box<dyn Sink>);

impl OpenSink {
    /// Opens the sink of a configuration, without a checkpoint.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(config: &Config) -> Result<OpenSink> {
        ship::open(config, &[]).map(OpenSink)
    }

    /// Delivers NDJSON of that many records in one attempt.
    ///
    /// # Errors
    /// When the sink did not take it.
    pub fn deliver(&mut self, payload: &[u8], records: u64) -> Result<()> {
        let result = self.0.deliver(payload, records);
        result.map_err(|error| match error {
            SinkError::Retry { message, .. } | SinkError::Unreachable { message } => {
                Error::Unfinished(message)
            }
            SinkError::Closed => Error::Unfinished("the reader is gone".to_owned()),
        })
    }
}
