//! CPU and memory of a process and its descendants, through procfs and their CPU clocks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use procfs::process::Process;

use crate::clock::{self, monotonic_ns};
use crate::results::Sample;

/// Time between two samples, and between the first ones: some have done their work in a moment.
const INTERVAL: Duration = Duration::from_millis(100);
const FIRST_INTERVAL: Duration = Duration::from_millis(10);
const FIRST_COUNT: u32 = 50;

/// The proportional size is asked for once per so many samples: the kernel walks all pages for it.
const PSS_EVERY: u32 = 10;

/// What a process tree has used until an instant.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Edge {
    pub(crate) at_ns: u64,
    pub(crate) cpu: Duration,
    /// Time that its threads waited for a core.
    pub(crate) run_delay: Duration,
    pub(crate) major_faults: u64,
    pub(crate) context_switches: u64,
    /// Of the whole machine, in ticks.
    pub(crate) steal_ticks: u64,
    pub(crate) all_ticks: u64,
}

/// The process and its descendants.
pub(crate) fn tree(root: i32) -> Vec<i32> {
    let mut pids = vec![root];
    let mut next = 0;
    while let Some(&pid) = pids.get(next) {
        next += 1;
        let Ok(tasks) = Process::new(pid).and_then(|process| process.tasks()) else {
            continue;
        };
        for task in tasks.flatten() {
            let children = task.children().unwrap_or_default();
            pids.extend(children.into_iter().map(u32::cast_signed));
        }
    }
    pids
}

/// CPU time of the tree until now.
pub(crate) fn cpu(root: i32) -> Duration {
    tree(root).into_iter().filter_map(clock::process_cpu).sum()
}

/// Reads everything that is compared between the two ends of a window.
pub(crate) fn edge(root: i32) -> Edge {
    let mut edge = Edge {
        at_ns: monotonic_ns(),
        cpu: cpu(root),
        ..Edge::default()
    };
    for pid in tree(root) {
        let Ok(process) = Process::new(pid) else {
            continue;
        };
        if let Ok(stat) = process.stat() {
            edge.major_faults += stat.majflt;
        }
        for task in process.tasks().into_iter().flatten().flatten() {
            if let Ok(schedstat) = task.schedstat() {
                edge.run_delay += Duration::from_nanos(schedstat.run_delay);
            }
            if let Ok(status) = task.status() {
                let voluntary = status.voluntary_ctxt_switches.unwrap_or_default();
                let forced = status.nonvoluntary_ctxt_switches.unwrap_or_default();
                edge.context_switches += voluntary + forced;
            }
        }
    }
    (edge.steal_ticks, edge.all_ticks) = machine_ticks();
    edge
}

/// Ticks that the hypervisor took, and all ticks, of all cores.
fn machine_ticks() -> (u64, u64) {
    use procfs::CurrentSI;
    let Ok(stat) = procfs::KernelStats::current() else {
        return (0, 0);
    };
    let total = stat.total;
    let steal = total.steal.unwrap_or_default();
    let others = [
        Some(total.user),
        Some(total.nice),
        Some(total.system),
        Some(total.idle),
        total.iowait,
        total.irq,
        total.softirq,
    ];
    (steal, steal + others.into_iter().flatten().sum::<u64>())
}

/// Memory of the process tree.
#[derive(Clone, Copy, Debug, Default)]
struct Memory {
    rss: u64,
    anon: u64,
    file: u64,
    pss: Option<u64>,
}

fn memory(root: i32, with_pss: bool) -> Memory {
    let mut memory = Memory::default();
    for pid in tree(root) {
        let Ok(process) = Process::new(pid) else {
            continue;
        };
        // A child that has not called exec yet has the pages of its parent, which would count twice.
        let Ok(status) = process.status() else {
            continue;
        };
        let kib = |value: Option<u64>| value.unwrap_or_default() * 1024;
        memory.rss += kib(status.vmrss);
        memory.anon += kib(status.rssanon);
        memory.file += kib(status.rssfile) + kib(status.rssshmem);
        if with_pss && let Ok(rollup) = process.smaps_rollup() {
            let maps = rollup.memory_map_rollup;
            let pss = maps.iter().filter_map(|map| map.extension.map.get("Pss"));
            *memory.pss.get_or_insert_default() += pss.sum::<u64>();
        }
    }
    memory
}

/// The most memory that the process ever had.
pub(crate) fn rss_peak(root: i32) -> Option<u64> {
    let status = Process::new(root).ok()?.status().ok()?;
    Some(status.vmhwm? * 1024)
}

/// A thread that takes samples.
#[derive(Debug)]
pub(crate) struct Sampler {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Samples>,
}

/// What it took.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples {
    pub(crate) samples: Vec<Sample>,
    /// The highest `VmHWM` that was seen.
    pub(crate) rss_peak: Option<u64>,
    /// CPU time of the sampler itself.
    pub(crate) own_cpu: Duration,
}

impl Sampler {
    /// Starts to take samples of the tree below `root`.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn start(run: &str, root: i32, with_pss: bool) -> Result<Sampler> {
        let is_over = Arc::new(AtomicBool::new(false));
        let (over, run) = (is_over.clone(), run.to_owned());
        let builder = std::thread::Builder::new().name("sampler".to_owned());
        let thread = builder
            .spawn(move || take(&run, root, with_pss, &over))
            .context("start a thread")?;
        Ok(Sampler { is_over, thread })
    }

    /// Ends it.
    pub(crate) fn stop(self) -> Samples {
        self.is_over.store(true, Ordering::Release);
        match self.thread.join() {
            Ok(samples) => samples,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

fn take(run: &str, root: i32, with_pss: bool, is_over: &AtomicBool) -> Samples {
    let began = Instant::now();
    let mut taken = Samples::default();
    let mut count = 0;
    let mut next = began;
    while !is_over.load(Ordering::Acquire) {
        let has_pss = with_pss && count % PSS_EVERY == 0;
        let memory = memory(root, has_pss);
        if memory.rss > 0 {
            taken.samples.push(Sample {
                run: run.to_owned(),
                time_s: round(began.elapsed().as_secs_f64()),
                cpu_s: round(cpu(root).as_secs_f64()),
                rss_bytes: memory.rss,
                rss_anon_bytes: memory.anon,
                rss_file_bytes: memory.file,
                pss_bytes: memory.pss,
            });
        }
        taken.rss_peak = taken.rss_peak.max(rss_peak(root));
        count += 1;
        next += match count <= FIRST_COUNT {
            true => FIRST_INTERVAL,
            false => INTERVAL,
        };
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    taken.own_cpu = clock::thread_cpu();
    taken
}

/// A tenth of a millisecond is more than samples are good for.
fn round(seconds: f64) -> f64 {
    (seconds * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    fn shell(script: &str) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::piped());
        command.stdout(Stdio::null()).spawn().unwrap()
    }

    #[test]
    fn helpers_of_a_process_are_included() {
        let mut child = shell("sh -c 'while :; do :; done' & helper=$!; read _; kill $helper");
        let root = child.id().cast_signed();
        let until = Instant::now() + Duration::from_secs(20);
        while cpu(root) < Duration::from_millis(300) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        let (pids, used) = (tree(root), cpu(root));
        let own = clock::process_cpu(root).unwrap();
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(pids.len() >= 2, "{pids:?}");
        assert!(used >= Duration::from_millis(300), "{used:?}");
        assert!(own < Duration::from_millis(100), "{own:?}");
    }

    #[test]
    fn memory_of_a_process_is_seen() {
        let mut child = shell("read _");
        let root = child.id().cast_signed();
        let until = Instant::now() + Duration::from_secs(20);
        // Before it has called exec it is a copy of this process, or nothing yet.
        let mut seen = memory(root, true);
        while (seen.rss < 100_000 || seen.pss.is_none()) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
            seen = memory(root, true);
        }
        let peak = rss_peak(root).unwrap();
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(
            seen.rss > 100_000 && seen.anon < seen.rss && seen.file > 0,
            "{seen:?}"
        );
        assert!(
            seen.pss.unwrap() > 0 && peak >= seen.rss / 2,
            "{seen:?} {peak}"
        );
    }
}
