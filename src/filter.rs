//! Filter expressions: the text of a condition becomes a [`Predicate`] on the [`Fields`] of a
//! line. Everything that can be wrong with an expression is found by [`Expression::parse`], before
//! the first line is read; evaluation cannot fail and does no I/O.
//!
//! # The language
//!
//! An expression compares fields of a parsed line with literals and joins the comparisons:
//!
//! ```text
//! status >= 500
//! method in ["GET", "HEAD"] and not path starts_with "/static/"
//! (status == 404 or status == 410) and user_agent !~ "(?i)bot|crawler"
//! referer == null || path contains "../"
//! ```
//!
//! White space and line breaks between words do not matter.
//!
//! ## Operators
//!
//! | operator | field | right side | true where the value |
//! | --- | --- | --- | --- |
//! | `==` `!=` | text, integer | string, number, `null` | is (is not) that |
//! | `<` `<=` `>` `>=` | text, integer | string, number | is before or after it; text compares byte by byte |
//! | `in` | text, integer | list | is one of the list |
//! | `contains` | text | string | has it somewhere |
//! | `starts_with` | text | string | begins with it |
//! | `ends_with` | text | string | ends with it |
//! | `=~` `!~` | text | regular expression | has (has no) match somewhere |
//!
//! The field is on the left; `==`, `!=`, `<`, `<=`, `>` and `>=` may also be written the other way
//! round: `400 <= status`. Comparisons do not chain: write `status >= 400 and status < 500`.
//!
//! Comparisons are joined, from the tightest to the loosest, by
//!
//! | operator | also | true where |
//! | --- | --- | --- |
//! | `not a` | `!a` | `a` is false; `a` is a comparison or in parentheses |
//! | `a and b` | `a && b` | both are true |
//! | `a or b` | <code>a &#124;&#124; b</code> | one is true |
//!
//! so `not a or b and c` is `(not a) or (b and c)`. Parentheses nest up to 64 deep.
//!
//! ## Fields and literals
//!
//! - A **field** is a name of letters, digits, `_` and `.` that does not begin with a digit or a
//!   dot. The format of the source says which fields there are and which of them are integers; all
//!   others are text. A type goes with literals of its own type only: `status == "404"` is an
//!   error. The words `and or not null in contains starts_with ends_with` are not names.
//! - A **string** is in `"` or `'`. In it, `\\`, `\"`, `\'`, `\n`, `\t`, `\r`, `\xHH` (one byte)
//!   and `\u{...}` (one character) are escapes, and a backslash before anything else is an error.
//! - A **number** is a whole number, perhaps with `-`, from -9223372036854775808 to
//!   18446744073709551615.
//! - A **list** is in `[...]` or `(...)`, separated by commas: `[200, 204]`, `("GET", "HEAD")`.
//! - A **regular expression** is a string right of `=~` or `!~`, in the syntax of the `regex` crate.
//!   It matches anywhere in the value unless it is anchored with `^` and `$`, and ignores case
//!   after `(?i)`. Only `\\`, `\"` and `\'` are escapes of the string; any other backslash reaches
//!   the regular expression, so `"\.php$"` and `"\\.php$"` are the same.
//!
//! ## Null
//!
//! A field that a line lacks, or that its format does not have, is null. A comparison with it is
//! false, whatever the operator and the literal, with three exceptions:
//!
//! | comparison | of a null field | because it means |
//! | --- | --- | --- |
//! | `field == null` (`field != null`) | true (false) | |
//! | `field != literal` | true | `not field == literal` |
//! | `field !~ "..."` | true | `not field =~ "..."` |
//!
//! There is no third truth value: `not status >= 400` is true where `status` is null, and
//! `status < 400` is false there. An integer field whose bytes are not a number is compared like
//! null, but is not `== null`.
//!
//! # Keep and drop
//!
//! A [`Filter`] keeps a line if any of its `keep` expressions is true, or if there are none, and
//! none of its `drop` expressions is true.

use crate::parse::{Fields, Schema};

mod check;
mod error;
mod eval;
mod lexer;
mod parser;
#[cfg(test)]
mod tests;

pub use error::ExpressionError;
pub use eval::Predicate;

use check::FieldCondition;
use parser::Tree;

/// A checked expression, compiled but for the slots of its fields.
#[derive(Clone, Debug)]
pub struct Expression {
    text: String,
    tree: Tree<FieldCondition>,
}

impl Expression {
    /// Compiles an expression. `known` has all fields that it may use with their types, of every
    /// format that lines may turn out to have; the first of a name counts.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with syntax, names, types or regular expressions.
    pub fn parse(text: &str, known: &Schema) -> Result<Expression, ExpressionError> {
        let comparisons = parser::parse(text)?;
        let tree = comparisons.try_map(&mut |comparison| check::check(comparison, text, known))?;
        Ok(Expression {
            text: text.to_owned(),
            tree,
        })
    }

    /// Resolves field names to slots of `schema`; names that are not in it are null on every line.
    #[must_use]
    pub fn bind(&self, schema: &Schema) -> Predicate {
        Predicate::new(&self.tree, schema)
    }

    /// The text that the expression was parsed from.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// The compiled `keep` and `drop` expressions of a configuration.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// A line is kept only if one of these matches; empty keeps all.
    pub keep: Vec<Expression>,
    /// A line is not kept if one of these matches.
    pub drop: Vec<Expression>,
}

impl Filter {
    /// Resolves all expressions for lines of one schema.
    #[must_use]
    pub fn bind(&self, schema: &Schema) -> BoundFilter {
        let bind = |expressions: &[Expression]| {
            expressions
                .iter()
                .map(|expression| expression.bind(schema))
                .collect()
        };
        BoundFilter {
            keep: bind(&self.keep),
            drop: bind(&self.drop),
        }
    }

    /// Whether there is no expression: every line is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keep.is_empty() && self.drop.is_empty()
    }
}

/// A [`Filter`] for lines of one schema.
#[derive(Clone, Debug, Default)]
pub struct BoundFilter {
    keep: Vec<Predicate>,
    drop: Vec<Predicate>,
}

impl BoundFilter {
    /// Whether the line is kept: `keep` is empty or one of it matches, and none of `drop` does.
    #[must_use]
    #[inline]
    pub fn keeps(&self, fields: &Fields<'_>) -> bool {
        let any = |predicates: &[Predicate]| predicates.iter().any(|one| one.matches(fields));
        (self.keep.is_empty() || any(&self.keep)) && !any(&self.drop)
    }
}
