//! Conditions on the bytes of a field, and their binding to the slots of a schema: a [`Tree`] of
//! [`FieldCondition`]s becomes a [`Predicate`]. Evaluation runs once per line and expression; it
//! must never fail, recurse, lock or allocate (but for the scratch space of a regular expression,
//! which is made at its first use).

use memchr::memmem::Finder;
use regex::bytes::Regex;

use super::check::FieldCondition;
use super::parser::Tree;
use crate::parse::{Fields, Schema};

/// Lists up to this length are searched element by element, longer ones by halving.
const LINEAR_COUNT_MAX: usize = 8;

/// What is asked of one field. False where the field is null, except for [`Condition::Null`].
#[derive(Clone, Debug)]
pub(super) enum Condition {
    /// The field has no value.
    Null,
    /// The value is that text.
    Equal(Box<[u8]>),
    /// The value is before or after that text, by bytes.
    Ordered(Relation, Box<[u8]>),
    /// The value is one of those texts: ordered by length, then bytes.
    TextIn(Box<[Box<[u8]>]>),
    /// The text occurs in the value.
    Contains(Box<Finder<'static>>),
    /// The value begins with that text.
    StartsWith(Box<[u8]>),
    /// The value ends with that text.
    EndsWith(Box<[u8]>),
    /// The expression matches somewhere in the value.
    Matches(Box<Regex>),
    /// The value is a number in the range, bounds included. Every comparison of integers is one.
    Within { low: u64, high: u64 },
    /// The value is one of those numbers: in ascending order.
    IntegerIn(Box<[u64]>),
}

/// How a value stands to a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Condition {
    /// Values from `low` to `high`. Fields are unsigned, so what is below zero or above `u64::MAX`
    /// is cut off; a range with nothing left is written as 1 to 0.
    pub(super) fn within(low: i128, high: i128) -> Condition {
        let low = u64::try_from(low.max(0));
        let high = u64::try_from(high.min(i128::from(u64::MAX)));
        match (low, high) {
            (Ok(low), Ok(high)) => Condition::Within { low, high },
            _ => Condition::Within { low: 1, high: 0 },
        }
    }

    pub(super) fn integer_in(integers: Vec<i128>) -> Condition {
        // What no field can hold cannot be found either.
        let mut values: Vec<u64> = integers
            .into_iter()
            .filter_map(|integer| u64::try_from(integer).ok())
            .collect();
        values.sort_unstable();
        values.dedup();
        Condition::IntegerIn(values.into())
    }

    pub(super) fn text_in(texts: Vec<&[u8]>) -> Condition {
        let mut values: Vec<Box<[u8]>> = texts.into_iter().map(Box::from).collect();
        values.sort_unstable_by(|a, b| by_length(a, b));
        values.dedup();
        Condition::TextIn(values.into())
    }

    pub(super) fn contains(text: &[u8]) -> Condition {
        Condition::Contains(Box::new(Finder::new(text).into_owned()))
    }

    pub(super) fn matching(pattern: &str) -> Result<Condition, regex::Error> {
        Ok(Condition::Matches(Box::new(Regex::new(pattern)?)))
    }

    /// Whether a field without a value meets the condition.
    fn holds_for_null(&self) -> bool {
        matches!(self, Condition::Null)
    }

    #[inline]
    fn holds(&self, value: Option<&[u8]>) -> bool {
        let Some(value) = value else {
            return self.holds_for_null();
        };
        match self {
            Condition::Null => false,
            Condition::Equal(text) => *value == **text,
            Condition::Ordered(relation, text) => relation.holds(value, text),
            Condition::TextIn(texts) => is_one_of(value, texts),
            Condition::Contains(finder) => finder.find(value).is_some(),
            Condition::StartsWith(text) => value.starts_with(text),
            Condition::EndsWith(text) => value.ends_with(text),
            Condition::Matches(regex) => regex.is_match(value),
            Condition::Within { low, high } => is_within(value, *low, *high),
            Condition::IntegerIn(integers) => {
                number(value).is_some_and(|number| is_listed(number, integers))
            }
        }
    }
}

impl Relation {
    #[inline]
    fn holds(self, value: &[u8], text: &[u8]) -> bool {
        match self {
            Relation::Less => value < text,
            Relation::LessOrEqual => value <= text,
            Relation::Greater => value > text,
            Relation::GreaterOrEqual => value >= text,
        }
    }
}

/// The order of [`Condition::TextIn`]: most pairs differ in length, which is cheap to compare.
fn by_length(a: &[u8], b: &[u8]) -> std::cmp::Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

fn is_one_of(value: &[u8], texts: &[Box<[u8]>]) -> bool {
    if texts.len() <= LINEAR_COUNT_MAX {
        return texts.iter().any(|text| **text == *value);
    }
    texts
        .binary_search_by(|text| by_length(text, value))
        .is_ok()
}

fn is_listed(number: u64, integers: &[u64]) -> bool {
    if integers.len() <= LINEAR_COUNT_MAX {
        return integers.contains(&number);
    }
    integers.binary_search(&number).is_ok()
}

#[inline]
fn is_within(value: &[u8], low: u64, high: u64) -> bool {
    number(value).is_some_and(|number| low <= number && number <= high)
}

/// The number that decimal digits spell; `None` for anything else and above `u64::MAX`.
#[inline]
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    let mut number: u64 = 0;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(number)
}

/// An expression with its fields resolved to slots of one schema.
///
/// Each thread should bind or clone its own: clones of a regular expression do not contend for its
/// scratch space.
#[derive(Clone, Debug)]
pub struct Predicate {
    program: Program,
}

/// The two most common whole expressions have a form of their own that inlines into the caller.
#[derive(Clone, Debug)]
enum Program {
    /// `field == "text"`, or `!=` where the result is not `expected`.
    Equal {
        slot: usize,
        text: Box<[u8]>,
        expected: bool,
    },
    /// One comparison of a field with an integer.
    Within {
        slot: usize,
        low: u64,
        high: u64,
        expected: bool,
    },
    /// Anything else.
    Steps { steps: Box<[Step]>, entry: Target },
}

/// One condition and where to go with its result. This turns `and`, `or` and `not` into jumps.
#[derive(Clone, Debug)]
struct Step {
    slot: usize,
    condition: Condition,
    on_true: Target,
    on_false: Target,
}

/// Where evaluation goes on. A step jumps only to steps with a lower index, so it always ends.
#[derive(Clone, Copy, Debug)]
enum Target {
    Step(usize),
    Result(bool),
}

impl Predicate {
    /// Resolves names to slots; what is not in the schema is null on every line.
    pub(super) fn new(tree: &Tree<FieldCondition>, schema: &Schema) -> Predicate {
        let mut steps = Vec::new();
        let entry = compile(
            tree,
            schema,
            Target::Result(true),
            Target::Result(false),
            &mut steps,
        );
        let single = match steps.as_slice() {
            [step] => step.specialised(entry),
            _ => None,
        };
        let program = single.unwrap_or(Program::Steps {
            steps: steps.into(),
            entry,
        });
        Predicate { program }
    }

    /// Whether the line meets the expression. The fields must be of the schema that the predicate
    /// was bound to.
    #[must_use]
    #[inline]
    pub fn matches(&self, fields: &Fields<'_>) -> bool {
        match &self.program {
            Program::Equal {
                slot,
                text,
                expected,
            } => fields.get(*slot).is_some_and(|value| *value == **text) == *expected,
            Program::Within {
                slot,
                low,
                high,
                expected,
            } => {
                let within = |value| is_within(value, *low, *high);
                fields.get(*slot).is_some_and(within) == *expected
            }
            Program::Steps { steps, entry } => run(steps, *entry, fields),
        }
    }
}

impl Step {
    /// The form of its own that this step has if it is the whole program.
    fn specialised(&self, entry: Target) -> Option<Program> {
        let (Target::Step(_), Target::Result(expected), Target::Result(otherwise)) =
            (entry, self.on_true, self.on_false)
        else {
            return None;
        };
        let slot = self.slot;
        match &self.condition {
            _ if expected == otherwise => None,
            Condition::Equal(text) => Some(Program::Equal {
                slot,
                text: text.clone(),
                expected,
            }),
            Condition::Within { low, high } => Some(Program::Within {
                slot,
                low: *low,
                high: *high,
                expected,
            }),
            _ => None,
        }
    }
}

fn run(steps: &[Step], entry: Target, fields: &Fields<'_>) -> bool {
    let mut target = entry;
    loop {
        let index = match target {
            Target::Result(result) => return result,
            Target::Step(index) => index,
        };
        // Targets are indexes of steps that were there when the target was made.
        let step = &steps[index];
        let holds = step.condition.holds(fields.get(step.slot));
        target = if holds { step.on_true } else { step.on_false };
    }
}

/// Appends the steps of a tree and returns where they start. They are made from the last to the
/// first, since a step must know where to go on. Conditions on fields that the schema does not
/// have are known here and take no step.
fn compile(
    tree: &Tree<FieldCondition>,
    schema: &Schema,
    on_true: Target,
    on_false: Target,
    steps: &mut Vec<Step>,
) -> Target {
    match tree {
        Tree::Leaf(leaf) if leaf.negated => compile_leaf(leaf, schema, on_false, on_true, steps),
        Tree::Leaf(leaf) => compile_leaf(leaf, schema, on_true, on_false, steps),
        Tree::Not(inner) => compile(inner, schema, on_false, on_true, steps),
        Tree::All(terms) => terms.iter().rev().fold(on_true, |next, term| {
            compile(term, schema, next, on_false, steps)
        }),
        Tree::Any(terms) => terms.iter().rev().fold(on_false, |next, term| {
            compile(term, schema, on_true, next, steps)
        }),
    }
}

fn compile_leaf(
    leaf: &FieldCondition,
    schema: &Schema,
    on_true: Target,
    on_false: Target,
    steps: &mut Vec<Step>,
) -> Target {
    let Some(slot) = schema.slot(&leaf.field) else {
        return if leaf.condition.holds_for_null() {
            on_true
        } else {
            on_false
        };
    };
    steps.push(Step {
        slot,
        condition: leaf.condition.clone(),
        on_true,
        on_false,
    });
    Target::Step(steps.len() - 1)
}
