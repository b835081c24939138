//! A record as people like to read it: a visit as a row, any record as JSON in colours.

use serde::Deserialize;

use super::screen::{Screen, Style};
use crate::report::printable;
use crate::stats::display::bytes;

/// What a row shows of a visit.
#[derive(Debug, Deserialize)]
struct Visit {
    remote_addr: String,
    time_local: String,
    method: Option<String>,
    path: Option<String>,
    status: Option<u16>,
    body_bytes_sent: Option<u64>,
    http_user_agent: String,
}

/// A record of nginx's combined format as a row of a table that is `columns` wide; `None` for others.
pub(super) fn row(screen: &Screen, record: &[u8], columns: usize) -> Option<String> {
    let visit: Visit = serde_json::from_slice(record).ok()?;
    // `24/Nov/2026:09:14:03 +0000`
    let (_, time) = visit.time_local.split_once(':')?;
    let status = visit.status?;
    let cells = [
        (Style::Dim, 8, time.get(..8)?.to_owned()),
        (Style::Dim, 15, visit.remote_addr),
        (Style::Plain, 7, visit.method?),
        (colour_of(status), 3, status.to_string()),
        (
            Style::Dim,
            6,
            format!("{:>6}", bytes(visit.body_bytes_sent?)),
        ),
        (Style::Plain, 44, visit.path?),
        (Style::Dim, usize::MAX, visit.http_user_agent),
    ];
    let mut row = String::new();
    let mut left = columns.saturating_sub(1);
    for (style, width, text) in cells {
        let width = width.min(left);
        let text = printable(&text);
        let cut: String = text.chars().take(width).collect();
        let gap = width.saturating_sub(cut.chars().count());
        row.push_str(&screen.out(style, &cut));
        if width < left {
            row.extend(std::iter::repeat_n(' ', gap + 1));
        }
        left = left.saturating_sub(width + 1);
    }
    Some(row)
}

fn colour_of(status: u16) -> Style {
    match status {
        0..300 => Style::Green,
        300..400 => Style::Cyan,
        400..500 => Style::Yellow,
        _ => Style::Red,
    }
}

/// A record with its keys and values in colours; a field a line if that `is_tall`. Records are flat:
/// there are no tables or lists in them.
pub(super) fn json(screen: &Screen, record: &[u8], is_tall: bool) -> String {
    let text = String::from_utf8_lossy(record);
    let mut out = String::new();
    let mut rest = text.as_ref();
    let mut is_key = true;
    while let Some(first) = rest.chars().next() {
        let (token, after) = rest.split_at(token_bytes(rest));
        rest = after;
        match first {
            '{' | ',' => {
                is_key = true;
                out.push(first);
                out.push_str(if is_tall { "\n  " } else { "" });
            }
            ':' => {
                is_key = false;
                out.push_str(if is_tall { ": " } else { ":" });
            }
            '}' => out.push_str(if is_tall { "\n}" } else { "}" }),
            '"' if is_key => out.push_str(&screen.out(Style::Cyan, &printable(token))),
            '"' => out.push_str(&screen.out(Style::Green, &printable(token))),
            _ => out.push_str(&screen.out(Style::Yellow, &printable(token))),
        }
    }
    out
}

/// The bytes of the token that `text` begins with: a string, a mark, or a word.
fn token_bytes(text: &str) -> usize {
    let is_mark = |character: char| "{},:\"".contains(character);
    if !text.starts_with('"') {
        // A mark is one byte.
        return text.find(is_mark).unwrap_or(text.len()).max(1);
    }
    let mut is_escaped = false;
    for (index, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = concat!(
        r#"{"remote_addr":"10.0.0.1","remote_user":"-","time_local":"24/Nov/2026:09:14:03 +0000","#,
        r#""method":"GET","path":"/a\"b","protocol":"HTTP/1.1","status":404,"body_bytes_sent":5123,"#,
        r#""http_referer":"-","http_user_agent":"ag\u001bC1ent"}"#
    );

    #[test]
    fn a_row_has_the_asked_for_width_and_no_control_characters() {
        let screen = Screen::of(true, true, false);
        let record = RECORD.replace("C1", "\u{9b}");
        let whole = row(&screen, record.as_bytes(), 200).unwrap();
        let expected = "09:14:03 10.0.0.1        GET     404    5kB /a\"b";
        assert!(whole.starts_with(expected), "{whole}");
        assert!(whole.ends_with("ag\\u{1b}\\u{9b}ent"), "{whole}");
        for columns in [0, 1, 8, 9, 10, 30, 80] {
            let cut = row(&screen, record.as_bytes(), columns).unwrap();
            let expected: String = whole.chars().take(columns.saturating_sub(1)).collect();
            assert_eq!(cut.trim_end(), expected.trim_end(), "{columns}");
        }
        assert_eq!(row(&screen, br#"{"message":"x"}"#, 80), None);
    }

    #[test]
    fn colours_change_no_character_of_a_record() {
        let plain = Screen::of(true, true, false);
        let coloured = Screen::of(true, true, true);
        let record = r#"{"a":"x,{}:\"\\","b":-1.5,"c":null,"d":true,"e":""}"#;
        assert_eq!(json(&plain, record.as_bytes(), false), record);
        let painted = json(&coloured, record.as_bytes(), false);
        let number = "\x1b[36m\"b\"\x1b[0m:\x1b[33m-1.5\x1b[0m";
        assert!(painted.contains(number), "{painted}");
        let mut bare = painted;
        for code in ["36", "33", "32", "0"] {
            bare = bare.replace(&format!("\x1b[{code}m"), "");
        }
        assert_eq!(bare, record);
        let tall = json(&plain, br#"{"a":"x","b":1}"#, true);
        assert_eq!(tall, "{\n  \"a\": \"x\",\n  \"b\": 1\n}");
    }
}
