//! Files that the patterns mean and that hold no lines: compressed ones, told by their first bytes,
//! never by their names. They are not followed, and that is said once each.

use std::collections::{HashMap, HashSet};
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use super::Tail;
use super::follow::Followed;
use super::identity::{Fingerprint, Inode};
use super::resume::Known;
use super::rotation::{REPORTED_EACH_MAX, report_gone};
use crate::report;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    /// RFC 1952, by gzip and pigz.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// The `.xz` format.
    Xz,
    /// bzip2, with at least one block.
    Bzip2,
    /// An LZ4 frame.
    Lz4,
    /// A zip archive that has an entry.
    Zip,
}

/// The most bytes that tell.
const MAGIC_BYTES_MAX: usize = 10;

impl Compression {
    /// What a file that begins with `first` is compressed with. Fewer bytes than tell are taken for
    /// text. No line is held up by that: none of these beginnings has a newline in it, so a file that
    /// has a whole line has enough bytes to tell.
    fn of(first: &[u8]) -> Option<Compression> {
        match first {
            [0x1f, 0x8b, 0x08, ..] => Some(Compression::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Compression::Zstd),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Compression::Xz),
            // The size of a block, then the first six digits of pi: "BZh" alone may begin a line.
            [
                b'B',
                b'Z',
                b'h',
                b'1'..=b'9',
                0x31,
                0x41,
                0x59,
                0x26,
                0x53,
                0x59,
                ..,
            ] => Some(Compression::Bzip2),
            [0x04, 0x22, 0x4d, 0x18, ..] => Some(Compression::Lz4),
            [b'P', b'K', 0x03, 0x04, ..] => Some(Compression::Zip),
            _ => None,
        }
    }

    /// What an open file is compressed with, by what it holds now.
    ///
    /// # Errors
    /// What the system says to the read.
    pub(super) fn of_file(file: &File) -> io::Result<Option<Compression>> {
        let mut first = [0; MAGIC_BYTES_MAX];
        let count = file.read_at(&mut first, 0)?;
        Ok(Compression::of(first.get(..count).unwrap_or_default()))
    }

    fn name(self) -> &'static str {
        match self {
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
            Compression::Xz => "xz",
            Compression::Bzip2 => "bzip2",
            Compression::Lz4 => "lz4",
            Compression::Zip => "zip",
        }
    }

    /// The program that writes the lines to its standard output.
    fn reader(self) -> &'static str {
        match self {
            Compression::Gzip => "zcat",
            Compression::Zstd => "zstdcat",
            Compression::Xz => "xzcat",
            Compression::Bzip2 => "bzcat",
            Compression::Lz4 => "lz4cat",
            Compression::Zip => "unzip -p",
        }
    }
}

/// What changes when a file is written to or renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    size: u64,
    changed_at: (i64, i64),
}

impl State {
    /// That of a file's metadata.
    pub(super) fn of(metadata: &Metadata) -> State {
        State {
            size: metadata.len(),
            changed_at: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// The compressed files that are there.
#[derive(Debug, Default)]
pub(super) struct CompressedFiles {
    /// How each was when it was looked into, and its first bytes: a name may change every day, and an
    /// inode is used again.
    files: HashMap<Inode, (State, Fingerprint)>,
    reported: usize,
}

impl CompressedFiles {
    /// Whether a file is as it was when it was found to be compressed.
    pub(super) fn has(&self, inode: Inode, state: State) -> bool {
        self.files.get(&inode).is_some_and(|file| file.0 == state)
    }

    /// Forgets those that the patterns do not lead to any more.
    pub(super) fn keep(&mut self, present: &HashSet<Inode>) {
        self.files.retain(|inode, _| present.contains(inode));
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.files.len()
    }

    /// Notes a file. Returns whether it was not known by its first bytes.
    fn note(&mut self, file: &File, metadata: &Metadata) -> io::Result<bool> {
        let fingerprint = Fingerprint::take(file, metadata.len())?;
        let known = (State::of(metadata), fingerprint);
        let before = self.files.insert(Inode::of(metadata), known);
        match before {
            Some(before) => Ok(!before.1.is_in(file)?),
            None => Ok(true),
        }
    }
}

impl Tail {
    /// Whether an open file is compressed, so that it is not to be followed. Takes note of it then.
    pub(super) fn is_compressed(
        &mut self,
        path: &Path,
        file: &File,
        metadata: &Metadata,
    ) -> io::Result<bool> {
        let Some(compression) = Compression::of_file(file)? else {
            self.compressed.files.remove(&Inode::of(metadata));
            return Ok(false);
        };
        if self.compressed.note(file, metadata)? {
            self.report_compressed(path, compression);
        }
        // It may have been collected by a program that did not look, or have the inode of a log.
        if let Known::Rewritten(entry) = self.resume.take(Inode::of(metadata), file)?
            && !entry.is_finished()
        {
            report_gone(&[entry]);
        }
        self.links
            .stats
            .set_files_compressed(self.compressed.count());
        Ok(true)
    }

    /// Whether a followed file of which nothing was read yet turns out to be compressed: it was empty
    /// when it was found, or was written anew.
    pub(super) fn has_become_compressed(&mut self, followed: &Followed) -> io::Result<bool> {
        let source = followed.source.as_ref();
        let Some(file) = source.and_then(|source| source.file.as_ref()) else {
            return Ok(false);
        };
        Ok(followed.offset == 0
            && followed.size > 0
            && self.is_compressed(&followed.path, file, &file.metadata()?)?)
    }

    fn report_compressed(&mut self, path: &Path, compression: Compression) {
        self.compressed.reported += 1;
        let (name, reader) = (compression.name(), compression.reader());
        // Who names a file wants its lines; a pattern may well mean the rotated ones, too.
        let is_named = self.discover.plain_paths().any(|named| named == path);
        let shown = path.display();
        let text = format!(
            "{shown}: is compressed ({name}), so it is not collected: keep such files out of the \
             pattern with --exclude, or read this one by {reader} {shown} | ves collect --watch -"
        );
        match self.compressed.reported.checked_sub(REPORTED_EACH_MAX) {
            _ if is_named => report::warning(&text),
            None | Some(0) => report::notice(&text),
            Some(1) => report::notice(&format!(
                "{shown}: the same, and so may more files be; --log-level debug names them"
            )),
            Some(_) => report::debug(|| text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn compressed_files_are_told_by_their_first_bytes() {
        let beginnings: [(&[u8], Compression); 6] = [
            (b"\x1f\x8b\x08", Compression::Gzip),
            (b"\x28\xb5\x2f\xfd", Compression::Zstd),
            (b"\xfd7zXZ\0", Compression::Xz),
            (b"BZh91AY&SY", Compression::Bzip2),
            (b"\x04\x22\x4d\x18", Compression::Lz4),
            (b"PK\x03\x04", Compression::Zip),
        ];
        for (beginning, compression) in beginnings {
            assert_eq!(Compression::of(beginning), Some(compression));
            let longer = [beginning, b"\n\0more"].concat();
            assert_eq!(Compression::of(&longer), Some(compression));
            let shorter = &beginning[..beginning.len() - 1];
            assert_eq!(Compression::of(shorter), None, "{compression:?}");
            assert!(!beginning.contains(&b'\n') && beginning.len() <= MAGIC_BYTES_MAX);
        }
    }

    #[test]
    fn text_that_begins_alike_is_text() {
        for text in [
            b"".as_slice(),
            b"\x1f",
            b"\x1f\x8b\n",
            b"BZh9 is how bzip2 begins\n",
            b"BZh01AY&SY",
            b"PK\n",
            b"127.0.0.1 - -",
        ] {
            assert_eq!(Compression::of(text), None, "{text:?}");
        }
    }

    /// A rotated file is renamed each day, and was reported each time.
    #[test]
    fn a_compressed_file_is_new_once_under_whatever_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.gz");
        std::fs::write(&path, "\x1f\u{8b}\x08one").unwrap();
        let mut file = File::options().append(true).read(true).open(&path).unwrap();
        let mut compressed = CompressedFiles::default();
        let mut note = |file: &File| compressed.note(file, &file.metadata().unwrap()).unwrap();
        assert!(note(&file));
        std::fs::rename(&path, dir.path().join("a.2.gz")).unwrap();
        assert!(!note(&file));
        file.write_all(b"more").unwrap();
        assert!(!note(&file), "it is still written to");
        file.set_len(0).unwrap();
        file.write_all(b"another").unwrap();
        assert!(note(&file));
        let (inode, state) = {
            let metadata = file.metadata().unwrap();
            (Inode::of(&metadata), State::of(&metadata))
        };
        assert!(compressed.has(inode, state));
        file.write_all(b"more").unwrap();
        let grown = State::of(&file.metadata().unwrap());
        assert!(!compressed.has(inode, grown));
        compressed.keep(&HashSet::new());
        assert_eq!(compressed.count(), 0);
    }
}
