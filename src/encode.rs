//! NDJSON: a parsed line's spans to one line of JSON, out of literals that are prepared once per
//! configuration.

use crate::parse::{FieldKind, MESSAGE, Parser, Span};
use crate::simd::{FieldTemplate, Kernels, Literal, escape};

/// The key that says why a line was not taken apart.
pub(crate) const PARSE_ERROR: &str = "parse_error";

/// How the records of one format are written.
#[derive(Clone, Debug)]
pub(crate) struct RecordPlan {
    fields: Vec<FieldTemplate>,
    message_open: Literal,
    /// What follows the message of a line that did not parse, per reason.
    message_close: Vec<Literal>,
}

impl RecordPlan {
    /// Prepares the literals for the records of `parser`.
    pub(crate) fn new(parser: &Parser) -> RecordPlan {
        let mut fields = Vec::new();
        for (slot, field) in parser.schema().fields().iter().enumerate() {
            let separator = if slot == 0 { '{' } else { ',' };
            let key = escape::quoted(field.name.as_bytes());
            let key = String::from_utf8_lossy(&key);
            let is_text = field.kind == FieldKind::Text;
            let quote = if is_text { "\"" } else { "" };
            // `request` stands in for method, path and protocol: it is there only when they are not.
            let is_left_out = field.name == "request" && slot > 0;
            let null = if is_left_out {
                String::new()
            } else {
                format!("{separator}{key}:null")
            };
            fields.push(FieldTemplate {
                open: Literal::new(format!("{separator}{key}:{quote}").as_bytes()),
                null: Literal::new(null.as_bytes()),
                is_text,
            });
        }
        let close = |reason: &String| {
            let reason = escape::quoted(reason.as_bytes());
            Literal::new(&[format!("\",\"{PARSE_ERROR}\":").as_bytes(), &reason].concat())
        };
        RecordPlan {
            fields,
            message_open: Literal::new(format!("{{\"{MESSAGE}\":\"").as_bytes()),
            message_close: parser.failures().iter().map(close).collect(),
        }
    }

    /// Appends the record of a parsed line. `suffix` ends it; with `is_clean` no text of it needs
    /// escaping.
    #[inline(always)]
    pub(crate) fn push_record<K: Kernels>(
        &self,
        kernels: K,
        out: &mut Vec<u8>,
        bytes: &[u8],
        spans: &[Span],
        is_clean: bool,
        suffix: &Literal,
    ) {
        kernels.push_fields(out, bytes, &self.fields, spans, is_clean);
        kernels.push_literal(out, suffix);
    }

    /// Appends the record of a line that did not parse for the reason of index `failure`.
    #[cold]
    pub(crate) fn push_unparsed<K: Kernels>(
        &self,
        kernels: K,
        out: &mut Vec<u8>,
        line: &[u8],
        failure: usize,
        suffix: &Literal,
    ) {
        kernels.push_literal(out, &self.message_open);
        kernels.push_escaped(out, line, 0, line.len());
        match self.message_close.get(failure) {
            Some(close) => kernels.push_literal(out, close),
            None => out.push(b'"'),
        }
        kernels.push_literal(out, suffix);
    }
}
