//! SIGINT, SIGTERM and SIGHUP as a flag, for work that is to clean up before it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use procfs::process::Process;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::error::{Error, Result};

/// Whether one of them came.
#[derive(Debug)]
pub(crate) struct Interrupted(Arc<AtomicBool>);

impl Interrupted {
    /// Catches them from now on. A process that was told to ignore SIGHUP (nohup) goes on ignoring it.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn catch() -> Result<Interrupted> {
        let flag = Arc::new(AtomicBool::new(false));
        let hang_up = (!is_hang_up_ignored()).then_some(SIGHUP);
        for signal in [SIGINT, SIGTERM].into_iter().chain(hang_up) {
            signal_hook::flag::register(signal, flag.clone())
                .map_err(Error::system("catch signals"))?;
        }
        Ok(Interrupted(flag))
    }

    /// Whether one came.
    pub(crate) fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Whether one came since the last call of this.
    pub(crate) fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// Whether the process was told to ignore SIGHUP, as by nohup. Catching it would undo that.
pub(crate) fn is_hang_up_ignored() -> bool {
    let status = Process::myself().and_then(|own| own.status());
    status.is_ok_and(|status| status.sigign & 1 << (SIGHUP - 1) != 0)
}
