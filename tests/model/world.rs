//! The folder, the process, and what is expected of it.
//!
//! What VES cannot do, and says so in its documentation, is allowed here by name:
//!
//! - **Destroyed**: what was deleted or truncated before it was read is lost. VES counts what it saw.
//! - **Out of sight**: a file that was moved to another folder is found again where VES, or its
//!   checkpoint, knew it before. One with a rotated name beside its log is found where it is known, or
//!   young enough, and the checkpoint knows any file of that folder.
//! - **Kept**: where the checkpoint has a file that is gone, the end of the sink that is newer than the
//!   checkpoint is kept after a kill, which is said, and comes twice where it can be read again.
//! - **Copied, then moved or deleted at once**: the copy is known by the name of the log that it was made
//!   of, which VES has to see truncated under that name.
//! - **Never known**: a file that came, was delivered and destroyed within the moment (100 ms) before
//!   a kill, so that no checkpoint has a byte of it, leaves nothing to tell that the end of the sink
//!   must be kept.

use std::collections::HashSet;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use crate::account::{Account, Record, known_bytes};
use crate::operation::{Operation, Rotation, Target};
use crate::util::{self, Bench, Ves};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How much older than the checkpoint an unknown file may be, and less, as clocks are not that exact.
const YOUNG: Duration = Duration::from_millis(1900);

/// The number of the log that tells whether VES is up and has read everything before.
const PROBE: usize = 99;

const RELOADED: &str = "the configuration is reloaded";

/// Messages that are the same are printed five times a minute.
const HANG_UPS_MAX: usize = 4;

/// Where a file is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The pattern means it.
    Watched,
    /// In a watched folder, under a rotated name that the pattern does not mean.
    Beside,
    Away,
}

struct LogFile {
    path: PathBuf,
    place: Place,
    /// The number of its log.
    log: usize,
    /// Whether it has the log's name.
    is_current: bool,
    /// The writer's descriptor.
    file: File,
    content: usize,
    was_there_at_start: bool,
    is_followed: bool,
    /// VES cannot find it.
    is_out_of_sight: bool,
    /// It was copied and truncated, which VES may not have seen yet.
    is_copied: bool,
}

pub(crate) struct World {
    bench: Bench,
    is_wide: bool,
    account: Account,
    files: Vec<LogFile>,
    /// Numbers for rotated names.
    rotations: usize,
    /// Whether a checkpoint may have a file that is gone.
    is_disturbed: bool,
    has_crashed: bool,
    ves: Option<Ves>,
    /// What there was when the process started.
    stderr_before: usize,
    sink_before: Vec<u8>,
    /// Whether it is known to have found all files of its start.
    is_ready: bool,
    has_noted_kept: bool,
    has_destroyed: bool,
    hang_ups: usize,
    /// Bytes that it must have counted as unread, once it is known to have looked, and for certain.
    unread_soon: u64,
    unread: u64,
}

impl World {
    pub(crate) fn new(is_wide: bool) -> World {
        let bench = Bench::new();
        fs::create_dir(bench.path("away")).unwrap();
        World {
            bench,
            is_wide,
            account: Account::default(),
            files: Vec::new(),
            rotations: 0,
            is_disturbed: false,
            has_crashed: false,
            ves: None,
            stderr_before: 0,
            sink_before: Vec::new(),
            is_ready: false,
            has_noted_kept: false,
            has_destroyed: false,
            hang_ups: 0,
            unread_soon: 0,
            unread: 0,
        }
    }

    pub(crate) fn stderr(&self) -> String {
        self.bench.stderr()
    }

    /// Applies the operations, then lets everything be delivered and checks all of it.
    pub(crate) fn run(&mut self, operations: &[Operation]) -> Result<(), String> {
        for operation in operations {
            self.apply(operation)?;
        }
        self.finish()
    }

    fn apply(&mut self, operation: &Operation) -> Result<(), String> {
        match *operation {
            Operation::Append {
                target,
                lines,
                padding,
            } => {
                if let Some(index) = self.file_to_write(target) {
                    let content = self.files[index].content;
                    let is_begun = self.account.contents[content].unfinished.is_some();
                    for _ in 0..lines + usize::from(is_begun) {
                        self.write(index, padding, true);
                    }
                }
            }
            Operation::Begin { target, padding } => {
                if let Some(index) = self.file_to_write(target) {
                    self.write(index, padding, false);
                }
            }
            Operation::Rotate { target, to } => return self.rotate(target, to),
            Operation::Truncate(target) => return self.truncate(target, None),
            Operation::CopyTruncate { log, to } => {
                return self.truncate(Target::Log(log), Some(to));
            }
            Operation::Delete(target) => return self.delete(target),
            Operation::Start if self.ves.is_none() => {
                self.expect_start();
                self.ves = Some(self.spawn(&[]));
            }
            Operation::Once => return self.run_once(),
            Operation::Stop if self.ves.is_some() => return self.stop(),
            Operation::Crash => {
                if let Some(ves) = self.ves.take() {
                    ves.kill();
                    self.has_crashed = true;
                    return self.expect_end(false);
                }
            }
            Operation::HangUp if self.ves.is_some() => return self.hang_up(),
            Operation::Settle if self.ves.is_some() => return self.settle(),
            Operation::Pause { milliseconds } => {
                std::thread::sleep(Duration::from_millis(milliseconds));
            }
            Operation::Start | Operation::Stop | Operation::HangUp | Operation::Settle => {}
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), String> {
        if self.ves.is_some() {
            self.settle()?;
            self.stop()?;
        }
        self.run_once()?;
        self.account.check(&self.records()?)
    }

    fn spawn(&self, more: &[&str]) -> Ves {
        // SIGHUP is ignored where somebody runs the tests under nohup.
        let mut command = Command::new("env");
        command.args(["--default-signal=HUP", env!("CARGO_BIN_EXE_ves"), "collect"]);
        let pattern = if self.is_wide { "*.log*" } else { "*.log" };
        command
            .arg("--watch")
            .arg(self.bench.path("logs").join(pattern));
        let sink = format!("file:{}", self.bench.out().display());
        command.args(["--ship", &sink, "--format", "raw", "--state-dir"]);
        command.arg(self.bench.path("state"));
        command.args(["--partial-line-timeout", "1h", "--log-level", "debug"]);
        command.args(more);
        Ves::start_command(command, &self.bench.path("stderr"))
    }

    fn records(&self) -> Result<Vec<Record>, String> {
        self.account
            .read(&fs::read(self.bench.out()).unwrap_or_default())
    }

    fn delivered(&self) -> HashSet<usize> {
        // While a start cuts the sink a record may look torn: then nothing is known to be there.
        let records = self.records().unwrap_or_default();
        records
            .into_iter()
            .flat_map(|record| record.tokens)
            .collect()
    }

    fn find(&self, target: Target) -> Option<usize> {
        let is_log = |file: &LogFile, log| file.is_current && file.log == log;
        match target {
            Target::Log(log) => self.files.iter().position(|file| is_log(file, log)),
            Target::Old(number) => {
                let is_old = |index: &usize| !self.files[*index].is_current;
                let old: Vec<usize> = (0..self.files.len()).filter(is_old).collect();
                old.get(number % old.len().max(1)).copied()
            }
        }
    }

    fn file_to_write(&mut self, target: Target) -> Option<usize> {
        let Target::Log(log) = target else {
            return self.find(target);
        };
        Some(self.find(target).unwrap_or_else(|| self.create(log)))
    }

    fn create(&mut self, log: usize) -> usize {
        let path = self.bench.path(&format!("logs/{log}.log"));
        let file = util::append(&path);
        let content = self.account.begin_content(file.metadata().unwrap().ino());
        self.files.push(LogFile {
            path,
            place: Place::Watched,
            log,
            is_current: true,
            file,
            content,
            was_there_at_start: false,
            is_followed: false,
            is_out_of_sight: false,
            is_copied: false,
        });
        self.files.len() - 1
    }

    fn write(&mut self, index: usize, padding: usize, is_end: bool) -> usize {
        let file = &mut self.files[index];
        let is_due = !file.is_out_of_sight;
        self.account
            .write(file.content, &mut file.file, padding, is_end, is_due)
    }

    /// What is not delivered of a content by now need not be.
    fn excuse(&mut self, content: usize) {
        let delivered = self.delivered();
        for &number in &self.account.contents[content].tokens {
            self.account.tokens[number].is_due &= delivered.contains(&number);
        }
    }

    fn destroy(&mut self, content: usize) {
        self.excuse(content);
        let content = &mut self.account.contents[content];
        content.is_destroyed = true;
        self.unread_soon += content.seen_unread;
        self.is_disturbed = true;
        self.has_destroyed |= self.ves.is_some();
    }

    fn rotate(&mut self, target: Target, to: Rotation) -> Result<(), String> {
        let Some(index) = self.find(target) else {
            return Ok(());
        };
        self.make_ready()?;
        self.see_truncated(index)?;
        self.rotations += 1;
        let name = format!("{}.log.{}", self.files[index].log, self.rotations);
        let is_away = to == Rotation::Away || self.files[index].place == Place::Away;
        let content = self.files[index].content;
        let is_followed = self.files[index].is_followed || {
            let delivered = self.delivered();
            let tokens = &self.account.contents[content].tokens;
            tokens.iter().any(|number| delivered.contains(number))
        };
        let folder = if is_away { "away" } else { "logs" };
        let path = self.bench.path(folder).join(name);
        let file = &mut self.files[index];
        fs::rename(&file.path, &path).unwrap();
        (file.path, file.is_current) = (path, false);
        file.place = match (is_away, self.is_wide) {
            (true, _) => Place::Away,
            (false, true) => Place::Watched,
            (false, false) => Place::Beside,
        };
        self.is_disturbed |= is_away;
        if is_away && self.ves.is_some() && !is_followed {
            self.files[index].is_out_of_sight = true;
            self.excuse(content);
        }
        Ok(())
    }

    /// Waits until VES has seen that a file which was copied is truncated.
    fn see_truncated(&mut self, index: usize) -> Result<(), String> {
        if std::mem::take(&mut self.files[index].is_copied) && self.ves.is_some() {
            self.probe("the truncation")?;
        }
        Ok(())
    }

    fn truncate(&mut self, target: Target, copy: Option<Rotation>) -> Result<(), String> {
        let Some(index) = self.find(target) else {
            return Ok(());
        };
        self.make_ready()?;
        if let Some(to) = copy {
            self.rotations += 1;
            let name = format!("{}.log.{}", self.files[index].log, self.rotations);
            // One that the pattern means would be another log.
            let is_beside = to == Rotation::Beside && !self.is_wide;
            let folder = if is_beside { "logs" } else { "away" };
            let path = self.bench.path(folder).join(name);
            fs::copy(&self.files[index].path, path).unwrap();
            self.files[index].is_copied = true;
        }
        self.destroy(self.files[index].content);
        let file = &mut self.files[index];
        file.file.set_len(0).unwrap();
        let inode = file.file.metadata().unwrap().ino();
        file.content = self.account.begin_content(inode);
        Ok(())
    }

    fn delete(&mut self, target: Target) -> Result<(), String> {
        let Some(index) = self.find(target) else {
            return Ok(());
        };
        self.make_ready()?;
        self.see_truncated(index)?;
        self.destroy(self.files[index].content);
        let file = self.files.remove(index);
        fs::remove_file(file.path).unwrap();
        Ok(())
    }

    /// What is expected of the next start, by what it finds.
    fn expect_start(&mut self) {
        let checkpoint = fs::read(self.bench.path("state/checkpoint.json")).ok();
        let checkpoint: Value = checkpoint.map_or(Value::Null, |text| {
            serde_json::from_slice(&text).expect("a checkpoint is whole")
        });
        self.sink_before = fs::read(self.bench.out()).unwrap_or_default();
        self.stderr_before = self.bench.stderr().len();
        let mut unreadable = HashSet::new();
        for index in 0..self.files.len() {
            self.files[index].was_there_at_start = true;
            let content = self.files[index].content;
            if !self.is_found(&self.files[index], &checkpoint) {
                self.files[index].is_out_of_sight = true;
                self.excuse(content);
            }
            if self.files[index].is_out_of_sight {
                unreadable.insert(content);
            }
        }
        if std::mem::take(&mut self.has_crashed) {
            self.excuse_never_known(&unreadable, &checkpoint);
        }
        (self.is_ready, self.has_noted_kept) = (false, false);
        (self.has_destroyed, self.hang_ups) = (false, 0);
        (self.unread_soon, self.unread) = (0, 0);
    }

    /// Whether a start finds that file.
    fn is_found(&self, file: &LogFile, checkpoint: &Value) -> bool {
        let content = &self.account.contents[file.content];
        let entries = |list: &str| checkpoint[list].as_array().cloned().unwrap_or_default();
        let folder = |entry: &Value| {
            let path = Path::new(entry["path"].as_str().unwrap());
            path.parent().map(Path::to_owned)
        };
        let is_known = entries("files")
            .iter()
            .any(|entry| content.is_of(entry) && folder(entry).as_deref() == file.path.parent());
        let is_folder_known = || {
            let mut all = entries("files").into_iter().chain(entries("past"));
            all.any(|entry| folder(&entry).as_deref() == file.path.parent())
        };
        let is_young = || {
            let born_at = fs::metadata(&file.path).unwrap().created().unwrap();
            let alive_at = serde_json::from_value::<SystemTime>(checkpoint["alive_at"].clone());
            alive_at.is_ok_and(|alive_at| born_at + YOUNG >= alive_at)
        };
        match file.place {
            Place::Watched => true,
            Place::Beside => is_known || (is_folder_known() && is_young()),
            Place::Away => is_known,
        }
    }

    /// After a kill: what is in the sink only, behind the last checkpoint, is cut off where no entry tells
    /// that it cannot be read again.
    fn excuse_never_known(&mut self, unreadable: &HashSet<usize>, checkpoint: &Value) {
        let length = checkpoint["sink"]["length"].as_u64().unwrap_or_default() as usize;
        let records = self.account.read(&self.sink_before).unwrap_or_default();
        let newer = records.iter().filter(|record| record.start >= length);
        for &number in newer.flat_map(|record| &record.tokens) {
            let token = &mut self.account.tokens[number];
            let content = &self.account.contents[token.content];
            if !content.is_destroyed && !unreadable.contains(&token.content) {
                continue;
            }
            let lists = [&checkpoint["files"], &checkpoint["past"]];
            let mut entries = lists.into_iter().filter_map(Value::as_array).flatten();
            token.is_due &= entries.any(|entry| known_bytes(entry) > 0 && content.is_of(entry));
        }
    }

    /// Waits until it has found all files of its start, and read what was written before this.
    fn make_ready(&mut self) -> Result<(), String> {
        if self.ves.is_none() || self.is_ready {
            return Ok(());
        }
        self.probe("the start")?;
        self.is_ready = true;
        for file in &mut self.files {
            file.is_followed |= file.was_there_at_start && !file.is_out_of_sight;
        }
        self.note_kept()
    }

    fn probe(&mut self, what: &str) -> Result<(), String> {
        let index = self.file_to_write(Target::Log(PROBE)).unwrap();
        let number = self.write(index, 0, true);
        self.wait(what, |world| {
            let is_there = world.delivered().contains(&number);
            (!is_there).then(|| format!("<{number}>"))
        })
    }

    fn settle(&mut self) -> Result<(), String> {
        self.make_ready()?;
        self.probe("the probe")?;
        self.wait("what is due", |world| {
            let delivered = world.delivered();
            let mut numbers = 0..world.account.tokens.len();
            let missing = numbers.find(|number| {
                let token = &world.account.tokens[*number];
                token.is_due && world.account.is_whole(*number) && !delivered.contains(number)
            });
            missing.map(|number| format!("<{number}>"))
        })?;
        self.unread += std::mem::take(&mut self.unread_soon);
        let delivered = self.delivered();
        for file in &mut self.files {
            let content = &self.account.contents[file.content];
            let mut tokens = content.tokens.iter();
            file.is_followed |= tokens.any(|number| delivered.contains(number));
            if file.is_followed && !file.is_out_of_sight && content.unfinished.is_some() {
                let tokens = content.tokens.iter();
                let unread = tokens.filter(|number| !delivered.contains(*number));
                let bytes: u64 = unread.map(|number| self.account.bytes_of(*number)).sum();
                self.account.contents[file.content].seen_unread = bytes;
            }
        }
        Ok(())
    }

    /// Waits until nothing is missing.
    fn wait(
        &mut self,
        what: &str,
        missing: impl Fn(&World) -> Option<String>,
    ) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        while let Some(missing) = missing(self) {
            if !self.ves.as_mut().unwrap().is_running() {
                return Err(format!("ves has ended while {what} was waited for"));
            }
            if Instant::now() > until {
                return Err(format!("waited in vain for {what}: {missing}"));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn hang_up(&mut self) -> Result<(), String> {
        self.make_ready()?;
        if self.hang_ups >= HANG_UPS_MAX {
            return Ok(());
        }
        self.hang_ups += 1;
        let count = |world: &World| world.new_stderr().matches(RELOADED).count();
        let before = count(self);
        self.ves.as_ref().unwrap().hang_up();
        self.wait("the reload", |world| {
            (count(world) == before).then(|| RELOADED.to_owned())
        })?;
        // It looks at everything anew, and what it has seen before does not count.
        self.is_ready = false;
        self.unread_soon = 0;
        for content in &mut self.account.contents {
            content.seen_unread = 0;
        }
        Ok(())
    }

    fn stop(&mut self) -> Result<(), String> {
        self.make_ready()?;
        let status = self.ves.take().unwrap().terminate();
        if !status.success() {
            return Err(format!("ended with {status}"));
        }
        self.expect_end(true)
    }

    fn run_once(&mut self) -> Result<(), String> {
        if self.ves.is_some() {
            self.stop()?;
        }
        self.expect_start();
        let status = self.spawn(&["--once"]).wait();
        if !status.success() {
            return Err(format!("--once ended with {status}"));
        }
        self.expect_end(true)
    }

    fn new_stderr(&self) -> String {
        self.bench.stderr().split_off(self.stderr_before)
    }

    /// Checks what it said in its time.
    fn expect_end(&mut self, is_orderly: bool) -> Result<(), String> {
        self.note_kept()?;
        for file in &mut self.files {
            file.is_followed = false;
        }
        for content in &mut self.account.contents {
            content.seen_unread = 0;
        }
        let stderr = self.new_stderr();
        if !self.has_destroyed && stderr.contains("these are lost") {
            return Err("it has lost bytes of files that are whole".to_owned());
        }
        let counted = stderr.lines().find_map(|line| {
            let (before, _) = line.split_once(" bytes were truncated or deleted before")?;
            before.rsplit(' ').next()?.parse().ok()
        });
        let counted: u64 = counted.unwrap_or_default();
        if is_orderly && counted < self.unread {
            let unread = self.unread;
            return Err(format!(
                "{counted} bytes were counted as unread, {unread} are"
            ));
        }
        Ok(())
    }

    /// Notes which records may come twice, if it has said so.
    fn note_kept(&mut self) -> Result<(), String> {
        let stderr = self.new_stderr();
        let bytes = stderr.lines().find_map(|line| {
            let (before, _) = line.split_once(" bytes were written after the last checkpoint")?;
            before.rsplit(' ').next()?.parse::<usize>().ok()
        });
        let Some(bytes) = bytes.filter(|_| !self.has_noted_kept) else {
            return Ok(());
        };
        self.has_noted_kept = true;
        if !self.is_disturbed {
            return Err("the end of the sink was kept though every file is there".to_owned());
        }
        let end = self.sink_before.iter().rposition(|&byte| byte == b'\n');
        let start = end.map_or(0, |end| end + 1).saturating_sub(bytes);
        let records = self.account.read(&self.sink_before)?;
        let kept = records.iter().filter(|record| record.start >= start);
        for &number in kept.flat_map(|record| &record.tokens) {
            self.account.tokens[number].repeats += 1;
        }
        Ok(())
    }
}
