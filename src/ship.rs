//! The last stage: takes batches in order, delivers each to the sink, retries what can be retried,
//! and acknowledges a batch's source ranges only after the sink has taken all of it.

pub(crate) mod file;
pub(crate) mod http;
pub(crate) mod null;
pub(crate) mod retry;
pub(crate) mod stage;
pub(crate) mod stdout;

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use stage::{Ended, HandOver, Shipper, Stopped};

use crate::checkpoint::SinkState;
use crate::config::{Config, ShipUrl};
use crate::error;

/// Opens the sink of a configuration. `resume` are the states in checkpoints: a file sink of the
/// identity of one can be cut back to that length ([`Sink::settle`]).
///
/// # Errors
/// When the sink cannot be opened at all.
pub(crate) fn open(config: &Config, resume: &[SinkState]) -> error::Result<Box<dyn Sink>> {
    Ok(match &config.ship {
        ShipUrl::Stdout => Box::new(stdout::StdoutSink::open()?),
        ShipUrl::Null => Box::new(null::NullSink),
        ShipUrl::File(path) => Box::new(file::FileSink::open(
            path,
            config.sync,
            resume.iter().copied(),
        )?),
        ShipUrl::Http(url) => Box::new(http::HttpSink::open(url, &config.http)?),
    })
}

/// One attempt to deliver a batch failed.
#[derive(Debug)]
pub(crate) enum SinkError {
    /// Try the same batch again after a pause. `message` says what failed and what the operator
    /// can do; `retry_after` is the pause that the other side asked for.
    Retry {
        /// What failed, where, and a remedy where one is known.
        message: String,
        /// The least pause before the next attempt, where the other side named one.
        retry_after: Option<Duration>,
    },
    /// The same, where nobody is there to take it: an attempt costs the other side nothing.
    Unreachable {
        /// As above.
        message: String,
    },
    /// The reader of the output is gone for good: end quietly, acknowledge nothing more.
    Closed,
}

/// A destination for encoded records. Called by one thread at a time. A sink makes one attempt
/// and reports; the ship stage owns retries, back-off and acknowledgement.
pub(crate) trait Sink: Send {
    /// Delivers `payload`: `records` NDJSON lines, each with its newline. Returns `Ok` only when
    /// the sink has taken all of it. After an error the same payload comes again, and nothing else
    /// before it, so a sink may keep what it has done of it.
    ///
    /// # Errors
    /// [`SinkError::Retry`] for everything that can get better, [`SinkError::Closed`] else.
    fn deliver(&mut self, payload: &[u8], records: u64) -> Result<(), SinkError>;

    /// What the sink is called in messages, without secrets.
    fn name(&self) -> String;

    /// Called once before the first delivery: cuts the sink back to the length in the checkpoint, or,
    /// unless `is_cut`, keeps what came after it, since that may not come again.
    ///
    /// # Errors
    /// What failed, in words.
    fn settle(&mut self, _is_cut: bool) -> Result<(), String> {
        Ok(())
    }

    /// Where the sink is and how long, where a restart can cut it back to that length.
    fn state(&self) -> Option<SinkState> {
        None
    }

    /// The file that has to be flushed to the disk before a checkpoint may claim what was delivered to
    /// it.
    fn unflushed(&self) -> Option<Arc<File>> {
        None
    }

    /// Whether delivery is a local system call, cheap enough to run where the batch was made.
    fn is_local(&self) -> bool {
        false
    }

    /// Whether a delivery of that many bytes would not have to wait for a reader. Asked of local
    /// sinks before each delivery by the tail thread, so it has to be cheap.
    fn is_ready(&self, _bytes: usize) -> bool {
        true
    }
}
