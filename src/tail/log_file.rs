//! Opening what is to be read: only ever a regular file, and never by waiting for somebody. A name
//! that the patterns mean may lead to anything by the time that it is opened.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// Opens the regular file at `path` for reading, with what fstat says of it. `None` where something
/// else is there. Never blocks on a FIFO, which would have no writer or lose its reader again.
///
/// # Errors
/// What the system says.
pub(crate) fn open(path: &Path) -> io::Result<Option<(File, Metadata)>> {
    // Opening alone has effects on a FIFO (its writers) and on some devices, so it is looked at
    // first.
    if !std::fs::metadata(path)?.is_file() {
        return Ok(None);
    }
    // The name may lead to another file than a moment ago.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    let metadata = file.metadata()?;
    Ok(metadata.is_file().then_some((file, metadata)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    #[test]
    fn only_regular_files_are_opened_and_a_fifo_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        assert!(open(&fifo).unwrap().is_none());
        assert!(open(dir.path()).unwrap().is_none());
        assert!(open(Path::new("/dev/null")).unwrap().is_none());
        let missing = open(&dir.path().join("missing")).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        std::fs::write(dir.path().join("log"), "line\n").unwrap();
        let (_, metadata) = open(&dir.path().join("log")).unwrap().unwrap();
        assert_eq!(metadata.len(), 5);
    }
}
