//! The one clock of a comparison: monotonic, in nanoseconds, the same in all threads.

use std::time::Duration;

use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;

/// Now.
pub(crate) fn monotonic_ns() -> u64 {
    read(ClockId::CLOCK_MONOTONIC).unwrap_or_default()
}

/// CPU time of the calling thread until now.
pub(crate) fn thread_cpu() -> Duration {
    Duration::from_nanos(read(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap_or_default())
}

/// CPU time of this process until now.
pub(crate) fn own_cpu() -> Duration {
    Duration::from_nanos(read(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap_or_default())
}

/// CPU time of another process until now, in nanoseconds where `/proc` has ticks of ten
/// milliseconds; none when it is gone.
pub(crate) fn process_cpu(pid: i32) -> Option<Duration> {
    let clock = clock_getcpuclockid(Pid::from_raw(pid)).ok()?;
    read(clock).map(Duration::from_nanos)
}

fn read(clock: ClockId) -> Option<u64> {
    let now = nix::time::clock_gettime(clock).ok()?;
    let seconds = u64::try_from(now.tv_sec()).ok()?;
    Some(seconds * 1_000_000_000 + u64::try_from(now.tv_nsec()).ok()?)
}

/// Makes the sleeps of the calling thread end when they should: by default the kernel may add 50
/// microseconds to each.
pub(crate) fn sharpen_sleep() {
    // Without it the times are coarser, which the published slip shows.
    let _ = nix::sys::prctl::set_timerslack(1);
}
