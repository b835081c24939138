//! What the tail does with a file that grows, on a slice that becomes available in pieces: the state
//! between two looks, the cuts and the extents, without a file, a clock or a thread.

use super::{LineTransform, Outcome};
use crate::enrich::Extent;
use crate::tail::{Cut, LineState, cut};

/// Bytes that a look at the file finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// How many were written since the last look.
    pub bytes: usize,
    /// Whether a last line without a newline has waited for too long at this look, and is shipped
    /// as it is.
    pub is_overdue: bool,
}

/// Sizes that decide how bytes are cut into chunks, and must not decide what the records are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutSizes {
    /// What a chunk of whole lines should not pass. Taken as 1 where it is 0: the tail wants no less.
    pub bytes_wanted: usize,
    /// Bytes of a window. Taken as large enough for a line where it is not.
    pub window_bytes: usize,
}

/// Follows a file that holds `content` in the end and grows by `arrivals`, then by what is left.
/// Appends the records to `out`; a last line without a newline is one too.
pub fn follow(
    transform: &mut LineTransform,
    content: &[u8],
    arrivals: &[Arrival],
    sizes: CutSizes,
    out: &mut Vec<u8>,
) -> Outcome {
    // A longest line with its newline, and one byte that shows a line to be longer.
    let line_bytes = transform.line_bytes_max + 2;
    let mut follower = Follower {
        transform,
        content,
        bytes_wanted: sizes.bytes_wanted.max(1),
        window_bytes: sizes.window_bytes.max(line_bytes),
        offset: 0,
        line: LineState::Start,
        window_start: 0,
        outcome: Outcome::default(),
    };
    let mut size = 0;
    for arrival in arrivals {
        size = content.len().min(size + arrival.bytes);
        follower.read(size, arrival.is_overdue, out);
    }
    follower.read(content.len(), true, out);
    follower.outcome
}

struct Follower<'a> {
    transform: &'a mut LineTransform,
    content: &'a [u8],
    bytes_wanted: usize,
    window_bytes: usize,
    offset: usize,
    line: LineState,
    window_start: usize,
    outcome: Outcome,
}

impl Follower<'_> {
    /// Reads what a look showed: `size` bytes.
    fn read(&mut self, size: usize, is_final: bool, out: &mut Vec<u8>) {
        while self.offset < size {
            if self.offset >= self.window_start + self.window_bytes {
                self.window_start = self.offset;
            }
            let end = size.min(self.window_start + self.window_bytes);
            let available = self.content.get(self.offset..end).unwrap_or_default();
            let line_bytes_max = self.transform.line_bytes_max;
            let (bytes, extent, then) =
                match cut(available, self.bytes_wanted, self.line, line_bytes_max) {
                    Cut::Lines { bytes } => (bytes, Extent::Whole, LineState::Start),
                    Cut::Line {
                        bytes,
                        extent,
                        then,
                    } => (bytes, extent, then),
                    Cut::Skip { bytes, then } => {
                        self.offset += bytes;
                        self.line = then;
                        continue;
                    }
                    Cut::Unfinished if end < size => {
                        self.window_start = self.offset;
                        continue;
                    }
                    Cut::Unfinished if is_final => {
                        (available.len(), Extent::Partial, LineState::Continued)
                    }
                    Cut::Unfinished => return,
                };
            let chunk = available.get(..bytes).unwrap_or_default();
            self.outcome
                .add(self.transform.run_extent(chunk, extent, out));
            self.offset += bytes;
            self.line = then;
        }
    }
}

impl CutSizes {
    /// Nothing is cut for its size.
    pub const WHOLE: CutSizes = CutSizes {
        bytes_wanted: usize::MAX / 2,
        window_bytes: usize::MAX / 2,
    };
}

/// The same looks without those at which nothing was overdue: when a line is shipped in parts, where
/// is decided by time.
#[must_use]
pub fn only_overdue(arrivals: &[Arrival]) -> Vec<Arrival> {
    let (mut merged, mut waiting) = (Vec::new(), 0);
    for arrival in arrivals {
        waiting += arrival.bytes;
        if arrival.is_overdue {
            merged.push(Arrival {
                bytes: std::mem::take(&mut waiting),
                is_overdue: true,
            });
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::super::{Kernels, config};
    use super::*;
    use proptest::prelude::*;

    fn transform(line_bytes_max: usize) -> LineTransform {
        let mut config = config("raw", None).unwrap();
        config.line_bytes_max = line_bytes_max;
        LineTransform::new(&config, Kernels::Detected)
    }

    fn output(
        line_bytes_max: usize,
        content: &[u8],
        arrivals: &[Arrival],
        sizes: CutSizes,
    ) -> (String, Outcome) {
        let mut out = Vec::new();
        let mut transform = transform(line_bytes_max);
        let outcome = follow(&mut transform, content, arrivals, sizes, &mut out);
        (String::from_utf8(out).unwrap(), outcome)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        #[test]
        fn records_do_not_depend_on_how_the_bytes_arrive(
            content in prop::collection::vec(
                prop_oneof![
                    4 => Just(b"\n".to_vec()), 2 => Just(b"\r\n".to_vec()), 1 => Just(b"\r".to_vec()),
                    4 => "[a-z\u{e9}\u{20ac}]{1,12}".prop_map(String::into_bytes),
                    1 => any::<u8>().prop_map(|byte| vec![byte]),
                ],
                0..24,
            ).prop_map(|pieces| pieces.concat()),
            arrivals in prop::collection::vec((0usize..12, prop::bool::weighted(0.1)), 0..24),
            bytes_wanted in 0usize..20,
            more_window_bytes in 0usize..20,
            line_bytes_max in 1usize..14,
        ) {
            let arrivals: Vec<Arrival> = arrivals
                .into_iter()
                .map(|(bytes, is_overdue)| Arrival { bytes, is_overdue })
                .collect();
            let sizes = CutSizes {
                bytes_wanted,
                window_bytes: line_bytes_max + more_window_bytes,
            };
            let pieces = output(line_bytes_max, &content, &arrivals, sizes);
            let whole = output(line_bytes_max, &content, &only_overdue(&arrivals), CutSizes::WHOLE);
            prop_assert_eq!(pieces, whole);
        }
    }

    #[test]
    fn a_line_that_is_overdue_is_shipped_in_two_parts() {
        let arrivals =
            [(2, true), (2, false)].map(|(bytes, is_overdue)| Arrival { bytes, is_overdue });
        let (out, outcome) = output(100, b"abcd\nef\n", &arrivals, CutSizes::WHOLE);
        let partial = |text| format!("{{\"message\":\"{text}\",\"partial\":true}}\n");
        let expected = [&partial("ab"), &partial("cd"), "{\"message\":\"ef\"}\n"].concat();
        assert_eq!(out, expected);
        assert_eq!((outcome.lines, outcome.records), (3, 3));
    }
}
