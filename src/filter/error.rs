//! What is wrong with an expression, and where: [`ExpressionError`] from a message and a span of
//! bytes, rendered as one line of the expression with carets below. Rendering accepts any text,
//! even one that the span does not belong to; it must never panic or print control characters.

use std::ops::Range;

/// Characters of an expression's line that are shown; more is cut off around the span.
const LINE_CHARS_MAX: usize = 100;
/// Characters that stay visible before the span where a line is cut.
const LEAD_CHARS: usize = 40;
/// Characters of the expression that are quoted in a message.
const EXCERPT_CHARS_MAX: usize = 40;
/// Stands for what was cut off.
const CUT: &str = "...";

/// Why an expression cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExpressionError {
    /// What is wrong and what to write instead: one line, a lower-case fragment.
    pub message: String,
    /// The bytes of the expression in question; empty where something is missing.
    pub span: Range<usize>,
}

impl ExpressionError {
    pub(super) fn new(message: impl Into<String>, span: Range<usize>) -> ExpressionError {
        ExpressionError {
            message: message.into(),
            span,
        }
    }

    /// Two lines without a final newline: the line of `text` in which the span starts, and carets
    /// under the span followed by the message. Columns count characters; tabs and other control
    /// characters show as spaces; a line longer than about 100 characters is cut around the span.
    ///
    /// ```text
    /// statis >= 400
    /// ^^^^^^ unknown field `statis`; did you mean `status`? known fields: path, status
    /// ```
    #[must_use]
    pub fn render(&self, text: &str) -> String {
        let (line, line_start) = line_at(text, self.span.start);
        let start = self.span.start.min(text.len()) - line_start;
        let end = self.span.end.saturating_sub(line_start);
        let before = line.char_indices().filter(|(at, _)| *at < start).count();
        let under = line
            .char_indices()
            .filter(|(at, _)| (start..end).contains(at))
            .count()
            .max(1);
        let (shown, before, under) = cut_around(line, before, under);
        let indent = " ".repeat(before);
        let carets = "^".repeat(under);
        format!("{}\n{indent}{carets} {}", shown.trim_end(), self.message)
    }
}

/// The line that the byte at `offset` is on, and where that line starts: at or before `offset`.
fn line_at(text: &str, offset: usize) -> (&str, usize) {
    let (before, after) = text.as_bytes().split_at(offset.min(text.len()));
    let start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
    let end = memchr::memchr(b'\n', after).map_or(text.len(), |length| before.len() + length);
    (text.get(start..end).unwrap_or_default(), start)
}

/// At most [`LINE_CHARS_MAX`] characters of the line with the span (in characters) still under the
/// same characters.
fn cut_around(line: &str, before: usize, under: usize) -> (String, usize, usize) {
    let count = line.chars().count();
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    if count <= LINE_CHARS_MAX {
        return (line.chars().map(printable).collect(), before, under);
    }
    let first = before
        .saturating_sub(LEAD_CHARS)
        .min(count - LINE_CHARS_MAX);
    let mut shown = String::new();
    let lead = if first > 0 { CUT } else { "" };
    shown.push_str(lead);
    shown.extend(line.chars().skip(first).take(LINE_CHARS_MAX).map(printable));
    if first + LINE_CHARS_MAX < count {
        shown.push_str(CUT);
    }
    let visible = (first + LINE_CHARS_MAX).saturating_sub(before).max(1);
    (shown, lead.len() + before - first, under.min(visible))
}

/// A part of an expression for use in a message: short, and on one line whatever it contains.
pub(super) fn excerpt(part: &str) -> String {
    let mut quoted = String::new();
    for c in part.chars().take(EXCERPT_CHARS_MAX) {
        if c.is_control() {
            quoted.extend(c.escape_default());
        } else {
            quoted.push(c);
        }
    }
    if part.chars().nth(EXCERPT_CHARS_MAX).is_some() {
        quoted.push_str(CUT);
    }
    quoted
}
