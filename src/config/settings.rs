//! Values by key, each with the place where it was found: what a configuration file and the command
//! line have in common.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::document;
use crate::error::Result;

/// All keys of a configuration file. The flag of a key has its name with hyphens; `watch_path` and
/// `ship_url` have a short one, too.
pub(crate) const KEYS: [&str; 30] = [
    "watch_path",
    "exclude",
    "format",
    "on_parse_error",
    "drop",
    "keep",
    "add",
    "ship_url",
    "compression",
    "header",
    "request_timeout",
    "ca_file",
    "sync",
    "batch_size",
    "flush_interval",
    "line_bytes_max",
    "partial_line_timeout",
    "from",
    "once",
    "state_dir",
    "no_state",
    "workers",
    "pin",
    "stats",
    "metrics",
    "metrics_host",
    "metrics_per_file",
    "log_level",
    "log_format",
    "shutdown_timeout",
];

/// Where a value was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a file, at a line and column from 1.
    File {
        /// Its path as it was given.
        path: PathBuf,
        /// The line.
        line: usize,
        /// The column, in characters.
        column: usize,
    },
    /// On the command line, in the flag of that name.
    Flag(String),
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File { path, line, column } => write!(out, "{}:{line}:{column}", path.display()),
            Place::Flag(name) => write!(out, "--{name}"),
        }
    }
}

/// A value as it was written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// A string; on the command line, anything.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Another number.
    Float(f64),
    /// A truth value.
    Boolean(bool),
    /// A list.
    List(Vec<Node>),
    /// A table, in its order.
    Table(Vec<(String, Node)>),
    /// Nothing, or something that no setting can be; with its description.
    Other(&'static str),
}

impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => write!(out, "{text:?}"),
            Value::Integer(value) => write!(out, "{value}"),
            Value::Float(value) => write!(out, "{value}"),
            Value::Boolean(value) => write!(out, "{value}"),
            Value::List(_) => out.write_str("a list"),
            Value::Table(_) => out.write_str("a table"),
            Value::Other(what) => out.write_str(what),
        }
    }
}

/// A value and where it was found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    /// The value.
    pub(crate) value: Value,
    /// Where.
    pub(crate) place: Place,
}

/// Raw settings by key.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    values: BTreeMap<String, Node>,
    /// Keys of a file that do not exist, with their places.
    unknown: Vec<(String, Place)>,
}

impl Settings {
    /// Reads a configuration file; its ending says whether it is TOML or YAML.
    ///
    /// # Errors
    /// When it cannot be read, has another ending, or is not of its language.
    pub fn read(path: &Path) -> Result<Settings> {
        let mut settings = Settings::default();
        for (key, key_place, node) in document::read(path)? {
            if KEYS.contains(&key.as_str()) {
                settings.values.insert(key, node);
            } else {
                settings.unknown.push((key, key_place));
            }
        }
        Ok(settings)
    }

    /// Sets a key from its flag.
    pub fn set_flag(&mut self, key: &str, flag: &str, value: String) {
        self.insert(key, flag, |_| Value::Text(value));
    }

    /// Sets a key to true from its flag.
    pub fn set_switch(&mut self, key: &str, flag: &str) {
        self.insert(key, flag, |_| Value::Boolean(true));
    }

    /// Sets a key to a list from a flag that was given several times.
    pub fn set_flags(&mut self, key: &str, flag: &str, values: Vec<String>) {
        self.insert(key, flag, |place| {
            let node = |value| Node {
                value: Value::Text(value),
                place: place.clone(),
            };
            Value::List(values.into_iter().map(node).collect())
        });
    }

    fn insert(&mut self, key: &str, flag: &str, value: impl FnOnce(&Place) -> Value) {
        let place = Place::Flag(flag.to_owned());
        let node = Node {
            value: value(&place),
            place,
        };
        self.values.insert(key.to_owned(), node);
    }

    /// Puts `over` over these settings: its values replace the ones here, lists as a whole.
    pub fn override_with(&mut self, over: Settings) {
        // A state folder on the command line takes back "no state" in the file, and the reverse.
        for (key, other) in [("state_dir", "no_state"), ("no_state", "state_dir")] {
            if over.values.contains_key(key) {
                self.values.remove(other);
            }
        }
        self.values.extend(over.values);
        self.unknown.extend(over.unknown);
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.values.get(key)
    }

    /// Keys that do not exist.
    pub(crate) fn unknown(&self) -> &[(String, Place)] {
        &self.unknown
    }
}
