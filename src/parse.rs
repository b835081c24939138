//! From a line's bytes to the spans of its fields.

pub mod fields;

pub use fields::{Field, FieldKind, Fields, Schema, Span};

/// How lines are parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// Decided per file by its first lines: nginx combined where they are that, else raw.
    Auto,
    /// Each line is the field `message`.
    Raw,
    /// An nginx `log_format` string.
    LogFormat(String),
}
