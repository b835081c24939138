//! The transform against a naive reading of the same lines: strings, `split_once` and serde_json,
//! nothing shared with the code under test.

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::config::{AddedField, AddedValue};

const ALL: Limits = Limits {
    records: u64::MAX,
    output_bytes: usize::MAX,
};

pub(crate) fn plan(parser: Parser, on_parse_error: OnParseError, line_bytes_max: usize) -> Plan {
    let record = RecordPlan::new(&parser);
    Plan {
        needles: parser.needles(),
        quote_count: parser.quote_count(),
        parser,
        filter: None,
        record,
        on_parse_error,
        line_bytes_max,
    }
}

fn suffix() -> Suffix {
    let name = "host".to_owned();
    let added = [AddedField {
        name,
        value: AddedValue::Text("bench".to_owned()),
    }];
    Suffix::new(&added, "", Path::new("-"))
}

fn run_at(level: Level, plan: &Plan, bytes: &[u8]) -> (Vec<u8>, Counts) {
    let suffix = suffix();
    let input = Input {
        bytes,
        extent: Extent::Whole,
        suffix: &suffix,
    };
    let mut transform = Transform::at(level);
    let mut out = Vec::new();
    let (position, counts) = transform.run(plan, input, 0, ALL, &mut out);
    assert_eq!(position, bytes.len());
    (out, counts)
}

/// Runs at every level of this machine and asserts that they agree.
fn run(plan: &Plan, bytes: &[u8]) -> (Vec<u8>, Counts) {
    let portable = run_at(Level::Portable, plan, bytes);
    let best = run_at(Level::detect(), plan, bytes);
    assert_eq!(
        String::from_utf8_lossy(&portable.0),
        String::from_utf8_lossy(&best.0)
    );
    assert_eq!(portable.1, best.1);
    best
}

fn records(out: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(out).expect("records are valid UTF-8");
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines()
        .map(|line| serde_json::from_str(line).expect("each line is JSON"))
        .collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn split_once<'a>(bytes: &'a [u8], separator: &str) -> Option<(&'a [u8], &'a [u8])> {
    let separator = separator.as_bytes();
    let at = bytes
        .windows(separator.len())
        .position(|window| window == separator)?;
    Some((&bytes[..at], &bytes[at + separator.len()..]))
}

/// Splits at the first quote that has an even number of backslashes before it and wants
/// `separator` there.
fn split_quoted<'a>(bytes: &'a [u8], separator: &str) -> Option<(&'a [u8], &'a [u8])> {
    let mut is_escaped = false;
    for (index, &byte) in bytes.iter().enumerate() {
        if byte == b'"' && !is_escaped {
            let rest = bytes[index..].strip_prefix(separator.as_bytes())?;
            return Some((&bytes[..index], rest));
        }
        is_escaped = byte == b'\\' && !is_escaped;
    }
    None
}

fn integer(bytes: &[u8]) -> Option<Value> {
    if bytes == b"-" {
        return Some(Value::Null);
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let is_short = text.trim_start_matches('0').len() <= 19;
    let is_decimal = !text.is_empty() && text.chars().all(|digit| digit.is_ascii_digit());
    (is_decimal && is_short).then(|| json!(text.parse::<u64>().unwrap()))
}

/// The record of a combined line; `None` where it is not one.
fn naive_combined(line: &[u8]) -> Option<Map<String, Value>> {
    let (remote_addr, rest) = split_once(line, " - ")?;
    let (remote_user, rest) = split_once(rest, " [")?;
    let (time_local, rest) = split_once(rest, "] \"")?;
    let (request, rest) = split_quoted(rest, "\" ")?;
    let (status, rest) = split_once(rest, " ")?;
    let (body_bytes_sent, rest) = split_once(rest, " \"")?;
    let (referer, rest) = split_quoted(rest, "\" \"")?;
    let (agent, rest) = split_quoted(rest, "\"")?;
    if !rest.is_empty() {
        return None;
    }
    let mut record = Map::new();
    let mut put = |key: &str, value| drop(record.insert(key.to_owned(), value));
    put("remote_addr", json!(text(remote_addr)));
    put("remote_user", json!(text(remote_user)));
    put("time_local", json!(text(time_local)));
    let parts: Vec<&[u8]> = request.splitn(2, |&byte| byte == b' ').collect();
    let tail = parts.get(1).and_then(|rest| {
        let last = rest.iter().rposition(|&byte| byte == b' ')?;
        Some((&rest[..last], &rest[last + 1..]))
    });
    let shape = tail.filter(|(path, protocol)| {
        !parts[0].is_empty() && !path.is_empty() && !protocol.is_empty()
    });
    let part = |bytes: Option<&[u8]>| bytes.map_or(Value::Null, |bytes| json!(text(bytes)));
    put("method", part(shape.map(|_| parts[0])));
    put("path", part(shape.map(|(path, _)| path)));
    put("protocol", part(shape.map(|(_, protocol)| protocol)));
    if shape.is_none() {
        put("request", json!(text(request)));
    }
    put("status", integer(status)?);
    put("body_bytes_sent", integer(body_bytes_sent)?);
    put("http_referer", json!(text(referer)));
    put("http_user_agent", json!(text(agent)));
    Some(record)
}

fn naive(bytes: &[u8]) -> Vec<Value> {
    let mut expected = Vec::new();
    let body = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    for line in body.split(|&byte| byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        let mut record = naive_combined(line).unwrap_or_else(|| {
            let mut unparsed = Map::new();
            unparsed.insert("message".to_owned(), json!(text(line)));
            unparsed.insert("parse_error".to_owned(), json!(true));
            unparsed
        });
        record.insert("host".to_owned(), json!("bench"));
        expected.push(Value::Object(record));
    }
    expected
}

/// The program's words for a parse error are its own: only that there are some is compared.
fn without_reasons(records: Vec<Value>) -> Vec<Value> {
    let blur = |mut record: Value| {
        if let Some(reason) = record.get_mut("parse_error") {
            assert!(reason.as_str().is_some_and(|reason| !reason.is_empty()));
            *reason = json!(true);
        }
        record
    };
    records.into_iter().map(blur).collect()
}

fn check(bytes: &[u8]) {
    let plan = plan(Parser::combined(), OnParseError::Keep, 1 << 20);
    let (out, counts) = run(&plan, bytes);
    let records = without_reasons(records(&out));
    let expected = naive(bytes);
    assert_eq!(records, expected, "{:?}", text(bytes));
    assert_eq!(counts.records, expected.len() as u64);
    assert_eq!(counts.lines, counts.records + counts.empty);
    assert_eq!(counts.parsed + counts.parse_errors, counts.records);
}

/// A field of a line: mostly what nginx writes, sometimes what it never would.
fn field() -> impl Strategy<Value = Vec<u8>> {
    let odd = prop::sample::select(vec![
        &b"-"[..],
        b"",
        b" ",
        b"\"",
        b"\\\"",
        b"\\x22",
        b" - ",
        b" [",
        b"] \"",
        b"\" ",
        b"\xff",
        b"\xc3\xa9",
        b"\xe2\x82",
        b"\0",
        b"\t",
        b"\r",
        b"\x7f",
    ]);
    prop_oneof![
        6 => "[a-zA-Z0-9/.:;=?&_-]{0,40}".prop_map(String::into_bytes),
        2 => "[a-zA-Z0-9 ()/.;]{20,90}".prop_map(String::into_bytes),
        2 => (odd, "[a-z]{0,35}").prop_map(|(odd, more)| [odd, more.as_bytes(), odd].concat()),
        1 => prop::collection::vec(any::<u8>(), 0..40)
            .prop_map(|bytes| bytes.into_iter().filter(|&byte| byte != b'\n').collect()),
    ]
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    let request = prop_oneof![
        3 => (field(), field()).prop_map(|(one, two)| [&one[..], b" ", &two, b" HTTP/1.1"].concat()),
        1 => field(),
    ];
    let number = prop_oneof![
        4 => "[0-9]{1,6}", 1 => "0{0,3}[0-9]{17,21}", 1 => Just("-".to_owned()), 1 => "[0-9x]{0,3}",
    ];
    let end = prop::sample::select(vec![&b"\n"[..], b"\n", b"\n", b"\r\n", b"\n\n", b"x\n"]);
    (
        field(),
        field(),
        field(),
        request,
        number.clone(),
        number,
        field(),
        field(),
        end,
    )
        .prop_map(
            |(addr, user, time, request, status, bytes, referer, agent, end)| {
                let (status, bytes) = (status.into_bytes(), bytes.into_bytes());
                let parts: [&[u8]; 17] = [
                    &addr, b" - ", &user, b" [", &time, b"] \"", &request, b"\" ", &status, b" ",
                    &bytes, b" \"", &referer, b"\" \"", &agent, b"\"", end,
                ];
                parts.concat()
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn random_lines_are_read_as_the_naive_parser_reads_them(
        lines in prop::collection::vec(line(), 1..6),
        has_last_newline in any::<bool>(),
    ) {
        let mut bytes = lines.concat();
        if !has_last_newline {
            bytes.pop();
        }
        check(&bytes);
    }

    #[test]
    fn any_bytes_give_valid_records_and_every_line_is_counted(
        bytes in prop::collection::vec(any::<u8>(), 1..400),
    ) {
        check(&bytes);
    }
}

#[test]
fn limits_end_a_run_between_lines_and_it_goes_on_from_there() {
    let plan = plan(Parser::raw(), OnParseError::Keep, 100);
    let suffix = suffix();
    let bytes = b"one\ntwo\n\nthree\nfour";
    let input = Input {
        bytes,
        extent: Extent::Whole,
        suffix: &suffix,
    };
    let (mut transform, mut out) = (Transform::new(), Vec::new());
    let two = Limits {
        records: 2,
        output_bytes: usize::MAX,
    };
    let (position, counts) = transform.run(&plan, input, 0, two, &mut out);
    assert_eq!((position, counts.lines, counts.records), (8, 2, 2));
    let (position, counts) = transform.run(&plan, input, position, two, &mut out);
    assert_eq!((position, counts.lines, counts.empty), (bytes.len(), 3, 1));
    let full = Limits {
        records: 10,
        output_bytes: out.len(),
    };
    assert_eq!(transform.run(&plan, input, 0, full, &mut out).0, 0);
    let messages: Vec<Value> = records(&out)
        .iter()
        .map(|record| record["message"].clone())
        .collect();
    assert_eq!(messages, ["one", "two", "three", "four"]);
}

#[test]
fn long_lines_are_cut_between_characters_and_flagged() {
    let plan = plan(Parser::raw(), OnParseError::Keep, 5);
    let (out, counts) = run(
        &plan,
        "12345\n123456\n1234\u{e9}\u{e9}\n12345\r\n".as_bytes(),
    );
    let expected = [
        json!({"message": "12345", "host": "bench"}),
        json!({"message": "12345", "truncated": true, "host": "bench"}),
        json!({"message": "1234", "truncated": true, "host": "bench"}),
        json!({"message": "12345", "host": "bench"}),
    ];
    assert_eq!(records(&out), expected);
    assert_eq!(counts.truncated, 2);
}

#[test]
fn lines_that_do_not_parse_are_dropped_only_where_that_is_configured() {
    let plan = plan(Parser::combined(), OnParseError::Drop, 100);
    let (out, counts) = run(&plan, b"nonsense\n");
    assert!(out.is_empty());
    assert_eq!(
        (
            counts.parse_errors,
            counts.parse_errors_dropped,
            counts.records
        ),
        (1, 1, 0)
    );
}
