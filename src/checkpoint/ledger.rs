//! The account of what was acknowledged, as messages build it up, and what of it is not on the disk.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::sync::Arc;
use std::time::SystemTime;

use super::changes::Changes;
use super::{
    Entry, Message, Past, SinkState, Snapshot, TRUNCATED_PER_FILE_MAX, TRUNCATED_REMEMBERED,
    VERSION, unix_seconds,
};
use crate::batch::Progress;
use crate::tail::FileId;

/// With fewer files than this the whole checkpoint is written each time.
const CHANGES_FROM: usize = 256;

/// One followed file.
#[derive(Clone, Debug)]
struct Followed {
    entry: Entry,
    ends_at: Option<u64>,
    /// Until when it is kept since it was truncated.
    until: Option<u64>,
    /// Whether it was truncated, and no more of it will be acknowledged.
    is_settled: bool,
    /// Its place in the list of files of the whole checkpoint that is on the disk.
    place: Option<usize>,
}

/// Everything but the followed files.
#[derive(Clone, Debug, Default)]
struct Rest {
    carried: Vec<Entry>,
    past: Vec<Past>,
    sink: Option<SinkState>,
}

/// The state that messages build up.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    // PERF: boxed, so that the table, which doubles when it grows, is small: 2 MB less with 10 000 files.
    files: HashMap<FileId, Box<Followed>>,
    rest: Rest,
    /// What has to be flushed to the disk before that may be claimed.
    pub(super) unflushed: Option<Arc<File>>,
    /// Whether anything has come since it was written.
    pub(super) is_dirty: bool,
    /// Whether it was written, and how files stood then, of those that are others by now.
    was_written: bool,
    before: HashMap<FileId, Option<Box<Followed>>>,
    rest_before: Rest,
    /// The whole checkpoint that is on the disk, by its time, and what has changed since.
    base: Option<SystemTime>,
    changed: HashSet<FileId>,
    gone: Vec<usize>,
}

/// What is to be written.
#[derive(Debug)]
pub(super) enum Due<'a> {
    /// Everything, with the numbers of the files in the order of its list.
    Whole(Snapshot<&'a Entry>, Vec<FileId>),
    /// What has changed since everything was.
    Changes(Changes),
}

/// What was written of a ledger, and then noted in it.
#[derive(Debug)]
pub(super) enum Written {
    /// Everything: when, and the files in the order of its list.
    Whole(Option<SystemTime>, Vec<FileId>),
    /// What has changed since everything was; or nothing, where it need not be on a disk.
    Changes,
}

impl Due<'_> {
    /// What is to be noted when it is on the disk.
    pub(super) fn written(self) -> Written {
        match self {
            Due::Whole(snapshot, order) => Written::Whole(snapshot.alive_at, order),
            Due::Changes(_) => Written::Changes,
        }
    }
}

impl Ledger {
    /// The account of a sink of which nothing was acknowledged yet.
    pub(super) fn new(sink: Option<SinkState>) -> Ledger {
        Ledger {
            rest: Rest {
                sink,
                ..Rest::default()
            },
            is_dirty: true,
            ..Ledger::default()
        }
    }

    /// Takes note of a message.
    pub(super) fn apply(&mut self, message: Message) {
        self.is_dirty = true;
        match message {
            Message::Opened(file, entry) => self.open(file, entry),
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
            Message::Ended(file, None) => self.remove(file),
            Message::Ended(file, ends_at) => {
                self.change(file, |followed| followed.ends_at = ends_at);
            }
            Message::Truncated(file) => self.keep_for_a_while(file),
            Message::Carried(entries, past) => {
                (self.rest.carried, self.rest.past) = (entries, past);
                // They are a part of the whole.
                self.base = None;
            }
            Message::Acknowledged {
                progress,
                sink,
                unflushed,
            } => {
                self.rest.sink = sink.or(self.rest.sink);
                self.unflushed = unflushed;
                progress
                    .into_iter()
                    .for_each(|progress| self.advance(progress));
            }
            Message::Settled => {
                let is_truncated = |followed: &Followed| followed.until.is_some();
                for file in self.all(is_truncated) {
                    self.change(file, |followed| followed.is_settled = true);
                }
            }
            Message::Sync(_) => {}
        }
    }

    /// The files of which that is true.
    fn all(&self, is_meant: impl Fn(&Followed) -> bool) -> Vec<FileId> {
        let meant = self.files.iter().filter(|(_, file)| is_meant(file));
        meant.map(|(file, _)| *file).collect()
    }

    fn open(&mut self, file: FileId, entry: Entry) {
        self.note_before(file);
        let place = self.files.get(&file).and_then(|followed| followed.place);
        let followed = Followed {
            entry,
            ends_at: None,
            until: None,
            is_settled: false,
            place,
        };
        self.files.insert(file, Box::new(followed));
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
        let mut kept = self.all(is_kept);
        kept.sort_unstable();
        for file in kept.iter().rev().skip(TRUNCATED_PER_FILE_MAX) {
            self.remove(*file);
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
        self.note_before(file);
        let Some(followed) = self.files.get_mut(&file) else {
            return;
        };
        change(followed);
        if followed
            .ends_at
            .is_some_and(|end| followed.entry.offset >= end)
        {
            self.remove(file);
        }
    }

    fn remove(&mut self, file: FileId) {
        self.note_before(file);
        let removed = self.files.remove(&file);
        self.gone
            .extend(removed.and_then(|followed| followed.place));
    }

    /// Notes how a file stands before it is changed.
    fn note_before(&mut self, file: FileId) {
        let stands = self.files.get(&file);
        if self.was_written {
            self.before.entry(file).or_insert_with(|| stands.cloned());
        }
        if self.base.is_some() {
            self.changed.insert(file);
        }
    }

    /// Forgets files that were truncated, or gone, long ago.
    pub(super) fn forget_past(&mut self) {
        let now = unix_seconds();
        let is_over = |followed: &Followed| followed.until.is_some_and(|until| until <= now);
        for file in self.all(is_over) {
            self.remove(file);
        }
        self.rest.past.retain(|past| past.until > now);
    }

    /// All of it.
    pub(super) fn snapshot(&self) -> Snapshot {
        owned(whole(self.files.iter(), &self.rest).0)
    }

    /// All of it as it was when it was written last. The first time is before anything is shipped.
    pub(super) fn written(&self) -> Snapshot {
        if !self.was_written {
            return self.snapshot();
        }
        let changed = |file: &&FileId| self.before.contains_key(file);
        let same = self.files.iter().filter(|(file, _)| !changed(file));
        let before = self.before.iter();
        let before = before.filter_map(|(file, before)| Some((file, before.as_ref()?)));
        owned(whole(same.chain(before), &self.rest_before).0)
    }

    /// What is to be written now. The whole is where it is not long, or most of it has changed.
    pub(super) fn due(&self) -> Due<'_> {
        let is_little = (self.changed.len() + self.gone.len()) * 8 < self.files.len();
        match self.base {
            Some(base) if is_little && self.files.len() >= CHANGES_FROM => {
                Due::Changes(self.changes(base))
            }
            _ => self.due_whole(),
        }
    }

    /// All of it, to be written.
    pub(super) fn due_whole(&self) -> Due<'_> {
        let (snapshot, order) = whole(self.files.iter(), &self.rest);
        Due::Whole(snapshot, order)
    }

    fn changes(&self, base: SystemTime) -> Changes {
        let mut changes = Changes {
            version: VERSION,
            base,
            sink: self.rest.sink,
            changed: Vec::new(),
            gone: self.gone.clone(),
            added: Vec::new(),
            past: self.rest.past.clone(),
            alive_at: SystemTime::now(),
        };
        for followed in self.files.values() {
            changes.past.extend(followed.past());
        }
        let changed = self.changed.iter().filter_map(|file| self.files.get(file));
        for followed in changed {
            let entry = || followed.entry.clone();
            match (followed.place, followed.past_until()) {
                (Some(place), None) => changes.changed.push((place, entry())),
                (Some(place), Some(_)) => changes.gone.push(place),
                (None, None) => changes.added.push(entry()),
                (None, Some(_)) => {}
            }
        }
        changes
    }

    /// Notes that it is on the disk now.
    pub(super) fn note_written(&mut self, written: Written) {
        (self.is_dirty, self.was_written) = (false, true);
        // Not cleared: at the start all files are in it, and later few.
        self.before = HashMap::new();
        self.rest_before.clone_from(&self.rest);
        let Written::Whole(base, order) = written else {
            return;
        };
        self.base = base;
        self.changed = HashSet::new();
        self.gone.clear();
        for followed in self.files.values_mut() {
            followed.place = None;
        }
        for (place, file) in order.iter().enumerate() {
            if let Some(followed) = self.files.get_mut(file) {
                followed.place = Some(place);
            }
        }
    }

    /// Notes that it is not known what is on the disk.
    pub(super) fn note_failed(&mut self) {
        self.base = None;
    }
}

impl Followed {
    /// Until when it is one of the past ones, if it is. Before it is settled the sink may have more of it
    /// behind its length, which cannot be read again.
    fn past_until(&self) -> Option<u64> {
        self.until.filter(|_| self.is_settled)
    }

    /// What is kept of it when it was truncated.
    fn past(&self) -> Option<Past> {
        let until = self.past_until()?;
        Some(Past {
            entry: self.entry.clone(),
            until,
        })
    }
}

/// A checkpoint, and the numbers of the followed files in it, in order.
fn whole<'a>(
    followed: impl Iterator<Item = (&'a FileId, &'a Box<Followed>)>,
    rest: &'a Rest,
) -> (Snapshot<&'a Entry>, Vec<FileId>) {
    let mut past = rest.past.clone();
    let mut files = Vec::new();
    for (file, followed) in followed {
        match followed.past() {
            Some(truncated) => past.push(truncated),
            None => files.push((*file, &followed.entry)),
        }
    }
    // By a number: the paths of many files begin alike, which makes them slow to compare.
    files.sort_unstable_by_key(|(_, entry)| entry.inode);
    let (order, mut files): (Vec<FileId>, Vec<&Entry>) = files.into_iter().unzip();
    files.extend(&rest.carried);
    let snapshot = Snapshot {
        version: VERSION,
        sink: rest.sink,
        files,
        past,
        alive_at: Some(SystemTime::now()),
    };
    (snapshot, order)
}

fn owned(snapshot: Snapshot<&Entry>) -> Snapshot {
    Snapshot {
        version: snapshot.version,
        sink: snapshot.sink,
        files: snapshot.files.into_iter().cloned().collect(),
        past: snapshot.past,
        alive_at: snapshot.alive_at,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Store;
    use super::super::tests::{acknowledged, entry};
    use super::*;

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

    /// The account of so many files that were just opened.
    fn ledger_of(files: u64) -> Ledger {
        let mut ledger = Ledger::new(None);
        for file in 0..files {
            ledger.apply(Message::Opened(FileId(file), entry(file)));
        }
        ledger
    }

    /// Something that happens to one of many files.
    #[derive(Clone, Debug)]
    enum Step {
        Tell(Message),
        /// It is written, or that fails.
        Write(bool),
    }

    fn step() -> impl Strategy<Value = Step> {
        let file = || (0..CHANGES_FROM as u64 + 50).prop_map(FileId);
        prop_oneof![
            6 => (file(), 0..100u64).prop_map(|(file, offset)| Step::Tell(acknowledged(file, offset))),
            2 => file().prop_map(|file| Step::Tell(Message::Opened(file, entry(file.0)))),
            2 => (file(), prop::option::of(0..100u64))
                .prop_map(|(file, end)| Step::Tell(Message::Ended(file, end))),
            1 => file().prop_map(|file| Step::Tell(Message::Truncated(file))),
            1 => file().prop_map(|file| Step::Tell(Message::Resumed(file))),
            1 => (file(), 0..100u64).prop_map(|(file, end)| Step::Tell(Message::Finished(file, end))),
            1 => Just(Step::Tell(Message::Settled)),
            1 => (1000..1004u64).prop_map(|ino| {
                Step::Tell(Message::Carried(vec![entry(ino)], vec![Past::of_truncated(entry(ino + 9))]))
            }),
            4 => prop::bool::weighted(0.9).prop_map(Step::Write),
        ]
    }

    /// What it says, in an order that can be compared.
    fn said(mut snapshot: Snapshot) -> (Vec<Entry>, Vec<Entry>, Option<SinkState>) {
        let mut past: Vec<Entry> = snapshot.past.drain(..).map(|past| past.entry).collect();
        snapshot.files.sort();
        past.sort();
        (snapshot.files, past, snapshot.sink)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// What is read back is what was written last, in whichever parts.
        #[test]
        fn the_disk_has_what_was_written_last(steps in prop::collection::vec(step(), 1..300)) {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open(dir.path()).unwrap();
            let mut ledger = ledger_of(CHANGES_FROM as u64 + 20);
            let mut expected = None;
            for step in steps {
                match step {
                    Step::Tell(message) => ledger.apply(message),
                    Step::Write(true) => {
                        let due = ledger.due();
                        store.write(&due).unwrap();
                        let written = due.written();
                        ledger.note_written(written);
                        let now = said(ledger.snapshot());
                        let loaded = store.load().unwrap().unwrap().snapshot;
                        prop_assert_eq!(&said(loaded), &now);
                        expected = Some(now);
                    }
                    Step::Write(false) => ledger.note_failed(),
                }
                if let Some(expected) = &expected {
                    prop_assert_eq!(&said(ledger.written()), expected);
                }
            }
        }
    }

    #[test]
    fn of_many_files_only_what_has_changed_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let mut ledger = ledger_of(1000);
        let write = |ledger: &mut Ledger| {
            let due = ledger.due();
            store.write(&due).unwrap();
            let written = due.written();
            let is_part = matches!(written, Written::Changes);
            ledger.note_written(written);
            is_part
        };
        assert!(
            !write(&mut ledger),
            "there is nothing that they could be added to"
        );
        let changes = dir.path().join("checkpoint-changes.json");
        for file in 0..100 {
            ledger.apply(acknowledged(FileId(file), 5));
            assert!(write(&mut ledger));
            assert!(std::fs::metadata(&changes).unwrap().len() < 300 * (file + 2));
        }
        (100..200).for_each(|file| ledger.apply(acknowledged(FileId(file), 5)));
        assert!(!write(&mut ledger), "most of it is new");
        assert!(!changes.exists());
    }

    /// Changes of another checkpoint, such as one that a whole one has replaced just before a kill.
    #[test]
    fn changes_are_only_added_to_what_they_belong_to_and_set_aside_when_they_cannot_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let mut ledger = ledger_of(1000);
        let write = |ledger: &mut Ledger, is_whole: bool| {
            let due = match is_whole {
                true => ledger.due_whole(),
                false => ledger.due(),
            };
            store.write(&due).unwrap();
            let written = due.written();
            ledger.note_written(written);
        };
        write(&mut ledger, false);
        ledger.apply(acknowledged(FileId(1), 5));
        write(&mut ledger, false);
        let changes = dir.path().join("checkpoint-changes.json");
        let old = std::fs::read(&changes).unwrap();
        let offset = || {
            let files = store.load().unwrap().unwrap().snapshot.files;
            files
                .iter()
                .find(|file| file.inode.ino == 1)
                .unwrap()
                .offset
        };
        assert_eq!(offset(), 5);
        ledger.apply(acknowledged(FileId(1), 7));
        write(&mut ledger, true);
        std::fs::write(&changes, old).unwrap();
        assert_eq!(offset(), 7);
        std::fs::write(&changes, "{").unwrap();
        assert_eq!(offset(), 7);
        assert!(!changes.exists());
        let aside = dir.path().join("checkpoint-changes.json.unreadable-1");
        assert_eq!(std::fs::read_to_string(aside).unwrap(), "{");
    }
}
