//! The text of an expression to a [`Tree`] of comparisons, by recursive descent. Checks syntax
//! only: whether a field exists and takes the comparison is for the checker. Recursion is bounded
//! by [`NESTING_MAX`]; no text can exhaust the stack, here or where the tree is walked.

use std::ops::Range;

use super::error::{ExpressionError, excerpt};
use super::lexer::{Lexer, Operator, Token, TokenKind, Value, keyword};

/// How deep parentheses may be nested.
pub(super) const NESTING_MAX: usize = 64;

/// Conditions joined by `and`, `or` and `not`.
#[derive(Clone, Debug)]
pub(super) enum Tree<Leaf> {
    /// One condition on one field.
    Leaf(Leaf),
    /// True where the inner is false.
    Not(Box<Tree<Leaf>>),
    /// True where each is: `and`.
    All(Vec<Tree<Leaf>>),
    /// True where one is: `or`.
    Any(Vec<Tree<Leaf>>),
}

impl<Leaf> Tree<Leaf> {
    /// The same tree with each leaf replaced; ends at the first failure, from left to right.
    pub(super) fn try_map<Other, E>(
        self,
        replace: &mut impl FnMut(Leaf) -> Result<Other, E>,
    ) -> Result<Tree<Other>, E> {
        Ok(match self {
            Tree::Leaf(leaf) => Tree::Leaf(replace(leaf)?),
            Tree::Not(inner) => Tree::Not(Box::new(inner.try_map(replace)?)),
            Tree::All(inner) => Tree::All(try_map_all(inner, replace)?),
            Tree::Any(inner) => Tree::Any(try_map_all(inner, replace)?),
        })
    }
}

fn try_map_all<Leaf, Other, E>(
    trees: Vec<Tree<Leaf>>,
    replace: &mut impl FnMut(Leaf) -> Result<Other, E>,
) -> Result<Vec<Tree<Other>>, E> {
    trees
        .into_iter()
        .map(|tree| tree.try_map(replace))
        .collect()
}

/// A field, an operator and what it compares with; with the field on the left however it was written.
#[derive(Clone, Debug)]
pub(super) struct Comparison {
    pub(super) field: String,
    pub(super) field_span: Range<usize>,
    pub(super) operator: Operator,
    pub(super) operator_span: Range<usize>,
    pub(super) operand: Operand,
}

/// What a field is compared with.
#[derive(Clone, Debug)]
pub(super) enum Operand {
    One(Literal),
    /// Never empty.
    List {
        elements: Vec<Literal>,
        span: Range<usize>,
    },
}

/// A value in an expression and where it is.
#[derive(Clone, Debug)]
pub(super) struct Literal {
    pub(super) value: Value,
    pub(super) span: Range<usize>,
}

/// Parses a whole expression.
pub(super) fn parse(text: &str) -> Result<Tree<Comparison>, ExpressionError> {
    let mut lexer = Lexer::new(text);
    let current = lexer.token()?;
    let mut parser = Parser {
        lexer,
        current,
        nesting: 0,
    };
    if parser.current.kind == TokenKind::End {
        return Err(ExpressionError::new("the expression is empty", 0..0));
    }
    let tree = parser.any()?;
    parser.finish()?;
    Ok(tree)
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    /// The token that is looked at next.
    current: Token,
    /// Parentheses that are open.
    nesting: usize,
}

impl Parser<'_> {
    /// Steps to the next token and returns the one before.
    fn advance(&mut self) -> Result<Token, ExpressionError> {
        let next = self.lexer.token()?;
        Ok(std::mem::replace(&mut self.current, next))
    }

    /// Steps over the current token if it is that.
    fn accept(&mut self, kind: &TokenKind) -> Result<bool, ExpressionError> {
        let found = self.current.kind == *kind;
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn any(&mut self) -> Result<Tree<Comparison>, ExpressionError> {
        let first = self.all()?;
        let mut terms = vec![first];
        while self.accept(&TokenKind::Or)? {
            terms.push(self.all()?);
        }
        Ok(joined(terms, Tree::Any))
    }

    fn all(&mut self) -> Result<Tree<Comparison>, ExpressionError> {
        let first = self.unary()?;
        let mut terms = vec![first];
        while self.accept(&TokenKind::And)? {
            terms.push(self.unary()?);
        }
        Ok(joined(terms, Tree::All))
    }

    /// A chain of `not` is a loop and collapses to one or none, so it needs no bound.
    fn unary(&mut self) -> Result<Tree<Comparison>, ExpressionError> {
        let mut negated = false;
        while self.accept(&TokenKind::Not)? {
            negated = !negated;
        }
        let inner = match self.current.kind {
            TokenKind::LeftParenthesis => self.parenthesised()?,
            _ => Tree::Leaf(self.comparison()?),
        };
        Ok(if negated {
            Tree::Not(Box::new(inner))
        } else {
            inner
        })
    }

    fn parenthesised(&mut self) -> Result<Tree<Comparison>, ExpressionError> {
        let open = self.current.span.clone();
        if self.nesting == NESTING_MAX {
            let message = format!("parentheses are nested deeper than {NESTING_MAX}");
            return Err(ExpressionError::new(message, open));
        }
        self.advance()?;
        self.nesting += 1;
        let inner = self.any()?;
        self.nesting -= 1;
        match self.current.kind {
            TokenKind::RightParenthesis => self.advance()?,
            TokenKind::End => {
                return Err(ExpressionError::new("this parenthesis is not closed", open));
            }
            _ => return Err(self.unexpected("`and`, `or` or `)`")),
        };
        Ok(inner)
    }

    fn comparison(&mut self) -> Result<Comparison, ExpressionError> {
        match self.current.kind {
            TokenKind::Name => self.field_first(),
            TokenKind::Value(_) => self.literal_first(),
            _ => Err(self.unexpected("a field")),
        }
    }

    fn field_first(&mut self) -> Result<Comparison, ExpressionError> {
        let field_span = self.advance()?.span;
        let field = self.lexer.slice(field_span.clone()).to_owned();
        let TokenKind::Operator(operator) = self.current.kind else {
            return Err(self.no_operator(&field, field_span));
        };
        let operator_span = self.advance()?.span;
        let operand = match (operator, &self.current.kind) {
            (Operator::In, TokenKind::LeftParenthesis) => self.list(TokenKind::RightParenthesis)?,
            (_, TokenKind::LeftBracket) => self.list(TokenKind::RightBracket)?,
            _ => Operand::One(self.literal(&format!("a value after `{}`", operator.symbol()))?),
        };
        Ok(Comparison {
            field,
            field_span,
            operator,
            operator_span,
            operand,
        })
    }

    fn literal_first(&mut self) -> Result<Comparison, ExpressionError> {
        let literal = self.literal("a value")?;
        let source = excerpt(self.lexer.slice(literal.span.clone()));
        let TokenKind::Operator(written) = self.current.kind else {
            let message = "a value alone is not a condition; compare a field with it";
            return Err(ExpressionError::new(message, literal.span));
        };
        let operator_span = self.advance()?.span;
        if self.current.kind != TokenKind::Name {
            let message = "a comparison has a field on one side";
            return Err(ExpressionError::new(
                message,
                literal.span.start..operator_span.end,
            ));
        }
        let field = self.lexer.slice(self.current.span.clone()).to_owned();
        let Some(operator) = written.flipped() else {
            return Err(not_flippable(
                written,
                operator_span,
                &excerpt(&field),
                &source,
            ));
        };
        let field_span = self.advance()?.span;
        let operand = Operand::One(literal);
        Ok(Comparison {
            field,
            field_span,
            operator,
            operator_span,
            operand,
        })
    }

    fn literal(&mut self, expected: &str) -> Result<Literal, ExpressionError> {
        let value = match &self.current.kind {
            TokenKind::Value(value) => value.clone(),
            TokenKind::Name => return Err(self.name_as_value()),
            _ => return Err(self.unexpected(expected)),
        };
        Ok(Literal {
            value,
            span: self.advance()?.span,
        })
    }

    /// A list from its opening bracket to `close`; a comma may follow the last element.
    fn list(&mut self, close: TokenKind) -> Result<Operand, ExpressionError> {
        let open = self.advance()?.span;
        let mut elements = Vec::new();
        while self.current.kind != close {
            if self.current.kind == TokenKind::End {
                return Err(ExpressionError::new("this list is not closed", open));
            }
            elements.push(self.literal("a value")?);
            let separated = self.accept(&TokenKind::Comma)?;
            if !separated && ![&close, &TokenKind::End].contains(&&self.current.kind) {
                return Err(self.unexpected("`,` or the end of the list"));
            }
        }
        let span = open.start..self.advance()?.span.end;
        if elements.is_empty() {
            return Err(ExpressionError::new(
                "the list is empty: nothing is in it",
                span,
            ));
        }
        Ok(Operand::List { elements, span })
    }

    /// Fails unless everything has been read.
    fn finish(&self) -> Result<(), ExpressionError> {
        let message = match self.current.kind {
            TokenKind::End => return Ok(()),
            TokenKind::RightParenthesis => "this parenthesis was never opened",
            TokenKind::Operator(_) => "comparisons do not chain; join two of them with `and`",
            _ => return Err(self.unexpected("`and`, `or` or the end")),
        };
        Err(ExpressionError::new(message, self.current.span.clone()))
    }

    fn unexpected(&self, expected: &str) -> ExpressionError {
        let word = self.lexer.slice(self.current.span.clone());
        let mut message = match self.current.kind {
            TokenKind::End => format!("expected {expected}, found the end"),
            _ => format!("expected {expected}, found `{}`", excerpt(word)),
        };
        let lower = word.to_ascii_lowercase();
        if lower != word && keyword(&lower).is_some() {
            message.push_str(&format!("; did you mean `{lower}`?"));
        }
        ExpressionError::new(message, self.current.span.clone())
    }

    /// The error for a field that no operator follows.
    fn no_operator(&self, field: &str, span: Range<usize>) -> ExpressionError {
        let field = excerpt(field);
        match self.current.kind {
            TokenKind::End | TokenKind::And | TokenKind::Or | TokenKind::RightParenthesis => {
                let message = format!(
                    "a field alone is not a condition; compare it, for example: {field} != null"
                );
                ExpressionError::new(message, span)
            }
            TokenKind::Not => {
                let message = format!("`not` goes before the comparison: not {field} ...");
                ExpressionError::new(message, self.current.span.clone())
            }
            _ => self.unexpected(&format!("an operator like == or in after `{field}`")),
        }
    }

    /// The error for text without quotes, or for a second field.
    fn name_as_value(&self) -> ExpressionError {
        let name = excerpt(self.lexer.slice(self.current.span.clone()));
        let message = format!("expected a value, found a name; text goes in quotes: \"{name}\"");
        ExpressionError::new(message, self.current.span.clone())
    }
}

/// One term as it is, several under their operator.
fn joined(
    mut terms: Vec<Tree<Comparison>>,
    operator: fn(Vec<Tree<Comparison>>) -> Tree<Comparison>,
) -> Tree<Comparison> {
    match terms.pop() {
        Some(only) if terms.is_empty() => only,
        Some(last) => {
            terms.push(last);
            operator(terms)
        }
        None => operator(terms),
    }
}

/// The error for a literal on the left of an operator that needs the field there.
fn not_flippable(
    operator: Operator,
    span: Range<usize>,
    field: &str,
    literal: &str,
) -> ExpressionError {
    let message = match operator {
        Operator::In => {
            format!(
                "`in` takes a field and a list; for a part of a text: {field} contains {literal}"
            )
        }
        _ => {
            let symbol = operator.symbol();
            format!("the field goes on the left of `{symbol}`: {field} {symbol} {literal}")
        }
    };
    ExpressionError::new(message, span)
}
