//! Lines written by nginx's `log_format`, the predefined `combined` among them.
//!
//! The format string is compiled once into steps: find a terminator, give the bytes before it to a
//! field. Source of the format: <https://nginx.org/en/docs/http/ngx_http_log_module.html>; with the
//! default `escape=default`, nginx writes quotes, backslashes and bytes outside of 32..126 inside
//! variables as `\xHH`, so the first plain quote ends a quoted field. A quote behind a backslash
//! does not (`escape=json`, Apache).

use std::ops::Range;

use super::Failure;
use super::fields::{Field, FieldKind, Schema, Span};
use super::rows::Rows;
use crate::simd::{BlockMap, Needles};

/// nginx's predefined format `combined`.
pub const COMBINED: &str = concat!(
    r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "#,
    r#""$http_referer" "$http_user_agent""#
);

/// Variables whose values are unsigned integers, or `-` where there is none.
const INTEGER_VARIABLES: [&str; 7] = [
    "status",
    "body_bytes_sent",
    "bytes_sent",
    "request_length",
    "connection",
    "connection_requests",
    "content_length",
];

/// Digits of an integer field after leading zeros: 19 always fit in 64 bits.
const INTEGER_DIGITS_MAX: usize = 19;

/// A compiled format string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFormat {
    text: String,
    prefix: Vec<u8>,
    /// The variables that have text after them.
    steps: Vec<Step>,
    /// The last variable, where it runs to the end of the line.
    rest: Option<Box<Step>>,
    schema: Schema,
    failures: Vec<String>,
    needles: Box<Needles>,
    /// Whether all bytes that are searched for are among the needles, and terminators fit into
    /// words.
    is_mappable: bool,
    /// Row of the space among the needles, for splitting `$request`.
    space_row: usize,
    /// Quotes in a line of this format whose values have none.
    quote_count: usize,
}

/// One variable and what ends it, in the form that is compared fastest.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    /// The first bytes of the terminator as a little-endian word, and which bits of it count.
    word: u64,
    word_mask: u64,
    /// Row of its first byte among the needles.
    row: usize,
    /// Which quote of the line is in the terminator, and how many bytes before it.
    quote: Option<(usize, usize)>,
    target: Target,
    /// The text between this variable and the next; empty for one that runs to the end of line.
    terminator: Vec<u8>,
    /// Whether this is the last variable, so that nothing may follow the terminator.
    is_last: bool,
    /// Reasons, as indices of `failures`.
    not_terminated: usize,
    not_an_integer: usize,
}

/// What becomes of the bytes of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Text(usize),
    Integer(usize),
    /// `$request`: method, path, protocol and the whole, in four slots from this one.
    Request(usize),
}

/// A format string in parts: what comes before the first variable, then each variable with the
/// text after it.
struct Parts {
    prefix: String,
    variables: Vec<(String, String)>,
}

impl LogFormat {
    /// nginx's predefined format `combined`.
    #[must_use]
    pub fn combined() -> LogFormat {
        match LogFormat::compile(COMBINED) {
            Ok(format) => format,
            Err(reason) => unreachable!("the combined format compiles: {reason}"),
        }
    }

    /// Compiles a format string such as `$remote_addr [$time_local] "$request" $status`. `$request`
    /// becomes the fields `method`, `path` and `protocol` (and `request` where it has no such
    /// shape); every other variable becomes the field of its name.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the string: no variable in it, two variables without
    /// text between them, a variable twice, `$` without a name.
    pub fn compile(text: &str) -> Result<LogFormat, String> {
        let parts = split(text)?;
        let mut format = LogFormat {
            text: text.to_owned(),
            prefix: parts.prefix.into_bytes(),
            steps: Vec::new(),
            rest: None,
            schema: Schema::default(),
            failures: Vec::new(),
            needles: Box::new(Needles::new()),
            is_mappable: true,
            space_row: 0,
            quote_count: quotes_in(text.as_bytes()),
        };
        if !format.prefix.is_empty() {
            let prefix = String::from_utf8_lossy(&format.prefix).into_owned();
            format
                .failures
                .push(format!("expected {prefix:?} at the start of the line"));
        }
        let mut fields = Vec::new();
        let count = parts.variables.len();
        for (index, (name, after)) in parts.variables.into_iter().enumerate() {
            let is_last = index + 1 == count;
            if after.is_empty() && !is_last {
                return Err(format!("cannot tell where ${name} ends: put text after it"));
            }
            let target = add_fields(&mut fields, &name)?;
            if matches!(target, Target::Request(_)) {
                format.space_row = format.row_of(b' ');
            }
            let has_end = !after.is_empty();
            let step = format.step(&name, after, is_last, target);
            if has_end {
                format.steps.push(step);
            } else {
                format.rest = Some(Box::new(step));
            }
        }
        if count == 0 {
            return Err("there is no $variable in it".to_owned());
        }
        format.schema = Schema::new(fields);
        Ok(format)
    }

    /// The format string.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The fields that lines of this format have.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// All reasons for which a line may not be of this format.
    pub(crate) fn failures(&self) -> &[String] {
        &self.failures
    }

    fn step(&mut self, name: &str, after: String, is_last: bool, target: Target) -> Step {
        let not_terminated = self.failures.len();
        self.failures.push(match (is_last, after.is_empty()) {
            (true, true) => format!("${name} is missing"),
            (true, false) => format!("expected {after:?} after ${name} at the end of the line"),
            _ => format!("expected {after:?} after ${name}"),
        });
        let not_an_integer = self.failures.len();
        if matches!(target, Target::Integer(_)) {
            self.failures
                .push(format!("${name} is neither an integer nor \"-\""));
        }
        let terminator = after.into_bytes();
        let quotes_before = quotes_in(&self.prefix)
            + self
                .steps
                .iter()
                .map(|step| quotes_in(&step.terminator))
                .sum::<usize>();
        let mut word = [0; 8];
        for (place, byte) in word.iter_mut().zip(&terminator) {
            *place = *byte;
        }
        let bits = 8 * terminator.len().min(8) as u32;
        self.is_mappable &= terminator.len() <= 8;
        Step {
            word: u64::from_le_bytes(word),
            word_mask: u64::MAX.checked_shr(64 - bits).unwrap_or(0),
            row: terminator.first().map_or(0, |&byte| self.row_of(byte)),
            quote: terminator
                .iter()
                .position(|&byte| byte == b'"')
                .map(|bytes_before| (quotes_before, bytes_before)),
            target,
            terminator,
            is_last,
            not_terminated,
            not_an_integer,
        }
    }

    /// The first bytes of all that may end a field.
    pub(crate) fn needles(&self) -> &Needles {
        &self.needles
    }

    /// Quotes in a line of this format whose values have none.
    pub(crate) fn quote_count(&self) -> usize {
        self.quote_count
    }

    fn row_of(&mut self, byte: u8) -> usize {
        let row = self.needles.row_of(byte);
        self.is_mappable &= row.is_some();
        row.unwrap_or(0)
    }

    /// Finds the fields of `rows` as far as that is quickly done; see [`super::Parser::parse_rows`].
    ///
    /// A field is taken to end at the first byte that can end it. Where a line has just the quotes
    /// of its format, each is known to end its field, so the fields between two are found without
    /// those before. A line of which this is not true is left to [`LogFormat::parse`], which finds
    /// the same for all others.
    #[inline(always)]
    pub(crate) fn parse_rows(&self, map: &BlockMap, bytes: &[u8], rows: &mut Rows) {
        if !self.is_mappable {
            return rows.is_irregular.fill(true);
        }
        rows.positions = rows.starts;
        if !self.prefix.is_empty() {
            self.skip_prefix(bytes, rows);
        }
        for step in &self.steps {
            match step.quote {
                Some((number, bytes_before)) => {
                    let quotes = map.quotes();
                    let offset = map.start().wrapping_sub(bytes_before);
                    step.find_ends(bytes, rows, |_, first_quote| {
                        let quote = quotes.get(first_quote + number).copied();
                        offset.wrapping_add(quote.unwrap_or_default() as usize)
                    });
                }
                None => {
                    let row = map.row(step.row);
                    step.find_ends(bytes, rows, |position, _| row.find(position));
                }
            }
            self.store_column(step.target, map, bytes, rows);
            rows.advance(step.terminator.len());
        }
        rows.field_ends = rows.ends;
        match &self.rest {
            Some(rest) => self.store_column(rest.target, map, bytes, rows),
            // The last terminator has to be found at the end, not where it comes first.
            None => {
                let ends = rows.positions.iter().zip(&rows.ends);
                for (is_irregular, (position, end)) in rows.is_irregular.iter_mut().zip(ends) {
                    *is_irregular |= position != end;
                }
            }
        }
    }

    fn skip_prefix(&self, bytes: &[u8], rows: &mut Rows) {
        for row in 0..rows.count() {
            let (start, end) = rows.bounds(row);
            let line = bytes.get(start..end).unwrap_or_default();
            rows.is_irregular[row] |= !line.starts_with(&self.prefix);
            rows.positions[row] += self.prefix.len().min(line.len()) as u32;
        }
    }

    #[inline(always)]
    fn store_column(&self, target: Target, map: &BlockMap, bytes: &[u8], rows: &mut Rows) {
        match target {
            Target::Text(slot) => rows.store(slot),
            Target::Integer(slot) => {
                rows.store(slot);
                for row in 0..rows.count() {
                    let start = rows.positions[row] as usize;
                    let end = rows.field_ends[row] as usize;
                    rows.is_irregular[row] |= !is_short_integer(bytes, start, end);
                }
            }
            Target::Request(slot) => {
                let spaces = map.row(self.space_row);
                for row in 0..rows.count() {
                    let start = rows.positions[row] as usize;
                    let end = rows.field_ends[row] as usize;
                    let first = spaces.find(start);
                    let last = spaces.find_last(start, end);
                    let parts = request_parts(start..end, first, last);
                    let slots = rows.spans_mut(row).get_mut(slot..);
                    if let Some(slots) = slots.and_then(<[Span]>::first_chunk_mut) {
                        *slots = parts;
                    }
                }
            }
        }
    }

    /// Finds the fields of `bytes[start..end]`; see [`super::Parser::parse`].
    #[inline(never)]
    pub(crate) fn parse(
        &self,
        bytes: &[u8],
        start: usize,
        end: usize,
        spans: &mut [Span],
    ) -> Result<(), Failure> {
        let line = bytes.get(start..end).unwrap_or_default();
        if !line.starts_with(&self.prefix) {
            return Err(Failure(0));
        }
        let mut position = start + self.prefix.len();
        for step in &self.steps {
            let at = step.find_end(bytes, position, end)?;
            store(step, bytes, position..at, spans)?;
            position = at + step.terminator.len();
        }
        match &self.rest {
            Some(rest) => store(rest, bytes, position..end, spans),
            None => Ok(()),
        }
    }
}

/// Puts the value of a step into its slots.
fn store(
    step: &Step,
    bytes: &[u8],
    value: Range<usize>,
    spans: &mut [Span],
) -> Result<(), Failure> {
    match step.target {
        Target::Text(slot) => set(spans, slot, Span::new(value.start, value.end)),
        Target::Integer(slot) => {
            let digits = bytes.get(value.clone()).unwrap_or_default();
            let Some(span) = integer_span(digits, value.start) else {
                return Err(Failure(step.not_an_integer));
            };
            set(spans, slot, span);
        }
        Target::Request(slot) => {
            let request = bytes.get(value.clone()).unwrap_or_default();
            let first = memchr::memchr(b' ', request).map_or(value.end, |at| value.start + at);
            let last = memchr::memrchr(b' ', request).map_or(value.start, |at| value.start + at);
            if let Some(slots) = spans.get_mut(slot..slot + 4) {
                slots.copy_from_slice(&request_parts(value, first, last));
            }
        }
    }
    Ok(())
}

impl Step {
    /// Finds where the next field of each line ends: at the place that `place_of` tells for the
    /// field's beginning and the index of the line's first quote, if the terminator is there.
    #[inline(always)]
    fn find_ends(&self, bytes: &[u8], rows: &mut Rows, place_of: impl Fn(usize, usize) -> usize) {
        // Copied, so that they are known not to change in the loop and stay in registers.
        let (word, mask, terminator_bytes) = (self.word, self.word_mask, self.terminator.len());
        let count = rows.count();
        let lines = rows
            .positions
            .iter()
            .zip(&rows.ends)
            .zip(&rows.first_quotes);
        let results = rows.field_ends.iter_mut().zip(&mut rows.is_irregular);
        for ((field_end, is_irregular), ((&position, &end), &first_quote)) in
            results.zip(lines).take(count)
        {
            let position = position as usize;
            let at = place_of(position, first_quote as usize);
            let is_end = word_at(bytes, at).is_some_and(|found| (found ^ word) & mask == 0)
                && at >= position
                && at + terminator_bytes <= end as usize;
            // What comes of an irregular line is of no use, but has to stay inside of it.
            *field_end = if is_end { at as u32 } else { position as u32 };
            *is_irregular |= !is_end;
        }
    }

    /// Where the field that begins at `position` ends, by a closer look.
    #[cold]
    fn find_end(&self, bytes: &[u8], position: usize, end: usize) -> Result<usize, Failure> {
        let first = self.word as u8;
        let line = bytes.get(..end).unwrap_or_default();
        let mut from = position;
        loop {
            let found = memchr::memchr(first, line.get(from..).unwrap_or_default());
            let Some(at) = found.map(|index| from + index) else {
                return Err(Failure(self.not_terminated));
            };
            from = at + 1;
            if first == b'"' && is_escaped(line, position, at) {
                continue;
            }
            let rest = line.get(at..).unwrap_or_default();
            if rest.starts_with(&self.terminator)
                && (!self.is_last || rest.len() == self.terminator.len())
            {
                return Ok(at);
            }
            // The first quote that is not escaped ends a quoted field, or a line with more fields
            // than the format would be taken for one with a strange last field.
            if first == b'"' {
                return Err(Failure(self.not_terminated));
            }
        }
    }
}

fn quotes_in(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte == b'"').count()
}

/// The 8 bytes from `position` on, where there are as many.
#[inline(always)]
fn word_at(bytes: &[u8], position: usize) -> Option<u64> {
    let word = bytes.get(position..)?.first_chunk::<8>()?;
    Some(u64::from_le_bytes(*word))
}

#[inline(always)]
fn set(spans: &mut [Span], slot: usize, span: Span) {
    debug_assert!(slot < spans.len());
    if let Some(place) = spans.get_mut(slot) {
        *place = span;
    }
}

/// Whether the byte at `at` is behind an odd number of backslashes.
#[inline(always)]
fn is_escaped(line: &[u8], start: usize, at: usize) -> bool {
    let before = line.get(start..at).unwrap_or_default();
    before
        .iter()
        .rev()
        .take_while(|&&byte| byte == b'\\')
        .count()
        % 2
        == 1
}

/// Whether the text is an integer that stands in a record as it is: up to 8 digits, no zero before
/// others. Most are; a closer look is taken at the rest.
#[inline(always)]
fn is_short_integer(bytes: &[u8], start: usize, end: usize) -> bool {
    let count = end.wrapping_sub(start);
    word_at(bytes, start).is_some_and(|word| {
        count <= 8 && are_digits(word, count) && (word & 0xff != u64::from(b'0') || count == 1)
    })
}

/// Whether the first `count` bytes (up to 8) of a little-endian word are decimal digits.
#[inline(always)]
fn are_digits(word: u64, count: usize) -> bool {
    const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
    // Digits become 0 to 9; only those stay below 0x80 when 0x76 is added. Carries go up, so no
    // byte looks worse for what is before it unless that is no digit itself.
    let values = word ^ 0x3030_3030_3030_3030;
    let odd = (values | values.wrapping_add(0x7676_7676_7676_7676)) & HIGH_BITS;
    count > 0 && odd & (u64::MAX >> (64 - 8 * count)) == 0
}

/// The span of an integer without its leading zeros, null for `-`; `None` for anything else.
fn integer_span(digits: &[u8], start: usize) -> Option<Span> {
    if digits == b"-" {
        return Some(Span::NULL);
    }
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let zeros = digits
        .iter()
        .take_while(|&&digit| digit == b'0')
        .count()
        .min(digits.len() - 1);
    let significant = digits.len() - zeros;
    (significant <= INTEGER_DIGITS_MAX).then(|| Span::new(start + zeros, start + digits.len()))
}

/// Method, path and protocol of a request line, split at its `first` and `last` space; or, where
/// it has no such shape, three nulls and the whole text.
#[inline(always)]
fn request_parts(Range { start, end }: Range<usize>, first: usize, last: usize) -> [Span; 4] {
    if start < first && first + 1 < last && last + 1 < end {
        let method = Span::new(start, first);
        let path = Span::new(first + 1, last);
        return [method, path, Span::new(last + 1, end), Span::NULL];
    }
    [Span::NULL, Span::NULL, Span::NULL, Span::new(start, end)]
}

/// Adds the fields of a variable to the schema.
fn add_fields(fields: &mut Vec<Field>, name: &str) -> Result<Target, String> {
    let slot = fields.len();
    let (names, kind, target) = if name == "request" {
        let names = vec!["method", "path", "protocol", "request"];
        (names, FieldKind::Text, Target::Request(slot))
    } else if INTEGER_VARIABLES.contains(&name) {
        (vec![name], FieldKind::Integer, Target::Integer(slot))
    } else {
        (vec![name], FieldKind::Text, Target::Text(slot))
    };
    for name in names {
        if fields.iter().any(|field| field.name == name) {
            return Err(format!("the field `{name}` comes twice"));
        }
        fields.push(Field {
            name: name.to_owned(),
            kind,
        });
    }
    Ok(target)
}

/// Splits a format string at its variables: `$name` or `${name}`.
fn split(text: &str) -> Result<Parts, String> {
    let mut pieces = text.split('$');
    let prefix = pieces.next().unwrap_or_default().to_owned();
    let mut variables = Vec::new();
    for piece in pieces {
        let (name, after) = match piece.strip_prefix('{') {
            Some(braced) => braced.split_once('}').ok_or("a `${` has no `}`")?,
            None => {
                let is_name =
                    |character: char| character.is_ascii_alphanumeric() || character == '_';
                let count = piece
                    .find(|character| !is_name(character))
                    .unwrap_or(piece.len());
                piece.split_at(count)
            }
        };
        if name.is_empty() {
            return Err("a `$` is not followed by a variable's name".to_owned());
        }
        if after.contains('\n') {
            return Err("a line break in it can never match: a record is one line".to_owned());
        }
        variables.push((name.to_owned(), after.to_owned()));
    }
    Ok(Parts { prefix, variables })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse<'a>(format: &LogFormat, line: &'a str) -> Result<Vec<Option<&'a str>>, String> {
        let mut spans = vec![Span::NULL; format.schema().fields().len()];
        let bytes = line.as_bytes();
        match format.parse(bytes, 0, bytes.len(), &mut spans) {
            Ok(()) => {
                let text = |span: &Span| line.get(span.start as usize..span.end as usize);
                Ok(spans
                    .iter()
                    .map(|span| text(span).filter(|_| !span.is_null()))
                    .collect())
            }
            Err(failure) => Err(format.failures()[failure.0].clone()),
        }
    }

    #[test]
    fn a_combined_line_gives_its_fields() {
        let line = r#"10.0.0.1 - bob [10/Oct/2025:13:55:36 +0000] "GET /a?b=c d HTTP/1.1" 009 - "-" "x y""#;
        let fields = parse(&LogFormat::combined(), line).unwrap();
        let expected = [
            Some("10.0.0.1"),
            Some("bob"),
            Some("10/Oct/2025:13:55:36 +0000"),
            Some("GET"),
            Some("/a?b=c d"),
            Some("HTTP/1.1"),
            None,
            Some("9"),
            None,
            Some("-"),
            Some("x y"),
        ];
        assert_eq!(fields, expected);
    }

    #[test]
    fn a_request_without_the_shape_stays_whole() {
        for request in [
            "",
            "-",
            "GET",
            "GET ",
            " /",
            "GET /",
            "GET  HTTP/1.1",
            r"\x16\x03\x01",
        ] {
            let line = format!(r#"1 - - [t] "{request}" 400 0 "-" "-""#);
            let fields = parse(&LogFormat::combined(), &line).unwrap();
            assert_eq!(
                fields[3..7],
                [None, None, None, Some(request)],
                "{request:?}"
            );
        }
    }

    #[test]
    fn a_line_of_another_shape_says_what_was_expected() {
        let combined = LogFormat::combined();
        let cases = [
            ("", r#"expected " - " after $remote_addr"#),
            ("a - b", r#"expected " [" after $remote_user"#),
            (
                r#"1 - - [t] "GET / H" x 0 "-" "-""#,
                r#"$status is neither an integer nor "-""#,
            ),
            (
                r#"1 - - [t] "GET / H" 200 99999999999999999999 "-" "-""#,
                "$body_bytes_sent is",
            ),
            (
                r#"1 - - [t] "GET / H" 200 0 "-" "-" "10.1.1.1""#,
                r#"expected "\"" after $http_user"#,
            ),
            (
                r#"1 - - [t] "GET / H" 200 0 "-" "-"#,
                r#"expected "\"" after $http_user_agent at"#,
            ),
        ];
        for (line, reason) in cases {
            let failure = parse(&combined, line).unwrap_err();
            assert!(failure.starts_with(reason), "{line}: {failure}");
        }
    }

    #[test]
    fn an_escaped_quote_does_not_end_a_field() {
        let line = r#"1 - - [t] "GET /\"x HTTP/1.1" 200 0 "-" "a \"b\" c\\""#;
        let fields = parse(&LogFormat::combined(), line).unwrap();
        assert_eq!(
            (fields[4], fields[10]),
            (Some(r#"/\"x"#), Some(r#"a \"b\" c\\"#))
        );
    }

    #[test]
    fn other_format_strings_compile() {
        let format = LogFormat::compile("<${host}> $request_time|$uri").unwrap();
        assert_eq!(
            parse(&format, "<a b> 0.1|/x y").unwrap(),
            [Some("a b"), Some("0.1"), Some("/x y")]
        );
        assert!(
            parse(&format, "a")
                .unwrap_err()
                .contains("at the start of the line")
        );
    }

    #[test]
    fn format_strings_that_cannot_work_are_refused() {
        for (text, reason) in [
            ("plain", "no $variable"),
            ("$a$b", "cannot tell where $a ends"),
            ("$a $a", "comes twice"),
            ("$ x", "not followed by a variable's name"),
            ("${a", "has no `}`"),
        ] {
            assert!(
                LogFormat::compile(text).unwrap_err().contains(reason),
                "{text}"
            );
        }
    }
}
