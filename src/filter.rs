//! Filter expressions: text to a predicate on borrowed fields.

/// The compiled `keep` and `drop` expressions of a configuration.
#[derive(Debug, Default)]
pub struct Filter {}
