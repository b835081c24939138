//! From a line's bytes to the spans of its fields. Plain functions on slices: no allocation per
//! line, no I/O, nothing encoded.

pub mod fields;
pub mod log_format;
mod rows;

pub use fields::{Field, FieldKind, Fields, Schema, Span};
pub use log_format::LogFormat;
pub(crate) use rows::Rows;
use serde::{Deserialize, Serialize};

use crate::simd::{BlockMap, Needles};

/// The field that holds a line which is not taken apart.
pub(crate) const MESSAGE: &str = "message";

/// How lines are parsed, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// Decided per file by its first lines: nginx combined where at least half of them are that, else
    /// raw.
    Auto,
    /// Each line is the field `message`.
    Raw,
    /// Fields by an nginx `log_format`.
    LogFormat(LogFormat),
}

impl Format {
    /// All fields that records of this format can have, for checks on names: with [`Format::Auto`]
    /// those of both formats that it decides between.
    #[must_use]
    pub fn known_schema(&self) -> Schema {
        match self {
            Format::Raw => raw_schema(),
            Format::LogFormat(format) => format.schema().clone(),
            Format::Auto => {
                let mut fields = LogFormat::combined().schema().fields().to_vec();
                fields.extend_from_slice(raw_schema().fields());
                Schema::new(fields)
            }
        }
    }
}

fn raw_schema() -> Schema {
    Schema::new(vec![Field {
        name: MESSAGE.to_owned(),
        kind: FieldKind::Text,
    }])
}

/// A parser for one format, decided.
#[derive(Clone, Debug)]
pub(crate) enum Parser {
    /// The line is its only field.
    Raw(Schema),
    /// Fields by an nginx `log_format`.
    LogFormat(LogFormat),
}

/// Why a line did not parse: an index into [`Parser::failures`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failure(pub(crate) usize);

impl Parser {
    /// The parser that leaves lines whole.
    pub(crate) fn raw() -> Parser {
        Parser::Raw(raw_schema())
    }

    /// The parser for nginx combined.
    pub(crate) fn combined() -> Parser {
        Parser::LogFormat(LogFormat::combined())
    }

    /// The fields that it produces.
    pub(crate) fn schema(&self) -> &Schema {
        match self {
            Parser::Raw(schema) => schema,
            Parser::LogFormat(format) => format.schema(),
        }
    }

    /// All reasons for which a line may not parse, in words.
    pub(crate) fn failures(&self) -> &[String] {
        match self {
            Parser::Raw(_) => &[],
            Parser::LogFormat(format) => format.failures(),
        }
    }

    /// The bytes to be found in every line, as far as there are rows for them in a map.
    pub(crate) fn needles(&self) -> Needles {
        match self {
            Parser::Raw(_) => Needles::new(),
            Parser::LogFormat(format) => format.needles().clone(),
        }
    }

    /// Quotes in a line of this format whose values have none.
    pub(crate) fn quote_count(&self) -> usize {
        match self {
            Parser::Raw(_) => 0,
            Parser::LogFormat(format) => format.quote_count(),
        }
    }

    /// Finds the fields of all `rows` that are what most lines are, and flags the others as
    /// irregular: these are left to [`Parser::parse`]. `map` is of the lines, with the needles of
    /// this format.
    #[inline(always)]
    pub(crate) fn parse_rows(&self, map: &BlockMap, bytes: &[u8], rows: &mut Rows) {
        match self {
            Parser::Raw(_) => {
                (rows.positions, rows.field_ends) = (rows.starts, rows.ends);
                rows.store(0);
            }
            Parser::LogFormat(format) => format.parse_rows(map, bytes, rows),
        }
    }

    /// Finds the fields of the line `bytes[start..end]` (without its newline) and puts their spans
    /// into `spans`, one per slot of the schema.
    ///
    /// # Errors
    /// The first reason for which the line is not of this format; `spans` is then unspecified.
    pub(crate) fn parse(
        &self,
        bytes: &[u8],
        start: usize,
        end: usize,
        spans: &mut [Span],
    ) -> Result<(), Failure> {
        match self {
            Parser::Raw(_) => {
                if let Some(span) = spans.first_mut() {
                    *span = Span::new(start, end);
                }
                Ok(())
            }
            Parser::LogFormat(format) => format.parse(bytes, start, end, spans),
        }
    }
}

/// A format that was decided for a file by its first lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Detected {
    /// nginx combined.
    Nginx,
    /// Anything else.
    Raw,
}

/// Complete lines by which a format is decided for good.
const DECIDING_LINES: usize = 8;

/// Decides between nginx combined and raw by the first lines of a file: combined where at least half
/// of the complete, non-empty lines of `sample` (up to 8 are looked at) are that. Returns whether
/// these are all lines that count; `None` where `sample` has none.
pub(crate) fn detect(sample: &[u8]) -> Option<(Detected, bool)> {
    let combined = LogFormat::combined();
    let mut spans = vec![Span::NULL; combined.schema().fields().len()];
    let mut is_combined = |line: &[u8]| {
        let parsed = combined.parse(line, 0, line.len(), &mut spans);
        parsed.is_ok()
    };
    let complete_bytes = memchr::memrchr(b'\n', sample)?;
    let lines = sample.get(..complete_bytes)?.split(|&byte| byte == b'\n');
    let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let lines = lines.filter(|line| !line.is_empty()).take(DECIDING_LINES);
    let (mut count, mut combined_count) = (0, 0);
    for line in lines {
        count += 1;
        combined_count += usize::from(is_combined(line));
    }
    let detected = if combined_count * 2 >= count {
        Detected::Nginx
    } else {
        Detected::Raw
    };
    (count > 0).then_some((detected, count == DECIDING_LINES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detection_goes_by_the_majority_of_the_first_lines() {
        let good = br#"::1 - - [10/Oct/2025:13:55:36 +0000] "GET / HTTP/1.1" 200 5 "-" "curl/8""#;
        let lines = |kinds: &str| -> Vec<u8> {
            let line = |kind| {
                if kind == 'g' {
                    good.as_slice()
                } else {
                    b"started"
                }
            };
            kinds
                .chars()
                .flat_map(|kind| [line(kind), b"\r\n"].concat())
                .collect()
        };
        for (kinds, detected, is_decided) in [
            ("g", Detected::Nginx, false),
            ("b", Detected::Raw, false),
            ("gb", Detected::Nginx, false),
            ("bbg", Detected::Raw, false),
            ("bggbgggg", Detected::Nginx, true),
            ("bbbbbgggggggg", Detected::Raw, true),
        ] {
            assert_eq!(
                detect(&lines(kinds)),
                Some((detected, is_decided)),
                "{kinds}"
            );
        }
        assert_eq!(detect(good), None, "an unfinished line decides nothing");
        assert_eq!(detect(b"\n\n"), None, "empty lines decide nothing");
    }
}
