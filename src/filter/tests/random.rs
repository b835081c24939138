//! Random expressions against a naive interpreter, and random text against panics.

use proptest::prelude::*;

use super::super::lexer::Operator;
use super::*;

/// A literal as the naive interpreter has it.
#[derive(Clone, Debug)]
enum Value {
    Text(String),
    Integer(i128),
    Null,
    Texts(Vec<String>),
    Integers(Vec<i128>),
}

/// An expression to print and to interpret.
#[derive(Clone, Debug)]
enum Node {
    Compare {
        field: &'static str,
        operator: Operator,
        value: Value,
        flip: bool,
    },
    Not(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
}

/// Values of the fields `t`, `u`, `n` and `m`; `u` and `m` may also be missing in the schema.
#[derive(Clone, Debug)]
struct Values {
    texts: [Option<String>; 2],
    integers: [Option<u64>; 2],
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::collection::vec(prop::sample::select(vec!["a", "b", "/"]), 0..4)
            .prop_map(|parts| parts.concat()),
        "[ab\"'\\\\\n\u{e9}.]{0,3}",
    ]
}

fn integer() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 0..4_u64,
        1 => prop::sample::select(vec![i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX - 1, u64::MAX]),
    ]
}

fn literal_integer() -> impl Strategy<Value = i128> {
    prop_oneof![
        6 => integer().prop_map(i128::from),
        1 => prop::sample::select(vec![-1, i128::from(i64::MIN)]),
    ]
}

fn values() -> impl Strategy<Value = Values> {
    let texts = [proptest::option::of(text()), proptest::option::of(text())];
    let integers = [
        proptest::option::of(integer()),
        proptest::option::of(integer()),
    ];
    (texts, integers).prop_map(|(texts, integers)| Values { texts, integers })
}

fn compare() -> impl Strategy<Value = Node> {
    use Operator::*;
    let text_field = prop::sample::select(vec!["t", "u"]);
    let integer_field = prop::sample::select(vec!["n", "m"]);
    let order = vec![Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual];
    let texts = vec![Contains, StartsWith, EndsWith];
    let all_fields = prop::sample::select(vec!["t", "u", "n", "m"]);
    let patterns = prop::sample::select(vec!["^a", "b$", "", r"\.", "[\"']", "(?i)A/", r"\\"]);
    let node = |(field, operator, value, flip)| Node::Compare {
        field,
        operator,
        value,
        flip,
    };
    prop_oneof![
        (
            text_field.clone(),
            prop::sample::select(order.clone()),
            text().prop_map(Value::Text),
            any::<bool>()
        )
            .prop_map(node),
        (
            integer_field.clone(),
            prop::sample::select(order),
            literal_integer().prop_map(Value::Integer),
            any::<bool>()
        )
            .prop_map(node),
        (
            text_field.clone(),
            prop::sample::select(texts),
            text().prop_map(Value::Text),
            Just(false)
        )
            .prop_map(node),
        (
            text_field.clone(),
            prop::sample::select(vec![Matches, NotMatches]),
            patterns.prop_map(|pattern| Value::Text(pattern.to_owned())),
            Just(false)
        )
            .prop_map(node),
        (
            text_field,
            Just(In),
            proptest::collection::vec(text(), 1..12).prop_map(Value::Texts),
            Just(false)
        )
            .prop_map(node),
        (
            integer_field,
            Just(In),
            proptest::collection::vec(literal_integer(), 1..12).prop_map(Value::Integers),
            Just(false)
        )
            .prop_map(node),
        (
            all_fields,
            prop::sample::select(vec![Equal, NotEqual]),
            Just(Value::Null),
            any::<bool>()
        )
            .prop_map(node),
    ]
}

fn node() -> impl Strategy<Value = Node> {
    compare().prop_recursive(5, 40, 4, |inner| {
        let several = proptest::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            inner.prop_map(|node| Node::Not(Box::new(node))),
            several.clone().prop_map(Node::And),
            several.prop_map(Node::Or),
        ]
    })
}

fn quoted(text: &str) -> String {
    // Either quote, chosen by the content, so that both are seen.
    let quote = if text.len().is_multiple_of(2) {
        '"'
    } else {
        '\''
    };
    let mut printed = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => printed.push_str("\\\\"),
            '\n' => printed.push_str("\\n"),
            '\u{e9}' => printed.push_str("\\xc3\\xa9"),
            c if c == quote => printed.extend(['\\', c]),
            c => printed.push(c),
        }
    }
    printed.push(quote);
    printed
}

fn print_value(value: &Value) -> String {
    let join = |items: Vec<String>| items.join(", ");
    match value {
        Value::Text(text) => quoted(text),
        Value::Integer(integer) => integer.to_string(),
        Value::Null => "null".to_owned(),
        Value::Texts(texts) => format!("({})", join(texts.iter().map(|t| quoted(t)).collect())),
        Value::Integers(integers) => {
            format!(
                "[{}]",
                join(integers.iter().map(ToString::to_string).collect())
            )
        }
    }
}

/// Prints with only the parentheses that precedence needs; `outer` is the precedence around.
fn print(node: &Node, outer: u8) -> String {
    let (precedence, printed) = match node {
        Node::Compare {
            field,
            operator,
            value,
            flip,
        } => {
            let value = print_value(value);
            let printed = match operator.flipped() {
                Some(flipped) if *flip => format!("{value}{}{field}", flipped.symbol()),
                _ => format!("{field} {} {value}", operator.symbol()),
            };
            (3, printed)
        }
        Node::Not(inner) => (2, format!("not {}", print(inner, 2))),
        Node::And(terms) => {
            let terms: Vec<String> = terms.iter().map(|term| print(term, 1)).collect();
            (1, terms.join(" and "))
        }
        Node::Or(terms) => {
            let terms: Vec<String> = terms.iter().map(|term| print(term, 0)).collect();
            (0, terms.join("||"))
        }
    };
    if precedence < outer {
        format!("({printed})")
    } else {
        printed
    }
}

fn compare_naively<T: Ord>(operator: Operator, value: &T, literal: &T) -> bool {
    match operator {
        Operator::Equal => value == literal,
        Operator::Less => value < literal,
        Operator::LessOrEqual => value <= literal,
        Operator::Greater => value > literal,
        Operator::GreaterOrEqual => value >= literal,
        _ => panic!("{operator:?} is no order"),
    }
}

fn text_naively(operator: Operator, text: &str, literal: &Value) -> bool {
    match (operator, literal) {
        (Operator::Contains, Value::Text(part)) => text.contains(part.as_str()),
        (Operator::StartsWith, Value::Text(part)) => text.starts_with(part.as_str()),
        (Operator::EndsWith, Value::Text(part)) => text.ends_with(part.as_str()),
        (Operator::Matches, Value::Text(pattern)) => regex::bytes::Regex::new(pattern)
            .unwrap()
            .is_match(text.as_bytes()),
        (Operator::In, Value::Texts(texts)) => texts.iter().any(|one| one == text),
        (_, Value::Text(literal)) => {
            compare_naively(operator, &text.as_bytes(), &literal.as_bytes())
        }
        _ => panic!("{operator:?} {literal:?} is not for text"),
    }
}

fn interpret(node: &Node, values: &Values) -> bool {
    let (field, operator, literal) = match node {
        Node::Not(inner) => return !interpret(inner, values),
        Node::And(terms) => return terms.iter().all(|term| interpret(term, values)),
        Node::Or(terms) => return terms.iter().any(|term| interpret(term, values)),
        Node::Compare {
            field,
            operator,
            value,
            ..
        } => (*field, *operator, value),
    };
    let positive = match operator {
        Operator::NotEqual => Operator::Equal,
        Operator::NotMatches => Operator::Matches,
        operator => operator,
    };
    let slot = usize::from(field == "u" || field == "m");
    let holds = if field == "t" || field == "u" {
        let text = &values.texts[slot];
        match literal {
            Value::Null => text.is_none(),
            _ => text
                .as_ref()
                .is_some_and(|text| text_naively(positive, text, literal)),
        }
    } else {
        let integer = values.integers[slot].map(i128::from);
        match literal {
            Value::Null => integer.is_none(),
            Value::Integers(list) => integer.is_some_and(|integer| list.contains(&integer)),
            Value::Integer(literal) => {
                integer.is_some_and(|integer| compare_naively(positive, &integer, literal))
            }
            _ => panic!("{literal:?} is not for an integer"),
        }
    };
    holds == (positive == operator)
}

/// The line of these values; null fields are null spans, or missing in the schema if `lacking`.
fn line_of(values: &Values, lacking: bool) -> Line {
    let mut line = Line::new();
    for (name, text) in ["t", "u"].iter().zip(&values.texts) {
        if text.is_some() || !lacking {
            line = line.with(
                name,
                FieldKind::Text,
                text.as_ref().map(|text| text.as_bytes()),
            );
        }
    }
    for (name, integer) in ["n", "m"].iter().zip(values.integers) {
        let digits = integer.map(|integer| integer.to_string());
        if digits.is_some() || !lacking {
            let digits = digits.as_ref().map(|digits| digits.as_bytes());
            line = line.with(name, FieldKind::Integer, digits);
        }
    }
    line
}

/// All fields that random expressions use.
fn known() -> Schema {
    line_of(
        &Values {
            texts: [None, None],
            integers: [None, None],
        },
        false,
    )
    .schema
}

/// Text that is nearly an expression: words of the language in any order.
fn word_salad() -> impl Strategy<Value = String> {
    let words = vec![
        "t",
        "n",
        "x",
        "==",
        "!=",
        "<=",
        "<",
        "=~",
        "!~",
        "in",
        "contains",
        "and",
        "or",
        "not",
        "!",
        "&&",
        "(",
        ")",
        "[",
        "]",
        ",",
        "'a'",
        "\"\\x",
        "'",
        "\"",
        "\\",
        "\\u{",
        "4",
        "-4",
        "99999999999999999999999",
        "null",
        "\n",
        "\u{20ac}",
        "=",
        "'('",
        "\t",
        "\u{1b}",
    ];
    proptest::collection::vec(prop::sample::select(words), 0..12)
        .prop_flat_map(|words| prop_oneof![Just(words.join(" ")), Just(words.concat())])
}

fn parse_and_render(text: &str) {
    if let Err(error) = Expression::parse(text, &known()) {
        let rendered = error.render(text);
        assert_eq!(rendered.lines().count(), 2, "{rendered:?}");
        assert!(
            !rendered.chars().any(|c| c.is_control() && c != '\n'),
            "{rendered:?}"
        );
        assert!(text.get(error.span.clone()).is_some(), "{:?}", error.span);
    }
}

proptest! {
    #[test]
    fn printed_expressions_mean_what_the_naive_interpreter_says(
        node in node(), lines in proptest::collection::vec((values(), any::<bool>()), 1..10)
    ) {
        let text = print(&node, 0);
        let expression = parse(&text, &known());
        for (values, lacking) in lines {
            let line = line_of(&values, lacking);
            let matched = expression.bind(&line.schema).matches(&line.fields());
            prop_assert_eq!(matched, interpret(&node, &values), "{} on {:?}", text, values);
        }
    }

    #[test]
    fn any_text_is_parsed_or_refused_without_panic(text in any::<String>()) {
        parse_and_render(&text);
    }

    #[test]
    fn any_words_are_parsed_or_refused_without_panic(text in word_salad()) {
        parse_and_render(&text);
    }

    #[test]
    fn rendering_takes_any_span_and_text(
        text in prop_oneof![any::<String>(), "[a\u{e9}\n\t]{0,300}"],
        start in 0..400_usize,
        end in 0..400_usize,
    ) {
        let rendered = ExpressionError::new("m", start..end).render(&text);
        prop_assert!(rendered.ends_with("^ m"));
        prop_assert_eq!(rendered.matches('\n').count(), 1);
    }
}
