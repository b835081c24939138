//! The kernels in portable code, on memchr.

use super::{Kernels, Literal, escape};

/// The kernel set for machines without AVX2, and the measure of correctness for those with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Portable;

impl Kernels for Portable {
    #[inline(always)]
    fn find(self, haystack: &[u8], start: usize, end: usize, needle: u8) -> usize {
        haystack
            .get(start..end)
            .and_then(|part| memchr::memchr(needle, part))
            .map_or(end, |index| start + index)
    }

    #[inline(always)]
    fn push_escaped(self, out: &mut Vec<u8>, haystack: &[u8], start: usize, end: usize) {
        let part = haystack.get(start..end).unwrap_or_default();
        let plain_bytes = part
            .iter()
            .position(|&byte| !escape::is_plain(byte))
            .unwrap_or(part.len());
        let (plain, rest) = part.split_at(plain_bytes);
        out.extend_from_slice(plain);
        if !rest.is_empty() {
            escape::push_any(out, rest);
        }
    }

    #[inline(always)]
    fn push_literal(self, out: &mut Vec<u8>, literal: &Literal) {
        out.extend_from_slice(literal.as_bytes());
    }

    #[inline(always)]
    fn push_short(self, out: &mut Vec<u8>, haystack: &[u8], start: usize, end: usize) {
        out.extend_from_slice(haystack.get(start..end).unwrap_or_default());
    }
}
