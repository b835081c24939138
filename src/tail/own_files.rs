//! The files that this process writes itself. A pattern may mean them, too, but a collector that
//! reads what it writes never comes to an end: they are not followed, and that is said once each.

use std::collections::HashSet;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, fstat};

use super::follow::real_path;
use super::identity::Inode;
use crate::config::{Config, ShipUrl};
use crate::report;

/// What is known of the files that this process writes.
#[derive(Debug, Default)]
pub(crate) struct OwnFiles {
    /// The sink, standard output and standard error, and every file that was the sink before.
    inodes: HashSet<Inode>,
    /// Where the sink is, whatever file that is by now.
    sink: Option<PathBuf>,
    /// Where the checkpoint is, a new file each time.
    state_dir: Option<PathBuf>,
    noted: HashSet<PathBuf>,
}

impl OwnFiles {
    /// The files of a configuration whose sink and state folder are open by now, and what this
    /// process has written `before`.
    pub(crate) fn of(config: &Config, before: Option<&OwnFiles>) -> OwnFiles {
        let outputs = [rustix::stdio::stdout(), rustix::stdio::stderr()];
        let mut own = OwnFiles {
            inodes: outputs.into_iter().filter_map(inode_of_file).collect(),
            state_dir: config.state_dir.as_deref().map(real_path),
            ..OwnFiles::default()
        };
        if let Some(before) = before {
            own.inodes.extend(&before.inodes);
            own.noted.extend(before.noted.iter().cloned());
        }
        if let ShipUrl::File(path) = &config.ship {
            own.sink = Some(real_path(path));
            own.inodes
                .extend(std::fs::metadata(path).map(|metadata| Inode::of(&metadata)));
        }
        own
    }

    /// Whether the file at `path` is one of them; says so for the first time.
    pub(crate) fn has(&mut self, path: &Path, inode: Inode) -> bool {
        let real = real_path(path);
        if self.sink.as_ref() == Some(&real) {
            // It stays the sink's under the name to which it is rotated.
            self.inodes.insert(inode);
        }
        let state_dir = self.state_dir.as_ref();
        let is_state = state_dir.is_some_and(|folder| real.starts_with(folder));
        if !is_state && !self.inodes.contains(&inode) {
            return false;
        }
        let shown = state_dir.filter(|_| is_state).unwrap_or(&real);
        if self.noted.insert(shown.clone()) {
            let shown = shown.display();
            report::warning(&format!(
                "{shown}: is what VES itself writes, so it is not followed"
            ));
        }
        true
    }
}

/// The inode behind a descriptor, if that is a regular file.
fn inode_of_file(descriptor: impl AsFd) -> Option<Inode> {
    let stat = fstat(descriptor).ok()?;
    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    is_file.then_some(Inode {
        dev: stat.st_dev,
        ino: stat.st_ino,
    })
}
