//! The AVX2 kernels against their portable twin, and both against std and serde_json.

use proptest::prelude::*;

use super::portable::Portable;
use super::{Kernels, Level, Literal, Loop};

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

struct Append<'a>(&'a Literal, &'a [u8], usize, usize);
impl Loop for Append<'_> {
    type Output = Vec<u8>;
    #[inline(always)]
    fn run<K: Kernels>(self, kernels: K) -> Vec<u8> {
        let mut out = Vec::new();
        kernels.push_literal(&mut out, self.0);
        kernels.push_short(&mut out, self.1, self.2, self.3);
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
    fn literals_and_short_copies_append_exactly(
        literal in prop::collection::vec(any::<u8>(), 0..80), bytes in spiky_bytes(),
        cut in any::<(prop::sample::Index, prop::sample::Index)>(),
    ) {
        let (one, two) = (cut.0.index(bytes.len() + 1), cut.1.index(bytes.len() + 1));
        let (start, end) = (one.min(two), one.max(two));
        let expected = [&literal[..], &bytes[start..end]].concat();
        let literal = Literal::new(&literal);
        prop_assert_eq!(literal.as_bytes(), &expected[..expected.len() - (end - start)]);
        let append = || Append(&literal, &bytes, start, end);
        prop_assert_eq!(append().run(Portable), expected.clone());
        prop_assert_eq!(Level::detect().dispatch(append()), expected);
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
