//! What was delivered, on disk: acknowledged offsets by file identity, with the sink's length
//! beside them. One thread owns it; the tail and the ship stage tell it what happens through one
//! channel, so it always sees a file before its progress.
//!
//! The file is JSON (see [`Snapshot`]). It is replaced atomically (write, fsync, rename, fsync of
//! the folder), at most once a second (ten times when files are opened) and at the end.

mod store;
mod writer;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

pub(crate) use store::{Loaded, Store};
use writer::Writer;

use crate::batch::Progress;
use crate::error::Result;
use crate::parse::Detected;
use crate::stats::Stats;
use crate::tail::{FileId, Fingerprint, Inode, LineState, Trail};

/// Least time between two replacements of the file.
const WRITE_INTERVAL: Duration = Duration::from_secs(1);

/// The same after a file was opened: one that is not in the checkpoint yet could be rotated away
/// while VES is down, to a name by which it cannot be told. And after more of its first bytes were
/// seen: without them nothing tells that it was truncated while VES was down.
const WRITE_INTERVAL_OPENED: Duration = Duration::from_millis(100);

/// How long the entry of a truncated file is kept: a copy that was made before is known by it.
const TRUNCATED_REMEMBERED: Duration = Duration::from_secs(600);

/// Entries of truncated files that are kept for each file.
const TRUNCATED_PER_FILE_MAX: usize = 8;

/// Messages in flight to the checkpoint thread. Each is about 100 bytes; the bound only matters
/// while the disk is busy with a write and thousands of files are opened.
pub(crate) const MESSAGES_IN_FLIGHT_MAX: usize = 1024;

/// One file in the checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Where its data is.
    #[serde(flatten)]
    pub(crate) inode: Inode,
    /// Its first bytes.
    pub(crate) fingerprint: Fingerprint,
    /// Everything before this byte is done.
    pub(crate) offset: u64,
    /// What the byte at `offset` belongs to.
    pub(crate) line: LineState,
    /// The bytes before `offset`.
    #[serde(default)]
    pub(crate) trail: Trail,
    /// Its format, where that was decided by its first lines.
    #[serde(default)]
    pub(crate) format: Option<Detected>,
    /// Where it was last seen: tells the folder to search when it was renamed meanwhile.
    pub(crate) path: String,
    /// Where it ended when it had been rotated away or deleted, and quiet for a while. Nothing behind
    /// that is shipped before a checkpoint without it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) finished_at: Option<u64>,
}

impl Entry {
    /// Whether all that was in it is done, and nothing was shipped of it since: when it is gone nothing
    /// of it is missed.
    pub(crate) fn is_finished(&self) -> bool {
        self.finished_at == Some(self.offset)
    }
}

/// A file that is not followed any more, but may be met again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Past {
    /// How it stood.
    #[serde(flatten)]
    pub(crate) entry: Entry,
    /// Until when this is kept, in seconds since 1970.
    pub(crate) until: u64,
}

impl Past {
    /// An entry that is kept for that long from now on.
    pub(crate) fn new(entry: Entry, kept_for: Duration) -> Past {
        Past {
            entry,
            until: unix_seconds() + kept_for.as_secs(),
        }
    }

    /// The entry of a file that was truncated.
    pub(crate) fn of_truncated(entry: Entry) -> Past {
        Past::new(entry, TRUNCATED_REMEMBERED)
    }
}

fn unix_seconds() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}

/// The length of a sink that a restart can cut back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SinkState {
    /// Where the sink's data is.
    #[serde(flatten)]
    pub(crate) inode: Inode,
    /// Its length after the last acknowledged batch.
    pub(crate) length: u64,
}

/// The checkpoint as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    /// The version of this layout.
    pub(crate) version: u32,
    /// The sink, where it can be cut back.
    pub(crate) sink: Option<SinkState>,
    /// All files that are followed, or could not be looked for yet.
    pub(crate) files: Vec<Entry>,
    /// Files that were truncated a short while ago, as they were before, or gone at the last start.
    #[serde(default)]
    pub(crate) past: Vec<Past>,
    /// When this was written: what is older was known by then. Written at every orderly end.
    #[serde(default)]
    pub(crate) alive_at: Option<SystemTime>,
}

impl Snapshot {
    /// Adds what `other`, which is older, says of files that this one does not know.
    pub(crate) fn add(&mut self, other: Snapshot) {
        let known: HashSet<Inode> = self.files.iter().map(|entry| entry.inode).collect();
        let is_new = |entry: &Entry| !known.contains(&entry.inode);
        self.files.extend(other.files.into_iter().filter(is_new));
        let past = other.past.into_iter();
        self.past.extend(past.filter(|past| is_new(&past.entry)));
    }

    /// The layout that this program writes.
    pub(crate) const VERSION: u32 = 1;
}

/// What the checkpoint thread is told.
#[derive(Debug)]
pub(crate) enum Message {
    /// A file is followed from the entry's offset on.
    Opened(FileId, Entry),
    /// A file has grown enough for a longer fingerprint.
    Identified(FileId, Fingerprint),
    /// The format of a file was decided.
    Detected(FileId, Option<Detected>),
    /// A file has another path.
    Moved(FileId, String),
    /// A file was rotated away or deleted, and nothing was written to it for a while. All of it will be
    /// done when everything before the offset is.
    Finished(FileId, u64),
    /// Something was written to such a file after all.
    Resumed(FileId),
    /// A file is no longer followed. Its entry goes when everything before the offset is done, at
    /// once where there is none.
    Ended(FileId, Option<u64>),
    /// A file was truncated: what follows is another one. What was acknowledged of it is kept for a
    /// while. Until [`Message::Settled`] more of it may be.
    Truncated(FileId),
    /// Entries of an earlier run whose files could not be looked for, or are gone, to be kept as they
    /// are. They replace the ones of the last such message.
    Carried(Vec<Entry>, Vec<Past>),
    /// All that was read of truncated files is acknowledged by now, as far as it could be. Write soon.
    Settled,
    /// The sink has taken everything up to these positions.
    Acknowledged {
        /// The newest position per file.
        progress: Vec<Progress>,
        /// The sink, where it can be cut back.
        sink: Option<SinkState>,
        /// What has to be flushed to the disk before that may be claimed.
        unflushed: Option<Arc<File>>,
    },
    /// Write now, then answer.
    Sync(flume::Sender<()>),
}

/// One followed file.
#[derive(Debug)]
struct Followed {
    entry: Entry,
    ends_at: Option<u64>,
    /// Until when it is kept since it was truncated.
    until: Option<u64>,
    /// Whether it was truncated, and no more of it will be acknowledged.
    is_settled: bool,
}

/// The state that messages build up.
#[derive(Debug, Default)]
struct Ledger {
    files: HashMap<FileId, Followed>,
    carried: Vec<Entry>,
    past: Vec<Past>,
    sink: Option<SinkState>,
    unflushed: Option<Arc<File>>,
    is_dirty: bool,
}

impl Ledger {
    fn apply(&mut self, message: Message) {
        self.is_dirty = true;
        match message {
            Message::Opened(file, entry) => {
                self.files.insert(
                    file,
                    Followed {
                        entry,
                        ends_at: None,
                        until: None,
                        is_settled: false,
                    },
                );
            }
            Message::Identified(file, fingerprint) => {
                self.change(file, |followed| followed.entry.fingerprint = fingerprint);
            }
            Message::Detected(file, format) => {
                self.change(file, |followed| followed.entry.format = format);
            }
            Message::Moved(file, path) => self.change(file, |followed| followed.entry.path = path),
            Message::Finished(file, end) => {
                self.change(file, |followed| followed.entry.finished_at = Some(end));
            }
            Message::Resumed(file) => {
                self.change(file, |followed| followed.entry.finished_at = None);
            }
            Message::Ended(file, None) => drop(self.files.remove(&file)),
            Message::Ended(file, ends_at) => {
                self.change(file, |followed| followed.ends_at = ends_at);
            }
            Message::Truncated(file) => self.keep_for_a_while(file),
            Message::Carried(entries, past) => (self.carried, self.past) = (entries, past),
            Message::Acknowledged {
                progress,
                sink,
                unflushed,
            } => {
                self.sink = sink.or(self.sink);
                self.unflushed = unflushed;
                progress
                    .into_iter()
                    .for_each(|progress| self.advance(progress));
            }
            Message::Settled => {
                let followed = self.files.values_mut();
                followed.for_each(|followed| followed.is_settled = followed.until.is_some());
            }
            Message::Sync(_) => {}
        }
    }

    /// Keeps a truncated file among the past ones, the newest few of each inode.
    fn keep_for_a_while(&mut self, file: FileId) {
        let until = unix_seconds() + TRUNCATED_REMEMBERED.as_secs();
        self.change(file, |followed| followed.until = Some(until));
        let Some(inode) = self.files.get(&file).map(|followed| followed.entry.inode) else {
            return;
        };
        let is_kept =
            |followed: &Followed| followed.until.is_some() && followed.entry.inode == inode;
        let kept = self.files.iter().filter(|(_, followed)| is_kept(followed));
        let mut kept: Vec<FileId> = kept.map(|(file, _)| *file).collect();
        kept.sort_unstable();
        for file in kept.iter().rev().skip(TRUNCATED_PER_FILE_MAX) {
            self.files.remove(file);
        }
    }

    fn advance(&mut self, progress: Progress) {
        self.change(progress.file, |followed| {
            followed.entry.offset = progress.offset;
            followed.entry.line = progress.line;
            followed.entry.trail = progress.trail;
        });
    }

    /// Changes a followed file and lets it go when that was the end of it. Unknown files were let
    /// go before (a truncation), or are streams without a checkpoint.
    fn change(&mut self, file: FileId, change: impl FnOnce(&mut Followed)) {
        let Some(followed) = self.files.get_mut(&file) else {
            return;
        };
        change(followed);
        if followed
            .ends_at
            .is_some_and(|end| followed.entry.offset >= end)
        {
            self.files.remove(&file);
        }
    }

    fn forget_past(&mut self) {
        let now = unix_seconds();
        self.files
            .retain(|_, followed| followed.until.is_none_or(|until| until > now));
        self.past.retain(|past| past.until > now);
    }

    fn snapshot(&self) -> Snapshot {
        let mut files: Vec<Entry> = Vec::new();
        let mut past = self.past.clone();
        for followed in self.files.values() {
            let entry = followed.entry.clone();
            match followed.until {
                Some(until) if followed.is_settled => past.push(Past { entry, until }),
                // What the sink has of it behind its length cannot be read again.
                _ => files.push(entry),
            }
        }
        files.extend_from_slice(&self.carried);
        // By a number: the paths of many files begin alike, which makes them slow to compare.
        files.sort_unstable_by_key(|entry| entry.inode);
        Snapshot {
            version: Snapshot::VERSION,
            sink: self.sink,
            files,
            past,
            alive_at: Some(SystemTime::now()),
        }
    }
}

/// What the checkpoint thread leaves behind.
#[derive(Debug)]
pub(crate) struct Closed {
    /// How the last write went.
    pub(crate) written: Result<()>,
    /// How everything stood; `None` where the files were not found again yet, so that what there was
    /// before still holds.
    pub(crate) snapshot: Option<Snapshot>,
}

/// The checkpoint thread: applies messages and writes until all senders are gone. Without a store it
/// only keeps account, for a pipeline that goes on from there. Failures before the last write are
/// reported and tried again, but for a sink that cannot be flushed: `is_unflushed` is set then. Blocks.
pub(crate) fn run(
    store: Option<&Store>,
    sink: Option<SinkState>,
    messages: &flume::Receiver<Message>,
    stats: &Stats,
    is_unflushed: &AtomicBool,
) -> Closed {
    let mut writer = Writer::new(store, stats, is_unflushed);
    let mut ledger = Ledger {
        sink,
        is_dirty: true,
        ..Ledger::default()
    };
    // The state on disk holds until the tail has found its files again: it says so by a Sync.
    let mut may_write = false;
    let mut written_at = Instant::now();
    let mut write_at = written_at;
    let mut hurried_interval = WRITE_INTERVAL_OPENED;
    loop {
        let message = messages.recv_deadline(write_at);
        let sync = match message {
            Ok(Message::Sync(reply)) => Some(reply),
            Ok(message) => {
                if matches!(
                    message,
                    Message::Opened(..) | Message::Identified(..) | Message::Settled
                ) {
                    write_at = write_at.min(written_at + hurried_interval);
                }
                ledger.apply(message);
                None
            }
            Err(flume::RecvTimeoutError::Timeout) => None,
            Err(flume::RecvTimeoutError::Disconnected) => break,
        };
        may_write |= sync.is_some();
        if sync.is_some() || Instant::now() >= write_at {
            if may_write && ledger.is_dirty {
                let begun_at = Instant::now();
                ledger.forget_past();
                writer.try_write(&mut ledger);
                // With thousands of files that come it takes a fifth of the time at most.
                hurried_interval =
                    (begun_at.elapsed() * 5).clamp(WRITE_INTERVAL_OPENED, WRITE_INTERVAL);
            }
            if may_write && !ledger.is_dirty {
                stats.set_checkpoint_fresh();
            }
            written_at = Instant::now();
            write_at = written_at + WRITE_INTERVAL;
        }
        if let Some(reply) = sync {
            // Whoever asked may have gone since; the write is done all the same.
            let _ = reply.send(());
        }
    }
    writer.close(may_write.then_some(&ledger))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(ino: u64) -> Entry {
        Entry {
            inode: Inode { dev: 1, ino },
            fingerprint: Fingerprint::default(),
            offset: 0,
            line: LineState::Start,
            trail: Trail::default(),
            format: None,
            path: format!("/l/{ino}.log"),
            finished_at: None,
        }
    }

    fn acknowledged(file: FileId, offset: u64) -> Message {
        let progress = vec![Progress {
            file,
            offset,
            line: LineState::Start,
            trail: Trail::default(),
        }];
        Message::Acknowledged {
            progress,
            sink: None,
            unflushed: None,
        }
    }

    #[test]
    fn an_ended_file_stays_until_its_last_byte_is_acknowledged() {
        let mut ledger = Ledger::default();
        let (one, two) = (FileId(1), FileId(2));
        ledger.apply(Message::Opened(one, entry(1)));
        ledger.apply(Message::Opened(two, entry(2)));
        ledger.apply(Message::Ended(one, Some(100)));
        ledger.apply(acknowledged(one, 60));
        assert_eq!(ledger.snapshot().files[0].offset, 60);
        ledger.apply(acknowledged(one, 100));
        assert_eq!(ledger.snapshot().files, [entry(2)]);
        ledger.apply(Message::Ended(two, None));
        ledger.apply(acknowledged(two, 7));
        assert_eq!(ledger.snapshot().files, []);
    }

    /// Runs the thread until the last of these messages.
    #[track_caller]
    fn write_all(store: &Store, messages: &flume::Receiver<Message>) {
        let is_unflushed = AtomicBool::new(false);
        let closed = run(Some(store), None, messages, &Stats::new(), &is_unflushed);
        closed.written.unwrap();
    }

    #[test]
    fn nothing_is_written_before_the_files_were_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let (send, receive) = flume::bounded(8);
        send.send(Message::Opened(FileId(1), entry(1))).unwrap();
        drop(send);
        write_all(&store, &receive);
        assert!(store.load().unwrap().is_none());
        let (send, receive) = flume::bounded(8);
        send.send(Message::Opened(FileId(1), entry(1))).unwrap();
        send.send(Message::Carried(vec![entry(9)], Vec::new()))
            .unwrap();
        send.send(Message::Sync(flume::bounded(1).0)).unwrap();
        send.send(acknowledged(FileId(1), 5)).unwrap();
        drop(send);
        write_all(&store, &receive);
        let files = store.load().unwrap().unwrap().snapshot.files;
        assert_eq!(
            files,
            [
                Entry {
                    offset: 5,
                    ..entry(1)
                },
                entry(9)
            ]
        );
    }
}
