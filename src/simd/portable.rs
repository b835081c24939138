//! The kernels in portable code, on memchr.

use super::block_map::{BlockMap, NO_PLACE, Needles, Places};
use super::{FieldTemplate, Kernels, Literal, Loop, escape};
use crate::parse::Span;

/// The kernel set for machines without AVX2, and the measure of correctness for those with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Portable;

impl Kernels for Portable {
    #[inline(always)]
    fn call<L: Loop>(self, body: L) -> L::Output {
        body.run(self)
    }

    #[inline(always)]
    fn find(self, haystack: &[u8], start: usize, end: usize, needle: u8) -> usize {
        haystack
            .get(start..end)
            .and_then(|part| memchr::memchr(needle, part))
            .map_or(end, |index| start + index)
    }

    fn map_block(self, haystack: &[u8], start: usize, needles: &Needles, map: &mut BlockMap) {
        map.start = start;
        map.end = haystack.len().min(start + BlockMap::BYTES);
        let block = haystack.get(start..map.end).unwrap_or_default();
        for rows in map.words.iter_mut() {
            *rows = [0; BlockMap::ROWS];
        }
        for (row, needle) in needles.bytes().enumerate() {
            for index in memchr::memchr_iter(needle, block) {
                let rows = map.words.get_mut(index / 64);
                if let Some(bits) = rows.and_then(|rows| rows.get_mut(row)) {
                    *bits |= 1 << (index % 64);
                }
            }
        }
        if let Some(rows) = map.words.get_mut(block.len().div_ceil(64)) {
            *rows = [u64::MAX; BlockMap::ROWS];
        }
        list(&mut map.quotes, memchr::memchr_iter(b'"', block));
        let is_stop = |byte: u8| byte != b'"' && !escape::is_plain(byte);
        let stops = block.iter().enumerate().filter(|&(_, &byte)| is_stop(byte));
        list(&mut map.stops, stops.map(|(index, _)| index));
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

    fn push_fields(
        self,
        out: &mut Vec<u8>,
        haystack: &[u8],
        fields: &[FieldTemplate],
        spans: &[Span],
        is_clean: bool,
    ) {
        for (field, span) in fields.iter().zip(spans) {
            push_field(out, haystack, field, *span, is_clean);
        }
    }
}

fn list(places: &mut Places, found: impl Iterator<Item = usize>) {
    let found = found.map(|index| index as u32);
    for (place, found) in places.iter_mut().zip(found.chain([NO_PLACE])) {
        *place = found;
    }
}

/// Appends one field; the part of [`Kernels::push_fields`] that a vector cannot do is done by this
/// too.
pub(super) fn push_field(
    out: &mut Vec<u8>,
    haystack: &[u8],
    field: &FieldTemplate,
    span: Span,
    is_clean: bool,
) {
    if span.is_null() {
        return out.extend_from_slice(field.null.as_bytes());
    }
    out.extend_from_slice(field.open.as_bytes());
    let (start, end) = (span.start as usize, span.end as usize);
    if field.is_text && !is_clean {
        Portable.push_escaped(out, haystack, start, end);
    } else {
        out.extend_from_slice(haystack.get(start..end).unwrap_or_default());
    }
    if field.is_text {
        out.push(b'"');
    }
}
