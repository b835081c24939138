//! The AVX2 kernels against their portable twin, and both against std and serde_json.

use proptest::prelude::*;

use super::portable::Portable;
use super::{FieldTemplate, Kernels, Level, LineMap, Literal, Loop, Needles};
use crate::parse::Span;

/// Runs one kernel through the dispatcher, as the transform does.
struct Find<'a>(&'a [u8], usize, usize, u8);
impl Loop for Find<'_> {
    type Output = usize;
    #[inline(always)]
    fn run<K: Kernels>(self, kernels: K) -> usize {
        kernels.find(self.0, self.1, self.2, self.3)
    }
}

struct Escape<'a>(&'a [u8], usize, usize);
impl Loop for Escape<'_> {
    type Output = Vec<u8>;
    #[inline(always)]
    fn run<K: Kernels>(self, kernels: K) -> Vec<u8> {
        let mut out = b"before".to_vec();
        kernels.push_escaped(&mut out, self.0, self.1, self.2);
        out
    }
}

struct Append<'a>(&'a Literal);
impl Loop for Append<'_> {
    type Output = Vec<u8>;
    #[inline(always)]
    fn run<K: Kernels>(self, kernels: K) -> Vec<u8> {
        let mut out = Vec::new();
        kernels.push_literal(&mut out, self.0);
        out
    }
}

struct Map<'a>(&'a [u8], usize, &'a Needles);
impl Loop for Map<'_> {
    type Output = Option<LineMap>;
    #[inline(always)]
    fn run<K: Kernels>(self, kernels: K) -> Option<LineMap> {
        let mut map = LineMap::new();
        let is_mapped = kernels.map_line(self.0, self.1, self.2, &mut map);
        is_mapped.then_some(map)
    }
}

struct Record<'a>(&'a [u8], &'a [FieldTemplate], &'a [Span], bool, usize);
impl Loop for Record<'_> {
    type Output = Vec<u8>;
    #[inline(always)]
    fn run<K: Kernels>(self, kernels: K) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.4);
        out.extend_from_slice(b"before");
        kernels.push_fields(&mut out, self.0, self.1, self.2, self.3);
        out
    }
}

/// Bytes in which everything that matters is frequent.
fn spiky_bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        8 => 0x20u8..0x7f,
        2 => prop::sample::select(b"\"\\\n\r\t\0\x1f\x7f \x08\x0c".to_vec()),
        1 => any::<u8>(),
    ];
    let piece = prop_oneof![
        6 => byte.prop_map(|byte| vec![byte]),
        1 => any::<char>().prop_map(|character| character.to_string().into_bytes()),
        1 => (0x20u8..0x7f, 20usize..70).prop_map(|(byte, count)| vec![byte; count]),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn find_is_position(
        bytes in spiky_bytes(), cut in any::<(prop::sample::Index, prop::sample::Index)>(),
        needle in any::<u8>(),
    ) {
        let (one, two) = (cut.0.index(bytes.len() + 1), cut.1.index(bytes.len() + 1));
        let (start, end) = (one.min(two), one.max(two));
        for needle in [needle, b' ', b'"', b'\n'] {
            let naive = bytes[start..end].iter().position(|&b| b == needle).map_or(end, |i| start + i);
            prop_assert_eq!(Portable.find(&bytes, start, end, needle), naive);
            prop_assert_eq!(Level::detect().dispatch(Find(&bytes, start, end, needle)), naive);
        }
    }

    #[test]
    fn escaped_text_reads_back_as_lossy_utf8(
        bytes in spiky_bytes(), cut in any::<(prop::sample::Index, prop::sample::Index)>(),
    ) {
        let (one, two) = (cut.0.index(bytes.len() + 1), cut.1.index(bytes.len() + 1));
        let (start, end) = (one.min(two), one.max(two));
        let mut portable = b"before".to_vec();
        Portable.push_escaped(&mut portable, &bytes, start, end);
        let vector = Level::detect().dispatch(Escape(&bytes, start, end));
        prop_assert_eq!(&portable, &vector);
        let inside = std::str::from_utf8(&portable[6..]).unwrap();
        let json = format!("\"{inside}\"");
        let read: String = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(read, String::from_utf8_lossy(&bytes[start..end]));
    }

    #[test]
    fn literals_append_exactly(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let literal = Literal::new(&bytes);
        prop_assert_eq!(literal.as_bytes(), &bytes);
        prop_assert_eq!(Append(&literal).run(Portable), bytes.clone());
        prop_assert_eq!(Level::detect().dispatch(Append(&literal)), bytes);
    }

    #[test]
    fn a_map_tells_of_a_line_what_a_look_at_each_byte_tells(
        bytes in spiky_bytes(), start in any::<prop::sample::Index>(),
        filler in prop_oneof![3 => Just(0), 1 => 0usize..2200],
        more in prop::collection::vec(any::<u8>(), 0..9),
    ) {
        let bytes = [vec![b'.'; filler], bytes].concat();
        let start = start.index(bytes.len() + 1);
        let mut needles = Needles::new();
        for byte in more {
            let _ = needles.row_of(byte);
        }
        let line: &[u8] = bytes[start..].split(|&byte| byte == b'\n').next().unwrap();
        let body = line.strip_suffix(b"\r").unwrap_or(line);
        let maps = [
            Map(&bytes, start, &needles).run(Portable),
            Level::detect().dispatch(Map(&bytes, start, &needles)),
        ];
        for map in maps {
            let Some(map) = map else {
                prop_assert!(line.len() >= LineMap::BYTES_MAX);
                continue;
            };
            prop_assert!(line.len() < LineMap::BYTES_MAX);
            prop_assert_eq!(map.newline(), start + line.len());
            prop_assert_eq!(map.has_backslash(), body.contains(&b'\\'));
            let quote_count = line.iter().filter(|&&byte| byte == b'"').count();
            let is_special = |byte: &u8| *byte != b'"' && !super::escape::is_plain(*byte);
            prop_assert_eq!(map.is_clean(quote_count), !body.iter().any(is_special));
            prop_assert!(!map.is_clean(quote_count + 1));
            let quotes: Vec<u32> = (0..line.len() as u32)
                .filter(|&index| line[index as usize] == b'"')
                .collect();
            let are_known = quote_count <= LineMap::QUOTES && !map.has_backslash();
            prop_assert_eq!(map.all_quotes(quote_count), are_known.then_some(&quotes[..]));
            prop_assert_eq!(map.all_quotes(quote_count + 1), None);
            for (row, needle) in needles.bytes().enumerate() {
                let places: Vec<usize> = (start..start + line.len())
                    .filter(|&index| bytes[index] == needle)
                    .collect();
                for from in start..=start + line.len() {
                    let next = places.iter().copied().find(|&place| place >= from);
                    let found = map.find(row, from);
                    match next {
                        Some(place) => prop_assert_eq!(found, place),
                        None => prop_assert!(found >= start + line.len()),
                    }
                    let last = places.iter().copied().rev().find(|&place| place < from);
                    prop_assert_eq!(map.find_last(row, start, from), last.unwrap_or(start));
                }
            }
        }
    }

    #[test]
    fn fields_are_written_alike_by_all_kernels(
        bytes in spiky_bytes(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0usize..200, any::<bool>()), 1..9),
        keys in prop::collection::vec("[a-z]{0,40}", 9), is_clean in any::<bool>(),
        capacity in 0usize..6000, nulls in any::<u16>(), omitted in any::<u16>(),
    ) {
        let (mut fields, mut spans) = (Vec::new(), Vec::new());
        let mut expected = b"before".to_vec();
        for (index, (start, count, is_text)) in cuts.into_iter().enumerate() {
            let start = start.index(bytes.len() + 1);
            let end = (start + count).min(bytes.len());
            let key = &keys[index];
            let is_null = nulls >> index & 1 == 1;
            let is_omitted = omitted >> index & 1 == 1;
            fields.push(FieldTemplate {
                open: Literal::new(format!(",{key}:").as_bytes()),
                null: Literal::new(if is_omitted { b"" } else { b",null" }),
                is_text,
            });
            spans.push(if is_null { Span::NULL } else { Span::new(start, end) });
            if is_null {
                expected.extend(if is_omitted { &b""[..] } else { b",null" });
                continue;
            }
            expected.extend(format!(",{key}:").into_bytes());
            if is_text && !is_clean {
                Portable.push_escaped(&mut expected, &bytes, start, end);
            } else {
                expected.extend(&bytes[start..end]);
            }
            if is_text {
                expected.push(b'"');
            }
        }
        let record = || Record(&bytes, &fields, &spans, is_clean, capacity);
        prop_assert_eq!(record().run(Portable), expected.clone());
        prop_assert_eq!(Level::detect().dispatch(record()), expected);
    }
}

#[test]
fn every_byte_value_is_escaped_like_serde_json() {
    for byte in 0..0x80u8 {
        let text = char::from(byte).to_string();
        let expected = serde_json::to_vec(&text).unwrap();
        assert_eq!(
            super::escape::quoted(text.as_bytes()),
            expected,
            "byte {byte:#x}"
        );
    }
}
