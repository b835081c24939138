//! From the account of what was acknowledged to the disk: first the sink that it speaks of, then the
//! checkpoint.

use std::sync::atomic::{AtomicBool, Ordering};

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
    last: Option<Snapshot>,
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
            last: None,
            is_unflushed,
            has_complained: false,
        }
    }

    fn write(&mut self, ledger: &Ledger) -> Result<()> {
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
            // The first write comes before anything is shipped.
            let last = self.last.take();
            self.flushed = Some(last.unwrap_or_else(|| ledger.snapshot()));
            self.is_unflushed.store(true, Ordering::Release);
            self.has_complained = true;
            return Err(unflushed());
        }
        if self.store.is_none() && ledger.unflushed.is_none() {
            return Ok(());
        }
        let snapshot = ledger.snapshot();
        let written = self.store.map_or(Ok(()), |store| store.write(&snapshot));
        if ledger.unflushed.is_some() {
            self.last = Some(snapshot);
        }
        written
    }

    /// Writes; what fails is said once and tried again with the next change or second.
    pub(super) fn try_write(&mut self, ledger: &mut Ledger) {
        let written = self.write(ledger);
        if written.is_err() {
            self.stats.add_checkpoint_error();
        }
        match written {
            Ok(()) => {
                ledger.is_dirty = false;
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
    pub(super) fn close(mut self, ledger: Option<&Ledger>) -> Closed {
        let written = ledger.map_or(Ok(()), |ledger| self.write(ledger));
        let snapshot = self.flushed.or_else(|| ledger.map(Ledger::snapshot));
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
