//! Somebody's file: what `ves demo --watch` follows. It is made when it is missing, and stays.

use std::fs::OpenOptions;
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::stats::display::bytes;

/// A file that is there now.
#[derive(Debug)]
pub(super) struct Watched {
    /// Its absolute path.
    pub(super) path: PathBuf,
    /// What is in it already.
    pub(super) bytes: u64,
    is_new: bool,
    /// As it was named.
    name: String,
}

impl Watched {
    /// Makes the file where it is missing.
    ///
    /// # Errors
    /// [`Error::Usage`] when it is not a file, or cannot be made.
    pub(super) fn prepare(name: &str) -> Result<Watched> {
        let refused = |error: &dyn std::fmt::Display, remedy: &str| {
            Error::Usage(format!("--watch: {name:?}: {error}; {remedy}"))
        };
        let is_new = match std::fs::metadata(name) {
            Ok(found) if found.is_file() => false,
            Ok(_) => {
                let what = "that is not a regular file";
                return Err(refused(&what, "name a log, such as ./nginx.log"));
            }
            Err(_) => {
                // Another program may make it at the same time: it is not cut.
                let made = OpenOptions::new().create(true).append(true).open(name);
                made.map_err(|error| refused(&error, "it is missing and cannot be made"))?;
                true
            }
        };
        let path = std::path::absolute(name).map_err(|error| refused(&error, "name a file"))?;
        let found = std::fs::metadata(&path);
        let found = found.map_err(|error| refused(&error, "it went away"))?;
        Ok(Watched {
            // What others wrote since it was made is to be shown.
            bytes: if is_new { 0 } else { found.len() },
            path,
            is_new,
            name: name.to_owned(),
        })
    }

    /// What will be shown.
    pub(super) fn text(&self) -> String {
        let name = format!("{:?}", self.name);
        match (self.is_new, self.bytes) {
            (true, _) => format!("the records of {name}, which was made and is empty"),
            (false, 0) => format!("the records of {name}, which is empty"),
            (false, size) => format!(
                "the records of {name}, from its end on ({} are there)",
                bytes(size)
            ),
        }
    }

    /// A command that appends a line.
    pub(super) fn hint(&self) -> String {
        let line = "203.0.113.7 - - [24/Nov/2026:09:14:03 +0000] \"GET /cart?id=7 HTTP/1.1\" 200 5123 \
                    \"-\" \"curl/8.5.0\"";
        format!("  echo '{line}' >> {}", quoted(&self.name))
    }
}

/// A word as a shell takes it.
pub(super) fn quoted(word: &str) -> String {
    let is_plain =
        |character: char| character.is_ascii_alphanumeric() || "-_./:=,+@%".contains(character);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    // Control characters are shown, not sent to the terminal.
    let shown = crate::report::printable(word);
    format!("'{}'", shown.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_take_them_apart() {
        for (word, shown) in [
            ("--add", "--add"),
            ("/tmp/a.log", "/tmp/a.log"),
            ("path == \"/\"", "'path == \"/\"'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
            ("*", "'*'"),
        ] {
            assert_eq!(quoted(word), shown);
        }
    }
}
