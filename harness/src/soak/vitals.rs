//! Memory, descriptors and mappings of a process at one instant: a row of `soak.csv`.

use procfs::process::Process;
use serde::Serialize;

/// The row.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Vitals {
    /// Since the start of the run.
    pub(super) time_s: f64,
    /// Which start of the process this is.
    pub(super) life: u32,
    /// Since that start.
    pub(super) age_s: f64,
    pub(super) rss_bytes: u64,
    pub(super) rss_anon_bytes: u64,
    pub(super) descriptors: u64,
    pub(super) mappings: u64,
    pub(super) threads: u64,
    /// Records that were found right in the sink until then.
    pub(super) verified: u64,
    /// Records that had come twice until then.
    pub(super) duplicated: u64,
}

impl Vitals {
    /// Those of a process; none when it is gone.
    pub(super) fn of(pid: i32) -> Option<Vitals> {
        let process = Process::new(pid).ok()?;
        let status = process.status().ok()?;
        Some(Vitals {
            rss_bytes: status.vmrss? * 1024,
            rss_anon_bytes: status.rssanon? * 1024,
            descriptors: process.fd_count().ok()? as u64,
            mappings: process.maps().ok()?.len() as u64,
            threads: status.threads,
            ..Vitals::default()
        })
    }
}
