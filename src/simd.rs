//! Byte kernels of the transform: map lines, find a byte, write the fields of a record, copy text
//! while escaping it for JSON.
//!
//! Each kernel exists twice with byte-for-byte equal results: [`avx2`] and [`portable`] (on
//! memchr). [`Level::detect`] picks once per process; [`Level::dispatch`] then runs a whole loop
//! over a chunk with the chosen set, so that the kernels are inlined into it and the choice costs
//! nothing per line.
//!
//! Kernels work on slices, read nothing outside of them, and never do I/O. `unsafe` is allowed in
//! [`avx2`] alone.

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
mod block_map;
pub(crate) mod escape;
pub(crate) mod portable;
mod template;
#[cfg(test)]
mod tests;

pub(crate) use block_map::{BlockMap, Cursor, MappedLine, Needles};
pub(crate) use template::{FieldTemplate, Literal};

use crate::parse::Span;

/// The kernel set of one instruction set. `Copy` and empty: it is passed by value to be inlined.
pub(crate) trait Kernels: Copy {
    /// Runs `body` with these kernels in a frame of its own. PERF: the loops of the parser need the
    /// registers; by itself this gained nothing that could be measured (2026-11-24).
    fn call<L: Loop>(self, body: L) -> L::Output;

    /// The index of the first `needle` in `haystack[start..end]`, or `end` where there is none.
    /// Bytes after `end` may be read, those after the slice are not.
    fn find(self, haystack: &[u8], start: usize, end: usize, needle: u8) -> usize;

    /// Maps the bytes from `start` on: where the needles, the quotes and the stops are in them.
    fn map_block(self, haystack: &[u8], start: usize, needles: &Needles, map: &mut BlockMap);

    /// Appends `haystack[start..end]` to `out` as the inside of a JSON string: quotes, backslashes
    /// and control characters escaped, invalid UTF-8 replaced by U+FFFD.
    fn push_escaped(self, out: &mut Vec<u8>, haystack: &[u8], start: usize, end: usize);

    /// Appends `literal` to `out`.
    fn push_literal(self, out: &mut Vec<u8>, literal: &Literal);

    /// Appends fields, each with its key, whose values are at `spans` of `haystack`. With `is_clean`
    /// text is copied as it is: the caller has seen that nothing in it needs escaping.
    fn push_fields(
        self,
        out: &mut Vec<u8>,
        haystack: &[u8],
        fields: &[FieldTemplate],
        spans: &[Span],
        is_clean: bool,
    );
}

/// A loop to run with the best kernels of this machine.
pub(crate) trait Loop {
    /// What the loop returns.
    type Output;
    /// Runs the loop. Implementations are `#[inline(always)]`, so that the kernels' instruction
    /// set reaches all of it.
    fn run<K: Kernels>(self, kernels: K) -> Self::Output;
}

/// An instruction set that this machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// 32 bytes at a time. Only [`Level::detect`] makes it, and only where the CPU has it.
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Avx2),
    /// Whatever memchr finds.
    Portable,
}

impl Level {
    /// The best level of this machine.
    pub(crate) fn detect() -> Level {
        #[cfg(target_arch = "x86_64")]
        if let Some(avx2) = avx2::Avx2::detect() {
            return Level::Avx2(avx2);
        }
        Level::Portable
    }

    /// Runs `body` with the kernels of this level.
    #[inline]
    pub(crate) fn dispatch<L: Loop>(self, body: L) -> L::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            Level::Avx2(avx2) => avx2.run(body),
            Level::Portable => body.run(portable::Portable),
        }
    }
}
