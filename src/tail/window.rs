//! Where to cut a chunk out of the bytes at hand: whole lines, or the one line that is too long or
//! whose beginning is gone already. A pure function on a slice.

use super::LineState;
use crate::enrich::Extent;

/// What to do with the bytes at the file's offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The first `bytes` are whole lines.
    Lines {
        /// Bytes, the last newline included.
        bytes: usize,
    },
    /// The first `bytes` are one line, or a part of it, to be shipped with a flag.
    Line {
        /// Bytes, the newline included where there is one.
        bytes: usize,
        /// What it is.
        extent: Extent,
        /// What comes after it.
        then: LineState,
    },
    /// The first `bytes` are the rest of a line that was cut off: not to be shipped.
    Skip {
        /// Bytes, the newline included where there is one.
        bytes: usize,
        /// What comes after them.
        then: LineState,
    },
    /// A line begins here and has no end yet.
    Unfinished,
}

/// Decides on `available`, which begins in the state `line`. `bytes_wanted` is the size that a chunk
/// of whole lines should not pass if its first line is not longer than that.
pub(crate) fn cut(
    available: &[u8],
    bytes_wanted: usize,
    line: LineState,
    line_bytes_max: usize,
) -> Cut {
    match line {
        LineState::Start => cut_lines(available, bytes_wanted, line_bytes_max),
        LineState::Continued => cut_continued(available, line_bytes_max),
        LineState::Skipping => match memchr::memchr(b'\n', available) {
            Some(newline) => Cut::Skip {
                bytes: newline + 1,
                then: LineState::Start,
            },
            None => Cut::Skip {
                bytes: available.len(),
                then: LineState::Skipping,
            },
        },
    }
}

fn cut_lines(available: &[u8], bytes_wanted: usize, line_bytes_max: usize) -> Cut {
    let (head, rest) = available.split_at(bytes_wanted.min(available.len()));
    if let Some(newline) = memchr::memrchr(b'\n', head) {
        return Cut::Lines { bytes: newline + 1 };
    }
    // The longest line that is allowed, its newline, and the carriage return before that.
    let rest = rest
        .get(..(line_bytes_max + 2).min(rest.len()))
        .unwrap_or_default();
    if let Some(newline) = memchr::memchr(b'\n', rest) {
        return Cut::Lines {
            bytes: head.len() + newline + 1,
        };
    }
    cut_too_long(available, line_bytes_max)
}

fn cut_continued(available: &[u8], line_bytes_max: usize) -> Cut {
    match memchr::memchr(b'\n', available) {
        Some(0) => Cut::Skip {
            bytes: 1,
            then: LineState::Start,
        },
        Some(newline) => Cut::Line {
            bytes: newline + 1,
            extent: Extent::Partial,
            then: LineState::Start,
        },
        None => cut_too_long(available, line_bytes_max),
    }
}

/// A line without an end in sight: cut off when it is longer than is allowed. One byte more than
/// the limit goes into the chunk, so that the transform cuts it like any other long line. A carriage
/// return behind the last byte that is allowed may be the first half of the line's end.
fn cut_too_long(available: &[u8], line_bytes_max: usize) -> Cut {
    match available.get(line_bytes_max..) {
        None | Some([] | [b'\r']) => return Cut::Unfinished,
        Some(_) => {}
    }
    Cut::Line {
        bytes: line_bytes_max + 1,
        extent: Extent::Truncated,
        then: LineState::Skipping,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_lines_are_cut_at_the_last_newline_of_the_wanted_size() {
        let lines = b"one\ntwo\nthree\nfo";
        let cases = [(4, 4), (7, 4), (8, 8), (100, 14), (1, 4)];
        for (wanted, bytes) in cases {
            assert_eq!(
                cut(lines, wanted, LineState::Start, 50),
                Cut::Lines { bytes },
                "{wanted}"
            );
        }
        assert_eq!(cut(b"fo", 100, LineState::Start, 50), Cut::Unfinished);
        assert_eq!(cut(b"", 100, LineState::Start, 50), Cut::Unfinished);
    }

    #[test]
    fn a_line_that_does_not_end_is_cut_off_and_its_rest_skipped() {
        let truncated = Cut::Line {
            bytes: 11,
            extent: Extent::Truncated,
            then: LineState::Skipping,
        };
        assert_eq!(cut(b"0123456789a", 4, LineState::Start, 10), truncated);
        assert_eq!(cut(b"0123456789", 4, LineState::Start, 10), Cut::Unfinished);
        let rest = Cut::Skip {
            bytes: 3,
            then: LineState::Skipping,
        };
        assert_eq!(cut(b"abc", 4, LineState::Skipping, 10), rest);
        let end = Cut::Skip {
            bytes: 3,
            then: LineState::Start,
        };
        assert_eq!(cut(b"ab\nnext\n", 4, LineState::Skipping, 10), end);
    }

    /// The end of a line whose text is as long as is allowed came in two writes, `\r` and `\n`: its
    /// record was flagged as truncated, though nothing of it was missing.
    #[test]
    fn a_line_of_the_greatest_length_may_end_in_two_pieces() {
        for line in [LineState::Start, LineState::Continued] {
            assert_eq!(cut(b"0123456789\r", 4, line, 10), Cut::Unfinished);
            let too_long = cut(b"0123456789\rx", 4, line, 10);
            assert!(matches!(too_long, Cut::Line { bytes: 11, .. }));
        }
        let whole = Cut::Lines { bytes: 12 };
        for wanted in [1, 2, 100] {
            assert_eq!(cut(b"0123456789\r\n", wanted, LineState::Start, 10), whole);
        }
    }

    #[test]
    fn the_rest_of_a_partial_line_is_a_line_of_its_own() {
        let rest = Cut::Line {
            bytes: 3,
            extent: Extent::Partial,
            then: LineState::Start,
        };
        assert_eq!(cut(b"ab\nnext\n", 100, LineState::Continued, 10), rest);
        let only_newline = Cut::Skip {
            bytes: 1,
            then: LineState::Start,
        };
        assert_eq!(
            cut(b"\nnext\n", 100, LineState::Continued, 10),
            only_newline
        );
        assert_eq!(cut(b"ab", 100, LineState::Continued, 10), Cut::Unfinished);
    }
}
