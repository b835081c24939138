//! The language by example: every operator on every type, precedence, null, literals, binding.

use super::*;
use crate::parse::{Field, FieldKind, Span};

mod errors;
mod random;

/// One line to evaluate on, with its own schema.
struct Line {
    schema: Schema,
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

impl Line {
    fn new() -> Line {
        Line {
            schema: Schema::default(),
            bytes: Vec::new(),
            spans: Vec::new(),
        }
    }

    fn with(mut self, name: &str, kind: FieldKind, value: Option<&[u8]>) -> Line {
        let mut fields = self.schema.fields().to_vec();
        fields.push(Field {
            name: name.to_owned(),
            kind,
        });
        self.schema = Schema::new(fields);
        let start = self.bytes.len();
        self.bytes.extend_from_slice(value.unwrap_or_default());
        let span = Span::new(start, self.bytes.len());
        self.spans
            .push(if value.is_some() { span } else { Span::NULL });
        self
    }

    fn text(self, name: &str, value: &str) -> Line {
        self.with(name, FieldKind::Text, Some(value.as_bytes()))
    }

    fn integer(self, name: &str, value: &str) -> Line {
        self.with(name, FieldKind::Integer, Some(value.as_bytes()))
    }

    fn fields(&self) -> Fields<'_> {
        Fields {
            bytes: &self.bytes,
            spans: &self.spans,
        }
    }
}

/// `path`, `agent` and `note` are text, `status` and `bytes` are integers; `agent` and `bytes` are
/// null.
fn line() -> Line {
    Line::new()
        .text("path", "/api/Users?id=7")
        .with("agent", FieldKind::Text, None)
        .text("note", "")
        .integer("status", "404")
        .with("bytes", FieldKind::Integer, None)
}

fn parse(text: &str, known: &Schema) -> Expression {
    Expression::parse(text, known)
        .unwrap_or_else(|error| panic!("does not parse:\n{}", error.render(text)))
}

fn matches_on(text: &str, line: &Line) -> bool {
    parse(text, &line.schema)
        .bind(&line.schema)
        .matches(&line.fields())
}

/// Each expression has the result on [`line`], and its negation the opposite one.
#[track_caller]
fn assert_all(expected: bool, expressions: &[&str]) {
    let line = line();
    for text in expressions {
        assert_eq!(matches_on(text, &line), expected, "{text}");
        assert_eq!(
            matches_on(&format!("not ({text})"), &line),
            !expected,
            "not ({text})"
        );
        // A second term keeps the expression from the forms that single comparisons have.
        let joined = format!("({text}) and status != null");
        assert_eq!(matches_on(&joined, &line), expected, "{joined}");
    }
}

#[test]
fn text_operators_that_hold() {
    assert_all(
        true,
        &[
            "path == '/api/Users?id=7'",
            "path != '/api/users?id=7'",
            "path < '/api/a'",
            "path <= '/api/Users?id=7'",
            "path > '/api/U'",
            "path >= '/api/Users?id=7'",
            "path in ['x', '/api/Users?id=7']",
            "path in ('x', '/api/Users?id=7')",
            "path contains 'Users'",
            "path contains ''",
            "path starts_with '/api/'",
            "path starts_with ''",
            "path ends_with 'id=7'",
            "path =~ '^/api/[A-Z]'",
            "path =~ '(?i)USERS'",
            "path !~ 'users'",
            "note == ''",
            "note != null",
            "note < 'a'",
            "note in ['']",
        ],
    );
}

#[test]
fn text_operators_that_do_not_hold() {
    assert_all(
        false,
        &[
            "path == '/api/Users?id=8'",
            "path == '/api/Users?id=77'",
            "path != '/api/Users?id=7'",
            "path < '/api/Users?id=7'",
            "path <= '/api/Users?id='",
            "path > '/api/Users?id=7'",
            "path >= '/api/a'",
            "path in ['/api/Users?id=8', '/api']",
            "path contains 'users'",
            "path starts_with 'api'",
            "path starts_with '/api/Users?id=7 and more'",
            "path ends_with 'id='",
            "path =~ '^api'",
            "path !~ 'Users'",
            "note contains 'a'",
            "note == null",
        ],
    );
}

#[test]
fn integer_operators_that_hold() {
    assert_all(
        true,
        &[
            "status == 404",
            "status == 0404",
            "status != 405",
            "status != -404",
            "status < 405",
            "status <= 404",
            "status > 403",
            "status > -1",
            "status >= 404",
            "status >= -9223372036854775808",
            "status < 18446744073709551615",
            "status in [200, 404]",
            "status in (404)",
            "status in [-1, 404,]",
            "status != null",
        ],
    );
}

#[test]
fn integer_operators_that_do_not_hold() {
    assert_all(
        false,
        &[
            "status == 40",
            "status == -404",
            "status != 404",
            "status < 404",
            "status < 0",
            "status < -1",
            "status <= 403",
            "status <= -1",
            "status > 404",
            "status > 18446744073709551615",
            "status >= 405",
            "status in [200, 403]",
            "status in [-404]",
            "status == null",
        ],
    );
}

#[test]
fn literal_on_the_left() {
    assert_all(
        true,
        &[
            "404 == status",
            "403 != status",
            "403 < status",
            "404 <= status",
            "405 > status",
            "404 >= status",
            "'/api/Users?id=7' == path",
            "null == agent",
            "null != path",
        ],
    );
    assert_all(
        false,
        &[
            "404 < status",
            "404 > status",
            "405 <= status",
            "403 >= status",
        ],
    );
}

#[test]
fn comparisons_with_a_null_field() {
    assert_all(
        false,
        &[
            "agent == ''",
            "agent == 'x'",
            "agent < 'x'",
            "agent <= 'x'",
            "agent > ''",
            "agent >= ''",
            "agent in ['', 'x']",
            "agent contains ''",
            "agent starts_with ''",
            "agent ends_with ''",
            "agent =~ ''",
            "agent != null",
            "bytes == 0",
            "bytes < 1",
            "bytes <= 0",
            "bytes > -1",
            "bytes >= 0",
            "bytes in [0]",
        ],
    );
    assert_all(
        true,
        &[
            "agent == null",
            "bytes == null",
            "agent != ''",
            "agent !~ ''",
            "bytes != 0",
            "not bytes >= 0",
        ],
    );
}

#[test]
fn truth_tables() {
    let word = |value| {
        if value {
            "status == 404"
        } else {
            "path == 'x'"
        }
    };
    let line = line();
    for (a, b) in [(false, false), (false, true), (true, false), (true, true)] {
        for (and, or, not) in [("and", "or", "not"), ("&&", "||", "!")] {
            let (left, right) = (word(a), word(b));
            assert_eq!(matches_on(&format!("{left} {and} {right}"), &line), a && b);
            assert_eq!(matches_on(&format!("{left} {or} {right}"), &line), a || b);
            assert_eq!(matches_on(&format!("{not} {left}"), &line), !a);
            assert_eq!(matches_on(&format!("{not} {not} {left}"), &line), a);
        }
    }
}

#[test]
fn not_binds_tighter_than_and_than_or() {
    let line = line();
    let word = |value| {
        if value {
            "status == 404"
        } else {
            "status == 1"
        }
    };
    for bits in 0..8 {
        let [a, b, c] = [bits & 1 != 0, bits & 2 != 0, bits & 4 != 0];
        let [x, y, z] = [word(a), word(b), word(c)];
        let value = |text: String| matches_on(&text, &line);
        assert_eq!(value(format!("{x} or {y} and {z}")), a || (b && c));
        assert_eq!(value(format!("{x} and {y} or {z}")), (a && b) || c);
        assert_eq!(value(format!("({x} or {y}) and {z}")), (a || b) && c);
        assert_eq!(value(format!("not {x} and {y} or {z}")), (!a && b) || c);
        assert_eq!(value(format!("not {x} or {y} and {z}")), !a || (b && c));
        assert_eq!(value(format!("!({x} or {y}) && {z}")), !(a || b) && c);
    }
}

#[test]
fn strings_and_their_escapes() {
    let line = Line::new().with(
        "t",
        FieldKind::Text,
        Some(b"a\\b\"c'd\n\t\r\xff\xc3\xa9\xe2\x82\xac"),
    );
    assert!(matches_on(
        r#"t == "a\\b\"c\'d\n\t\r\xff\u{e9}\u{20AC}""#,
        &line
    ));
    assert!(matches_on(
        r#"t == 'a\\b"c\'d\n\t\r\xfF\xc3\xa9\u{20ac}'"#,
        &line
    ));
    assert!(matches_on("t ends_with '\u{e9}\u{20ac}'", &line));
    assert!(matches_on("t contains '\n\t'", &line));
}

#[test]
fn patterns_keep_the_backslashes_of_regular_expressions() {
    let line = Line::new().text("t", "a.b 12 \"x\" c:\\dir \u{e9}");
    for text in [
        r#"t =~ "\d\d""#,
        r#"t =~ "\\d\\d""#,
        r#"t =~ "^a\.b\b""#,
        r#"t =~ "a\x2eb""#,
        r#"t =~ "\"x\"""#,
        r#"t =~ "c:\\\\dir""#,
        r#"t =~ "\u{e9}$""#,
        r#"t !~ "a\x2e\x2e""#,
    ] {
        assert!(matches_on(text, &line), "{text}");
    }
}

#[test]
fn regular_expressions_work_on_bytes_that_are_not_utf8() {
    let line = Line::new().with("t", FieldKind::Text, Some(b"\xff\xfe/admin"));
    assert!(matches_on("t =~ '/admin$'", &line));
    assert!(matches_on(r"t =~ '(?-u)^\xff'", &line));
    assert!(matches_on("t !~ '^/admin'", &line));
}

#[test]
fn long_lists() {
    let numbers: Vec<String> = (0..100).rev().map(|n| (n * 7).to_string()).collect();
    let texts: Vec<String> = numbers.iter().map(|n| format!("'{n}'")).collect();
    let numbers = format!("n in [{}]", numbers.join(", "));
    let texts = format!("t in [{}]", texts.join(", "));
    for n in 0..800 {
        let line = Line::new()
            .integer("n", &n.to_string())
            .text("t", &n.to_string());
        let expected = n % 7 == 0 && n < 700;
        assert_eq!(matches_on(&numbers, &line), expected, "{n}");
        assert_eq!(matches_on(&texts, &line), expected, "{n}");
    }
}

#[test]
fn integers_up_to_the_limits() {
    let check = |value: &str, text: &str| matches_on(text, &Line::new().integer("n", value));
    assert!(check("9999999999999999999", "n > 9999999999999999998"));
    assert!(check("9999999999999999999", "n > 9223372036854775807"));
    assert!(check("9999999999999999999", "n == 9999999999999999999"));
    assert!(!check("9999999999999999999", "n < -9223372036854775808"));
    assert!(check("18446744073709551615", "n == 18446744073709551615"));
    assert!(check("18446744073709551615", "n >= 18446744073709551615"));
    assert!(!check("18446744073709551615", "n > 18446744073709551615"));
    assert!(check("0", "n <= 0"));
    assert!(!check("0", "n < 0"));
    assert!(check("000000000000000000000007", "n == 7"));
}

#[test]
fn bytes_that_are_no_number_meet_no_integer_comparison() {
    for value in [
        "",
        "-",
        "-1",
        "4x",
        " 4",
        "18446744073709551616",
        "99999999999999999999999",
    ] {
        let line = Line::new().integer("n", value);
        for text in ["n >= 0", "n < 5", "n in [4]", "n == 4", "n == null"] {
            assert!(!matches_on(text, &line), "{value:?}: {text}");
        }
        assert!(matches_on("n != 4", &line), "{value:?}");
    }
}

#[test]
fn fields_that_the_schema_lacks_are_null() {
    let known = line().schema;
    let other = Line::new().text("message", "m").integer("status", "500");
    let value = |text| {
        parse(text, &known)
            .bind(&other.schema)
            .matches(&other.fields())
    };
    assert!(value("status == 500"));
    assert!(value("path == null and status == 500"));
    assert!(value("path != 'x'"));
    assert!(value("path !~ 'x'"));
    assert!(value("bytes > 0 or status > 0"));
    assert!(value("not (path == 'x' or bytes in [1])"));
    assert!(!value("path == ''"));
    assert!(!value("path != null"));
    assert!(!value("status == 500 and bytes >= 0"));
    assert!(!value("path contains '' and status == 500"));
    assert!(!value("not (status == 1 or path == null)"));
    assert!(value("status == 1 or path == null"));
}

#[test]
fn names_and_layout() {
    let line = Line::new()
        .text("_a.b9", "x")
        .text("Not", "y")
        .text("android", "z");
    assert!(matches_on(
        "\n  _a.b9=='x'\n  and\tNot == 'y'&&(android=='z')\n",
        &line
    ));
    assert_eq!(parse("Not == 'y'", &line.schema).text(), "Not == 'y'");
}

#[test]
fn many_terms_need_no_depth() {
    let line = line();
    let terms = |operator: &str| vec!["status == 404"; 10_000].join(operator);
    assert!(matches_on(&terms(" and "), &line));
    assert!(matches_on(&terms(" or "), &line));
    assert!(matches_on(
        &format!("{} status == 404", "not ".repeat(100_000)),
        &line
    ));
    assert!(matches_on(
        &vec!["(status == 404)"; 1000].join(" and "),
        &line
    ));
    let nested = |depth| format!("{}status == 404{}", "!(".repeat(depth), ")".repeat(depth));
    assert!(matches_on(&nested(parser::NESTING_MAX), &line));
    assert!(Expression::parse(&nested(parser::NESTING_MAX + 1), &line.schema).is_err());
}

#[test]
fn keep_and_drop() {
    let line = line();
    let all = |texts: &[&str]| texts.iter().map(|text| parse(text, &line.schema)).collect();
    let keeps = |keep: &[&str], drop: &[&str]| {
        let filter = Filter {
            keep: all(keep),
            drop: all(drop),
        };
        assert_eq!(filter.is_empty(), keep.is_empty() && drop.is_empty());
        filter.bind(&line.schema).keeps(&line.fields())
    };
    let (yes, no) = ("status == 404", "status == 1");
    assert!(keeps(&[], &[]));
    assert!(keeps(&[yes], &[]));
    assert!(keeps(&[no, yes], &[no]));
    assert!(!keeps(&[no], &[]));
    assert!(!keeps(&[], &[yes]));
    assert!(!keeps(&[], &[no, yes]));
    assert!(!keeps(&[yes], &[yes]));
    assert!(BoundFilter::default().keeps(&line.fields()));
}
