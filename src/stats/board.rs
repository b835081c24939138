//! What is known of each followed file, for those who watch from outside: the tail puts it up once a
//! second, the ship stage adds how far each is delivered. Only kept where somebody may look, with
//! `--metrics`.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::lag::Marks;
use crate::batch::Progress;
use crate::tail::{FileId, Inode};

/// Files that are shown where not all of them are to be: those that lag most, then the busiest.
const ROWS_MAX: usize = 100;

/// The board.
#[derive(Debug)]
pub(crate) struct Board {
    is_complete: bool,
    /// How far each file is done. On its own, since the ship stage is here once per batch.
    delivered: Mutex<HashMap<FileId, u64>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    files: Vec<Known>,
    rows: Vec<Row>,
    failing: usize,
    put_up_at: Option<Instant>,
}

/// What is kept of each file.
#[derive(Debug)]
struct Known {
    id: FileId,
    size: u64,
    offset: u64,
    handed_on: u64,
    is_unfinished: bool,
    marks: Marks,
}

/// A file as the tail knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    /// Its number.
    pub(crate) id: FileId,
    /// Where it was found last.
    pub(crate) path: &'a Path,
    /// Where its data is.
    pub(crate) inode: Inode,
    /// Bytes that it held when it was last looked at.
    pub(crate) size: u64,
    /// Bytes that were read of it.
    pub(crate) offset: u64,
    /// The end of what was handed on of that; the rest was skipped.
    pub(crate) handed_on: u64,
    /// Whether all that is left is a line without an end.
    pub(crate) is_unfinished: bool,
    /// Whether no watched path leads to it any more.
    pub(crate) is_rotated: bool,
    /// When it last grew.
    pub(crate) grown_at: Instant,
}

/// A file for those who look.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Row {
    /// Where it was found last.
    pub(crate) path: String,
    /// Its device and inode.
    pub(crate) inode: String,
    /// Bytes that it holds.
    pub(crate) size_bytes: u64,
    /// Bytes of it that are done: delivered, or dropped as configured.
    pub(crate) delivered_bytes: u64,
    /// The difference.
    pub(crate) lag_bytes: u64,
    /// How long some of those have been there.
    pub(crate) lag_seconds: f64,
    /// Whether no watched path leads to it any more.
    pub(crate) is_rotated: bool,
    /// Its place among all files.
    #[serde(skip)]
    index: usize,
}

/// All files together, and some of them one by one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct View {
    /// Bytes that were seen in files and are not delivered.
    pub(crate) lag_bytes: u64,
    /// How long the oldest of them has been there.
    pub(crate) lag_seconds: f64,
    /// Those bytes that could be delivered: not what waits for the end of its line.
    pub(crate) waiting_bytes: u64,
    /// Paths that match but could not be used when they were last tried.
    pub(crate) failing: usize,
    /// Since the tail last put all of this up; `None` before the first time.
    pub(crate) age: Option<Duration>,
    /// Files, those that lag most first.
    pub(crate) rows: Vec<Row>,
}

impl Board {
    /// An empty board; with `is_complete` all files are shown one by one.
    pub(crate) fn new(is_complete: bool) -> Board {
        Board {
            is_complete,
            delivered: Mutex::default(),
            state: Mutex::default(),
        }
    }

    /// Notes that a file is followed from `offset` on.
    pub(crate) fn opened(&self, id: FileId, offset: u64) {
        lock(&self.delivered).insert(id, offset);
    }

    /// Notes how far files are done.
    pub(crate) fn delivered(&self, progress: &[Progress]) {
        let mut delivered = lock(&self.delivered);
        for progress in progress {
            // Those that were let go are not followed again by a late word of them.
            if let Some(offset) = delivered.get_mut(&progress.file) {
                *offset = progress.offset;
            }
        }
    }

    /// Puts up all files that are followed, and how many paths could not be used.
    pub(crate) fn put_up<'a>(
        &self,
        now: Instant,
        files: impl Iterator<Item = Seen<'a>>,
        failing: usize,
    ) {
        let delivered = lock(&self.delivered).clone();
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        let known = state.files.drain(..).map(|known| (known.id, known.marks));
        let mut marks: HashMap<FileId, Marks> =
            known.filter(|(_, marks)| !marks.is_empty()).collect();
        let mut shown = Vec::new();
        for seen in files {
            let mut known = Known {
                id: seen.id,
                size: seen.size,
                offset: seen.offset,
                handed_on: seen.handed_on,
                is_unfinished: seen.is_unfinished,
                marks: marks.remove(&seen.id).unwrap_or_default(),
            };
            let done = known.done(&delivered);
            known.marks.note(now, seen.size, done);
            state.files.push(known);
            let lag_bytes = seen.size.saturating_sub(done);
            let index = shown.len();
            shown.push((Reverse(lag_bytes), Reverse(seen.grown_at), index, seen));
        }
        if !self.is_complete && shown.len() > ROWS_MAX {
            shown.select_nth_unstable_by_key(ROWS_MAX, |row| (row.0, row.1));
            shown.truncate(ROWS_MAX);
        }
        shown.sort_unstable_by_key(|row| (row.0, row.1));
        state.rows = shown.iter().map(|row| row.3.row(row.2)).collect();
        (state.failing, state.put_up_at) = (failing, Some(now));
        let followed: HashSet<FileId> = state.files.iter().map(|known| known.id).collect();
        drop(guard);
        lock(&self.delivered).retain(|id, _| followed.contains(id));
    }

    /// What is on the board, with what was delivered since.
    pub(crate) fn view(&self, now: Instant) -> View {
        let delivered = lock(&self.delivered).clone();
        let state = lock(&self.state);
        let mut view = View {
            failing: state.failing,
            age: state.put_up_at.map(|at| now.saturating_duration_since(at)),
            ..View::default()
        };
        let mut lags = Vec::with_capacity(state.files.len());
        for known in &state.files {
            let done = known.done(&delivered);
            let lag_bytes = known.size.saturating_sub(done);
            let lag_seconds = known.marks.lag(now, done).as_secs_f64();
            view.lag_bytes += lag_bytes;
            view.lag_seconds = view.lag_seconds.max(lag_seconds);
            if !(known.is_unfinished && done >= known.offset) {
                view.waiting_bytes += lag_bytes;
            }
            lags.push((done, lag_bytes, lag_seconds));
        }
        let rows = state.rows.iter().map(|row| {
            let (delivered_bytes, lag_bytes, lag_seconds) =
                lags.get(row.index).copied().unwrap_or_default();
            Row {
                delivered_bytes,
                lag_bytes,
                lag_seconds,
                ..row.clone()
            }
        });
        view.rows = rows.collect();
        view
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Figures that are half new do no harm.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Known {
    /// How much of it is done. What was skipped after everything that was handed on is done, too.
    fn done(&self, delivered: &HashMap<FileId, u64>) -> u64 {
        let delivered = delivered.get(&self.id).copied().unwrap_or_default();
        if delivered >= self.handed_on {
            self.offset.max(delivered)
        } else {
            delivered
        }
    }
}

impl Seen<'_> {
    fn row(&self, index: usize) -> Row {
        Row {
            path: self.path.to_string_lossy().into_owned(),
            inode: format!("{}:{}", self.inode.dev, self.inode.ino),
            size_bytes: self.size,
            delivered_bytes: 0,
            lag_bytes: 0,
            lag_seconds: 0.0,
            is_rotated: self.is_rotated,
            index,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tail::{LineState, Trail};

    fn seen(id: u64, size: u64, now: Instant) -> Seen<'static> {
        Seen {
            id: FileId(id),
            path: Path::new("/l/a.log"),
            inode: Inode { dev: 1, ino: id },
            size,
            offset: size,
            handed_on: size,
            is_unfinished: false,
            is_rotated: false,
            grown_at: now,
        }
    }

    fn progress(id: u64, offset: u64) -> Progress {
        Progress {
            file: FileId(id),
            offset,
            line: LineState::Start,
            trail: Trail::default(),
        }
    }

    #[test]
    fn lag_is_what_was_seen_and_not_delivered() {
        let start = Instant::now();
        let later = start + Duration::from_secs(7);
        let board = Board::new(false);
        board.opened(FileId(1), 40);
        board.put_up(start, [seen(1, 100, start)].into_iter(), 0);
        let view = board.view(later);
        assert_eq!((view.lag_bytes, view.waiting_bytes), (60, 60));
        assert_eq!((view.lag_seconds, view.rows[0].lag_seconds), (7.0, 7.0));
        board.delivered(&[progress(1, 100), progress(2, 5)]);
        assert_eq!(board.view(later).lag_seconds, 0.0, "it is known at once");
        board.put_up(later, [seen(1, 100, start)].into_iter(), 3);
        let view = board.view(later);
        assert_eq!(
            (view.lag_bytes, view.lag_seconds, view.failing),
            (0, 0.0, 3)
        );
        assert_eq!(view.rows[0].delivered_bytes, 100);
    }

    #[test]
    fn a_line_without_an_end_lags_and_waits_for_nobody() {
        let now = Instant::now();
        let board = Board::new(false);
        let unfinished = Seen {
            offset: 90,
            handed_on: 80,
            is_unfinished: true,
            ..seen(1, 100, now)
        };
        board.opened(FileId(1), 0);
        board.delivered(&[progress(1, 80)]);
        board.put_up(now, [unfinished].into_iter(), 0);
        let view = board.view(now);
        assert_eq!((view.lag_bytes, view.waiting_bytes), (10, 0));
        assert_eq!(view.rows[0].delivered_bytes, 90);
    }

    #[test]
    fn of_many_files_those_that_lag_most_are_shown() {
        let now = Instant::now();
        let files = || (0..1000).map(|id| seen(id, id % 500, now));
        let (some, all) = (Board::new(false), Board::new(true));
        for board in [&some, &all] {
            board.put_up(now, files(), 0);
        }
        let rows = some.view(now).rows;
        assert_eq!(rows.len(), ROWS_MAX);
        assert_eq!((rows[0].lag_bytes, rows[99].lag_bytes), (499, 450));
        assert_eq!(all.view(now).rows.len(), 1000);
    }
}
