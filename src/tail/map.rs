//! Mapped windows of files that others may truncate at any time, and the SIGBUS guard that makes
//! this survivable.
//!
//! A load from a mapped page beyond the file's end raises SIGBUS. The handler, in the manner of
//! systemd-journald (`src/basic/sigbus.c`), looks the address up among the registered windows, maps
//! zero pages over the rest of that window, marks the window as torn and returns: the load is
//! repeated and reads zeros. Whoever reads a window asks [`Window::is_torn`] afterwards and throws
//! away what it made of a torn one. A fault anywhere else goes to the handler that was there
//! before, which ends the process as if this one did not exist.
//!
//! `unsafe` is allowed here and in the SIMD kernels alone.
#![expect(
    unsafe_code,
    reason = "one of the crate's two fences: mmap and the SIGBUS handler"
)]

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

use memmap2::{Mmap, MmapOptions};

/// Bytes in a window. PERF: `cargo bench --bench windows` counts newlines at 8.6 GiB/s with 256 KiB,
/// 9.9 with 1 MiB, 10.4 with 4 MiB and no more with larger ones (read(): 7.4 to 8.6). In a drain on two
/// threads 2 MiB cost the same CPU as 4 MiB and keep 1.5 MB less resident (2026-11-24).
pub(crate) const WINDOW_BYTES: u64 = 2 << 20;

/// Most windows at a time. The tail keeps at most [`super::WINDOWS_KEPT_MAX`]; work in flight holds
/// at most [`super::CHUNKS_PER_WORK_MAX`] for each of its tickets.
const SLOT_COUNT: usize = 2048;

/// A registered window, readable from the signal handler: `start` is 0 where the slot is free.
struct Slot {
    start: AtomicUsize,
    end: AtomicUsize,
    torn: AtomicBool,
}

static SLOTS: [Slot; SLOT_COUNT] = [const {
    Slot {
        start: AtomicUsize::new(0),
        end: AtomicUsize::new(0),
        torn: AtomicBool::new(false),
    }
}; SLOT_COUNT];

/// The action that SIGBUS had before the guard; never freed, so that the handler can read it.
static PREVIOUS_ACTION: AtomicPtr<libc::sigaction> = AtomicPtr::new(std::ptr::null_mut());

/// A part of a file as memory, from a page boundary on. It may reach past the end of the file, so
/// that a growing file is followed without mapping it again.
#[derive(Debug)]
pub(crate) struct Window {
    map: Mmap,
    slot: usize,
    offset: u64,
}

impl Window {
    /// Maps [`WINDOW_BYTES`] of `file` from `offset` on, rounded down to a page.
    ///
    /// # Errors
    /// What mmap says; [`io::ErrorKind::QuotaExceeded`] when too many windows are in use.
    pub(crate) fn map(file: &File, offset: u64) -> io::Result<Window> {
        Window::map_bytes(file, offset, WINDOW_BYTES)
    }

    /// The same with a window of `bytes`, rounded up to whole pages.
    ///
    /// # Errors
    /// As for [`Window::map`].
    pub(crate) fn map_bytes(file: &File, offset: u64, bytes: u64) -> io::Result<Window> {
        install_guard()?;
        let offset = offset - offset % page_bytes();
        let bytes = bytes.next_multiple_of(page_bytes());
        let bytes = usize::try_from(bytes).map_err(io::Error::other)?;
        // SAFETY: others may write to the file or truncate it while it is mapped. Loads beyond its
        // end are caught by the guard, under which every window is registered before its first
        // load. Changing bytes are no more than wrong input: `bytes` is only read by code that is
        // memory-safe for any content, and its results are thrown away unless the file is found
        // unshrunk and the window untorn afterwards.
        let map = unsafe { MmapOptions::new().offset(offset).len(bytes).map(file)? };
        let slot = register(map.as_ptr() as usize, bytes)?;
        Ok(Window { map, slot, offset })
    }

    /// The offset of the first byte in the file.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The offset in the file at which the window ends.
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.map.len() as u64
    }

    /// The bytes at those offsets of the file, which the caller has seen to be below its size.
    /// Empty where the window does not hold the range.
    pub(crate) fn bytes(&self, range: Range<u64>) -> &[u8] {
        let inside = |offset: u64| usize::try_from(offset.checked_sub(self.offset)?).ok();
        match (inside(range.start), inside(range.end)) {
            (Some(start), Some(end)) => self.map.get(start..end).unwrap_or_default(),
            _ => &[],
        }
    }

    /// Whether a load met the end of the file, so that bytes read from here may be zeros that are
    /// not in the file.
    pub(crate) fn is_torn(&self) -> bool {
        SLOTS
            .get(self.slot)
            .is_none_or(|slot| slot.torn.load(Ordering::Acquire))
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // The slot is freed before the pages are: no load is under way any more, and an address
        // that the kernel gives out again must not be found here.
        if let Some(slot) = SLOTS.get(self.slot) {
            slot.start.store(0, Ordering::Release);
        }
    }
}

fn page_bytes() -> u64 {
    rustix::param::page_size() as u64
}

/// A slot's `start` while it is being filled: no page is there, so no fault matches.
const RESERVED: usize = 1;

fn register(start: usize, bytes: usize) -> io::Result<usize> {
    for (index, slot) in SLOTS.iter().enumerate() {
        let free = slot
            .start
            .compare_exchange(0, RESERVED, Ordering::AcqRel, Ordering::Relaxed);
        if free.is_ok() {
            slot.torn.store(false, Ordering::Relaxed);
            slot.end.store(start + bytes, Ordering::Relaxed);
            slot.start.store(start, Ordering::Release);
            return Ok(index);
        }
    }
    Err(io::Error::new(
        io::ErrorKind::QuotaExceeded,
        "too many mapped windows",
    ))
}

/// Installs the guard, once per process.
fn install_guard() -> io::Result<()> {
    static INSTALLED: OnceLock<Result<(), i32>> = OnceLock::new();
    let result =
        INSTALLED.get_or_init(|| install().map_err(|error| error.raw_os_error().unwrap_or(0)));
    result.map_err(io::Error::from_raw_os_error)
}

fn install() -> io::Result<()> {
    // SAFETY: all-zero bytes are a valid `sigaction`: no flags, an empty mask, the default action.
    let mut previous: Box<libc::sigaction> = Box::new(unsafe { std::mem::zeroed() });
    // SAFETY: the pointers are null (ask only) and to a live, exclusive `sigaction`.
    if unsafe { libc::sigaction(libc::SIGBUS, std::ptr::null(), &raw mut *previous) } != 0 {
        return Err(io::Error::last_os_error());
    }
    PREVIOUS_ACTION.store(Box::into_raw(previous), Ordering::Release);
    // SAFETY: as above.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_sigbus as *const () as usize;
    // std runs threads with an alternate stack for its own overflow handler; use it where it is.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: `action` is complete, its handler has the signature that SA_SIGINFO asks for and
    // calls async-signal-safe functions only; the old action is not wanted again.
    if unsafe { libc::sigaction(libc::SIGBUS, &raw const action, std::ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// The handler. Only atomics, mmap and sigaction: all async-signal-safe on Linux.
extern "C" fn on_sigbus(signal: i32, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: errno is this thread's own; it is put back below so that the interrupted code does
    // not see the handler's calls.
    let errno = unsafe { *libc::__errno_location() };
    // SAFETY: the kernel passes a valid `siginfo_t` to an SA_SIGINFO handler, and for a positive
    // code (a fault, not a `kill`) of SIGBUS the address is set.
    let address = unsafe {
        if (*info).si_code > 0 {
            Some((*info).si_addr() as usize)
        } else {
            None
        }
    };
    if !address.is_some_and(repair) {
        hand_on(signal, address.is_none());
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

/// Puts zero pages over a registered window from the faulting page on. Returns whether the address
/// was in one and the pages could be put there.
fn repair(address: usize) -> bool {
    for slot in &SLOTS {
        let start = slot.start.load(Ordering::Acquire);
        let end = slot.end.load(Ordering::Relaxed);
        // Read twice: a slot that is being used again may show one window's start and another's end.
        let is_stable = slot.start.load(Ordering::Acquire) == start;
        if start <= RESERVED || !is_stable || address < start || address >= end {
            continue;
        }
        slot.torn.store(true, Ordering::Release);
        let page = address - address % rustix::param::page_size();
        let (protection, flags) = (
            libc::PROT_READ,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
        );
        // SAFETY: `page..end` lies in a mapping of this process that only a `Window` owns, which
        // is alive, as its slot is taken: the faulting load is through it. Replacing pages of it
        // by zero pages keeps every address in it readable.
        let mapped = unsafe { libc::mmap(page as *mut _, end - page, protection, flags, -1, 0) };
        return mapped != libc::MAP_FAILED;
    }
    false
}

/// Gives a SIGBUS that is not of a window to the action that was there before: the load is
/// repeated on return and faults again; a signal sent by `kill` is sent again.
fn hand_on(signal: i32, is_sent: bool) {
    let previous = PREVIOUS_ACTION.load(Ordering::Acquire);
    // SAFETY: `install` stored a valid pointer before it installed this handler, and never frees it.
    unsafe {
        libc::sigaction(signal, previous, std::ptr::null_mut());
        if is_sent {
            libc::raise(signal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file_of(bytes: usize) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![b'x'; bytes]).unwrap();
        file
    }

    fn count(bytes: &[u8]) -> usize {
        bytes.iter().filter(|&&byte| byte == b'x').count()
    }

    #[test]
    fn a_window_follows_a_growing_file() {
        let mut file = file_of(10);
        let window = Window::map(&file, 0).unwrap();
        assert_eq!(window.bytes(0..10), b"xxxxxxxxxx");
        file.write_all(&[b'y'; 9000]).unwrap();
        assert_eq!(window.bytes(8000..8002), b"yy");
        assert!(!window.is_torn());
    }

    #[test]
    fn a_read_behind_a_truncation_gives_zeros_and_tears_the_window() {
        let file = file_of(100_000);
        let window = Window::map(&file, 0).unwrap();
        file.set_len(5000).unwrap();
        let bytes = window.bytes(0..100_000);
        assert_eq!(count(bytes), 5000);
        assert!(window.is_torn());
        file.set_len(0).unwrap();
        assert!(
            !Window::map(&file, 0).unwrap().is_torn(),
            "a slot used again starts whole"
        );
    }

    #[test]
    fn hundreds_of_truncations_under_a_reader_are_survived() {
        let (mut torn_count, rounds) = (0, 400);
        for round in 0..rounds {
            let file = file_of(1 << 20);
            let window = Window::map(&file, 0).unwrap();
            let cut = file.try_clone().unwrap();
            let truncater = std::thread::spawn(move || {
                for _ in 0..round * 50 {
                    std::hint::spin_loop();
                }
                cut.set_len(0).unwrap();
            });
            let seen = count(window.bytes(0..1 << 20));
            // All there means read before the truncation; anything less must show as torn.
            assert!(
                seen == 1 << 20 || window.is_torn(),
                "round {round}: {seen} bytes, not torn"
            );
            torn_count += usize::from(window.is_torn());
            truncater.join().unwrap();
        }
        assert!(
            torn_count > 0,
            "no truncation landed under the reader: the test shows nothing"
        );
    }
}
