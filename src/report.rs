//! VES's own words on standard error: levelled, limited in their repetition, as text or JSON.
//! Records never go there, and these never go to standard output.
//!
//! This is the one state that the whole process shares: whoever has something to say has no
//! business with how it is said.

mod limit;
mod recent;

use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use serde::Serialize;

use limit::Limiter;
use recent::Recent;
pub(crate) use recent::Remembered;

/// How much a message matters; each level includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// What ended the program.
    Error,
    /// What the operator should look at.
    Warn,
    /// What the operator may want to know.
    Info,
    /// What helps to find out why VES does what it does.
    Debug,
}

impl Level {
    /// All levels, those that matter most first.
    pub(crate) const ALL: [Level; 4] = [Level::Error, Level::Warn, Level::Info, Level::Debug];

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
        }
    }
}

/// How messages are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people: `ves: warning: ...`.
    Text,
    /// For programs: one object a line with `time`, `level` and `message`.
    Json,
}

/// How often each message came up, printed or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// In the order of [`Level::ALL`].
    pub(crate) by_level: [u64; Level::ALL.len()],
    /// Those that were left out because they had been said often enough.
    pub(crate) held_back: u64,
}

struct Log {
    level: Level,
    format: LogFormat,
    /// Whether the line under the cursor of a terminal is the live line.
    is_live_line_drawn: bool,
    limiter: Limiter,
    recent: Recent,
    counts: Counts,
}

static LOG: Mutex<Log> = Mutex::new(Log {
    level: Level::Info,
    format: LogFormat::Text,
    is_live_line_drawn: false,
    limiter: Limiter::new(),
    recent: Recent::new(),
    counts: Counts {
        by_level: [0; Level::ALL.len()],
        held_back: 0,
    },
});

/// Has messages up to that level printed, in that format.
pub(crate) fn configure(level: Level, format: LogFormat) {
    let mut log = log();
    (log.level, log.format) = (level, format);
}

/// Says something that the operator should look at.
pub(crate) fn warning(message: &str) {
    say(Level::Warn, message);
}

/// Says something that the operator may want to know.
pub(crate) fn notice(message: &str) {
    say(Level::Info, message);
}

/// Says something that only helps whoever asks for it. The message is not even made otherwise.
pub(crate) fn debug(message: impl FnOnce() -> String) {
    let is_wanted = log().level >= Level::Debug;
    if is_wanted {
        say(Level::Debug, &message());
    }
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
    let text = log().line(Level::Error, &chain(error));
    write(&text);
}

/// Says, in full, why a new configuration is not used. Lines of the message stay lines.
pub(crate) fn refused(error: &crate::error::Error) {
    say(Level::Error, &chain(error));
    warning("the new configuration is refused: going on with the old one");
}

/// Says how often messages were held back whose minute is over. To be called now and then.
pub(crate) fn say_repeated(now: Instant) {
    let mut log = log();
    let due = log.limiter.take_due(now);
    let text = log.lines(due);
    drop(log);
    write(&text);
}

/// The same for all of them, at the end.
pub(crate) fn say_all_repeated() {
    let mut log = log();
    let due = log.limiter.take_all();
    let text = log.lines(due);
    drop(log);
    write(&text);
}

/// Prints a line of figures: in place where standard error is a terminal, below the one before
/// elsewhere.
pub(crate) fn live_line(line: &str, is_terminal: bool) {
    let mut log = log();
    let text = if log.format == LogFormat::Json {
        log.line(Level::Info, line)
    } else if is_terminal {
        // Carriage return and "clear to the end of line" redraw in place.
        log.is_live_line_drawn = true;
        format!("\r{line}\x1b[K")
    } else {
        format!("{line}\n")
    };
    drop(log);
    write(&text);
}

/// Leaves the last live line standing on a terminal.
pub(crate) fn finish_live_line() {
    let was_drawn = std::mem::take(&mut log().is_live_line_drawn);
    if was_drawn {
        write("\n");
    }
}

/// Prints the figures of a run, lines and all.
pub(crate) fn summary(text: &str) {
    let mut log = log();
    let text = match log.format {
        LogFormat::Text => text.to_owned(),
        LogFormat::Json => log.line(Level::Info, text.trim_end()),
    };
    drop(log);
    write(&text);
}

/// What was said last at the levels `error` and `warn`, the newest last.
pub(crate) fn recent() -> Vec<Remembered> {
    log().recent.to_vec()
}

/// A number that changes with that.
pub(crate) fn recent_changes() -> u64 {
    log().recent.changes()
}

/// How much was said.
pub(crate) fn counts() -> Counts {
    log().counts
}

fn say(level: Level, message: &str) {
    let text = log().note(level, message);
    write(&text);
}

/// Never held while something is printed: who reads standard error may be slow, and others only want
/// to know what was said.
fn log() -> MutexGuard<'static, Log> {
    // A panic in between leaves a line unsaid.
    LOG.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Log {
    /// Notes a message. Returns what is to be printed, if anything.
    fn note(&mut self, level: Level, message: &str) -> String {
        if let Some(count) = self.counts.by_level.get_mut(level as usize) {
            *count += 1;
        }
        if level <= Level::Warn {
            self.recent.add(level, message, SystemTime::now());
        }
        if level > self.level {
            return String::new();
        }
        let now = Instant::now();
        let (is_admitted, due) = self.limiter.admit(now, level, message);
        let mut text = self.lines(due);
        if is_admitted {
            text.push_str(&self.line(level, message));
        } else {
            self.counts.held_back += 1;
        }
        text
    }

    fn lines(&mut self, messages: Vec<(Level, String)>) -> String {
        let lines = messages.iter();
        lines
            .map(|(level, message)| self.line(*level, message))
            .collect()
    }

    fn line(&mut self, level: Level, message: &str) -> String {
        let line = match self.format {
            LogFormat::Text => text_line(level, message),
            LogFormat::Json => json_line(level, message, SystemTime::now()),
        };
        if std::mem::take(&mut self.is_live_line_drawn) {
            // It is drawn again soon, below.
            format!("\r\x1b[K{line}")
        } else {
            line
        }
    }
}

fn write(text: &str) {
    if !text.is_empty() {
        // Nobody is left to tell when standard error is gone.
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }
}

/// A message for people. Only what ended the program has several lines.
fn text_line(level: Level, message: &str) -> String {
    let (name, message) = match level {
        Level::Error => {
            let lines: Vec<String> = message.lines().map(printable).collect();
            ("error: ", lines.join("\n"))
        }
        Level::Warn => ("warning: ", printable(message)),
        Level::Info => ("", printable(message)),
        Level::Debug => ("debug: ", printable(message)),
    };
    format!("ves: {name}{message}\n")
}

/// A message for programs.
fn json_line(level: Level, message: &str, at: SystemTime) -> String {
    #[derive(Serialize)]
    struct Line<'a> {
        time: String,
        level: Level,
        message: &'a str,
    }
    let time = humantime::format_rfc3339_millis(at).to_string();
    let line = Line {
        time,
        level,
        message,
    };
    // Strings are always JSON.
    let json = serde_json::to_string(&line).unwrap_or_default();
    let mut out = String::with_capacity(json.len() + 1);
    for character in json.chars() {
        // JSON leaves DEL and the controls from U+0080 on as they are; terminals obey them.
        if character.is_control() {
            out.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            out.push(character);
        }
    }
    out.push('\n');
    out
}

/// The text with its control characters escaped: file names and answers of servers are not trusted
/// with the operator's terminal.
pub(crate) fn printable(text: &str) -> String {
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
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(printable("a\x1b[31m\nb\u{e9}"), "a\\u{1b}[31m\\nb\u{e9}");
        let line = text_line(Level::Warn, "a\r\x1b[2Jb");
        assert_eq!(line, "ves: warning: a\\r\\u{1b}[2Jb\n");
    }

    #[test]
    fn json_is_one_line_that_no_terminal_obeys() {
        let message = "a\"\n\x1b[31m \u{9b}31m \u{7f}";
        let line = json_line(Level::Error, message, SystemTime::UNIX_EPOCH);
        assert!(!line.trim_end().contains(char::is_control), "{line:?}");
        let parsed: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(parsed["message"], message);
        assert_eq!(parsed["level"], "error");
        assert_eq!(parsed["time"], "1970-01-01T00:00:00.000Z");
        assert!(line.starts_with("{\"time\""), "{line}");
    }
}
