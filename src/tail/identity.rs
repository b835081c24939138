//! What makes a file the same file: device, inode and a hash of its first bytes, never its path.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// First bytes of a file that its fingerprint covers.
const FINGERPRINT_BYTES_MAX: u64 = 256;

/// Bytes before an offset that a trail covers: part of a line at least, with its time.
const TRAIL_BYTES_MAX: usize = 64;

/// Bytes of a trail that two contents will not have in common by chance.
const TRAIL_BYTES_TELLING: u64 = 32;

/// Where a file's data is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Inode {
    /// The device that holds the file system.
    pub(crate) dev: u64,
    /// The number of the file in it; used again after the file is deleted.
    pub(crate) ino: u64,
}

impl Inode {
    /// The inode of a file's metadata.
    pub(crate) fn of(metadata: &std::fs::Metadata) -> Inode {
        Inode {
            dev: metadata.dev(),
            ino: metadata.ino(),
        }
    }
}

/// A hash (XXH3, 64 bits) of the first bytes of a file, as many as there were when it was taken, up
/// to 256.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    /// Bytes hashed.
    pub(crate) bytes: u64,
    /// Their hash; 0 for no bytes.
    pub(crate) hash: u64,
}

impl Fingerprint {
    /// The fingerprint of a file that has `size` bytes.
    ///
    /// # Errors
    /// What the system says to the read; `UnexpectedEof` where the file is shorter by now.
    pub(crate) fn take(file: &File, size: u64) -> io::Result<Fingerprint> {
        let bytes = size.min(FINGERPRINT_BYTES_MAX);
        Ok(Fingerprint {
            bytes,
            hash: hash_of_first(file, bytes)?,
        })
    }

    /// Whether the file's first bytes are still the ones of this fingerprint.
    ///
    /// # Errors
    /// What the system says to the read: bytes that cannot be read are not known to be others.
    pub(crate) fn is_in(&self, file: &File) -> io::Result<bool> {
        match hash_of_first(file, self.bytes) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            hash => Ok(hash? == self.hash),
        }
    }

    /// Whether a longer file would give a fingerprint of more bytes.
    pub(crate) fn can_grow(&self, size: u64) -> bool {
        self.bytes < size.min(FINGERPRINT_BYTES_MAX)
    }
}

/// A hash of the bytes right before an offset, as many as were at hand, up to 64. A file whose first
/// bytes are the same as ever (a header) may have been written anew all the same: this tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Trail {
    /// Bytes hashed.
    pub(crate) bytes: u64,
    /// Their hash; 0 for no bytes.
    pub(crate) hash: u64,
}

impl Trail {
    /// The trail at the end of what was read.
    pub(crate) fn after(read: &[u8]) -> Trail {
        let last = read
            .get(read.len().saturating_sub(TRAIL_BYTES_MAX)..)
            .unwrap_or(read);
        Trail {
            bytes: last.len() as u64,
            hash: if last.is_empty() { 0 } else { xxh3_64(last) },
        }
    }

    /// The trail at `offset` of a file.
    ///
    /// # Errors
    /// What the system says to the read; `UnexpectedEof` where the file is shorter.
    pub(crate) fn before(file: &File, offset: u64) -> io::Result<Trail> {
        let mut buffer = [0; TRAIL_BYTES_MAX];
        let start = offset.saturating_sub(TRAIL_BYTES_MAX as u64);
        let count = usize::try_from(offset - start).map_err(io::Error::other)?;
        let part = buffer.get_mut(..count).unwrap_or_default();
        file.read_exact_at(part, start)?;
        Ok(Trail::after(part))
    }

    /// Whether the file's bytes before `offset` are still the ones of this trail.
    ///
    /// # Errors
    /// As of [`Fingerprint::is_in`].
    pub(crate) fn is_in(&self, file: &File, offset: u64) -> io::Result<bool> {
        if self.bytes == 0 {
            return Ok(true);
        }
        let mut buffer = [0; TRAIL_BYTES_MAX];
        let Some(start) = offset.checked_sub(self.bytes) else {
            return Ok(false);
        };
        let count = usize::try_from(self.bytes).map_err(io::Error::other)?;
        let Some(part) = buffer.get_mut(..count) else {
            return Ok(false);
        };
        match file.read_exact_at(part, start) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            read => read.map(|()| xxh3_64(part) == self.hash),
        }
    }

    /// Whether it is long enough to tell two contents apart.
    pub(crate) fn is_telling(&self) -> bool {
        self.bytes >= TRAIL_BYTES_TELLING
    }
}

fn hash_of_first(file: &File, bytes: u64) -> io::Result<u64> {
    if bytes == 0 {
        return Ok(0);
    }
    let mut buffer = [0; FINGERPRINT_BYTES_MAX as usize];
    let count = usize::try_from(bytes.min(FINGERPRINT_BYTES_MAX)).map_err(io::Error::other)?;
    let part = buffer.get_mut(..count).unwrap_or_default();
    file.read_exact_at(part, 0)?;
    Ok(xxh3_64(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_trail_tells_a_file_that_was_written_anew_behind_the_same_header() {
        let mut file = tempfile::tempfile().unwrap();
        let old = [[b'h'; 300].as_slice(), b"old line\n"].concat();
        file.write_all(&old).unwrap();
        let trail = Trail::after(&old);
        assert!(trail.is_telling() && trail.is_in(&file, old.len() as u64).unwrap());
        file.write_all(b"one more line\n").unwrap();
        assert!(trail.is_in(&file, old.len() as u64).unwrap());
        assert!(
            !trail.is_in(&file, old.len() as u64 + 1).unwrap() && !trail.is_in(&file, 3).unwrap()
        );
        file.write_all_at(b"new", 300).unwrap();
        assert!(!trail.is_in(&file, old.len() as u64).unwrap());
        assert!(Trail::after(b"").is_in(&file, 0).unwrap());
        for offset in [0, 5, 64, 303] {
            let trail = Trail::before(&file, offset).unwrap();
            assert!(trail.is_in(&file, offset).unwrap(), "{offset}");
            assert_eq!(trail.bytes, offset.min(64));
        }
    }

    #[test]
    fn a_fingerprint_holds_while_the_first_bytes_do() {
        let mut file = tempfile::tempfile().unwrap();
        let empty = Fingerprint::take(&file, 0).unwrap();
        file.write_all(b"first line\n").unwrap();
        assert!(empty.is_in(&file).unwrap() && empty.can_grow(11));
        let short = Fingerprint::take(&file, 11).unwrap();
        file.write_all(&[b'x'; 500]).unwrap();
        assert!(short.is_in(&file).unwrap());
        let full = Fingerprint::take(&file, 511).unwrap();
        assert!(full.is_in(&file).unwrap() && !full.can_grow(10_000));
        file.write_all_at(b"F", 0).unwrap();
        assert!(!short.is_in(&file).unwrap() && !full.is_in(&file).unwrap());
        file.set_len(3).unwrap();
        assert!(
            !short.is_in(&file).unwrap(),
            "a file too short for it cannot match"
        );
    }
}
