//! Where the demo shows itself: records on standard output, everything else on standard error. On a
//! terminal the line of figures stays below both; elsewhere all are plain lines.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::stats::display::{cut_to, terminal_columns};

/// Both outputs.
#[derive(Debug)]
pub(super) struct Screen {
    /// The line that stays below the others; empty for none.
    live: Mutex<String>,
    /// Whether standard output is a terminal: records are for people.
    pub(super) shows_people: bool,
    is_error_terminal: bool,
    is_coloured: bool,
    /// Whether whoever reads standard output has left.
    is_closed: AtomicBool,
}

/// How a text stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// It does not.
    Plain,
    /// What is not looked at first.
    Dim,
    /// Headings.
    Bold,
    /// What is well.
    Green,
    /// What is neither.
    Cyan,
    /// What is not quite well.
    Yellow,
    /// What is not well.
    Red,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Style::Plain => "",
            Style::Dim => "2",
            Style::Bold => "1",
            Style::Green => "32",
            Style::Cyan => "36",
            Style::Yellow => "33",
            Style::Red => "31",
        }
    }
}

impl Screen {
    /// That of this process.
    pub(super) fn new() -> Screen {
        let shows_people = std::io::stdout().is_terminal();
        let is_error_terminal = std::io::stderr().is_terminal();
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        // no-color.org
        let is_coloured = !is_set("NO_COLOR") && !is_dumb;
        Screen::of(shows_people, is_error_terminal, is_coloured)
    }

    /// One whose outputs are terminals or not.
    pub(super) fn of(shows_people: bool, is_error_terminal: bool, is_coloured: bool) -> Screen {
        Screen {
            live: Mutex::default(),
            shows_people,
            is_error_terminal,
            is_coloured,
            is_closed: AtomicBool::new(false),
        }
    }

    /// Prints a line with a record on standard output.
    pub(super) fn record(&self, line: &[u8]) {
        let live = self.erased();
        let mut out = std::io::stdout().lock();
        let written = out.write_all(line).and_then(|()| out.write_all(b"\n"));
        if written.and_then(|()| out.flush()).is_err() {
            self.is_closed.store(true, Ordering::Relaxed);
        }
        self.draw(&live);
    }

    /// Prints lines on standard error.
    pub(super) fn say(&self, lines: &str) {
        let live = self.erased();
        // Nobody is left to tell when standard error is gone.
        let _ = writeln!(std::io::stderr().lock(), "{lines}");
        self.draw(&live);
    }

    /// Shows the figures of now.
    pub(super) fn show_live(&self, line: &str) {
        if !self.is_error_terminal {
            self.say(line);
            return;
        }
        let mut live = self.erased();
        *live = cut_to(line, terminal_columns()).to_owned();
        self.draw(&live);
    }

    /// Leaves the last figures standing.
    pub(super) fn finish_live(&self) {
        let mut live = self.live();
        if !std::mem::take(&mut *live).is_empty() {
            let _ = writeln!(std::io::stderr().lock());
        }
    }

    /// Whether whoever reads the records has left.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    /// A text for standard output where that is a terminal.
    pub(super) fn out(&self, style: Style, text: &str) -> String {
        painted(self.is_coloured && self.shows_people, style, text)
    }

    /// A text for standard error.
    pub(super) fn err(&self, style: Style, text: &str) -> String {
        painted(self.is_coloured && self.is_error_terminal, style, text)
    }

    /// Takes the line of figures off the terminal, so that another can be printed there.
    fn erased(&self) -> MutexGuard<'_, String> {
        let live = self.live();
        if !live.is_empty() {
            let _ = std::io::stderr().lock().write_all(b"\r\x1b[K");
        }
        live
    }

    fn draw(&self, live: &str) {
        if !live.is_empty() {
            let _ = std::io::stderr().lock().write_all(live.as_bytes());
        }
    }

    fn live(&self) -> MutexGuard<'_, String> {
        // A panic in between leaves a line.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn painted(is_coloured: bool, style: Style, text: &str) -> String {
    if is_coloured && style != Style::Plain {
        format!("\x1b[{}m{text}\x1b[0m", style.code())
    } else {
        text.to_owned()
    }
}
