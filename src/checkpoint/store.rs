//! The state folder: one checkpoint, one lock.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::FlockOperation;

use super::Snapshot;
use crate::error::{Error, Result};
use crate::process;
use crate::report;

const CHECKPOINT_NAME: &str = "checkpoint.json";
const NEW_NAME: &str = "checkpoint.json.new";
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
    _lock: File,
}

impl Store {
    /// Opens the folder, which is made when it is missing, and locks it.
    ///
    /// # Errors
    /// When the folder cannot be made or written to, and [`Error::Usage`] when another process
    /// collects with it.
    pub(crate) fn open(folder: &Path) -> Result<Store> {
        std::fs::create_dir_all(folder).map_err(Error::file("create the state folder", folder))?;
        let path = folder.join(LOCK_NAME);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut lock = options
            .open(&path)
            .map_err(Error::file("open the lock", &path))?;
        if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut holder = String::new();
            // Who it is helps; that there is somebody is what counts.
            let _ = lock.read_to_string(&mut holder);
            let holder = holder.trim().parse().map_or_else(
                |_| "another process, perhaps another job of ves".to_owned(),
                process::shown,
            );
            return Err(Error::Usage(format!(
                "{}: the state folder is in use by {holder}: give this one a folder of its own \
                 with --state-dir, or end the other",
                folder.display(),
            )));
        }
        let write_pid = |lock: &mut File| {
            lock.set_len(0)?;
            lock.rewind()?;
            writeln!(lock, "{}", std::process::id())
        };
        write_pid(&mut lock).map_err(Error::file("write the lock", &path))?;
        Ok(Store {
            folder: folder.to_owned(),
            _lock: lock,
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
        let reason = match serde_json::from_slice::<Snapshot>(&text) {
            Ok(snapshot) if snapshot.version == Snapshot::VERSION => {
                let alive_at = snapshot.alive_at.unwrap_or(written_at);
                return Ok(Some(Loaded { snapshot, alive_at }));
            }
            Ok(snapshot) => format!("it is of version {}", snapshot.version),
            Err(error) => error.to_string(),
        };
        let aside = self.free_name(&path);
        std::fs::rename(&path, &aside).map_err(Error::file("set aside the checkpoint", &path))?;
        report::warning(&format!(
            "{}: not a checkpoint that this version can read ({reason}); set aside as {}: files \
             are collected as if this were the first start",
            path.display(),
            aside.display()
        ));
        Ok(None)
    }

    fn free_name(&self, path: &Path) -> PathBuf {
        let name = |number: u32| path.with_extension(format!("json.unreadable-{number}"));
        (1..)
            .map(name)
            .find(|name| !name.exists())
            .unwrap_or_else(|| name(0))
    }

    /// Replaces the checkpoint. Blocks for two fsyncs.
    ///
    /// # Errors
    /// What the system says; the old checkpoint is then still there.
    pub(crate) fn write(&self, snapshot: &Snapshot) -> Result<()> {
        let (new, path) = (
            self.folder.join(NEW_NAME),
            self.folder.join(CHECKPOINT_NAME),
        );
        let write = || {
            let file = File::create(&new)?;
            let mut writer = io::BufWriter::new(&file);
            serde_json::to_writer(&mut writer, snapshot)?;
            writer.write_all(b"\n")?;
            writer.flush()?;
            file.sync_all()?;
            std::fs::rename(&new, &path)?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(Error::file("write the checkpoint", &path))
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
