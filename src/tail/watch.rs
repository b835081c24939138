//! inotify on folders and files: hints that something may have happened, never the truth.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask};

use super::FileId;
use super::arrivals::NameEvent;
use super::identity::Inode;
use crate::report;

/// Events taken from the kernel per read.
const EVENT_BUFFER_BYTES: usize = 64 << 10;

/// Renames of which only the first half is known: several processes may rename at the same time, and
/// of one that leads out of the watched folders the second half never comes.
const RENAMES_BEGUN_MAX: usize = 32;

/// File systems whose changes by other hosts cause no event here (statfs(2) and linux/magic.h).
const REMOTE_FILE_SYSTEMS: [u64; 10] = [
    0x6969,      // NFS
    0x517b,      // SMB
    0xff53_4d42, // CIFS
    0xfe53_4d42, // SMB 2
    0x6573_5546, // FUSE
    0x0102_1997, // 9p
    0x00c3_6400, // Ceph
    0x0bd0_0bd0, // Lustre
    0x5346_414f, // AFS
    0x0116_1970, // GFS2
];

/// What a batch of events says.
#[derive(Debug, Default)]
pub(crate) struct Hints {
    /// Files to look at.
    pub(crate) files: Vec<FileId>,
    /// Those of them that were written to.
    pub(crate) written: Vec<FileId>,
    /// Names came, went or changed: scan the folders.
    pub(crate) rescan: bool,
    /// What happened to the names of files in watched folders, in order.
    pub(crate) names: Vec<NameEvent>,
    /// Names that changed within watched folders, in order: from, to.
    pub(crate) renames: Vec<(PathBuf, PathBuf)>,
    /// Events were lost: look at everything.
    pub(crate) overflow: bool,
}

/// The watches of this process.
#[derive(Debug)]
pub(crate) struct Watcher {
    inotify: Option<Inotify>,
    targets: HashMap<WatchDescriptor, Target>,
    folders: HashMap<PathBuf, (Inode, WatchDescriptor)>,
    buffer: Vec<u8>,
    has_complained: bool,
    has_complained_of_loss: bool,
    /// First halves of renames whose second halves have not come yet: the cookie and the old path.
    renamed_from: VecDeque<(u32, PathBuf)>,
}

#[derive(Debug)]
enum Target {
    Folder(PathBuf),
    File(FileId),
}

impl Watcher {
    /// Makes a watcher; one without inotify where that cannot be had, which is reported.
    pub(crate) fn new() -> Watcher {
        let inotify = Inotify::init();
        if let Err(error) = &inotify {
            report::warning(&format!(
                "inotify cannot be had ({error}): files are polled; raise the sysctl \
                 fs.inotify.max_user_instances"
            ));
        }
        Watcher {
            inotify: inotify.ok(),
            targets: HashMap::new(),
            folders: HashMap::new(),
            buffer: vec![0; EVENT_BUFFER_BYTES],
            has_complained: false,
            has_complained_of_loss: false,
            renamed_from: VecDeque::new(),
        }
    }

    /// The descriptor that becomes readable with events.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.inotify.as_ref().map(AsFd::as_fd)
    }

    /// Watches an open file, whatever its path is by now. Returns the watch; `None` where the file
    /// has to be polled.
    pub(crate) fn watch_file(
        &mut self,
        file: &File,
        path: &Path,
        id: FileId,
    ) -> Option<WatchDescriptor> {
        let mask =
            WatchMask::MODIFY | WatchMask::ATTRIB | WatchMask::MOVE_SELF | WatchMask::DELETE_SELF;
        let descriptor = format!("/proc/self/fd/{}", file.as_raw_fd());
        let watch = self.add(Path::new(&descriptor), mask, path)?;
        self.targets.insert(watch.clone(), Target::File(id));
        if is_remote(file) {
            return None;
        }
        Some(watch)
    }

    /// Takes a file's watch off.
    pub(crate) fn unwatch_file(&mut self, watch: &WatchDescriptor) {
        self.targets.remove(watch);
        if let Some(inotify) = &self.inotify {
            // The kernel removes the watch of a deleted file by itself.
            let _ = inotify.watches().remove(watch.clone());
        }
    }

    /// Watches a folder for names that come and go: the one that is at this path now, which may be
    /// another than before. Returns whether a watch was set now.
    pub(crate) fn watch_folder(&mut self, folder: &Path) -> bool {
        let Ok(metadata) = std::fs::metadata(folder) else {
            return false;
        };
        let inode = Inode::of(&metadata);
        match self.folders.get(folder) {
            Some((watched, _)) if *watched == inode => return false,
            Some(_) => self.unwatch_folder(folder),
            None => {}
        }
        let mask = WatchMask::CREATE
            | WatchMask::MOVED_TO
            | WatchMask::MOVED_FROM
            | WatchMask::DELETE
            | WatchMask::DELETE_SELF
            | WatchMask::MOVE_SELF
            | WatchMask::ONLYDIR;
        let Some(watch) = self.add(folder, mask, folder) else {
            return false;
        };
        self.targets
            .insert(watch.clone(), Target::Folder(folder.to_owned()));
        self.folders.insert(folder.to_owned(), (inode, watch));
        true
    }

    /// Takes a folder's watch off, unless the folder has another path that is watched: the kernel
    /// has one watch for both.
    fn unwatch_folder(&mut self, folder: &Path) {
        let Some((_, watch)) = self.folders.remove(folder) else {
            return;
        };
        if self.folders.values().all(|(_, other)| *other != watch) {
            self.targets.remove(&watch);
            if let Some(inotify) = &self.inotify {
                // The kernel removes the watch of a deleted folder by itself.
                let _ = inotify.watches().remove(watch);
            }
        }
    }

    fn add(&mut self, path: &Path, mask: WatchMask, shown: &Path) -> Option<WatchDescriptor> {
        match self.inotify.as_ref()?.watches().add(path, mask) {
            Ok(watch) => Some(watch),
            Err(error) => {
                self.complain(shown, &error);
                None
            }
        }
    }

    fn complain(&mut self, path: &Path, error: &io::Error) {
        // A name that is gone is no trouble with inotify.
        if error.kind() == ErrorKind::NotFound || std::mem::replace(&mut self.has_complained, true)
        {
            return;
        }
        let remedy = match error.kind() {
            ErrorKind::StorageFull => "the limit of watches is reached: raise the sysctl \
                                       fs.inotify.max_user_watches"
                .to_owned(),
            _ => error.to_string(),
        };
        let path = path.display();
        report::warning(&format!(
            "{path}: cannot be watched, so it is polled: {remedy}"
        ));
    }

    /// Takes all events that are there.
    pub(crate) fn drain(&mut self) -> Hints {
        let mut hints = Hints::default();
        let mut failure = None;
        let Some(inotify) = &mut self.inotify else {
            return hints;
        };
        loop {
            let events = match inotify.read_events(&mut self.buffer) {
                Ok(events) => events,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => {
                    hints.overflow = true;
                    failure = Some(error);
                    break;
                }
            };
            let mut is_empty = true;
            for event in events {
                is_empty = false;
                if event.mask.contains(EventMask::Q_OVERFLOW) {
                    hints.overflow = true;
                    continue;
                }
                let mut is_gone = event.mask.contains(EventMask::IGNORED);
                let is_modified = event.mask.contains(EventMask::MODIFY);
                match self.targets.get(&event.wd) {
                    Some(Target::File(id)) => {
                        hints.files.push(*id);
                        hints.written.extend(is_modified.then_some(*id));
                        hints.rescan |= !is_modified;
                    }
                    Some(Target::Folder(folder)) => {
                        hints.rescan = true;
                        let path = event.name.map(|name| folder.join(name));
                        hints.names.extend(name_event(event.mask, path.as_deref()));
                        if event.mask.contains(EventMask::MOVED_FROM) {
                            if self.renamed_from.len() >= RENAMES_BEGUN_MAX {
                                self.renamed_from.pop_front();
                            }
                            let begun = path.map(|path| (event.cookie, path));
                            self.renamed_from.extend(begun);
                        } else if event.mask.contains(EventMask::MOVED_TO)
                            && let Some(to) = path
                            && let Some(from) = take(&mut self.renamed_from, event.cookie)
                        {
                            hints.renames.push((from, to));
                        }
                        if event.mask.contains(EventMask::MOVE_SELF) {
                            // What will be at its path is another folder.
                            let _ = inotify.watches().remove(event.wd.clone());
                            is_gone = true;
                        }
                    }
                    None => {}
                }
                if is_gone {
                    self.targets.remove(&event.wd);
                    self.folders.retain(|_, (_, watch)| *watch != event.wd);
                }
            }
            if is_empty {
                break;
            }
        }
        if hints.overflow && !std::mem::replace(&mut self.has_complained_of_loss, true) {
            report::warning(&match failure {
                None => {
                    "inotify had more events than its queue holds, so some are lost: looked at \
                         every file instead; when it happens often raise the sysctl \
                         fs.inotify.max_queued_events"
                        .to_owned()
                }
                Some(error) => {
                    format!("inotify cannot be read ({error}): looked at every file instead")
                }
            });
        }
        hints
    }
}

/// What an event in a folder says of the name of a file.
fn name_event(mask: EventMask, path: Option<&Path>) -> Option<NameEvent> {
    let path = path.filter(|_| !mask.contains(EventMask::ISDIR))?;
    if mask.intersects(EventMask::CREATE | EventMask::MOVED_TO) {
        return Some(NameEvent::Came(path.to_owned()));
    }
    mask.intersects(EventMask::DELETE | EventMask::MOVED_FROM)
        .then(|| NameEvent::Went(path.to_owned()))
}

/// Takes the first half of the rename with that cookie.
fn take(begun: &mut VecDeque<(u32, PathBuf)>, cookie: u32) -> Option<PathBuf> {
    let index = begun.iter().position(|begun| begun.0 == cookie)?;
    begun.remove(index).map(|(_, path)| path)
}

fn is_remote(file: &File) -> bool {
    let Ok(status) = rustix::fs::fstatfs(file) else {
        return false;
    };
    u64::try_from(status.f_type).is_ok_and(|kind| REMOTE_FILE_SYSTEMS.contains(&kind))
}
