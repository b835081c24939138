//! The first stage: finds files, follows them through rotation and truncation, and hands their
//! lines on in chunks. One thread owns all of it; what it knows is in [`Tail`].
//!
//! inotify is a hint. Every wake looks at sizes, a slow timer looks at everything in turn, and lost
//! events make it look at everything at once.

mod arrivals;
mod born;
mod chunk;
mod compressed;
mod copies;
mod discover;
mod dispatch;
mod finished;
mod follow;
mod housekeeping;
mod identity;
mod left;
mod log_file;
mod map;
mod own_files;
mod plans;
mod read;
mod renames;
mod resume;
mod rotated_name;
mod rotation;
mod small_reads;
mod stall;
mod stdin;
mod truncated;
mod wait;
mod watch;
mod window;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit};
use serde::{Deserialize, Serialize};

pub(crate) use chunk::{Chunk, ChunkState, Work};
pub(crate) use dispatch::Dispatch;
pub(crate) use identity::{Fingerprint, Inode, Trail};
pub(crate) use left::Left;
pub(crate) use map::Window;
pub(crate) use window::{Cut, cut};

use crate::checkpoint::{Loaded, Message};
use crate::config::{self, AddedField, Config};
use crate::enrich::{self, Suffix};
use crate::error::{Error, Result};
use crate::report;
use crate::ship::Ended;
use crate::shutdown::Shutdown;
use crate::stats::Stats;
use arrivals::Missed;
use chunk::Source;
use compressed::CompressedFiles;
use copies::Copies;
use discover::Discover;
use follow::Followed;
use own_files::OwnFiles;
use plans::Plans;
use renames::Unseen;
use resume::Resume;
use small_reads::SmallReads;
use stdin::Stdin;
use watch::Watcher;

/// Input bytes of a chunk, and of a work unit of several: about 2900 lines of 182 bytes, a few
/// batches.
const CHUNK_BYTES: u64 = 512 << 10;

/// Most chunks in a work unit: bounds the windows that work in flight can hold.
const CHUNKS_PER_WORK_MAX: usize = 64;

/// Most files whose window is kept between two reads.
const WINDOWS_KEPT_MAX: usize = 256;

/// Least time between two wakes. PERF: at 100 k lines/s, one write a line, end to end into a file:
/// none gave a p99 of 0.5 ms at 30 % of a core, 600 us 1.1 to 1.3 ms at 9 to 11 %, 1000 us 1.4 ms at
/// 7.8 %.
const WAKE_INTERVAL: Duration = Duration::from_micros(600);

/// Time between two rounds of housekeeping.
const TICK_INTERVAL: Duration = Duration::from_secs(1);

/// Time between two looks at files that inotify does not report.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// Time between two looks at the events while there is more to read or the sink is busy: a file that
/// lives for longer is opened before it is gone.
const HINT_INTERVAL: Duration = Duration::from_millis(5);

/// Files that a round of housekeeping looks at, in turn: 10 000 idle files cost nothing much, and
/// none is forgotten for longer than their number divided by this in seconds.
const FILES_PER_TICK: usize = 128;

/// Quiet time after which a file's window is let go.
const WINDOW_QUIET: Duration = Duration::from_secs(1);

/// Open files above which those that were quiet for [`WINDOW_QUIET`] are closed, where the process
/// may have twice as many. A file that is written to and deleted while it is closed is lost.
const DESCRIPTORS_KEPT_MAX: usize = 16 << 10;

/// Quiet time after which a file's descriptor is closed when there are fewer.
const DESCRIPTOR_QUIET: Duration = Duration::from_secs(60);

/// Quiet time after which a renamed file that was read to its end is let go: writers that keep the
/// old descriptor have reopened their log by then.
const RENAMED_QUIET: Duration = Duration::from_secs(60);

/// The same for a file without a name, whose disk space is only held by its open descriptors.
const DELETED_QUIET: Duration = Duration::from_secs(10);

/// How long a name of a file that nobody has seen is remembered. Longer than events wait to be read.
const NAME_REMEMBERED: Duration = Duration::from_secs(2);

/// The number of a file in one run. A truncated file goes on under a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FileId(pub(crate) u64);

/// What the byte at an offset belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LineState {
    /// It begins a line.
    Start,
    /// It continues a line whose beginning was shipped as a partial one.
    Continued,
    /// It is in the rest of a line that was cut off.
    Skipping,
}

/// What the tail needs besides the configuration.
pub(crate) struct TailLinks {
    /// Where chunks go.
    pub(crate) dispatch: Dispatch,
    /// Who keeps the checkpoint, if anybody does.
    pub(crate) checkpoint: Option<flume::Sender<Message>>,
    /// The checkpoint of an earlier run.
    pub(crate) loaded: Option<Loaded>,
    /// What the last tail of this process has left.
    pub(crate) left: Option<Left>,
    /// The switch that ends the pipeline.
    pub(crate) shutdown: Shutdown,
    /// Counters.
    pub(crate) stats: Arc<Stats>,
}

/// How a tail has ended.
pub(crate) struct TailEnd {
    /// [`Error::Unfinished`] with what is left, where all that is there was to be read.
    pub(crate) read: Result<()>,
    /// What the next tail goes on with, where there is to be one.
    pub(crate) left: Option<Left>,
}

/// The tail stage.
pub(crate) struct Tail {
    links: TailLinks,
    plans: Plans,
    added: Vec<AddedField>,
    host: String,
    /// The ends of records, where they are the same for all files. PERF: one for each took 2 MB with
    /// 10 000 files.
    suffix: Option<Arc<Suffix>>,
    line_bytes_max: usize,
    partial_line_timeout: Duration,
    wake_interval: Duration,
    flush_interval: Duration,
    descriptors_kept_max: usize,
    is_once: bool,
    from: config::From,
    discover: Discover,
    watcher: Watcher,
    stdin: Option<Stdin>,
    resume: Resume,
    left: Option<Left>,
    files: BTreeMap<FileId, Followed>,
    by_inode: HashMap<Inode, FileId>,
    ready: VecDeque<FileId>,
    /// Files that inotify does not report.
    polled: HashSet<FileId>,
    /// Files that hold a window or a descriptor.
    awake: Vec<FileId>,
    /// Files that may hold a window, those first that got theirs first.
    windowed: VecDeque<FileId>,
    small_reads: SmallReads,
    /// Files with a last line that has no newline yet.
    unfinished: HashSet<FileId>,
    /// Files that could not be read, to be tried again.
    troubled: HashSet<FileId>,
    /// How often such files were tried again at the end.
    tries: u32,
    /// Paths that the last scan could not use; their trouble was reported.
    failing: HashSet<PathBuf>,
    /// Followed files whose trouble was reported.
    complained: HashSet<PathBuf>,
    own_files: OwnFiles,
    compressed: CompressedFiles,
    copies: Copies,
    unseen: Unseen,
    missed: Missed,
    /// Files of the last run that turned out to be others.
    rewritten: usize,
    next_id: u64,
    last_checked: FileId,
    has_scanned: bool,
    is_rescan_due: bool,
    /// A file was truncated or is gone: what was shipped of it should be in the checkpoint soon.
    is_sync_due: bool,
    /// The work unit that the last chunk of a truncated file went with.
    truncated_in: Option<u64>,
    is_folder_missing: bool,
    scanned_at: Instant,
    scan_cost: Duration,
    ticked_at: Instant,
    polled_at: Instant,
    poll_cost: Duration,
}

impl Tail {
    /// Sets the stage up; nothing is read yet.
    ///
    /// # Errors
    /// For a pattern that is not a glob.
    pub(crate) fn new(config: &Config, mut links: TailLinks) -> Result<Tail> {
        let now = Instant::now();
        let mut left = links.left.take();
        let own_before = left.as_ref().map(|left| &left.own_files);
        let own_files = OwnFiles::of(config, own_before);
        let compressed = left
            .as_mut()
            .map(|left| std::mem::take(&mut left.compressed));
        let next_id = left.as_ref().map_or(0, |left| left.last_id);
        let host = enrich::host_name();
        let is_same = Suffix::is_same_for_all(&config.add);
        let suffix = is_same.then(|| Suffix::new(&config.add, &host, Path::new("")));
        let mut tail = Tail {
            plans: Plans::new(config),
            suffix: suffix.map(Arc::new),
            added: config.add.clone(),
            line_bytes_max: config.line_bytes_max,
            partial_line_timeout: config.partial_line_timeout,
            wake_interval: WAKE_INTERVAL.min(config.flush_interval),
            flush_interval: config.flush_interval,
            descriptors_kept_max: descriptors_kept_max(getrlimit(Resource::Nofile).current),
            is_once: config.once,
            from: config.from,
            discover: Discover::new(&config.sources)?,
            watcher: Watcher::new(),
            stdin: None,
            resume: Resume::default(),
            left,
            files: BTreeMap::new(),
            by_inode: HashMap::new(),
            ready: VecDeque::new(),
            polled: HashSet::new(),
            awake: Vec::new(),
            windowed: VecDeque::new(),
            small_reads: SmallReads::new(),
            unfinished: HashSet::new(),
            troubled: HashSet::new(),
            tries: 0,
            failing: HashSet::new(),
            complained: HashSet::new(),
            own_files,
            compressed: compressed.unwrap_or_default(),
            copies: Copies::default(),
            unseen: Unseen::default(),
            missed: Missed::default(),
            rewritten: 0,
            next_id,
            last_checked: FileId(0),
            has_scanned: false,
            is_rescan_due: false,
            is_sync_due: false,
            truncated_in: None,
            is_folder_missing: false,
            scanned_at: now,
            scan_cost: Duration::ZERO,
            ticked_at: now,
            polled_at: now,
            poll_cost: Duration::ZERO,
            host,
            links,
        };
        if config.sources.stdin {
            tail.go_on_with_stdin(config.line_bytes_max);
        }
        Ok(tail)
    }

    /// Runs the stage until the end of the input, the end of the pipeline behind it, or shutdown.
    pub(crate) fn run(mut self) -> TailEnd {
        let result = self.start().and_then(|()| self.follow());
        self.tell_copies();
        self.report_truncated();
        self.tell_missed(Instant::now() + NAME_REMEMBERED);
        if self.links.shutdown.is_continued() {
            return TailEnd {
                read: Ok(()),
                left: Some(self.leave()),
            };
        }
        let left = self.left();
        self.count_deleted();
        // After an error nobody takes anything any more, and the ship stage says why.
        if result.is_ok() {
            let _ = self.end_stdin();
        }
        let read = if left.is_empty() {
            Ok(())
        } else {
            let left = left.join("; ");
            Err(Error::Unfinished(format!(
                "not everything was read: {left}"
            )))
        };
        TailEnd { read, left: None }
    }

    fn follow(&mut self) -> std::result::Result<(), Ended> {
        loop {
            let woken_at = Instant::now();
            self.read_ready()?;
            if self.is_finished() {
                if self.has_read_all()? {
                    return Ok(());
                }
                continue;
            }
            self.tell_copies();
            self.sync_if_due();
            self.rest(woken_at);
            let is_stdin_ready = self.wait();
            self.links.stats.add_wake();
            if self.links.shutdown.begun() {
                return Ok(());
            }
            self.serve();
            if is_stdin_ready {
                self.read_stdin()?;
            }
        }
    }

    /// What a run that was to read everything has not read.
    fn left(&self) -> Vec<String> {
        let mut left = Vec::new();
        let has_failed = |stdin: &Stdin| stdin.has_failed() || (self.is_once && !stdin.has_ended());
        if self.stdin.as_ref().is_some_and(has_failed) {
            left.push("standard input was not read to its end".to_owned());
        }
        if !self.is_once {
            return left;
        }
        let unread = self.files.values().map(Followed::unread_bytes);
        let unread: Vec<u64> = unread.filter(|bytes| *bytes > 0).collect();
        if !unread.is_empty() {
            let (bytes, files) = (unread.iter().sum::<u64>(), unread.len());
            left.push(format!("{bytes} bytes of {files} files are left"));
        }
        let mut failing: Vec<&PathBuf> = self.failing.iter().collect();
        failing.sort();
        left.extend(
            failing
                .iter()
                .map(|path| format!("{} could not be read", path.display())),
        );
        left
    }

    /// Finds the files that are there, resumes those of an earlier run, and has all of it in the
    /// checkpoint before the first byte is read.
    fn start(&mut self) -> std::result::Result<(), Ended> {
        let loaded = self.links.loaded.take();
        let result = self.find_files(loaded.as_ref());
        if !self.has_scanned {
            // It still holds.
            self.links.loaded = loaded;
        }
        result
    }

    fn find_files(&mut self, loaded: Option<&Loaded>) -> std::result::Result<(), Ended> {
        // Files that came while VES was not running are new ones: only a first start may skip.
        if let Some(loaded) = loaded {
            if self.left.is_none() {
                self.from = config::From::Start;
            }
            self.resume = Resume::new(&loaded.snapshot);
        }
        self.scan();
        self.seek_missing();
        if let Some(loaded) = loaded {
            self.seek_born_meanwhile(loaded);
        }
        if self.links.shutdown.begun() {
            // Not all was found yet: the state on disk holds.
            return Ok(());
        }
        let is_cut = self.resume.is_complete();
        self.links.dispatch.hand_over.settle(is_cut)?;
        self.tell_carried();
        self.has_scanned = true;
        self.left = None;
        if let Some(checkpoint) = &self.links.checkpoint {
            let (reply, written) = flume::bounded(1);
            if checkpoint.send(Message::Sync(reply)).is_ok() {
                // The answer fails with the checkpoint thread only, which reports why.
                let _ = written.recv();
            }
        }
        self.links.stats.set_ready();
        self.discover.plain_paths().for_each(report_irregular);
        if self.files.is_empty() && self.stdin.is_none() {
            let text = if self.is_once {
                ""
            } else {
                "; waiting for one"
            };
            report::notice(&format!("no file matches the watch patterns yet{text}"));
        }
        if self.stdin.as_ref().is_some_and(Stdin::has_more) {
            // Left by the last tail.
            self.read_stdin()?;
        }
        Ok(())
    }

    /// Has what was acknowledged brought to the disk soon, once all that was read is.
    fn sync_if_due(&mut self) {
        let dispatch = &self.links.dispatch;
        let is_settled = |work| dispatch.is_shipped(work);
        let is_due =
            self.truncated_in.is_some_and(is_settled) || (self.is_sync_due && dispatch.is_idle());
        if is_due && dispatch.hand_over.tell_progress() {
            (self.is_sync_due, self.truncated_in) = (false, None);
            self.tell(Message::Settled);
        }
    }

    fn is_finished(&self) -> bool {
        let stdin_ended = self.stdin.as_ref().is_none_or(Stdin::has_ended);
        let only_stdin = self.discover.is_empty();
        self.links.shutdown.begun() || (stdin_ended && (self.is_once || only_stdin))
    }

    fn queue(&mut self, id: FileId) {
        if let Some(followed) = self.files.get_mut(&id)
            && !std::mem::replace(&mut followed.is_queued, true)
        {
            self.ready.push_back(id);
        }
    }

    fn new_source(&mut self, path: PathBuf, file: Option<File>) -> Source {
        self.next_id += 1;
        self.source(FileId(self.next_id), path, file)
    }

    /// A source with a number that it has already.
    fn source(&self, id: FileId, path: PathBuf, file: Option<File>) -> Source {
        let suffix = match &self.suffix {
            Some(suffix) => suffix.clone(),
            None => Arc::new(Suffix::new(&self.added, &self.host, &path)),
        };
        Source::new(id, path, file, suffix, self.links.stats.clone())
    }

    fn tell(&self, message: Message) {
        if let (Some(board), Message::Opened(id, entry)) = (&self.links.stats.board, &message) {
            board.opened(*id, entry.offset);
        }
        if let Some(checkpoint) = &self.links.checkpoint {
            // The checkpoint thread outlives this one, unless it failed: it has said so then.
            let _ = checkpoint.send(message);
        }
    }

    /// Reports a trouble with a followed file once; it is tried again at the next event or tick.
    fn complain(&mut self, path: &Path, action: &str, error: &io::Error) {
        self.links.stats.add_file_error();
        if self.complained.insert(path.to_owned()) {
            report_trouble(path, action, error);
        }
    }

    /// Reports what a scan could not use, unless the scan before could not either.
    fn report_failing(&self, path: &Path, action: &str, error: &io::Error) {
        self.links.stats.add_file_error();
        if !self.failing.contains(path) {
            report_trouble(path, action, error);
        }
    }
}

/// Says why nothing is read at a path that is not a pattern and leads to something.
fn report_irregular(path: PathBuf) {
    let Ok(metadata) = std::fs::metadata(&path) else {
        return;
    };
    let path = path.display();
    if metadata.is_dir() {
        report::warning(&format!(
            "{path}: is a folder, so nothing is read: for the files in it --watch '{path}/*'"
        ));
    } else if !metadata.is_file() {
        report::warning(&format!(
            "{path}: is not a regular file, so nothing is read: for a pipe or a device use the \
             shell: ves collect --watch - < {path}"
        ));
    }
}

/// How many descriptors may be kept under a limit; `None` is none.
fn descriptors_kept_max(limit: Option<u64>) -> usize {
    let half = limit.map_or(DESCRIPTORS_KEPT_MAX as u64, |limit| limit / 2);
    usize::try_from(half).map_or(DESCRIPTORS_KEPT_MAX, |half| half.min(DESCRIPTORS_KEPT_MAX))
}

fn report_trouble(path: &Path, action: &str, error: &io::Error) {
    let remedy = match error.kind() {
        io::ErrorKind::PermissionDenied => ": give this user the permission to read it",
        _ => "",
    };
    let path = path.display();
    report::warning(&format!(
        "{path}: cannot {action}: {error}{remedy}; will try again"
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With 512 descriptors kept, whatever the limit, lines were lost in every file of a thousand
    /// that was deleted soon after them.
    #[test]
    fn half_of_the_descriptors_may_be_kept() {
        assert_eq!(descriptors_kept_max(Some(1024)), 512);
        assert_eq!(descriptors_kept_max(Some(20_000)), 10_000);
        assert_eq!(descriptors_kept_max(Some(1 << 20)), DESCRIPTORS_KEPT_MAX);
        assert_eq!(descriptors_kept_max(None), DESCRIPTORS_KEPT_MAX);
    }
}
