//! Which cores a thread, and what it starts, may use.

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The calling thread.
const SELF: Pid = Pid::from_raw(0);

/// The cores that the calling thread may use.
///
/// # Errors
/// When the system does not tell.
pub(crate) fn allowed() -> Result<Vec<usize>> {
    let set = sched_getaffinity(SELF).context("ask for the cores of this process")?;
    let cores = (0..CpuSet::count()).filter(|&core| set.is_set(core).unwrap_or_default());
    Ok(cores.collect())
}

/// One core for the calling thread and the threads and processes that it starts, while this lives.
#[derive(Debug)]
pub(crate) struct Pin {
    before: CpuSet,
    core: usize,
}

impl Pin {
    /// That core.
    ///
    /// # Errors
    /// When it cannot be had.
    pub(crate) fn to(core: usize) -> Result<Pin> {
        let before = sched_getaffinity(SELF).context("ask for the cores of this process")?;
        let mut only = CpuSet::new();
        only.set(core)
            .and_then(|()| sched_setaffinity(SELF, &only))
            .with_context(|| format!("pin to core {core}"))?;
        Ok(Pin { before, core })
    }

    /// The last core that may be used: interrupts come to the first more often.
    ///
    /// # Errors
    /// When the system does not allow it.
    pub(crate) fn last() -> Result<Pin> {
        Pin::to(allowed()?.last().copied().unwrap_or(0))
    }

    /// Which one.
    pub(crate) fn core(&self) -> usize {
        self.core
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        // The set was the system's own answer.
        let _ = sched_setaffinity(SELF, &self.before);
    }
}
