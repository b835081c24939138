//! Byte kernels of the transform: find a byte, copy a field while escaping it for JSON, append a
//! prepared literal.
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
pub(crate) mod escape;
pub(crate) mod portable;
#[cfg(test)]
mod tests;

/// The kernel set of one instruction set. `Copy` and empty: it is passed by value to be inlined.
pub(crate) trait Kernels: Copy {
    /// The index of the first `needle` in `haystack[start..end]`, or `end` where there is none.
    /// Bytes after `end` may be read, those after the slice are not.
    fn find(self, haystack: &[u8], start: usize, end: usize, needle: u8) -> usize;

    /// Appends `haystack[start..end]` to `out` as the inside of a JSON string: quotes, backslashes
    /// and control characters escaped, invalid UTF-8 replaced by U+FFFD.
    fn push_escaped(self, out: &mut Vec<u8>, haystack: &[u8], start: usize, end: usize);

    /// Appends `literal` to `out`.
    fn push_literal(self, out: &mut Vec<u8>, literal: &Literal);

    /// Appends `haystack[start..end]`, which is short, to `out` as it is.
    fn push_short(self, out: &mut Vec<u8>, haystack: &[u8], start: usize, end: usize);
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

/// Bytes that are appended to many records: prepared once per configuration. Up to 32 bytes are
/// kept padded in place, so that appending one is a single store of fixed size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Literal {
    padded: [u8; Literal::PADDED_BYTES],
    count: usize,
    long: Option<Box<[u8]>>,
}

impl Literal {
    const PADDED_BYTES: usize = 32;

    /// Prepares a literal.
    pub(crate) fn new(bytes: &[u8]) -> Literal {
        let mut padded = [0; Literal::PADDED_BYTES];
        let long = match padded.get_mut(..bytes.len()) {
            Some(place) => {
                place.copy_from_slice(bytes);
                None
            }
            None => Some(Box::from(bytes)),
        };
        Literal {
            padded,
            count: bytes.len(),
            long,
        }
    }

    /// The bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match &self.long {
            Some(long) => long,
            None => self.padded.get(..self.count).unwrap_or_default(),
        }
    }
}
