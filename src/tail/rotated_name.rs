//! Which names are rotated forms of a log's name. A pure function on names.
//!
//! A rotated form goes on from the whole name with `.`, `-` or `_` and then a number, a date or a
//! time (`access.log.1`, `access.log-20261124`, `access.log-2026-11-24T09:14:03`,
//! `access.log-1795512345.2`), or with `.old`. Everything else beside a log (`.bak`, `.pos`, `.swp`)
//! belongs to somebody else, and a compressed one holds no lines.

use std::ffi::OsStr;

/// Whether `name` is a rotated form of `original` that holds lines to read as they are.
pub(super) fn is_rotation_of(name: &OsStr, original: &OsStr) -> bool {
    let rest = name
        .as_encoded_bytes()
        .strip_prefix(original.as_encoded_bytes());
    let suffix = match rest {
        Some(b".old") => return true,
        Some([b'.' | b'-' | b'_', suffix @ ..]) => suffix,
        _ => return false,
    };
    let is_of_time = |byte: &u8| {
        byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'T' | b'Z')
    };
    suffix.iter().all(is_of_time) && suffix.first().is_some_and(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_dates_and_old_make_a_rotated_name() {
        let is_rotated = |name: &str| is_rotation_of(OsStr::new(name), OsStr::new("a.log"));
        for name in [
            "a.log.1",
            "a.log-20261124",
            "a.log-2026-11-24T09:14:03Z",
            "a.log_1795512345.2",
            "a.log.old",
        ] {
            assert!(is_rotated(name), "{name}");
        }
        for name in [
            "a.log",
            "a.log.",
            "a.log1",
            "a.log.bak",
            "a.log.pos",
            "a.log.1.gz",
            "a.log.swp",
            "a.log.-",
            "b.log.1",
            "a.log.1~",
            "a.log-old",
        ] {
            assert!(!is_rotated(name), "{name}");
        }
    }
}
