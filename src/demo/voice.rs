//! What `ves collect` says on standard error: its figures, its messages, where its dashboard is.

use std::io::{BufRead, BufReader};
use std::process::ChildStderr;

use flume::Sender;

use super::screen::{Screen, Style};
use crate::stats::display::LIVE_LINE_START;

/// How messages of VES begin.
const MESSAGE_START: &str = "ves: ";

/// How the one begins that tells what ended it; all after it belongs to it.
const ERROR_START: &str = "ves: error: ";

/// How the one begins that tells where the dashboard is.
const DASHBOARD_START: &str = "ves: metrics and dashboard are at ";

/// Shows what it says until it says no more, with `suffix` behind the figures. The address of the
/// dashboard goes to `dashboard`. Gives the error that ended it, if one did.
pub(super) fn listen(
    said: ChildStderr,
    screen: &Screen,
    dashboard: &Sender<String>,
    suffix: impl Fn() -> String,
) -> String {
    let mut error = String::new();
    // What is not UTF-8 was escaped before it was said.
    let lines = BufReader::new(said).lines();
    for line in lines.map_while(std::result::Result::ok) {
        if !error.is_empty() || line.starts_with(ERROR_START) {
            error.push_str(&line);
            error.push('\n');
        } else if line.starts_with(LIVE_LINE_START) {
            screen.show_live(&format!("{line}{}", suffix()));
        } else if let Some(url) = line.strip_prefix(DASHBOARD_START) {
            // Nobody waits for it any more where the demo has ended already.
            let _ = dashboard.try_send(url.to_owned());
        } else if line.starts_with(MESSAGE_START) {
            screen.say(&screen.err(Style::Yellow, &line));
        }
        // What is left is the summary: the demo has one of its own.
    }
    error
}
