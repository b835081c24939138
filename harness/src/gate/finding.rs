//! What a layer of the gate says beyond its figures.

use serde::{Deserialize, Serialize};

/// How much weight it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Level {
    /// Worth knowing.
    Note,
    /// Lets the change pass, visibly.
    Warning,
    /// Does not.
    Failure,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Finding {
    pub(crate) layer: String,
    pub(crate) level: Level,
    pub(crate) text: String,
}

impl Finding {
    /// A finding of that layer.
    pub(crate) fn new(layer: &str, level: Level, text: String) -> Finding {
        Finding {
            layer: layer.to_owned(),
            level,
            text,
        }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let level = match self.level {
            Level::Note => "note",
            Level::Warning => "WARNING",
            Level::Failure => "FAILURE",
        };
        write!(formatter, "{level}: {}: {}", self.layer, self.text)
    }
}
