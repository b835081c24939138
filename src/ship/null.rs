//! `null:`: the whole pipeline without a delivery, for measurements.

use super::{Sink, SinkError};

/// Takes everything.
#[derive(Debug)]
pub(crate) struct NullSink;

impl Sink for NullSink {
    fn deliver(&mut self, _payload: &[u8], _records: u64) -> Result<(), SinkError> {
        Ok(())
    }

    fn name(&self) -> String {
        "null:".to_owned()
    }

    fn is_local(&self) -> bool {
        true
    }
}
