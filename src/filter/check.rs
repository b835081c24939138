//! Comparisons to conditions: looks each field up in the known ones, checks that operator and
//! literal go with its type, and compiles the literal. What passes here cannot fail later.

use super::error::{ExpressionError, excerpt};
use super::eval::{Condition, Relation};
use super::lexer::{Operator, Value};
use super::parser::{Comparison, Literal, Operand};
use crate::parse::{FieldKind, Schema};

/// A condition on the field of that name, not yet bound to a slot.
#[derive(Clone, Debug)]
pub(super) struct FieldCondition {
    pub(super) field: String,
    pub(super) condition: Condition,
    /// True where the condition is not: `!=` and `!~`.
    pub(super) negated: bool,
}

/// Compiles a comparison. `text` is the expression that it is from.
pub(super) fn check(
    comparison: Comparison,
    text: &str,
    known: &Schema,
) -> Result<FieldCondition, ExpressionError> {
    let Some(field) = known
        .fields()
        .iter()
        .find(|field| field.name == comparison.field)
    else {
        return Err(unknown_field(&comparison, known));
    };
    let negated = matches!(
        comparison.operator,
        Operator::NotEqual | Operator::NotMatches
    );
    let checker = Checker {
        comparison: &comparison,
        text,
    };
    let condition = match field.kind {
        _ if is_null(&comparison.operand) => checker.null()?,
        FieldKind::Text => checker.text()?,
        FieldKind::Integer => checker.integer()?,
    };
    Ok(FieldCondition {
        field: comparison.field,
        condition,
        negated,
    })
}

fn is_null(operand: &Operand) -> bool {
    matches!(
        operand,
        Operand::One(Literal {
            value: Value::Null,
            ..
        })
    )
}

struct Checker<'a> {
    comparison: &'a Comparison,
    text: &'a str,
}

impl Checker<'_> {
    fn null(&self) -> Result<Condition, ExpressionError> {
        match self.comparison.operator {
            Operator::Equal | Operator::NotEqual => Ok(Condition::Null),
            _ => Err(self.operator_error(format!(
                "`{}` does not go with null; use `==` or `!=`",
                self.symbol()
            ))),
        }
    }

    fn text(&self) -> Result<Condition, ExpressionError> {
        let text = || self.text_value(self.one()?);
        let one = || text().map(Box::<[u8]>::from);
        let ordered = |relation| Ok(Condition::Ordered(relation, one()?));
        match self.comparison.operator {
            Operator::Equal | Operator::NotEqual => Ok(Condition::Equal(one()?)),
            Operator::Less => ordered(Relation::Less),
            Operator::LessOrEqual => ordered(Relation::LessOrEqual),
            Operator::Greater => ordered(Relation::Greater),
            Operator::GreaterOrEqual => ordered(Relation::GreaterOrEqual),
            Operator::Contains => Ok(Condition::contains(text()?)),
            Operator::StartsWith => Ok(Condition::StartsWith(one()?)),
            Operator::EndsWith => Ok(Condition::EndsWith(one()?)),
            Operator::In => {
                let texts = self
                    .list("\"a\", \"b\"")?
                    .iter()
                    .map(|item| self.text_value(item));
                Ok(Condition::text_in(texts.collect::<Result<_, _>>()?))
            }
            Operator::Matches | Operator::NotMatches => self.pattern(),
        }
    }

    fn integer(&self) -> Result<Condition, ExpressionError> {
        let one = || self.integer_value(self.one()?);
        match self.comparison.operator {
            Operator::Equal | Operator::NotEqual => Ok(Condition::within(one()?, one()?)),
            Operator::Less => Ok(Condition::within(i128::MIN, one()? - 1)),
            Operator::LessOrEqual => Ok(Condition::within(i128::MIN, one()?)),
            Operator::Greater => Ok(Condition::within(one()? + 1, i128::MAX)),
            Operator::GreaterOrEqual => Ok(Condition::within(one()?, i128::MAX)),
            Operator::In => {
                let integers = self
                    .list("200, 204")?
                    .iter()
                    .map(|item| self.integer_value(item));
                Ok(Condition::integer_in(integers.collect::<Result<_, _>>()?))
            }
            _ => {
                let (field, symbol) = (self.field(), self.symbol());
                Err(self.operator_error(format!(
                    "`{symbol}` is for text, and field `{field}` is an integer; \
                     use one of == != < <= > >= in"
                )))
            }
        }
    }

    /// The operand of an operator that takes no list.
    fn one(&self) -> Result<&Literal, ExpressionError> {
        match &self.comparison.operand {
            Operand::One(literal) => Ok(literal),
            Operand::List { span, .. } => {
                let symbol = self.symbol();
                let message = format!("`{symbol}` takes one value; use `in` for a list");
                Err(ExpressionError::new(message, span.clone()))
            }
        }
    }

    /// The operand of `in`; `example` shows elements of the right type.
    fn list(&self, example: &str) -> Result<&[Literal], ExpressionError> {
        match &self.comparison.operand {
            Operand::List { elements, .. } => Ok(elements),
            Operand::One(literal) => {
                let message = format!("`in` takes a list: [{example}]");
                Err(ExpressionError::new(message, literal.span.clone()))
            }
        }
    }

    fn text_value<'b>(&self, literal: &'b Literal) -> Result<&'b [u8], ExpressionError> {
        let field = self.field();
        let message = match &literal.value {
            Value::Text(text) => return Ok(text),
            Value::Null => null_in_list(&field),
            _ => {
                let source = self.source(literal);
                format!("field `{field}` is text; compare it with a string: \"{source}\"")
            }
        };
        Err(ExpressionError::new(message, literal.span.clone()))
    }

    fn integer_value(&self, literal: &Literal) -> Result<i128, ExpressionError> {
        let field = self.field();
        let message = match &literal.value {
            Value::Integer(integer) => return Ok(*integer),
            Value::Null => null_in_list(&field),
            value => {
                let hint = as_number(value).map_or(String::new(), |number| format!(": {number}"));
                format!("field `{field}` is an integer; compare it with a number{hint}")
            }
        };
        Err(ExpressionError::new(message, literal.span.clone()))
    }

    fn pattern(&self) -> Result<Condition, ExpressionError> {
        let literal = self.one()?;
        let compiled = match &literal.value {
            Value::Pattern(pattern) => Condition::matching(pattern),
            _ => {
                let symbol = self.symbol();
                let source = self.source(literal);
                let message =
                    format!("`{symbol}` takes a regular expression in quotes: \"{source}\"");
                return Err(ExpressionError::new(message, literal.span.clone()));
            }
        };
        compiled.map_err(|error| {
            let message = format!("bad regular expression: {}", reason(&error));
            ExpressionError::new(message, literal.span.clone())
        })
    }

    /// The operator as the user wrote it: it is the flipped one where the literal is on the left.
    fn symbol(&self) -> &str {
        self.text
            .get(self.comparison.operator_span.clone())
            .unwrap_or_default()
    }

    fn field(&self) -> String {
        excerpt(&self.comparison.field)
    }

    fn source(&self, literal: &Literal) -> String {
        excerpt(self.text.get(literal.span.clone()).unwrap_or_default())
    }

    fn operator_error(&self, message: String) -> ExpressionError {
        ExpressionError::new(message, self.comparison.operator_span.clone())
    }
}

fn null_in_list(field: &str) -> String {
    format!("null does not go into a list; add: {field} == null or ...")
}

/// The number that a string spells, as it would be written without quotes.
fn as_number(value: &Value) -> Option<i128> {
    let Value::Text(text) = value else {
        return None;
    };
    let number = std::str::from_utf8(text)
        .ok()?
        .trim()
        .parse::<i128>()
        .ok()?;
    (i128::from(i64::MIN)..=i128::from(u64::MAX))
        .contains(&number)
        .then_some(number)
}

/// One line of what the regex compiler says: its drawing of the pattern is dropped.
fn reason(error: &regex::Error) -> String {
    if let regex::Error::CompiledTooBig(limit) = error {
        return format!("it takes more than {limit} bytes when compiled");
    }
    let text = error.to_string();
    let last = text
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default();
    let last = last.trim();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

fn unknown_field(comparison: &Comparison, known: &Schema) -> ExpressionError {
    let name = &comparison.field;
    let mut message = format!("unknown field `{}`", excerpt(name));
    let names: Vec<&str> = known
        .fields()
        .iter()
        .map(|field| field.name.as_str())
        .collect();
    if let Some(nearest) = nearest(name, &names) {
        message.push_str(&format!("; did you mean `{nearest}`?"));
        message.push_str(" known fields: ");
    } else {
        message.push_str("; known fields: ");
    }
    message.push_str(&if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    });
    ExpressionError::new(message, comparison.field_span.clone())
}

/// The most similar name, if one is similar enough to be what was meant.
fn nearest<'a>(name: &str, names: &[&'a str]) -> Option<&'a str> {
    // Nothing this long is a slip of the pen, and the distance costs the product of the lengths.
    if name.len() > 64 {
        return None;
    }
    let lower = name.to_ascii_lowercase();
    let distance = |other: &str| strsim::osa_distance(&lower, &other.to_ascii_lowercase());
    let best = names
        .iter()
        .map(|other| (distance(other), *other))
        .min_by_key(|(far, _)| *far)?;
    (best.0 <= 1 + name.len() / 4 && best.0 < name.len()).then_some(best.1)
}
