//! VES's own words on standard error. Records never go there, and these never go to standard
//! output.

use std::io::Write;

/// Says something that the operator should look at.
pub(crate) fn warning(message: &str) {
    print("warning: ", message);
}

/// Says something that the operator may want to know.
pub(crate) fn notice(message: &str) {
    print("", message);
}

/// An error with everything that caused it, in one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Says what ended the program, once, with its causes. Lines of the message stay lines.
pub fn error(error: &crate::error::Error) {
    let text = chain(error);
    let lines: Vec<String> = text.lines().map(printable).collect();
    // Nobody is left to tell when standard error is gone.
    let _ = writeln!(std::io::stderr().lock(), "ves: error: {}", lines.join("\n"));
}

/// Says, in full, why a new configuration is not used. Lines of the message stay lines.
pub(crate) fn refused(error: &crate::error::Error) {
    let text = chain(error);
    let lines: Vec<String> = text.lines().map(printable).collect();
    // Nobody is left to tell when standard error is gone.
    let _ = writeln!(
        std::io::stderr().lock(),
        "ves: error: {}\nves: warning: the new configuration is refused: going on with the old one",
        lines.join("\n")
    );
}

fn print(level: &str, message: &str) {
    let line = format!("ves: {level}{}\n", printable(message));
    // Nobody is left to tell when standard error is gone.
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}

/// The text with its control characters escaped: file names and answers of servers are not trusted
/// with the operator's terminal.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(
            super::printable("a\x1b[31m\nb\u{e9}"),
            "a\\u{1b}[31m\\nb\u{e9}"
        );
    }
}
