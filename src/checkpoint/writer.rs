//! From the account of what was acknowledged to the disk: first the sink that it speaks of, then the
//! checkpoint.

use std::sync::atomic::{AtomicBool, Ordering};

use super::ledger::Written;
use super::{Closed, Ledger, Snapshot, Store};
use crate::error::{Error, Result};
use crate::report;
use crate::stats::Stats;

/// Brings ledgers to the disk.
pub(super) struct Writer<'a> {
    store: Option<&'a Store>,
    stats: &'a Stats,
    /// The last one whose sink was flushed, from when on that cannot be done any more: the system may
    /// have thrown away what it could not write, and says so once.
    flushed: Option<Snapshot>,
    /// Tells that it is so.
    is_unflushed: &'a AtomicBool,
    has_complained: bool,
}

impl<'a> Writer<'a> {
    /// A writer to `store`, or one that only has the sink flushed. Sets `is_unflushed` when that cannot
    /// be done any more.
    pub(super) fn new(
        store: Option<&'a Store>,
        stats: &'a Stats,
        is_unflushed: &'a AtomicBool,
    ) -> Writer<'a> {
        Writer {
            store,
            stats,
            flushed: None,
            is_unflushed,
            has_complained: false,
        }
    }

    fn write(&mut self, ledger: &mut Ledger, is_last: bool) -> Result<()> {
        if self.flushed.is_some() {
            return Err(unflushed());
        }
        if let Some(file) = &ledger.unflushed
            && let Err(error) = file.sync_data()
        {
            report::warning(&format!(
                "the sink file cannot be flushed to the disk: {error}; the checkpoint stays as it \
                 is until what was shipped since is shipped again, which is tried after a while, or \
                 at once on SIGHUP: look at the disk (dmesg tells more)"
            ));
            self.flushed = Some(ledger.written());
            self.is_unflushed.store(true, Ordering::Release);
            self.has_complained = true;
            return Err(unflushed());
        }
        let Some(store) = self.store else {
            ledger.note_written(Written::Changes);
            return Ok(());
        };
        // The last one is in one file: who looks at it between two runs need not know of changes. And
        // somebody may have deleted the folder.
        let due = match is_last || !store.has_whole() {
            true => ledger.due_whole(),
            false => ledger.due(),
        };
        let result = store.write(&due);
        let written = due.written();
        match result {
            Ok(()) => ledger.note_written(written),
            Err(_) => ledger.note_failed(),
        }
        result
    }

    /// Writes; what fails is said once and tried again with the next change or second.
    pub(super) fn try_write(&mut self, ledger: &mut Ledger) {
        let written = self.write(ledger, false);
        if written.is_err() {
            self.stats.add_checkpoint_error();
        }
        match written {
            Ok(()) => {
                if std::mem::take(&mut self.has_complained) {
                    report::notice("the checkpoint can be written again");
                }
            }
            Err(error) if !self.has_complained => {
                self.has_complained = true;
                report::warning(&format!(
                    "{}; going on, but a restart now would ship again what was shipped since: \
                     look for space, permissions and the mount there; will try again",
                    report::chain(&error)
                ));
            }
            Err(_) => {}
        }
    }

    /// Writes for the last time.
    pub(super) fn close(mut self, mut ledger: Option<&mut Ledger>) -> Closed {
        let written = ledger
            .as_deref_mut()
            .map_or(Ok(()), |ledger| self.write(ledger, true));
        let snapshot = self.flushed.or_else(|| ledger.map(|it| it.snapshot()));
        Closed { written, snapshot }
    }
}

fn unflushed() -> Error {
    Error::Unfinished(
        "the sink file could not be flushed to the disk: what was shipped since the last checkpoint \
         will be shipped again at the next start"
            .to_owned(),
    )
}
