//! The first stage: finds files, follows them through rotation and truncation, and hands their
//! lines on in chunks. One thread owns all of it; what it knows is in [`Tail`].
//!
//! inotify is a hint. Every wake looks at sizes, a slow timer looks at everything in turn, and lost
//! events make it look at everything at once.

mod chunk;
mod discover;
mod dispatch;
mod follow;
mod identity;
mod map;
mod resume;
mod stdin;
mod watch;
mod window;

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::{Deserialize, Serialize};

pub(crate) use chunk::{Chunk, Work};
pub(crate) use dispatch::Dispatch;
pub(crate) use identity::{Fingerprint, Inode};

use crate::checkpoint::{Entry, Loaded, Message};
use crate::config::{self, AddedField, Config};
use crate::enrich::{self, Suffix};
use crate::error::Result;
use crate::parse::{Format, Parser};
use crate::report;
use crate::shutdown::Shutdown;
use crate::stats::Stats;
use crate::transform::Plan;
use chunk::Source;
use discover::{Discover, Found};
use dispatch::Ended;
use follow::{Followed, Look, Next};
use resume::{Resume, Sought};
use stdin::{Stdin, sample_parser};
use watch::Watcher;

/// Input bytes of a chunk, and of a work unit of several: about 1400 lines of 182 bytes, a batch or
/// two.
const CHUNK_BYTES: u64 = 256 << 10;

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

/// Files that a round of housekeeping looks at, in turn: 10 000 idle files cost nothing much, and
/// none is forgotten for longer than their number divided by this in seconds.
const FILES_PER_TICK: usize = 128;

/// Quiet time after which a file's window is let go.
const WINDOW_QUIET: Duration = Duration::from_secs(1);

/// Open files above which those that were quiet for [`WINDOW_QUIET`] are closed.
const DESCRIPTORS_KEPT_MAX: usize = 512;

/// Quiet time after which a file's descriptor is closed when there are fewer.
const DESCRIPTOR_QUIET: Duration = Duration::from_secs(60);

/// Quiet time after which a renamed file that was read to its end is let go: writers that keep the
/// old descriptor have reopened their log by then.
const RENAMED_QUIET: Duration = Duration::from_secs(60);

/// The same for a file without a name, whose disk space is only held by its open descriptors.
const DELETED_QUIET: Duration = Duration::from_secs(10);

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
    /// The sink's own file, which is never followed.
    pub(crate) sink_inode: Option<Inode>,
    /// The switch that ends the pipeline.
    pub(crate) shutdown: Shutdown,
    /// Counters.
    pub(crate) stats: Arc<Stats>,
}

/// The tail stage.
pub(crate) struct Tail {
    links: TailLinks,
    plans: Plans,
    added: Vec<AddedField>,
    host: String,
    line_bytes_max: usize,
    partial_line_timeout: Duration,
    wake_interval: Duration,
    flush_interval: Duration,
    is_once: bool,
    from: config::From,
    discover: Discover,
    watcher: Watcher,
    stdin: Option<Stdin>,
    resume: Resume,
    files: BTreeMap<FileId, Followed>,
    by_inode: HashMap<Inode, FileId>,
    ready: VecDeque<FileId>,
    /// Files that inotify does not report.
    polled: HashSet<FileId>,
    /// Files that hold a window or a descriptor.
    awake: Vec<FileId>,
    /// Files with a last line that has no newline yet.
    unfinished: HashSet<FileId>,
    /// Paths that the last scan could not use; their trouble was reported.
    failing: HashSet<PathBuf>,
    /// Followed files whose trouble was reported.
    complained: HashSet<PathBuf>,
    is_sink_noted: bool,
    /// Names that files had for a moment between two renames, before any scan saw them.
    renamed_unseen: HashSet<PathBuf>,
    next_id: u64,
    last_checked: FileId,
    has_scanned: bool,
    is_rescan_due: bool,
    is_folder_missing: bool,
    scanned_at: Instant,
    scan_cost: Duration,
    ticked_at: Instant,
    polled_at: Instant,
}

/// The plans for the formats of a configuration.
struct Plans {
    fixed: Option<Arc<Plan>>,
    /// The two that are decided between, with whether it was said that there is such a file.
    combined: Option<(Arc<Plan>, Cell<bool>)>,
    raw: Option<(Arc<Plan>, Cell<bool>)>,
}

impl Plans {
    fn new(config: &Config) -> Plans {
        let plan = |parser| Arc::new(Plan::new(parser, config));
        let fixed = |parser| Plans {
            fixed: Some(plan(parser)),
            combined: None,
            raw: None,
        };
        let detected = |parser| Some((plan(parser), Cell::new(false)));
        match &config.format {
            Format::Raw => fixed(Parser::raw()),
            Format::LogFormat(format) => fixed(Parser::LogFormat(format.clone())),
            Format::Auto => Plans {
                fixed: None,
                combined: detected(Parser::combined()),
                raw: detected(Parser::raw()),
            },
        }
    }

    /// The plan for a detected parser; says so for the first source of a kind.
    fn detected(&self, parser: &Parser, path: &Path) -> Arc<Plan> {
        let (plan, found) = match parser {
            Parser::Raw(_) => (
                &self.raw,
                "not nginx combined: shipped raw, as {\"message\": line}",
            ),
            Parser::LogFormat(_) => (&self.combined, "nginx combined"),
        };
        let Some((plan, was_said)) = plan else {
            unreachable!("detection only happens where both plans are compiled")
        };
        if !was_said.replace(true) {
            report::notice(&format!(
                "{}: format {found}; --format decides it",
                path.display()
            ));
        }
        plan.clone()
    }
}

impl Tail {
    /// Sets the stage up; nothing is read yet.
    ///
    /// # Errors
    /// For a pattern that is not a glob.
    pub(crate) fn new(config: &Config, links: TailLinks) -> Result<Tail> {
        let now = Instant::now();
        let host = enrich::host_name();
        let mut tail = Tail {
            plans: Plans::new(config),
            added: config.add.clone(),
            line_bytes_max: config.line_bytes_max,
            partial_line_timeout: config.partial_line_timeout,
            wake_interval: WAKE_INTERVAL.min(config.flush_interval),
            flush_interval: config.flush_interval,
            is_once: config.once,
            from: config.from,
            discover: Discover::new(&config.sources)?,
            watcher: Watcher::new(),
            stdin: None,
            resume: Resume::default(),
            files: BTreeMap::new(),
            by_inode: HashMap::new(),
            ready: VecDeque::new(),
            polled: HashSet::new(),
            awake: Vec::new(),
            unfinished: HashSet::new(),
            failing: HashSet::new(),
            complained: HashSet::new(),
            is_sink_noted: false,
            renamed_unseen: HashSet::new(),
            next_id: 0,
            last_checked: FileId(0),
            has_scanned: false,
            is_rescan_due: false,
            is_folder_missing: false,
            scanned_at: now,
            scan_cost: Duration::ZERO,
            ticked_at: now,
            polled_at: now,
            host,
            links,
        };
        if config.sources.stdin {
            let source = tail.new_source(PathBuf::from("-"), None);
            tail.stdin = Some(Stdin::new(source, config.line_bytes_max));
        }
        Ok(tail)
    }

    /// Runs the stage until the end of the input, the end of the pipeline behind it, or shutdown.
    pub(crate) fn run(mut self) {
        self.start();
        let mut woken_at;
        loop {
            woken_at = Instant::now();
            if self.read_ready().is_err() || self.is_finished() {
                return;
            }
            self.rest(woken_at);
            let is_stdin_ready = self.wait();
            if self.links.shutdown.begun() {
                return;
            }
            self.take_hints();
            self.keep_house();
            if is_stdin_ready && self.read_stdin().is_err() {
                return;
            }
        }
    }

    /// Finds the files that are there, resumes those of an earlier run, and has all of it in the
    /// checkpoint before the first byte is read.
    fn start(&mut self) {
        let loaded = self.links.loaded.take();
        // Files that came while VES was not running are new ones: only a first start may skip.
        if let Some(loaded) = &loaded {
            self.from = config::From::Start;
            self.resume = Resume::new(loaded.snapshot.files.clone());
        }
        self.scan();
        let carried = self.seek_missing();
        if let Some(loaded) = &loaded {
            self.seek_born_meanwhile(loaded);
        }
        if !carried.is_empty() {
            self.tell(Message::Carried(carried.clone()));
        }
        self.resume.keep(carried);
        self.has_scanned = true;
        if let Some(checkpoint) = &self.links.checkpoint {
            let (reply, written) = flume::bounded(1);
            if checkpoint.send(Message::Sync(reply)).is_ok() {
                // The answer fails with the checkpoint thread only, which reports why.
                let _ = written.recv();
            }
        }
        if self.files.is_empty() && self.stdin.is_none() {
            let text = if self.is_once {
                ""
            } else {
                "; waiting for one"
            };
            report::notice(&format!("no file matches the watch patterns yet{text}"));
        }
    }

    fn is_finished(&self) -> bool {
        let stdin_ended = self.stdin.as_ref().is_none_or(Stdin::has_ended);
        let only_stdin = self.discover.is_empty();
        self.links.shutdown.begun() || (stdin_ended && (self.is_once || only_stdin))
    }

    /// Reads everything that is there to read.
    fn read_ready(&mut self) -> std::result::Result<(), Ended> {
        let mut served_at = Instant::now();
        loop {
            if self.links.shutdown.begun() {
                return Ok(());
            }
            let seen_at = Instant::now();
            let chunks = self.gather(seen_at);
            if chunks.is_empty() {
                if self.ready.is_empty() {
                    return Ok(());
                }
                continue;
            }
            self.links.dispatch.send(chunks, seen_at)?;
            if served_at.elapsed() > POLL_INTERVAL {
                // A long backlog must not hide what happens meanwhile.
                self.take_hints();
                self.keep_house();
                served_at = Instant::now();
            }
        }
    }

    /// Cuts chunks of the files that are ready, in turn, until a work unit is full.
    fn gather(&mut self, now: Instant) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        let mut bytes_left = CHUNK_BYTES;
        while chunks.len() < CHUNKS_PER_WORK_MAX && bytes_left > 0 {
            let Some(id) = self.ready.pop_front() else {
                break;
            };
            let Some(mut followed) = self.files.remove(&id) else {
                continue;
            };
            followed.is_queued = false;
            match self.read_file(&mut followed, bytes_left, now) {
                Ok(Some(chunk)) => {
                    bytes_left = bytes_left.saturating_sub(chunk.bytes().len() as u64);
                    chunks.push(chunk);
                    followed.is_queued = true;
                    self.ready.push_back(followed.id);
                }
                Ok(None) => {}
                Err(error) => {
                    let path = followed.path.clone();
                    self.complain(&path, "read", &error);
                    followed.drop_window();
                }
            }
            self.note_state(&mut followed);
            self.files.insert(followed.id, followed);
        }
        chunks
    }

    /// The next chunk of a file, after a look at it when everything known of it was read.
    fn read_file(
        &mut self,
        followed: &mut Followed,
        bytes_wanted: u64,
        now: Instant,
    ) -> io::Result<Option<Chunk>> {
        let is_torn = followed
            .source
            .as_ref()
            .is_some_and(|source| source.is_torn());
        if followed.offset >= followed.size || followed.unfinished_since.is_some() || is_torn {
            self.look(followed, now)?;
        }
        let waited = |since: Instant| now.duration_since(since) >= self.partial_line_timeout;
        let is_final = self.is_once || followed.unfinished_since.is_some_and(waited);
        let plans = &self.plans;
        let path = &followed.path.clone();
        let plan_for = |parser: Parser| plans.detected(&parser, path);
        let next = followed.next(
            bytes_wanted,
            self.line_bytes_max,
            is_final,
            now,
            plan_for,
            plans.fixed.as_ref(),
        )?;
        Ok(match next {
            Next::Chunk(chunk) => Some(chunk),
            Next::Done => None,
        })
    }

    /// Looks at a file, opening it again if need be, and starts over where it was truncated.
    fn look(&mut self, followed: &mut Followed, now: Instant) -> io::Result<()> {
        if followed.source.is_none() {
            self.reopen(followed)?;
        }
        match followed.look(now)? {
            Look::Whole => {}
            Look::Identified => {
                self.tell(Message::Identified(followed.id, followed.fingerprint));
            }
            Look::Truncated => {
                self.restart(followed, now)?;
                if followed.look(now)? == Look::Identified {
                    self.tell(Message::Identified(followed.id, followed.fingerprint));
                }
            }
        }
        Ok(())
    }

    /// Follows a truncated file from its beginning, under a new number.
    fn restart(&mut self, followed: &mut Followed, now: Instant) -> io::Result<()> {
        let Some(source) = followed.source.clone() else {
            return Ok(());
        };
        let Some(file) = &source.file else {
            return Ok(());
        };
        self.links
            .stats
            .add_unread(&followed.path, followed.unread_bytes());
        self.tell(Message::Ended(followed.id, None));
        let file = file.try_clone()?;
        if let Some(watch) = &followed.watch {
            self.watcher.unwatch_file(watch);
        }
        self.polled.remove(&followed.id);
        self.unfinished.remove(&followed.id);
        let source = self.new_source(followed.path.clone(), Some(file));
        followed.restart(source, now);
        self.watch(followed);
        self.by_inode.insert(followed.inode, followed.id);
        self.tell(Message::Opened(followed.id, followed.entry()));
        Ok(())
    }

    /// Opens a file again that was closed after a long quiet time.
    fn reopen(&mut self, followed: &mut Followed) -> io::Result<()> {
        let is_same = |path: &Path| -> io::Result<Option<File>> {
            let file = File::open(path)?;
            Ok((Inode::of(&file.metadata()?) == followed.inode).then_some(file))
        };
        let file = match is_same(&followed.path) {
            Ok(Some(file)) => file,
            _ => match resume::seek(&followed.entry()) {
                Sought::Renamed(path) => match is_same(&path)? {
                    Some(file) => file,
                    None => return Err(io::ErrorKind::NotFound.into()),
                },
                _ => return Err(io::ErrorKind::NotFound.into()),
            },
        };
        let suffix = Suffix::new(&self.added, &self.host, &followed.path);
        let source = Source::new(followed.id, followed.path.clone(), Some(file), suffix);
        followed.source = Some(Arc::new(source));
        Ok(())
    }

    /// Keeps the lists of files that need attention later in step with a file's state.
    fn note_state(&mut self, followed: &mut Followed) {
        if followed.unfinished_since.is_some() {
            self.unfinished.insert(followed.id);
        } else {
            self.unfinished.remove(&followed.id);
        }
        if followed.has_window() && self.awake.len() >= WINDOWS_KEPT_MAX {
            followed.drop_window();
        }
        if !followed.is_awake && followed.source.is_some() {
            followed.is_awake = true;
            self.awake.push(followed.id);
        }
    }

    fn read_stdin(&mut self) -> std::result::Result<(), Ended> {
        loop {
            let seen_at = Instant::now();
            let Some(mut stdin) = self.stdin.take() else {
                return Ok(());
            };
            let chunk = stdin.next_chunk(|sample| match &self.plans.fixed {
                Some(plan) => plan.clone(),
                None => self.plans.detected(&sample_parser(sample), Path::new("-")),
            });
            let has_more = stdin.has_more();
            self.stdin = Some(stdin);
            match chunk {
                Ok(Some(chunk)) => self.links.dispatch.send(vec![chunk], seen_at)?,
                Ok(None) => {}
                Err(error) => self.complain(Path::new("-"), "read", &error),
            }
            if !has_more {
                return Ok(());
            }
        }
    }

    /// Sleeps for the rest of the wake interval, so that events that come close together cause one
    /// wake. While the sink is busy, what is there may wait up to the flush interval, and a batch
    /// grows by itself.
    fn rest(&self, woken_at: Instant) {
        let mut waited = woken_at.elapsed();
        // A pipe holds little: its writer would wait for as long as this thread rests.
        if self.stdin.as_ref().is_some_and(Stdin::is_flowing) {
            return;
        }
        while waited < self.wake_interval
            || (waited < self.flush_interval && !self.links.dispatch.is_idle())
        {
            if self.links.shutdown.begun() {
                return;
            }
            std::thread::sleep(self.wake_interval.saturating_sub(waited).max(MIN_REST));
            waited = woken_at.elapsed();
        }
    }

    /// Waits for events, input, shutdown or the next timer. Returns whether standard input is ready.
    fn wait(&self) -> bool {
        let timeout = self.timeout();
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(1),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        let mut fds = vec![PollFd::from_borrowed_fd(
            self.links.shutdown.descriptor(),
            PollFlags::IN,
        )];
        let has_stdin = self.stdin.as_ref().is_some_and(|stdin| !stdin.has_ended());
        if has_stdin {
            fds.push(PollFd::from_borrowed_fd(
                rustix::stdio::stdin(),
                PollFlags::IN,
            ));
        }
        if let Some(inotify) = self.watcher.descriptor() {
            fds.push(PollFd::from_borrowed_fd(inotify, PollFlags::IN));
        }
        // A signal or an error ends the wait early: the next round looks at everything all the same.
        let _ = poll(&mut fds, Some(&timeout));
        has_stdin && fds.get(1).is_some_and(|fd| !fd.revents().is_empty())
    }

    fn timeout(&self) -> Duration {
        let now = Instant::now();
        let mut due = self.ticked_at + TICK_INTERVAL;
        if !self.polled.is_empty() {
            due = due.min(self.polled_at + POLL_INTERVAL);
        }
        if self.is_rescan_due {
            due = due.min(self.rescan_at());
        }
        for id in &self.unfinished {
            let since = self
                .files
                .get(id)
                .and_then(|followed| followed.unfinished_since);
            if let Some(since) = since {
                due = due.min(since + self.partial_line_timeout);
            }
        }
        due.saturating_duration_since(now)
    }

    /// When the next scan may be: scans take a tenth of the time at most.
    fn rescan_at(&self) -> Instant {
        self.scanned_at + (self.scan_cost * 10).max(Duration::from_millis(1))
    }

    fn take_hints(&mut self) {
        let hints = self.watcher.drain();
        for id in hints.files {
            self.queue(id);
        }
        self.is_rescan_due |= hints.rescan || hints.overflow;
        for (from, to) in hints.renames {
            self.meet_renamed(&from, &to);
        }
        if hints.overflow {
            let all: Vec<FileId> = self.files.keys().copied().collect();
            all.into_iter().for_each(|id| self.queue(id));
        }
    }

    /// A file was renamed from a name that the patterns mean to one that they do not. When that was
    /// so soon after its creation that no scan has seen it, it is opened under its new name.
    fn meet_renamed(&mut self, from: &Path, to: &Path) {
        let was_renamed_before = self.renamed_unseen.remove(from);
        if (!was_renamed_before && !self.discover.matches(from)) || self.discover.matches(to) {
            return;
        }
        match self.open(to) {
            Ok(Some(id)) => self.detach(id),
            Ok(None) => {}
            // Renamed again already: the next event says to what.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.renamed_unseen.insert(to.to_owned());
            }
            Err(error) => report_trouble(to, "open", &error),
        }
    }

    fn detach(&mut self, id: FileId) {
        if let Some(followed) = self.files.get_mut(&id) {
            followed.detached_at.get_or_insert_with(Instant::now);
        }
    }

    fn queue(&mut self, id: FileId) {
        if let Some(followed) = self.files.get_mut(&id)
            && !std::mem::replace(&mut followed.is_queued, true)
        {
            self.ready.push_back(id);
        }
    }

    /// Everything that is done by the clock.
    fn keep_house(&mut self) {
        let now = Instant::now();
        if self.is_rescan_due && now >= self.rescan_at() {
            self.scan();
        }
        if now.duration_since(self.polled_at) >= POLL_INTERVAL {
            self.polled_at = now;
            let polled: Vec<FileId> = self.polled.iter().copied().collect();
            polled.into_iter().for_each(|id| self.queue(id));
        }
        self.queue_unfinished(now);
        if now.duration_since(self.ticked_at) >= TICK_INTERVAL {
            self.ticked_at = now;
            self.renamed_unseen.clear();
            self.is_rescan_due |= self.is_folder_missing || !self.failing.is_empty();
            self.check_in_turn();
            self.let_sleep(now);
            self.let_go(now);
            self.links.stats.set_files_followed(self.files.len());
        }
    }

    fn queue_unfinished(&mut self, now: Instant) {
        let is_due = |id: &&FileId| {
            let since = self
                .files
                .get(*id)
                .and_then(|followed| followed.unfinished_since);
            since.is_none_or(|since| now.duration_since(since) >= self.partial_line_timeout)
        };
        let due: Vec<FileId> = self.unfinished.iter().filter(is_due).copied().collect();
        due.into_iter().for_each(|id| self.queue(id));
    }

    /// Looks at the next files in turn, whatever inotify says, and at the folders' contents.
    fn check_in_turn(&mut self) {
        let after = self.files.range((
            std::ops::Bound::Excluded(self.last_checked),
            std::ops::Bound::Unbounded,
        ));
        let checked: Vec<FileId> = after.map(|(id, _)| *id).take(FILES_PER_TICK).collect();
        if checked.len() < FILES_PER_TICK {
            // The end of a round over all files: names may have changed unseen, too.
            self.is_rescan_due = true;
            self.last_checked = FileId(0);
        } else if let Some(last) = checked.last() {
            self.last_checked = *last;
        }
        for id in checked {
            let Some(followed) = self.files.get(&id) else {
                continue;
            };
            // A closed file is only opened for a reason.
            let is_changed = followed.source.is_some()
                || std::fs::metadata(&followed.path).is_ok_and(|metadata| {
                    Inode::of(&metadata) == followed.inode && metadata.len() != followed.size
                });
            if is_changed {
                self.queue(id);
            }
        }
    }

    /// Lets go of the windows and descriptors of files that have been quiet for a while.
    fn let_sleep(&mut self, now: Instant) {
        let files = &mut self.files;
        let is_crowded = self.awake.len() > DESCRIPTORS_KEPT_MAX;
        let descriptor_quiet = if is_crowded {
            WINDOW_QUIET
        } else {
            DESCRIPTOR_QUIET
        };
        self.awake.retain(|id| {
            let Some(followed) = files.get_mut(id) else {
                return false;
            };
            let quiet = followed.quiet_for(now);
            if quiet >= WINDOW_QUIET {
                followed.drop_window();
            }
            // A file without a watched name could not be opened again.
            let is_read = followed.offset >= followed.size && followed.detached_at.is_none();
            let is_torn = followed
                .source
                .as_ref()
                .is_some_and(|source| source.is_torn());
            if quiet >= descriptor_quiet && is_read && !is_torn {
                followed.source = None;
                followed.is_awake = false;
            }
            followed.is_awake
        });
    }

    /// Lets go of files that were rotated away, once they are read to their end and quiet.
    fn let_go(&mut self, now: Instant) {
        let is_over = |followed: &&Followed| {
            let quiet = if followed.links == 0 {
                DELETED_QUIET
            } else {
                RENAMED_QUIET
            };
            let since = followed
                .detached_at
                .map(|at| now.saturating_duration_since(at));
            since.is_some_and(|since| since >= quiet)
                && followed.quiet_for(now) >= quiet
                && followed.offset >= followed.size
                && !followed.is_queued
        };
        let over: Vec<FileId> = self
            .files
            .values()
            .filter(is_over)
            .map(|file| file.id)
            .collect();
        for id in over {
            if let Some(followed) = self.files.remove(&id) {
                self.forget(&followed, Some(followed.offset));
            }
        }
    }

    fn forget(&mut self, followed: &Followed, ends_at: Option<u64>) {
        if let Some(watch) = &followed.watch {
            self.watcher.unwatch_file(watch);
        }
        self.polled.remove(&followed.id);
        self.unfinished.remove(&followed.id);
        if self.by_inode.get(&followed.inode) == Some(&followed.id) {
            self.by_inode.remove(&followed.inode);
        }
        self.tell(Message::Ended(followed.id, ends_at));
    }

    /// Brings what is followed in step with what the patterns find.
    fn scan(&mut self) {
        let begun_at = Instant::now();
        self.is_rescan_due = false;
        let mut scan = self.discover.scan();
        // A watch set now misses what came since the scan: scan again where one is new.
        let is_new_folder = scan.folders.iter().fold(false, |is_new, folder| {
            let is_watched = self.watcher.has_folder(folder);
            self.watcher.watch_folder(folder);
            is_new || !is_watched
        });
        if is_new_folder {
            scan = self.discover.scan();
        }
        self.is_folder_missing = scan.is_folder_missing;
        let mut failing = HashSet::new();
        for (path, error) in scan.failures {
            self.report_failing(&path, "look at", &error);
            failing.insert(path);
        }
        let mut present = HashSet::new();
        for found in &scan.files {
            match self.arrive(found) {
                Ok(Some(id)) => drop(present.insert(id)),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    self.report_failing(&found.path, "open", &error);
                    failing.insert(found.path.clone());
                }
            }
        }
        self.detach_absent(&present, &failing);
        for path in self
            .failing
            .difference(&failing)
            .filter(|path| path.exists())
        {
            report::notice(&format!("{}: can be read now", path.display()));
        }
        self.failing = failing;
        self.links.stats.set_files_followed(self.files.len());
        self.scanned_at = Instant::now();
        self.scan_cost = self.scanned_at.duration_since(begun_at);
    }

    /// Takes note of a file that a scan found.
    fn arrive(&mut self, found: &Found) -> io::Result<Option<FileId>> {
        if self.links.sink_inode == Some(found.inode) {
            if !std::mem::replace(&mut self.is_sink_noted, true) {
                let path = found.path.display();
                report::warning(&format!(
                    "{path}: is the sink itself, so it is not followed"
                ));
            }
            return Ok(None);
        }
        if let Some(&id) = self.by_inode.get(&found.inode) {
            self.meet_again(id, found);
            return Ok(Some(id));
        }
        self.open(&found.path)
    }

    /// A followed file is there, maybe under another name.
    fn meet_again(&mut self, id: FileId, found: &Found) {
        let Some(followed) = self.files.get_mut(&id) else {
            return;
        };
        let was_detached = followed.detached_at.take().is_some();
        if followed.path != found.path {
            let is_still_there = std::fs::metadata(&followed.path)
                .is_ok_and(|metadata| Inode::of(&metadata) == followed.inode);
            if !is_still_there {
                followed.path.clone_from(&found.path);
                let path = found.path.to_string_lossy().into_owned();
                self.tell(Message::Moved(id, path));
            }
        }
        if was_detached {
            self.queue(id);
        }
    }

    /// Files that no watched path leads to any more were rotated away: read on to their end.
    fn detach_absent(&mut self, present: &HashSet<FileId>, troubled: &HashSet<PathBuf>) {
        let now = Instant::now();
        let mut detached = Vec::new();
        for (id, followed) in &mut self.files {
            let is_below = |path: &PathBuf| followed.path.starts_with(path);
            if !present.contains(id)
                && followed.detached_at.is_none()
                && !troubled.iter().any(is_below)
            {
                followed.detached_at = Some(now);
                detached.push(*id);
            }
        }
        for id in detached {
            self.reopen_detached(id);
            self.queue(id);
        }
    }

    /// A file that was rotated away after a long quiet time is opened by its new name while that
    /// can still be found; writers may go on in it.
    fn reopen_detached(&mut self, id: FileId) {
        let Some(mut followed) = self.files.remove(&id) else {
            return;
        };
        if followed.source.is_none() && self.reopen(&mut followed).is_err() {
            // Everything in it was read when it was closed, and it has no name to be found by.
            self.forget(&followed, Some(followed.offset));
            return;
        }
        self.note_state(&mut followed);
        self.files.insert(id, followed);
    }

    /// Opens a file that was not followed. `None` where it turns out to be followed after all.
    fn open(&mut self, path: &Path) -> io::Result<Option<FileId>> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        let inode = Inode::of(&metadata);
        // The name may lead to another file than a moment ago.
        if !metadata.is_file() || self.links.sink_inode == Some(inode) {
            return Ok(None);
        }
        if let Some(&id) = self.by_inode.get(&inode) {
            return Ok(Some(id));
        }
        let had_entries = self.resume.entries().len();
        let entry = self.resume.take(inode, &file);
        let is_skipped = self.from == config::From::End && !self.has_scanned;
        let now = Instant::now();
        let source = self.new_source(path.to_owned(), Some(file.try_clone()?));
        let mut followed = Followed::new(source, inode, 0, now);
        match entry {
            Some(entry) if entry.offset <= metadata.len() => {
                (followed.offset, followed.line) = (entry.offset, entry.line);
                followed.fingerprint = entry.fingerprint;
            }
            Some(entry) => {
                let path = path.display();
                report::warning(&format!(
                    "{path}: truncated since the last run, which had read {} bytes: reading it \
                     from the beginning; what was written after those bytes is only read if a copy \
                     is found beside it",
                    entry.offset
                ));
            }
            None if is_skipped => {
                followed.offset = metadata.len();
                followed.line = line_state_at(&file, followed.offset)?;
                followed.fingerprint = Fingerprint::take(&file, followed.offset)?;
            }
            None => {}
        }
        let id = followed.id;
        self.watch(&mut followed);
        self.tell(Message::Opened(id, followed.entry()));
        if had_entries != self.resume.entries().len() && self.has_scanned {
            self.tell(Message::Carried(self.resume.entries().to_vec()));
        }
        self.by_inode.insert(inode, id);
        if self.awake.len() > DESCRIPTORS_KEPT_MAX {
            // Opened again when it is read, so that thousands of files do not need a descriptor
            // each at the same time.
            followed.source = None;
        }
        self.note_state(&mut followed);
        self.files.insert(id, followed);
        self.queue(id);
        Ok(Some(id))
    }

    fn watch(&mut self, followed: &mut Followed) {
        let Some(source) = &followed.source else {
            return;
        };
        let Some(file) = &source.file else { return };
        followed.watch = self.watcher.watch_file(file, &followed.path, followed.id);
        if followed.watch.is_none() {
            self.polled.insert(followed.id);
        }
    }

    /// Looks for the files of the checkpoint that no pattern found: rotated while VES was stopped.
    /// Returns the entries whose files could not be looked for.
    fn seek_missing(&mut self) -> Vec<Entry> {
        let mut carried = Vec::new();
        for entry in self.resume.take_all() {
            match resume::seek(&entry) {
                Sought::Renamed(path) => match self.open_rotated(&path, &entry) {
                    Ok(()) => {}
                    Err(error) => {
                        self.complain(&path, "open", &error);
                        carried.push(entry);
                    }
                },
                Sought::Unknown => carried.push(entry),
                Sought::Gone => report::notice(&format!(
                    "{}: the file that was here during the last run is gone; {} bytes of it were \
                     collected",
                    entry.path, entry.offset
                )),
            }
        }
        carried
    }

    /// Reads on in a file that has a name outside of the patterns now, if it is the entry's file.
    fn open_rotated(&mut self, path: &Path, entry: &Entry) -> io::Result<()> {
        if !resume::is_file_of(entry, path)? {
            return Ok(());
        }
        self.resume.keep(vec![entry.clone()]);
        if let Some(id) = self.open(path)? {
            self.detach(id);
        }
        Ok(())
    }

    /// Looks for files that were made and rotated away while VES was not running: names that go on
    /// from that of a file of the checkpoint, younger than the checkpoint.
    fn seek_born_meanwhile(&mut self, loaded: &Loaded) {
        for (path, entry) in resume::seek_born_meanwhile(loaded) {
            if self.discover.matches(&path) {
                continue;
            }
            self.resume.keep(entry.into_iter().collect());
            match self.open(&path) {
                Ok(Some(id)) => self.detach(id),
                Ok(None) => {}
                Err(error) => report_trouble(&path, "open", &error),
            }
        }
    }

    fn new_source(&mut self, path: PathBuf, file: Option<File>) -> Source {
        self.next_id += 1;
        let suffix = Suffix::new(&self.added, &self.host, &path);
        Source::new(FileId(self.next_id), path, file, suffix)
    }

    fn tell(&self, message: Message) {
        if let Some(checkpoint) = &self.links.checkpoint {
            // The checkpoint thread outlives this one, unless it failed: it has said so then.
            let _ = checkpoint.send(message);
        }
    }

    /// Reports a trouble with a followed file once; it is tried again at the next event or tick.
    fn complain(&mut self, path: &Path, action: &str, error: &io::Error) {
        if self.complained.insert(path.to_owned()) {
            report_trouble(path, action, error);
        }
    }

    /// Reports what a scan could not use, unless the scan before could not either.
    fn report_failing(&self, path: &Path, action: &str, error: &io::Error) {
        if !self.failing.contains(path) {
            report_trouble(path, action, error);
        }
    }
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

/// Shortest sleep of [`Tail::rest`], so that it never spins.
const MIN_REST: Duration = Duration::from_micros(50);

/// What the byte at `offset` belongs to: the rest of a line unless a newline comes before it.
fn line_state_at(file: &File, offset: u64) -> io::Result<LineState> {
    let Some(before) = offset.checked_sub(1) else {
        return Ok(LineState::Start);
    };
    let mut byte = [0];
    file.read_exact_at(&mut byte, before)?;
    Ok(if byte == *b"\n" {
        LineState::Start
    } else {
        LineState::Skipping
    })
}
