//! CPU time and memory of a process, mostly this one, from procfs.

use std::time::{Duration, Instant};

use procfs::CurrentSI;
use procfs::process::Process;

/// Reads the figures of a process and remembers the last reading, for differences.
#[derive(Debug)]
pub(crate) struct ProcessUsage {
    process: Process,
    cpu_before: Duration,
    read_at: Instant,
}

/// What a process has used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Usage {
    /// User and system time since the process began.
    pub(crate) cpu: Duration,
    /// Percent of one core since the reading before.
    pub(crate) cpu_percent: f64,
    /// Resident bytes.
    pub(crate) rss_bytes: u64,
}

impl ProcessUsage {
    /// Of this process; `None` where there is no procfs.
    pub(crate) fn own() -> Option<ProcessUsage> {
        ProcessUsage::new(Process::myself().ok()?)
    }

    /// Of the process with that number; `None` where there is no such process.
    pub(crate) fn of(pid: u32) -> Option<ProcessUsage> {
        ProcessUsage::new(Process::new(pid.cast_signed()).ok()?)
    }

    fn new(process: Process) -> Option<ProcessUsage> {
        let cpu_before = cpu_of(&process)?.0;
        Some(ProcessUsage {
            process,
            cpu_before,
            read_at: Instant::now(),
        })
    }

    /// Reads anew.
    pub(crate) fn read(&mut self) -> Option<Usage> {
        let (cpu, rss_bytes) = cpu_of(&self.process)?;
        let now = Instant::now();
        let wall = now.duration_since(self.read_at).as_secs_f64().max(1e-9);
        let used = cpu.saturating_sub(self.cpu_before).as_secs_f64();
        self.cpu_before = cpu;
        self.read_at = now;
        Some(Usage {
            cpu,
            cpu_percent: 100.0 * used / wall,
            rss_bytes,
        })
    }
}

/// The largest resident size so far, in bytes.
pub(crate) fn rss_peak_bytes() -> Option<u64> {
    let status = Process::myself().ok()?.status().ok()?;
    status.vmhwm.map(|kibibytes| kibibytes * 1024)
}

/// What a process holds and has used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Overview {
    /// User and system time.
    pub(crate) cpu: Duration,
    /// Resident bytes.
    pub(crate) rss_bytes: u64,
    /// Mapped bytes.
    pub(crate) virtual_bytes: u64,
    /// Threads.
    pub(crate) threads: i64,
    /// Open descriptors.
    pub(crate) descriptors: usize,
    /// When it began, in seconds since 1970.
    pub(crate) started_at: f64,
}

/// Of this process; `None` where there is no procfs.
pub(crate) fn overview() -> Option<Overview> {
    let process = Process::myself().ok()?;
    let stat = process.stat().ok()?;
    let (cpu, rss_bytes) = cpu_of(&process)?;
    let since_boot = stat.starttime as f64 / procfs::ticks_per_second() as f64;
    let booted_at = procfs::KernelStats::current().ok()?.btime as f64;
    Some(Overview {
        cpu,
        rss_bytes,
        virtual_bytes: stat.vsize,
        threads: stat.num_threads,
        descriptors: process.fd_count().unwrap_or_default(),
        started_at: booted_at + since_boot,
    })
}

fn cpu_of(process: &Process) -> Option<(Duration, u64)> {
    let stat = process.stat().ok()?;
    let ticks = stat.utime + stat.stime;
    let cpu = Duration::from_secs_f64(ticks as f64 / procfs::ticks_per_second() as f64);
    Some((cpu, stat.rss * procfs::page_size()))
}
