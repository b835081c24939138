//! The error type of the crate and the exit codes that it stands for.

use std::path::PathBuf;

/// Shorthand for a result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can end VES. Bad lines are data and bad files are warnings; neither is here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The command line or the configuration is wrong: nothing was started. The text is complete
    /// (what, where, what was found, what was expected) and may span lines.
    #[error("{0}")]
    Usage(String),

    /// A file or folder that VES cannot do without could not be used.
    #[error("{action} {}", path.display())]
    File {
        /// What was attempted, as a verb with its object: `open the sink file`.
        action: &'static str,
        /// The file or folder in question.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    /// A system facility that is not a file failed.
    #[error("{action}")]
    System {
        /// What was attempted.
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },

    /// Not all was done that was to be done: the sink did not take everything before the time for
    /// an orderly end was over, or something could not be read.
    #[error("{0}")]
    Unfinished(String),
}

impl Error {
    /// The process exit code for this error: 2 for bad usage or configuration, else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Usage(_) => 2,
            _ => 1,
        }
    }

    /// For use in `map_err`: wraps an I/O error with what was attempted on which path.
    pub(crate) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.into();
        move |source| Error::File {
            action,
            path,
            source,
        }
    }

    /// For use in `map_err`: wraps an I/O error with what was attempted.
    pub(crate) fn system(action: &'static str) -> impl FnOnce(std::io::Error) -> Error {
        move |source| Error::System { action, source }
    }
}
