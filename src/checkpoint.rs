//! What was delivered, on disk: acknowledged offsets by file identity, with the sink's length
//! beside them. One thread owns it; the tail and the ship stage tell it what happens through one
//! channel, so it always sees a file before its progress.
//!
//! The file is JSON (see [`Snapshot`]). It is replaced atomically (write, fsync, rename, fsync of
//! the folder), at most once a second (ten times when files are opened) and at the end. With hundreds
//! of files a second one beside it says what has changed since (see [`changes`]), and is replaced in
//! its place.

mod changes;
mod ledger;
mod store;
mod writer;

use std::collections::HashSet;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use ledger::Ledger;
pub(crate) use store::{Loaded, Store};
use writer::Writer;

use crate::batch::Progress;
use crate::error::Result;
use crate::parse::Detected;
use crate::stats::Stats;
use crate::tail::{FileId, Fingerprint, Inode, LineState, Trail};

/// The layout that this program writes.
const VERSION: u32 = 1;

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

/// Messages in flight to the checkpoint thread, of about 150 bytes each. While the disk is busy with a write
/// they wait, and behind this many the tail does, which must not miss files that come and go: with 200 of
/// them a second this is a stall of ten seconds.
pub(crate) const MESSAGES_IN_FLIGHT_MAX: usize = 16 << 10;

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

/// The checkpoint as a whole, with its entries or, to be written, references to them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Snapshot<E = Entry> {
    /// The version of this layout.
    pub(crate) version: u32,
    /// The sink, where it can be cut back.
    pub(crate) sink: Option<SinkState>,
    /// All files that are followed, or could not be looked for yet.
    pub(crate) files: Vec<E>,
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
}

/// What the checkpoint thread is told.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
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
    let mut ledger = Ledger::new(sink);
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
    writer.close(may_write.then_some(&mut ledger))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn entry(ino: u64) -> Entry {
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

    pub(super) fn acknowledged(file: FileId, offset: u64) -> Message {
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
