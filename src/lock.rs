//! Locks on files: they end with the process that holds them, however that ends.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// How long a lock is waited for: a process that was killed just now holds its locks until the system has
/// taken it apart.
const PATIENCE: Duration = Duration::from_millis(500);

/// Time between two attempts.
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(10);

/// Locks an open file. Returns whether nobody else has it locked: some network file systems have no locks,
/// then there is none to respect either.
pub(crate) fn lock(file: impl AsFd) -> bool {
    let begun_at = Instant::now();
    while flock(&file, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK) {
        if begun_at.elapsed() >= PATIENCE {
            return false;
        }
        std::thread::sleep(ATTEMPT_INTERVAL);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_ends_soon_is_waited_for_and_another_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let open = || std::fs::File::create(&path).unwrap();
        let held = open();
        assert!(lock(&held));
        assert!(!lock(open()));
        let holder = std::thread::spawn(move || {
            std::thread::sleep(PATIENCE / 5);
            drop(held);
        });
        assert!(lock(open()));
        holder.join().unwrap();
    }
}
