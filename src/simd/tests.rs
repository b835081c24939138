//! The AVX2 kernels against their portable twin, and both against std and serde_json.

use proptest::prelude::*;

use super::portable::Portable;
use super::{BlockMap, Cursor, FieldTemplate, Kernels, Level, Literal, Loop, MappedLine, Needles};
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
    type Output = Box<BlockMap>;
    #[inline(always)]
    fn run<K: Kernels>(self, kernels: K) -> Box<BlockMap> {
        let mut map = Box::new(BlockMap::new());
        kernels.map_block(self.0, self.1, self.2, &mut map);
        map
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

/// Under Miri, which takes a thousand times as long, few cases and no file of failures.
fn config() -> ProptestConfig {
    if cfg!(miri) {
        ProptestConfig {
            cases: 3,
            failure_persistence: None,
            ..ProptestConfig::default()
        }
    } else {
        ProptestConfig::default()
    }
}

/// Bytes that make a text longer than a block.
const LONG_FILLER: std::ops::Range<usize> = if cfg!(miri) { 100..300 } else { 8000..8300 };

/// Of which bytes of a map the neighbours are looked for: every so many, and so many before its end.
const SAMPLED: (usize, usize) = if cfg!(miri) { (61, 3) } else { (7, 70) };

proptest! {
    #![proptest_config(config())]

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
    fn a_map_tells_what_a_look_at_each_byte_tells(
        bytes in spiky_bytes(), start in any::<prop::sample::Index>(),
        filler in prop_oneof![3 => Just(0), 1 => LONG_FILLER],
        more in prop::collection::vec(any::<u8>(), 0..9),
    ) {
        let bytes = [bytes.clone(), vec![b'.'; filler], bytes].concat();
        let start = start.index(bytes.len() + 1);
        let mut needles = Needles::new();
        for byte in [b' '].into_iter().chain(more) {
            let _ = needles.row_of(byte);
        }
        let maps = [
            Map(&bytes, start, &needles).run(Portable),
            Level::detect().dispatch(Map(&bytes, start, &needles)),
        ];
        for map in maps {
            let end = bytes.len().min(start + BlockMap::BYTES);
            prop_assert_eq!((map.start(), map.end()), (start, end));
            let places_of = |is_wanted: &dyn Fn(u8) -> bool| -> Vec<usize> {
                (start..end).filter(|&index| is_wanted(bytes[index])).collect()
            };
            let stops = places_of(&|byte| byte != b'"' && !super::escape::is_plain(byte));
            let (step, last) = SAMPLED;
            let sampled = (start..end).filter(|from| from % step == 0 || end - from < last);
            let quotes = places_of(&|byte| byte == b'"');
            for (listed, expected) in [(map.stops(), stops), (map.quotes(), quotes)] {
                let listed = listed.iter().map(|&place| start + place as usize);
                let listed: Vec<usize> = listed.take_while(|&place| place < end).collect();
                prop_assert_eq!(listed, expected);
            }
            for (row, needle) in needles.bytes().enumerate() {
                let places = places_of(&|byte| byte == needle);
                for from in sampled.clone() {
                    let next = places.iter().copied().find(|&place| place >= from);
                    prop_assert_eq!(map.row(row).find(from).min(end), next.unwrap_or(end));
                    let last = places.iter().copied().rev().find(|&place| place < from);
                    prop_assert_eq!(map.row(row).find_last(start, from), last.unwrap_or(start));
                }
            }
        }
    }

    #[test]
    fn a_mapped_line_knows_its_end_its_quotes_and_whether_it_is_clean(bytes in spiky_bytes()) {
        let map = Level::detect().dispatch(Map(&bytes, 0, &Needles::new()));
        let (mut start, mut cursor) = (0, Cursor::default());
        for text in bytes.split(|&byte| byte == b'\n') {
            if start >= bytes.len() {
                break;
            }
            let body = text.strip_suffix(b"\r").filter(|_| start + text.len() < bytes.len());
            let body = body.unwrap_or(text);
            let quotes: Vec<usize> = (start..start + text.len())
                .filter(|&index| bytes[index] == b'"')
                .collect();
            let has_specials = body.iter().any(|&b| b != b'"' && !super::escape::is_plain(b));
            let mut next = cursor;
            for count in [quotes.len() + 1, quotes.len()] {
                let line = MappedLine::find(Portable, &map, &bytes, start, cursor, count).unwrap();
                prop_assert_eq!(line.newline(), start + text.len());
                let is_known = count == quotes.len();
                prop_assert_eq!(line.is_clean(), is_known && !has_specials);
                let has_backslash = body.contains(&b'\\');
                prop_assert_eq!(line.is_regular(), is_known && !has_backslash);
                let places = map.quotes()[line.first_quote()..].iter().map(|&place| place as usize);
                prop_assert_eq!(places.take(quotes.len()).collect::<Vec<_>>(), quotes.clone());
                next = line.next(count);
            }
            cursor = next;
            start += text.len() + 1;
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
