//! Reads combined lines as slowly and plainly as possible, sharing nothing with the program.

use serde_json::{Map, Value, json};

fn text(bytes: &[u8]) -> Value {
    json!(String::from_utf8_lossy(bytes))
}

/// Takes everything before `separator` off the front of `rest`.
fn take<'a>(rest: &mut &'a [u8], separator: &[u8]) -> Option<&'a [u8]> {
    let at = rest
        .windows(separator.len())
        .position(|window| window == separator)?;
    let (field, after) = rest.split_at(at);
    *rest = &after[separator.len()..];
    Some(field)
}

/// Takes everything before the first quote that is not behind a backslash, then `separator`.
fn take_quoted<'a>(rest: &mut &'a [u8], separator: &[u8]) -> Option<&'a [u8]> {
    let mut at = 0;
    while *rest.get(at)? != b'"' {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    let (field, after) = rest.split_at(at);
    *rest = after.strip_prefix(separator)?;
    Some(field)
}

fn integer(bytes: &[u8]) -> Option<Value> {
    match std::str::from_utf8(bytes).ok()? {
        "-" => Some(Value::Null),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse::<u64>().ok().map(|value| json!(value))
        }
        _ => None,
    }
}

/// The fields of a combined line without its newline; `None` where it is not one.
pub(crate) fn combined(line: &[u8]) -> Option<Map<String, Value>> {
    let mut rest = line.strip_suffix(b"\r").unwrap_or(line);
    let mut record = Map::new();
    record.insert("remote_addr".into(), text(take(&mut rest, b" - ")?));
    record.insert("remote_user".into(), text(take(&mut rest, b" [")?));
    record.insert("time_local".into(), text(take(&mut rest, b"] \"")?));
    let request = take_quoted(&mut rest, b"\" ")?;
    let first = request.iter().position(|&byte| byte == b' ');
    let last = request.iter().rposition(|&byte| byte == b' ');
    let shape = first
        .zip(last)
        .filter(|&(first, last)| first > 0 && last > first + 1 && last + 1 < request.len());
    let (method, path, protocol) = match shape {
        Some((first, last)) => (
            text(&request[..first]),
            text(&request[first + 1..last]),
            text(&request[last + 1..]),
        ),
        None => (Value::Null, Value::Null, Value::Null),
    };
    record.insert("method".into(), method);
    record.insert("path".into(), path);
    record.insert("protocol".into(), protocol);
    if shape.is_none() {
        record.insert("request".into(), text(request));
    }
    record.insert("status".into(), integer(take(&mut rest, b" ")?)?);
    record.insert("body_bytes_sent".into(), integer(take(&mut rest, b" \"")?)?);
    record.insert(
        "http_referer".into(),
        text(take_quoted(&mut rest, b"\" \"")?),
    );
    record.insert(
        "http_user_agent".into(),
        text(take_quoted(&mut rest, b"\"")?),
    );
    rest.is_empty().then_some(record)
}

/// The record of any line: its fields, or the whole with `parse_error` (true for whatever reason).
pub(crate) fn record(line: &[u8]) -> Map<String, Value> {
    combined(line).unwrap_or_else(|| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let mut record = Map::new();
        record.insert("message".into(), text(line));
        record.insert("parse_error".into(), json!(true));
        record
    })
}
