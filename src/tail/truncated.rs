//! What logs were before they were truncated, and whether a file is a copy of one of them. Nothing
//! here is followed or read on; files are only compared.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::FileId;
use super::chunk::{Position, Source};
use super::identity::Fingerprint;
use crate::parse::Detected;

/// What a file that may be a copy is known to be, while nothing of it was handed on.
#[derive(Clone, Debug)]
pub(crate) struct Suspicion {
    /// Where the log is.
    pub(super) log: PathBuf,
    /// The number of the log that held all of it when it was last looked at, and how much that was.
    pub(super) seen_in: Option<(FileId, u64)>,
    /// Whether it is one, and is read on from where the log was read to.
    pub(super) is_settled: bool,
}

impl Suspicion {
    /// Whether it is not known yet what the file is, so that nothing of it may be handed on.
    pub(crate) fn is_open(&self) -> bool {
        !self.is_settled
    }
}

/// What a log was before it was truncated.
#[derive(Debug)]
pub(super) struct Before {
    pub(super) id: FileId,
    pub(super) path: PathBuf,
    pub(super) fingerprint: Fingerprint,
    pub(super) format: Option<Detected>,
    /// Where it was read to; less where chunks turned out to be torn.
    pub(super) position: Position,
    /// Its source while chunks of it are on their way: they may be torn yet.
    pub(super) source: Option<Arc<Source>>,
    /// The end that was seen of it.
    pub(super) end: u64,
    /// Bytes before that which were not read, not reported yet.
    pub(super) unread: u64,
    pub(super) at: Instant,
}

/// What a file turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Something else.
    Own,
    /// That cannot be told before all of the log is read that is on its way.
    Later,
    /// As far as it goes, a copy of the log with that number, all of which was read.
    SoFar(FileId, Position),
    /// A copy of what the log was, which was read up to there.
    Copy(FileId, Position, Option<Detected>),
}

impl Before {
    /// Notes what became of the chunks that were on their way, once they are done.
    pub(super) fn settle(&mut self) {
        let Some(source) = self.source.take_if(|source| Arc::strong_count(source) == 1) else {
            return;
        };
        self.unread += source.take_torn_bytes();
        let torn_at = source.torn_at();
        if let Some(torn_at) = torn_at.filter(|at| at.offset < self.position.offset) {
            self.position = torn_at;
        }
    }

    /// Whether the file holds all that was read of the log. A trail of a few bytes does not say so,
    /// unless the file was compared with the log so far.
    fn is_in(&self, suspicion: &Suspicion, file: &File, size: u64) -> io::Result<bool> {
        let Position { offset, trail, .. } = self.position;
        let seen = suspicion.seen_in.filter(|seen| seen.0 == self.id);
        let is_telling = trail.is_telling()
            || offset <= self.fingerprint.bytes
            || seen.is_some_and(|seen| seen.1 >= offset);
        Ok(size >= offset && is_telling && self.begins(file)? && trail.is_in(file, offset)?)
    }

    /// The same where a few bytes have to do.
    pub(super) fn may_be_in(&self, file: &File, size: u64) -> io::Result<bool> {
        let Position { offset, trail, .. } = self.position;
        Ok(size >= offset && self.begins(file)? && trail.is_in(file, offset)?)
    }

    /// Whether the file begins as the log did.
    fn begins(&self, file: &File) -> io::Result<bool> {
        Ok(self.fingerprint.bytes > 0 && self.fingerprint.is_in(file)?)
    }
}

/// What a file of `size` bytes is, by what logs were before.
///
/// # Errors
/// When it cannot be read.
pub(super) fn judge(
    before: &[Before],
    suspicion: &Suspicion,
    file: &File,
    size: u64,
) -> io::Result<Verdict> {
    let of_log = before.iter().filter(|before| before.path == suspicion.log);
    let mut best: Option<&Before> = None;
    for before in of_log {
        if before.source.is_some() && before.begins(file)? {
            return Ok(Verdict::Later);
        }
        if before.is_in(suspicion, file, size)? {
            let is_better = |best: &&Before| best.position.offset >= before.position.offset;
            best = best.filter(is_better).or(Some(before));
        }
    }
    Ok(best.map_or(Verdict::Own, |before| {
        Verdict::Copy(before.id, before.position, before.format)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tail::{LineState, Trail};
    use std::io::Write;
    use std::path::Path;

    /// A log of that content, read to its end and truncated.
    fn before(id: u64, content: &[u8], last: &[u8]) -> Before {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        Before {
            id: FileId(id),
            path: PathBuf::from("/l/a.log"),
            fingerprint: Fingerprint::take(&file, content.len() as u64).unwrap(),
            format: None,
            position: Position {
                offset: content.len() as u64,
                line: LineState::Start,
                trail: Trail::after(last),
            },
            source: None,
            end: content.len() as u64,
            unread: 0,
            at: Instant::now(),
        }
    }

    fn offset_in(before: &[Before], content: &[u8], seen_in: Option<(FileId, u64)>) -> Option<u64> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        let suspicion = Suspicion {
            log: PathBuf::from("/l/a.log"),
            seen_in,
            is_settled: false,
        };
        match judge(before, &suspicion, &file, content.len() as u64).unwrap() {
            Verdict::Copy(_, position, _) => Some(position.offset),
            Verdict::Own => None,
            verdict => panic!("{verdict:?}"),
        }
    }

    fn content(last: &str) -> Vec<u8> {
        let header = "# the same header in each log\n".repeat(20);
        format!("{header}{last}").into_bytes()
    }

    #[test]
    fn a_copy_is_told_by_what_was_read_last_and_goes_on_there() {
        let log = content("the last line that was read, with its time\n");
        let all = [
            before(1, &content(""), &content("")),
            before(2, &log, &log),
            before(3, &content("another truncation of the same log\n"), &log),
        ];
        let read = log.len() as u64;
        assert_eq!(offset_in(&all, &log, None), Some(read));
        let longer = [log.as_slice(), b"written before the copy\n"].concat();
        assert_eq!(offset_in(&all, &longer, None), Some(read));
        let other = content("lines of a log of its own, all of them\n");
        let header = content("").len() as u64;
        assert_eq!(offset_in(&all, &other, None), Some(header));
        assert_eq!(
            offset_in(&all, b"other first bytes, and more\n", None),
            None
        );
        assert_eq!(
            offset_in(&all, &log[..read as usize - 1], None),
            Some(header)
        );
    }

    /// Two bytes before the offset are the same in many files.
    #[test]
    fn a_few_bytes_tell_only_where_the_file_was_compared_with_the_log() {
        let log = content("x\n");
        let all = [before(1, &log, b"x\n")];
        let read = log.len() as u64;
        assert_eq!(offset_in(&all, &log, None), None);
        assert_eq!(offset_in(&all, &log, Some((FileId(1), read - 1))), None);
        assert_eq!(offset_in(&all, &log, Some((FileId(2), read))), None);
        assert_eq!(offset_in(&all, &log, Some((FileId(1), read))), Some(read));
        let short = [before(1, b"x\nx\n", b"x\n")];
        assert_eq!(
            offset_in(&short, b"x\nx\ny\n", None),
            Some(4),
            "the first bytes are all of it"
        );
    }

    #[test]
    fn chunks_on_their_way_are_waited_for_and_may_turn_out_torn() {
        let log = content("the last line that was read, with its time\n");
        let stats = Arc::new(crate::stats::Stats::new());
        let suffix = crate::enrich::Suffix::new(&[], "host", Path::new("a.log"));
        let source = Source::new(
            FileId(1),
            PathBuf::from("a.log"),
            None,
            suffix,
            stats.clone(),
        );
        let source = Arc::new(source);
        let chunk = source.clone();
        let mut truncated = before(1, &log, &log);
        truncated.source = Some(source);
        truncated.settle();
        let position = truncated.position;
        assert!(truncated.source.is_some());
        let header = content("");
        let torn_at = Position {
            offset: header.len() as u64,
            trail: Trail::after(&header),
            ..position
        };
        chunk.tear(position, 5);
        chunk.tear(torn_at, 43);
        drop(chunk);
        truncated.settle();
        assert_eq!((truncated.position, truncated.unread), (torn_at, 48));
        assert!(truncated.source.is_none());
        assert_eq!(stats.totals().bytes_unread, 0, "it is counted once");
    }
}
