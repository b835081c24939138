//! The kernels in portable code, on memchr.

use super::line_map::{LineMap, Needles};
use super::{FieldTemplate, Kernels, Literal, escape};
use crate::parse::Span;

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

    fn map_line(self, haystack: &[u8], start: usize, needles: &Needles, map: &mut LineMap) -> bool {
        let newline = self.find(haystack, start, haystack.len(), b'\n');
        let line = haystack.get(start..newline).unwrap_or_default();
        if line.len() >= LineMap::BYTES_MAX {
            return false;
        }
        let words = line.len() / 64 + 1;
        for word in map.words.iter_mut().take(words) {
            *word = [0; LineMap::ROWS];
        }
        if let Some(sentinel) = map.words.get_mut(words) {
            *sentinel = [u64::MAX; LineMap::ROWS];
        }
        for (row, needle) in needles.bytes().enumerate() {
            for index in memchr::memchr_iter(needle, line) {
                let word = map.words.get_mut(index / 64);
                if let Some(bits) = word.and_then(|word| word.get_mut(row)) {
                    *bits |= 1 << (index % 64);
                }
            }
        }
        (map.start, map.newline) = (start, newline);
        let body = line.strip_suffix(b"\r").unwrap_or(line);
        map.has_specials = !body
            .iter()
            .all(|&byte| byte == b'"' || escape::is_plain(byte));
        map.has_backslash = map.has_specials && memchr::memchr(b'\\', body).is_some();
        map.quote_count = memchr::memchr_iter(b'"', line).count();
        let quotes = memchr::memchr_iter(b'"', line).take(LineMap::QUOTES);
        for (place, index) in map.quotes.iter_mut().zip(quotes) {
            *place = index as u32;
        }
        true
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
