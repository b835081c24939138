//! Loops over bytes that do one thing of the pipeline's many, to measure it alone.

use std::fs::File;
use std::io;

use super::Kernels;
use crate::simd::{self, BlockMap, Cursor, Loop, MappedLine, Needles};
use crate::tail::Window;

/// Finds the ends of the lines of `bytes` as the transform does, block by block. Returns how many
/// lines there are. Allocates the map of a block.
#[must_use]
pub fn split_lines(bytes: &[u8], kernels: Kernels) -> u64 {
    kernels.level().dispatch(SplitLines {
        bytes,
        map: Box::new(BlockMap::new()),
    })
}

struct SplitLines<'a> {
    bytes: &'a [u8],
    map: Box<BlockMap>,
}

impl Loop for SplitLines<'_> {
    type Output = u64;

    #[inline(always)]
    fn run<K: simd::Kernels>(mut self, kernels: K) -> u64 {
        let (bytes, needles) = (self.bytes, Needles::new());
        let (mut line_count, mut start) = (0, 0);
        while start < bytes.len() {
            kernels.map_block(bytes, start, &needles, &mut self.map);
            let mut cursor = Cursor::default();
            while start < self.map.end() {
                match MappedLine::find(kernels, &self.map, bytes, start, cursor, 0) {
                    Some(line) => {
                        cursor = line.next(0);
                        start = line.newline() + 1;
                        line_count += 1;
                    }
                    // It goes on behind the block: it is mapped again from its beginning, ...
                    None if self.map.start() < start => break,
                    // ... or, if it is longer than a block, taken without a map.
                    None => {
                        start = kernels.find(bytes, start, bytes.len(), b'\n') + 1;
                        line_count += 1;
                        break;
                    }
                }
            }
        }
        line_count
    }
}

/// Counts the newlines of a file through mapped windows of `window_bytes`, one after the other.
///
/// # Errors
/// What the system says to fstat and mmap, and [`io::ErrorKind::UnexpectedEof`] when the file was
/// truncated meanwhile.
pub fn count_newlines_in_windows(file: &File, window_bytes: u64) -> io::Result<u64> {
    let size = file.metadata()?.len();
    let (mut count, mut offset) = (0, 0);
    while offset < size {
        let window = Window::map_bytes(file, offset, window_bytes.max(1))?;
        let end = size.min(window.end());
        count += memchr::memchr_iter(b'\n', window.bytes(offset..end)).count() as u64;
        if window.is_torn() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        offset = end;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn lines_are_counted_alike_by_all() {
        let long = [b'x'; 3 * BlockMap::BYTES];
        let parts: [&[u8]; 6] = [
            b"one\n\ntwo\r\n",
            &long,
            b"\n\xff\n",
            &long[..9000],
            b"\n",
            b"e",
        ];
        let bytes = parts.concat().repeat(3);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        // The last line of all has no newline.
        let newlines = bytes.iter().filter(|&&byte| byte == b'\n').count() as u64;
        for kernels in [Kernels::Detected, Kernels::Portable] {
            assert_eq!(split_lines(&bytes, kernels), newlines + 1, "{kernels:?}");
            assert_eq!(split_lines(b"", kernels), 0);
            assert_eq!(split_lines(b"a\n", kernels), 1);
        }
        for window_bytes in [0, 4096, 5000, 64 << 10, 1 << 20] {
            let count = count_newlines_in_windows(&file, window_bytes).unwrap();
            assert_eq!(count, newlines, "{window_bytes}");
        }
    }
}
