//! The kernels with AVX2: 32 bytes at a time, searching and testing in the register that copies.
#![expect(
    unsafe_code,
    reason = "one of the crate's two fences: vector loads and stores"
)]

use std::arch::x86_64::{
    __m256i, _mm256_cmpeq_epi8, _mm256_cmpgt_epi8, _mm256_loadu_si256, _mm256_movemask_epi8,
    _mm256_or_si256, _mm256_set1_epi8, _mm256_storeu_si256,
};

use super::block_map::{AT_ONCE_MAX, BlockMap, NO_PLACE, Needles, Places};
use super::{FieldTemplate, Kernels, Literal, Loop, escape, portable};
use crate::parse::Span;

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
#[inline(never)]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn run<L: Loop>(avx2: Avx2, body: L) -> L::Output {
    body.run(avx2)
}

impl Kernels for Avx2 {
    #[inline(always)]
    fn call<L: Loop>(self, body: L) -> L::Output {
        self.run(body)
    }

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
    fn map_block(self, haystack: &[u8], start: usize, needles: &Needles, map: &mut BlockMap) {
        // SAFETY: `self` exists, so the CPU has AVX2 and the bit instructions.
        unsafe { map_block(haystack, start, needles, map) }
    }

    #[inline(always)]
    fn push_fields(
        self,
        out: &mut Vec<u8>,
        haystack: &[u8],
        fields: &[FieldTemplate],
        spans: &[Span],
        is_clean: bool,
    ) {
        // SAFETY: `self` exists, so the CPU has AVX2.
        unsafe {
            if is_clean {
                push_fields::<true>(out, haystack, fields, spans)
            } else {
                push_fields::<false>(out, haystack, fields, spans)
            }
        }
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
    let mut position = start;
    while position < end {
        out.reserve(end - position + LANES);
        let Some(block) = load(haystack, position) else {
            return escape::push_any(out, haystack.get(position..end).unwrap_or_default());
        };
        // SAFETY: `reserve` made room for a register and more.
        unsafe { _mm256_storeu_si256(out.as_mut_ptr().add(out.len()).cast(), block) };
        let wanted_bytes = LANES.min(end - position);
        let plain_bytes = (special_bits(block).trailing_zeros() as usize).min(wanted_bytes);
        // SAFETY: the store above initialised 32 bytes after the old length, all reserved.
        unsafe { out.set_len(out.len() + plain_bytes) };
        position += plain_bytes;
        if plain_bytes < wanted_bytes {
            position += escape::push_special(out, haystack.get(position..end).unwrap_or_default());
        }
    }
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

/// Bytes of a map's word: two registers.
const WORD_BYTES: usize = 64;

/// 64 bytes as two registers.
#[inline]
#[target_feature(enable = "avx2")]
fn load_word(bytes: &[u8; WORD_BYTES]) -> [__m256i; 2] {
    // SAFETY: 64 readable bytes; the loads need no alignment.
    unsafe {
        [
            _mm256_loadu_si256(bytes.as_ptr().cast()),
            _mm256_loadu_si256(bytes.as_ptr().add(LANES).cast()),
        ]
    }
}

/// One bit per byte of the word that is a stop.
#[inline]
#[target_feature(enable = "avx2")]
fn stop_word([low, high]: [__m256i; 2]) -> u64 {
    u64::from(stop_bits(low)) | u64::from(stop_bits(high)) << LANES
}

/// One bit per byte of the word that equals the byte of `splat`.
#[inline]
#[target_feature(enable = "avx2")]
fn equal_word([low, high]: [__m256i; 2], splat: __m256i) -> u64 {
    u64::from(equal_bits(low, splat)) | u64::from(equal_bits(high, splat)) << LANES
}

/// One bit per lane whose byte is a control character, a backslash or not ASCII.
#[inline]
#[target_feature(enable = "avx2")]
fn stop_bits(block: __m256i) -> u32 {
    let below_space = _mm256_cmpgt_epi8(_mm256_set1_epi8(0x20), block);
    let backslashes = _mm256_cmpeq_epi8(block, _mm256_set1_epi8(b'\\'.cast_signed()));
    _mm256_movemask_epi8(_mm256_or_si256(below_space, backslashes)).cast_unsigned()
}

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn map_block(haystack: &[u8], start: usize, needles: &Needles, map: &mut BlockMap) {
    // The needles of most formats stay in registers, and their loop is unrolled.
    match needles.splats() {
        [one] => map_block_of(haystack, start, [one], map),
        [one, two] => map_block_of(haystack, start, [one, two], map),
        [one, two, three] => map_block_of(haystack, start, [one, two, three], map),
        [one, two, three, four] => map_block_of(haystack, start, [one, two, three, four], map),
        _ => map_block_of(haystack, start, needles.all_splats(), map),
    }
}

#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn map_block_of<const N: usize>(
    haystack: &[u8],
    start: usize,
    splats: [&[u8; LANES]; N],
    map: &mut BlockMap,
) {
    const { assert!(N <= BlockMap::ROWS) };
    // SAFETY: each is 32 readable bytes.
    let splats = splats.map(|splat| unsafe { _mm256_loadu_si256(splat.as_ptr().cast()) });
    map.start = start;
    map.end = haystack.len().min(start + BlockMap::BYTES);
    let block = haystack.get(start..map.end).unwrap_or_default();
    let (mut stop_count, mut quote_count) = (0, 0);
    let mut words = map.words.iter_mut();
    let (whole, rest) = block.as_chunks::<WORD_BYTES>();
    for ((index, bytes), rows) in whole.iter().enumerate().zip(&mut words) {
        let word = load_word(bytes);
        let offset = index * WORD_BYTES;
        // Lines shorter than a word are rare, and so are those with more than 4 quotes in one.
        list::<2>(stop_word(word), offset, &mut stop_count, &mut map.stops);
        for (bits, splat) in rows.iter_mut().zip(splats) {
            *bits = equal_word(word, splat);
        }
        list::<4>(rows[0], offset, &mut quote_count, &mut map.quotes);
    }
    if !rest.is_empty()
        && let Some(rows) = words.next()
    {
        // Behind the end of the slice there are newlines.
        let mut padded = [b'\n'; WORD_BYTES];
        if let Some(place) = padded.get_mut(..rest.len()) {
            place.copy_from_slice(rest);
        }
        let word = load_word(&padded);
        let offset = whole.len() * WORD_BYTES;
        list::<2>(stop_word(word), offset, &mut stop_count, &mut map.stops);
        for (bits, splat) in rows.iter_mut().zip(splats) {
            *bits = equal_word(word, splat);
        }
        list::<4>(rows[0], offset, &mut quote_count, &mut map.quotes);
    }
    if let Some(rows) = words.next() {
        *rows = [u64::MAX; BlockMap::ROWS];
    }
    for (places, count) in [(&mut map.stops, stop_count), (&mut map.quotes, quote_count)] {
        if let Some(end) = places.get_mut(count) {
            *end = NO_PLACE;
        }
    }
}

/// Adds the places of the bits of a word to the `count` that there are. Up to `AT_ONCE` are written
/// in any case: it costs less than to ask how many there are.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn list<const AT_ONCE: usize>(bits: u64, offset: usize, count: &mut usize, places: &mut Places) {
    const { assert!(AT_ONCE <= AT_ONCE_MAX) };
    let mut left = bits;
    let next = places.get_mut(*count..).and_then(<[u32]>::first_chunk_mut);
    if let Some(next) = next {
        let next: &mut [u32; AT_ONCE] = next;
        for place in next {
            *place = offset as u32 + left.trailing_zeros();
            left &= left.wrapping_sub(1);
        }
    }
    if left != 0 {
        list_more(left, offset, *count + AT_ONCE, places);
    }
    *count += bits.count_ones() as usize;
}

#[cold]
fn list_more(mut left: u64, offset: usize, next: usize, places: &mut Places) {
    for place in places.iter_mut().skip(next) {
        if left == 0 {
            return;
        }
        *place = offset as u32 + left.trailing_zeros();
        left &= left.wrapping_sub(1);
    }
}

#[inline(never)]
#[target_feature(enable = "avx2")]
fn push_fields<const CLEAN: bool>(
    out: &mut Vec<u8>,
    haystack: &[u8],
    fields: &[FieldTemplate],
    spans: &[Span],
) {
    // Bytes of `out` that are written; its length is set when that matters.
    let mut used = out.len();
    let (mut base, mut capacity) = (out.as_mut_ptr(), out.capacity());
    for (field, span) in fields.iter().zip(spans) {
        let (start, end) = (span.start as usize, span.end as usize);
        if span.is_null() && field.null.count == 0 {
            continue;
        }
        let count = end.wrapping_sub(start);
        let is_fast = start <= end
            && end + 2 * LANES <= haystack.len()
            && field.open.count <= LANES
            && used + count + 4 * LANES <= capacity;
        if !is_fast {
            // SAFETY: the first `used` bytes are initialised and within the capacity.
            unsafe { out.set_len(used) };
            push_field_slowly(out, haystack, field, *span, CLEAN);
            used = out.len();
            (base, capacity) = (out.as_mut_ptr(), out.capacity());
            continue;
        }
        // SAFETY: there is room for four registers and `count` bytes behind `used`. The literal
        // uses `open.count`, one register at most.
        let target = unsafe {
            let target = base.add(used);
            let literal = _mm256_loadu_si256(field.open.padded.as_ptr().cast());
            _mm256_storeu_si256(target.cast(), literal);
            target.add(field.open.count)
        };
        used += field.open.count;
        let mut done = 0;
        let plain_bytes = loop {
            // PERF: two registers at a time, though most fields fit into one: whether a path or a
            // referer is longer than 32 bytes is a coin toss for the branch predictor.
            // SAFETY: `done < count` or both are 0, so the loads end at most two registers behind
            // `end`, which is inside of `haystack`, and the stores at most two registers behind
            // the `count` bytes from `target` on, where three registers are left.
            let blocks = unsafe {
                let source = haystack.as_ptr().add(start + done);
                let blocks = [
                    _mm256_loadu_si256(source.cast()),
                    _mm256_loadu_si256(source.add(LANES).cast()),
                ];
                _mm256_storeu_si256(target.add(done).cast(), blocks[0]);
                _mm256_storeu_si256(target.add(done + LANES).cast(), blocks[1]);
                blocks
            };
            if !CLEAN && field.is_text {
                let special = u64::from(special_bits(blocks[0]))
                    | u64::from(special_bits(blocks[1])) << LANES;
                if special != 0 {
                    let plain_bytes = done + special.trailing_zeros() as usize;
                    break plain_bytes.min(count);
                }
            }
            done += 2 * LANES;
            if done >= count {
                break count;
            }
        };
        used += plain_bytes;
        if plain_bytes < count {
            // SAFETY: the stores above initialised everything up to here.
            unsafe { out.set_len(used) };
            push_escaped(out, haystack, start + plain_bytes, end);
            out.reserve(ROOM_BYTES);
            used = out.len();
            (base, capacity) = (out.as_mut_ptr(), out.capacity());
        }
        // SAFETY: `used` is at most a register and `count` bytes more than it was, or there was
        // room made for another byte.
        unsafe { base.add(used).write(b'"') };
        used += usize::from(field.is_text);
    }
    // SAFETY: the first `used` bytes are initialised and within the capacity.
    unsafe { out.set_len(used) };
}

/// A field that a vector cannot take whole: null, near the end of the slice, with a long key, or
/// where `out` has to grow.
#[cold]
fn push_field_slowly(
    out: &mut Vec<u8>,
    haystack: &[u8],
    field: &FieldTemplate,
    span: Span,
    is_clean: bool,
) {
    out.reserve(ROOM_BYTES);
    portable::push_field(out, haystack, field, span, is_clean);
}

/// Room that is made when there is too little for a field: enough for most records.
const ROOM_BYTES: usize = 4096;
