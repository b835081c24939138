//! Small pieces of many busy files, read into buffers instead of mapped: a window for each visit costs
//! more than the piece. PERF: 1 000 files that get 10 lines a second each took 22 % of a core with it, 42 %
//! without (`scripts/measure-files`, 2026-11-30). A window that is at hand stays the cheaper way.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::chunk::{BytesPool, OwnedBytes};

/// The largest piece. More is worth a window.
const BYTES_MAX: u64 = 16 << 10;

/// Buffers that are kept for the next pieces.
const BUFFERS_KEPT: usize = 64;

/// Reads small pieces.
#[derive(Debug)]
pub(super) struct SmallReads(BytesPool);

impl SmallReads {
    /// A reader that has no buffers yet.
    pub(super) fn new() -> SmallReads {
        SmallReads(BytesPool::new(BUFFERS_KEPT))
    }

    /// The bytes from `offset` to `end`; none where that is not a small piece.
    ///
    /// # Errors
    /// What the system says, and [`io::ErrorKind::UnexpectedEof`] for a file that has become shorter.
    pub(super) fn read(
        &self,
        file: &File,
        offset: u64,
        end: u64,
    ) -> Option<io::Result<OwnedBytes>> {
        let count = end
            .checked_sub(offset)
            .filter(|count| *count <= BYTES_MAX)?;
        let mut bytes = self.0.take();
        bytes.resize(usize::try_from(count).ok()?, 0);
        let read = file.read_exact_at(&mut bytes, offset);
        Some(read.map(|()| self.0.own(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_pieces_are_read_and_large_ones_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.log");
        std::fs::write(&path, vec![b'x'; 20 << 10]).unwrap();
        let file = File::open(&path).unwrap();
        let reads = SmallReads::new();
        for _ in 0..2 {
            let bytes = reads.read(&file, 4, 10).unwrap().unwrap();
            assert_eq!(bytes.bytes(), b"xxxxxx");
        }
        assert_eq!(reads.0.len(), 1, "the buffer was used again");
        assert!(reads.read(&file, 0, BYTES_MAX + 1).is_none());
        let error = reads.read(&file, 20 << 10, (20 << 10) + 1).unwrap();
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
