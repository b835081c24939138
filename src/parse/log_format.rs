//! Lines written by nginx's `log_format`, the predefined `combined` among them.
//!
//! The format string is compiled once into steps: find a terminator, give the bytes before it to a
//! field. Source of the format: <https://nginx.org/en/docs/http/ngx_http_log_module.html>; with the
//! default `escape=default`, nginx writes quotes, backslashes and bytes outside of 32..126 inside
//! variables as `\xHH`, so the first plain quote ends a quoted field. A quote behind a backslash
//! does not (`escape=json`, Apache).

use super::Failure;
use super::fields::{Field, FieldKind, Schema, Span};
use crate::simd::Kernels;

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
    steps: Vec<Step>,
    schema: Schema,
    failures: Vec<String>,
}

/// One variable and what ends it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
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
            schema: Schema::default(),
            failures: Vec::new(),
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
            let step = format.step(&name, after, is_last, target);
            format.steps.push(step);
        }
        if format.steps.is_empty() {
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
        Step {
            target,
            terminator: after.into_bytes(),
            is_last,
            not_terminated,
            not_an_integer,
        }
    }

    /// Finds the fields of `bytes[start..end]`; see [`super::Parser::parse`].
    #[inline(always)]
    pub(crate) fn parse<K: Kernels>(
        &self,
        kernels: K,
        bytes: &[u8],
        start: usize,
        end: usize,
        spans: &mut [Span],
    ) -> Result<(), Failure> {
        let line = bytes.get(..end).unwrap_or_default();
        let mut position = start;
        if !self.prefix.is_empty() {
            if !starts_with_at(line, position, &self.prefix) {
                return Err(Failure(0));
            }
            position += self.prefix.len();
        }
        for step in &self.steps {
            let (field_end, next) = step.find_end(kernels, bytes, line, position)?;
            step.store(kernels, bytes, position, field_end, spans)?;
            position = next;
        }
        Ok(())
    }
}

impl Step {
    /// Where the field that begins at `position` ends, and where the next one begins.
    #[inline(always)]
    fn find_end<K: Kernels>(
        &self,
        kernels: K,
        bytes: &[u8],
        line: &[u8],
        position: usize,
    ) -> Result<(usize, usize), Failure> {
        let end = line.len();
        let Some(&first) = self.terminator.first() else {
            return Ok((end, end));
        };
        let mut from = position;
        loop {
            let at = kernels.find(bytes, from, end, first);
            if at >= end {
                return Err(Failure(self.not_terminated));
            }
            from = at + 1;
            if first == b'"' && is_escaped(line, position, at) {
                continue;
            }
            let next = at + self.terminator.len();
            let is_whole = starts_with_at(line, at, &self.terminator);
            if is_whole && (!self.is_last || next == end) {
                return Ok((at, next));
            }
            // The first quote that is not escaped ends a quoted field, or a line with more fields
            // than the format would be taken for one with a strange last field.
            if first == b'"' {
                return Err(Failure(self.not_terminated));
            }
        }
    }

    /// Puts the field `bytes[start..end]` into its slots.
    #[inline(always)]
    fn store<K: Kernels>(
        &self,
        kernels: K,
        bytes: &[u8],
        start: usize,
        end: usize,
        spans: &mut [Span],
    ) -> Result<(), Failure> {
        match self.target {
            Target::Text(slot) => set(spans, slot, Span::new(start, end)),
            Target::Integer(slot) => {
                let digits = bytes.get(start..end).unwrap_or_default();
                let Some(span) = integer_span(digits, start) else {
                    return Err(Failure(self.not_an_integer));
                };
                set(spans, slot, span);
            }
            Target::Request(slot) => {
                let request = split_request(kernels, bytes, start, end);
                for (index, span) in request.into_iter().enumerate() {
                    set(spans, slot + index, span);
                }
            }
        }
        Ok(())
    }
}

#[inline(always)]
fn set(spans: &mut [Span], slot: usize, span: Span) {
    debug_assert!(slot < spans.len());
    if let Some(place) = spans.get_mut(slot) {
        *place = span;
    }
}

#[inline(always)]
fn starts_with_at(line: &[u8], position: usize, text: &[u8]) -> bool {
    // Terminators are a byte or two: a loop beats a call to memcmp.
    line.get(position..position + text.len())
        .is_some_and(|part| part.iter().zip(text).all(|(left, right)| left == right))
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

/// The span of an integer without its leading zeros, null for `-`; `None` for anything else.
#[inline(always)]
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

/// Method, path and protocol of a request line, split at its first and last space; or, where it
/// has no such shape, three nulls and the whole text.
#[inline(always)]
fn split_request<K: Kernels>(kernels: K, bytes: &[u8], start: usize, end: usize) -> [Span; 4] {
    let first = kernels.find(bytes, start, end, b' ');
    let last = last_space(bytes, start, end);
    if start < first && first + 1 < last && last + 1 < end {
        let method = Span::new(start, first);
        let path = Span::new(first + 1, last);
        return [method, path, Span::new(last + 1, end), Span::NULL];
    }
    [Span::NULL, Span::NULL, Span::NULL, Span::new(start, end)]
}

/// The index of the last space in `bytes[start..end]`, or `start`. The protocol behind it is a few
/// bytes, so a loop from the end beats a search.
#[inline(always)]
fn last_space(bytes: &[u8], start: usize, end: usize) -> usize {
    let part = bytes.get(start..end).unwrap_or_default();
    part.iter()
        .rposition(|&byte| byte == b' ')
        .map_or(start, |index| start + index)
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
    use crate::simd::portable::Portable;

    fn parse<'a>(format: &LogFormat, line: &'a str) -> Result<Vec<Option<&'a str>>, String> {
        let mut spans = vec![Span::NULL; format.schema().fields().len()];
        let bytes = line.as_bytes();
        match format.parse(Portable, bytes, 0, bytes.len(), &mut spans) {
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
