//! The state folder: one checkpoint, in one file or two, and one lock.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use serde::de::DeserializeOwned;

use super::changes::Changes;
use super::ledger::Due;
use super::{Snapshot, VERSION};
use crate::error::{Error, Result};
use crate::lock;
use crate::process;
use crate::report;
use crate::tail::Inode;

const CHECKPOINT_NAME: &str = "checkpoint.json";
const NEW_NAME: &str = "checkpoint.json.new";
const CHANGES_NAME: &str = "checkpoint-changes.json";
const LOCK_NAME: &str = "lock";

/// A checkpoint as it was found.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// What it says.
    pub(crate) snapshot: Snapshot,
    /// When it was written.
    pub(crate) alive_at: SystemTime,
}

/// The state folder of one job, locked for this process.
#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
    /// Held for its lock, which ends with the process however that ends.
    lock: Mutex<File>,
}

impl Store {
    /// Opens the folder, which is made when it is missing, and locks it.
    ///
    /// # Errors
    /// When the folder cannot be made or written to, and [`Error::Usage`] when another process
    /// collects with it.
    pub(crate) fn open(folder: &Path) -> Result<Store> {
        Ok(Store {
            folder: folder.to_owned(),
            lock: Mutex::new(lock(folder)?),
        })
    }

    /// Where it is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Reads the checkpoint: `None` where there is none. One that cannot be understood is set aside
    /// under another name and reported, and collection starts by the `from` rule.
    ///
    /// # Errors
    /// When the file is there but cannot be read or set aside.
    pub(crate) fn load(&self) -> Result<Option<Loaded>> {
        let path = self.folder.join(CHECKPOINT_NAME);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::file("read the checkpoint", &path)(error)),
        };
        let written_at = std::fs::metadata(&path).and_then(|metadata| metadata.modified());
        let written_at = written_at.map_err(Error::file("look at the checkpoint", &path))?;
        let reason = match parse::<Snapshot>(&text) {
            Ok(mut snapshot) => {
                self.add_changes(&mut snapshot)?;
                let alive_at = snapshot.alive_at.unwrap_or(written_at);
                return Ok(Some(Loaded { snapshot, alive_at }));
            }
            Err(reason) => reason,
        };
        let aside = self.set_aside(&path)?;
        report::warning(&format!(
            "{}: not a checkpoint that this version can read ({reason}); set aside as {}: files \
             are collected as if this were the first start",
            path.display(),
            aside.display()
        ));
        Ok(None)
    }

    /// Adds what has changed since the whole checkpoint was written, if that is there.
    fn add_changes(&self, snapshot: &mut Snapshot) -> Result<()> {
        let path = self.folder.join(CHANGES_NAME);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::file("read the checkpoint", &path)(error)),
        };
        let applied = match parse::<Changes>(&text) {
            // Of an earlier checkpoint, which a whole one has replaced.
            Ok(changes) if !changes.are_of(snapshot) => return Ok(()),
            Ok(changes) => changes
                .apply(snapshot)
                .map_err(|place| format!("there is no file {place} in the list")),
            Err(reason) => Err(reason),
        };
        let Err(reason) = applied else {
            return Ok(());
        };
        let aside = self.set_aside(&path)?;
        report::warning(&format!(
            "{}: not a part of a checkpoint that this version can read ({reason}); set aside as {}: \
             files are read on from where they were some time before",
            path.display(),
            aside.display()
        ));
        Ok(())
    }

    fn set_aside(&self, path: &Path) -> Result<PathBuf> {
        let aside = self.free_name(path);
        std::fs::rename(path, &aside).map_err(Error::file("set aside the checkpoint", path))?;
        Ok(aside)
    }

    /// Makes the folder and its lock again where somebody has deleted them.
    fn keep_folder(&self) -> Result<()> {
        let mut held = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let inode = |metadata: std::fs::Metadata| Inode::of(&metadata);
        let there = std::fs::metadata(self.folder.join(LOCK_NAME)).map(inode);
        match (there, held.metadata().map(inode)) {
            (Ok(there), Ok(own)) if there == own => return Ok(()),
            // What cannot be looked at is not known to be gone.
            (Ok(_), Err(_)) => return Ok(()),
            (Err(error), _) if error.kind() != io::ErrorKind::NotFound => return Ok(()),
            _ => {}
        }
        *held = lock(&self.folder)?;
        report::notice(&format!(
            "{}: the state folder was deleted: made again",
            self.folder.display()
        ));
        Ok(())
    }

    fn free_name(&self, path: &Path) -> PathBuf {
        let name = |number: u32| path.with_extension(format!("json.unreadable-{number}"));
        (1..)
            .map(name)
            .find(|name| !name.exists())
            .unwrap_or_else(|| name(0))
    }

    /// Replaces the checkpoint, or the part of it that says what has changed. Blocks for two fsyncs.
    ///
    /// # Errors
    /// What the system says; the old checkpoint, or the new one, is there then.
    pub(super) fn write(&self, due: &Due<'_>) -> Result<()> {
        let name = match due {
            Due::Whole(..) => CHECKPOINT_NAME,
            Due::Changes(_) => CHANGES_NAME,
        };
        let (new, path) = (self.folder.join(NEW_NAME), self.folder.join(name));
        self.keep_folder()?;
        let write = || {
            let file = File::create(&new)?;
            let mut writer = io::BufWriter::new(&file);
            match due {
                Due::Whole(snapshot, _) => serde_json::to_writer(&mut writer, snapshot)?,
                Due::Changes(changes) => serde_json::to_writer(&mut writer, changes)?,
            }
            writer.write_all(b"\n")?;
            writer.flush()?;
            file.sync_all()?;
            std::fs::rename(&new, &path)?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(Error::file("write the checkpoint", &path))?;
        if matches!(due, Due::Whole(..)) {
            // One that stays belongs to no checkpoint any more.
            let _ = std::fs::remove_file(self.folder.join(CHANGES_NAME));
        }
        Ok(())
    }

    /// Whether the whole checkpoint is there, to which changes could be added.
    pub(super) fn has_whole(&self) -> bool {
        self.folder.join(CHECKPOINT_NAME).exists()
    }
}

/// Makes the folder where it is missing, and locks it.
fn lock(folder: &Path) -> Result<File> {
    std::fs::create_dir_all(folder).map_err(Error::file("create the state folder", folder))?;
    let path = folder.join(LOCK_NAME);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let mut lock = options
        .open(&path)
        .map_err(Error::file("open the lock", &path))?;
    if !lock::lock(&lock) {
        let mut holder = String::new();
        // Who it is helps; that there is somebody is what counts.
        let _ = lock.read_to_string(&mut holder);
        let holder = holder.trim().parse().map_or_else(
            |_| "another process, perhaps another job of ves".to_owned(),
            process::shown,
        );
        return Err(Error::Usage(format!(
            "{}: the state folder is in use by {holder}: give this one a folder of its own with \
             --state-dir, or end the other",
            folder.display(),
        )));
    }
    // On a full disk the lock holds all the same; only its holder is not told then.
    let _ = lock.set_len(0);
    let _ = lock.rewind();
    let _ = writeln!(lock, "{}", std::process::id());
    Ok(lock)
}

/// A checkpoint of this version, or a part of one, or why it is none.
fn parse<T: DeserializeOwned>(text: &[u8]) -> std::result::Result<T, String> {
    /// What every version has.
    #[derive(serde::Deserialize)]
    struct Versioned {
        version: u32,
    }
    let versioned: Versioned = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    match versioned.version {
        VERSION => serde_json::from_slice(text).map_err(|error| error.to_string()),
        version => Err(format!(
            "it is of version {version}, and this program knows version {}",
            VERSION
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_process_is_told_who_holds_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let _first = Store::open(dir.path()).unwrap();
        let error = Store::open(dir.path()).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(
            error
                .to_string()
                .contains(&format!("process {}", std::process::id()))
        );
    }

    #[test]
    fn an_unreadable_checkpoint_is_set_aside_not_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        for (round, text) in ["{", r#"{"version":99,"sink":null,"files":[]}"#]
            .iter()
            .enumerate()
        {
            std::fs::write(dir.path().join(CHECKPOINT_NAME), text).unwrap();
            assert!(store.load().unwrap().is_none());
            let aside = dir
                .path()
                .join(format!("checkpoint.json.unreadable-{}", round + 1));
            assert_eq!(std::fs::read_to_string(aside).unwrap(), *text);
            assert!(store.load().unwrap().is_none());
        }
    }
}
