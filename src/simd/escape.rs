//! JSON string escaping of bytes that are not plain ASCII: the slow path of every kernel set, and
//! the whole of it where speed does not matter.

/// What a byte becomes inside a JSON string: 0 for itself, `u` for `\u00XX`, else the letter after
/// the backslash. Bytes from 0x80 are parts of valid UTF-8 and stay.
const ESCAPES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = b'u';
        byte += 1;
    }
    table[0x08] = b'b';
    table[b'\t' as usize] = b't';
    table[b'\n' as usize] = b'n';
    table[0x0c] = b'f';
    table[b'\r' as usize] = b'r';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table
};

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends any bytes as the inside of a JSON string; invalid UTF-8 becomes U+FFFD, one per maximal
/// invalid part, as `String::from_utf8_lossy` does.
pub(crate) fn push_any(out: &mut Vec<u8>, bytes: &[u8]) {
    if simdutf8::basic::from_utf8(bytes).is_ok() {
        return push_valid(out, bytes);
    }
    for part in bytes.utf8_chunks() {
        push_valid(out, part.valid().as_bytes());
        if !part.invalid().is_empty() {
            out.extend_from_slice("\u{FFFD}".as_bytes());
        }
    }
}

/// Appends what the first byte of `bytes`, which is not plain, becomes: its escape, or, if it is not
/// ASCII, all such bytes up to the next that is. Characters consist of none but those, so nothing
/// is cut in two. Returns how many bytes that were.
pub(super) fn push_special(out: &mut Vec<u8>, bytes: &[u8]) -> usize {
    match bytes.first() {
        Some(first) if first.is_ascii() => {
            push_escape(out, *first);
            1
        }
        _ => {
            let count = bytes.iter().position(u8::is_ascii);
            let count = count.unwrap_or(bytes.len());
            push_any(out, bytes.get(..count).unwrap_or_default());
            count
        }
    }
}

/// Appends valid UTF-8 as the inside of a JSON string.
fn push_valid(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut clean_start = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        let escape = ESCAPES[usize::from(byte)];
        if escape == 0 {
            continue;
        }
        out.extend_from_slice(bytes.get(clean_start..index).unwrap_or_default());
        clean_start = index + 1;
        push_escape(out, byte);
    }
    out.extend_from_slice(bytes.get(clean_start..).unwrap_or_default());
}

/// Appends the escape of an ASCII byte that is not plain.
fn push_escape(out: &mut Vec<u8>, byte: u8) {
    match ESCAPES[usize::from(byte)] {
        b'u' => {
            let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', HEX[high], HEX[low]]);
        }
        escape => out.extend_from_slice(&[b'\\', escape]),
    }
}

/// A JSON string of any bytes, quotes included.
pub(crate) fn quoted(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![b'"'];
    push_any(&mut out, bytes);
    out.push(b'"');
    out
}

/// Whether `byte` can be copied into a JSON string without a look at its neighbours.
#[inline(always)]
pub(crate) fn is_plain(byte: u8) -> bool {
    byte < 0x80 && ESCAPES[usize::from(byte)] == 0
}
