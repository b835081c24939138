//! The kernels with AVX2: 32 bytes at a time, searching and testing in the register that copies.
#![expect(
    unsafe_code,
    reason = "one of the crate's two fences: vector loads and stores"
)]

use std::arch::x86_64::{
    __m256i, _mm256_cmpeq_epi8, _mm256_cmpgt_epi8, _mm256_loadu_si256, _mm256_movemask_epi8,
    _mm256_or_si256, _mm256_set1_epi8, _mm256_storeu_si256,
};

use super::{Kernels, Literal, Loop, escape};

/// Bytes in a register.
const LANES: usize = 32;

/// Proof that the CPU has AVX2 and the bit instructions that came with it: made by [`Avx2::detect`] only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// The proof, where the CPU has AVX2.
    pub(crate) fn detect() -> Option<Avx2> {
        let found = std::arch::is_x86_feature_detected!("avx2")
            && std::arch::is_x86_feature_detected!("bmi1")
            && std::arch::is_x86_feature_detected!("bmi2")
            && std::arch::is_x86_feature_detected!("lzcnt")
            && std::arch::is_x86_feature_detected!("popcnt");
        found.then_some(Avx2(()))
    }

    /// Runs `body` compiled for AVX2.
    #[inline]
    pub(crate) fn run<L: Loop>(self, body: L) -> L::Output {
        // SAFETY: `self` exists, so `detect` found AVX2 on this CPU.
        unsafe { run(self, body) }
    }
}

/// The frame that gives `body`, which is inlined into it, the instruction set.
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn run<L: Loop>(avx2: Avx2, body: L) -> L::Output {
    body.run(avx2)
}

impl Kernels for Avx2 {
    #[inline(always)]
    fn find(self, haystack: &[u8], start: usize, end: usize, needle: u8) -> usize {
        // SAFETY: `self` exists, so the CPU has AVX2.
        unsafe { find(haystack, start, end, needle) }
    }

    #[inline(always)]
    fn push_escaped(self, out: &mut Vec<u8>, haystack: &[u8], start: usize, end: usize) {
        // SAFETY: `self` exists, so the CPU has AVX2.
        unsafe { push_escaped(out, haystack, start, end) }
    }

    #[inline(always)]
    fn push_literal(self, out: &mut Vec<u8>, literal: &Literal) {
        // SAFETY: `self` exists, so the CPU has AVX2.
        unsafe { push_literal(out, literal) }
    }

    #[inline(always)]
    fn push_short(self, out: &mut Vec<u8>, haystack: &[u8], start: usize, end: usize) {
        // SAFETY: `self` exists, so the CPU has AVX2.
        unsafe { push_short(out, haystack, start, end) }
    }
}

/// Loads the 32 bytes from `position`, where the slice holds that many.
#[inline]
#[target_feature(enable = "avx2")]
fn load(haystack: &[u8], position: usize) -> Option<__m256i> {
    let part = haystack.get(position..)?;
    if part.len() < LANES {
        return None;
    }
    // SAFETY: `part` holds 32 readable bytes; the load needs no alignment.
    Some(unsafe { _mm256_loadu_si256(part.as_ptr().cast()) })
}

/// One bit per lane in which `left` and `right` are equal.
#[inline]
#[target_feature(enable = "avx2")]
fn equal_bits(left: __m256i, right: __m256i) -> u32 {
    _mm256_movemask_epi8(_mm256_cmpeq_epi8(left, right)).cast_unsigned()
}

#[inline]
#[target_feature(enable = "avx2")]
fn find(haystack: &[u8], start: usize, end: usize, needle: u8) -> usize {
    let needles = _mm256_set1_epi8(needle.cast_signed());
    let mut position = start;
    while position < end {
        let Some(block) = load(haystack, position) else {
            return find_in_rest(haystack, position, end, needle);
        };
        let found = equal_bits(block, needles);
        if found != 0 {
            return end.min(position + found.trailing_zeros() as usize);
        }
        position += LANES;
    }
    end
}

/// The last bytes of the slice, fewer than a register.
#[cold]
fn find_in_rest(haystack: &[u8], start: usize, end: usize, needle: u8) -> usize {
    let rest = haystack.get(start..end).unwrap_or_default();
    rest.iter()
        .position(|&byte| byte == needle)
        .map_or(end, |index| start + index)
}

/// One bit per lane whose byte is not [`escape::is_plain`]: a signed comparison finds control
/// characters and bytes from 0x80, which are negative, at once.
#[inline]
#[target_feature(enable = "avx2")]
fn special_bits(block: __m256i) -> u32 {
    let below_space = _mm256_cmpgt_epi8(_mm256_set1_epi8(0x20), block);
    let quotes = _mm256_cmpeq_epi8(block, _mm256_set1_epi8(b'"'.cast_signed()));
    let backslashes = _mm256_cmpeq_epi8(block, _mm256_set1_epi8(b'\\'.cast_signed()));
    let special = _mm256_or_si256(below_space, _mm256_or_si256(quotes, backslashes));
    _mm256_movemask_epi8(special).cast_unsigned()
}

#[inline]
#[target_feature(enable = "avx2")]
fn push_escaped(out: &mut Vec<u8>, haystack: &[u8], start: usize, end: usize) {
    let end = end.min(haystack.len());
    if start >= end {
        return;
    }
    out.reserve(end - start + LANES);
    let mut position = start;
    while position < end {
        let Some(block) = load(haystack, position) else {
            break;
        };
        // SAFETY: `reserve` made room for `end - start` bytes and a register; so far
        // `position - start` of them are used and `position < end`.
        unsafe { _mm256_storeu_si256(out.as_mut_ptr().add(out.len()).cast(), block) };
        let wanted_bytes = LANES.min(end - position);
        let plain_bytes = (special_bits(block).trailing_zeros() as usize).min(wanted_bytes);
        // SAFETY: the store above initialised 32 bytes after the old length, all reserved.
        unsafe { out.set_len(out.len() + plain_bytes) };
        position += plain_bytes;
        if plain_bytes < wanted_bytes {
            break;
        }
    }
    if position < end {
        push_rest(out, haystack.get(position..end).unwrap_or_default());
    }
}

/// What comes after the first byte that is not plain, or near the end of the slice.
#[cold]
fn push_rest(out: &mut Vec<u8>, rest: &[u8]) {
    escape::push_any(out, rest);
}

#[inline]
#[target_feature(enable = "avx2")]
fn push_literal(out: &mut Vec<u8>, literal: &Literal) {
    if let Some(long) = &literal.long {
        return out.extend_from_slice(long);
    }
    out.reserve(LANES);
    // SAFETY: `padded` is 32 readable bytes, and `reserve` made room for as many.
    unsafe {
        let block = _mm256_loadu_si256(literal.padded.as_ptr().cast());
        _mm256_storeu_si256(out.as_mut_ptr().add(out.len()).cast(), block);
    }
    debug_assert!(literal.count <= LANES);
    // SAFETY: a literal without `long` has at most 32 bytes, all initialised by the store.
    unsafe { out.set_len(out.len() + literal.count) };
}

#[inline]
#[target_feature(enable = "avx2")]
fn push_short(out: &mut Vec<u8>, haystack: &[u8], start: usize, end: usize) {
    let count = end.wrapping_sub(start);
    let block = if count <= LANES {
        load(haystack, start)
    } else {
        None
    };
    let Some(block) = block else {
        return out.extend_from_slice(haystack.get(start..end).unwrap_or_default());
    };
    out.reserve(LANES);
    // SAFETY: `reserve` made room for 32 bytes, `count` is at most that, and `load` found them all
    // in the slice, so `end` is inside of it too.
    unsafe {
        _mm256_storeu_si256(out.as_mut_ptr().add(out.len()).cast(), block);
        out.set_len(out.len() + count);
    }
}
