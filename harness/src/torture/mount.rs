//! A small file system in memory that a case can fill and let grow. Nobody else sees
//! it: the harness has mounts of its own, which end with it.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

/// A mounted file system, gone when this is.
#[derive(Debug)]
pub(super) struct Mount {
    path: PathBuf,
}

/// Takes the mounts that are made from now on out of the sight of other processes, so that even a
/// killed harness leaves none. Where that is not allowed, cases that need a mount are not either.
pub(super) fn keep_mounts_private() {
    let private = MsFlags::MS_PRIVATE | MsFlags::MS_REC;
    let nothing: Option<&str> = None;
    // What fails here fails again in `Mount::tmpfs`, and is told there.
    let _ = unshare(CloneFlags::CLONE_NEWNS)
        .and_then(|()| mount(nothing, "/", nothing, private, nothing));
}

impl Mount {
    /// Mounts one of that size at a folder that is there.
    ///
    /// # Errors
    /// When that is not allowed.
    pub(super) fn tmpfs(path: &Path, bytes: u64) -> Result<Mount> {
        let size = format!("size={bytes}");
        let flags = MsFlags::empty();
        mount(
            Some("ves-torture"),
            path,
            Some("tmpfs"),
            flags,
            Some(&*size),
        )
        .with_context(|| format!("mount a tmpfs at {}", path.display()))?;
        Ok(Mount {
            path: path.to_owned(),
        })
    }

    /// Gives it another size.
    ///
    /// # Errors
    /// When that is not possible.
    pub(super) fn resize(&self, bytes: u64) -> Result<()> {
        let nothing: Option<&str> = None;
        let size = format!("size={bytes}");
        mount(
            nothing,
            &self.path,
            nothing,
            MsFlags::MS_REMOUNT,
            Some(&*size),
        )
        .with_context(|| format!("mount {} again", self.path.display()))
    }

    /// Leaves no byte of it free, until [`Mount::free`].
    ///
    /// # Errors
    /// When there is no file to be made.
    pub(super) fn fill(&self) -> Result<()> {
        let mut file = File::create(self.ballast()).context("make the ballast")?;
        let mut size = 64 << 10;
        while size > 0 {
            if file.write_all(&vec![0; size]).is_err() {
                size /= 2;
            }
        }
        Ok(())
    }

    /// Gives the room back.
    ///
    /// # Errors
    /// When the ballast cannot be deleted.
    pub(super) fn free(&self) -> Result<()> {
        std::fs::remove_file(self.ballast()).context("delete the ballast")
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Who still has a file there keeps it until it is closed.
        let _ = umount2(&self.path, MntFlags::MNT_DETACH);
    }
}
