//! `ves demo`: VES shown at work. It makes the traffic of a site, rotates its log, collects it with
//! `ves collect` in a process of its own, and proves at the end, by the numbers in the lines, that
//! every one arrived once. Or it shows the records of somebody's file.
//!
//! Records go to standard output, all else to standard error. What it makes is in a folder that goes
//! away with it, on Ctrl-C too.

mod arrivals;
mod log;
mod record;
mod screen;
mod summary;
mod traffic;
mod voice;
mod watched;
mod wave;

use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use flume::RecvTimeoutError;
use tempfile::TempDir;

use crate::child::{Child, Run};
use crate::cli::DemoArgs;
use crate::error::{Error, Result};
use crate::interrupted::Interrupted;
use crate::stats::display::count;
use arrivals::{Arrived, Progress, Shown};
use screen::{Screen, Style};
use summary::Account;
use traffic::Traffic;
use watched::Watched;

/// How long a demo is that makes its own traffic.
const DURATION: Duration = Duration::from_secs(30);

/// Time between two writes of traffic.
const WRITE_INTERVAL: Duration = Duration::from_millis(1);

/// Longest time between two rotations; a short demo has three.
const ROTATE_INTERVAL_MAX: Duration = Duration::from_secs(8);

/// How long records may take that are on their way when the traffic ends.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long `ves collect` may take to say where its dashboard is.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// Time between two looks where there is nothing to do but wait.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// What `ves collect` is told to do with the traffic.
const JOB: [&str; 6] = [
    "--format",
    "nginx",
    "--drop",
    r#"path == "/healthz""#,
    "--add",
    "host",
];

/// Runs the demo. Blocks.
///
/// # Errors
/// When the folder, the file or the process cannot be made, and when not every line arrived once.
pub(crate) fn run(args: &DemoArgs) -> Result<()> {
    let interrupted = Interrupted::catch()?;
    let folder = make_folder(args.folder.as_deref())?;
    let stage = Stage {
        args,
        folder: folder.path(),
        screen: &Screen::new(),
        interrupted: &interrupted,
    };
    match &args.watch {
        None => stage.run_traffic(),
        Some(file) => stage.run_file(file),
    }
}

fn make_folder(wanted: Option<&Path>) -> Result<TempDir> {
    let parent = wanted.map_or_else(std::env::temp_dir, Path::to_owned);
    let mut builder = tempfile::Builder::new();
    let made = builder.prefix("ves-demo-").tempdir_in(&parent);
    made.map_err(Error::file("make a folder in", parent))
}

/// What both kinds of demo need.
#[derive(Clone, Copy)]
struct Stage<'a> {
    args: &'a DemoArgs,
    folder: &'a Path,
    screen: &'a Screen,
    interrupted: &'a Interrupted,
}

impl Stage<'_> {
    fn run_traffic(self) -> Result<()> {
        let Stage { args, screen, .. } = self;
        let duration = args.duration.unwrap_or(DURATION);
        let rotate_every = (duration / 4).min(ROTATE_INTERVAL_MAX);
        let path = self.folder.join("access.log");
        let spec = traffic::spec(args.rate);
        let mut traffic = Traffic::new(&spec, args.rate, &path, rotate_every)?;
        let arguments = arguments(&args.metrics, &path, &JOB);
        let began = Instant::now();
        let suffix = || {
            let (passed, of) = (began.elapsed().as_secs(), duration.as_secs());
            format!(" | {} of {of} s", passed.min(of))
        };
        let (run, arrived) = self.perform(&arguments, Shown::Sample, suffix, |child, url, progress| {
            let title = format!(
                "VES {}: the traffic of a made-up site, about {} lines/s in waves, its log rotated \
                 every {:.1} s",
                env!("CARGO_PKG_VERSION"),
                count(f64::from(args.rate)),
                rotate_every.as_secs_f64()
            );
            self.open(&title, &arguments, url);
            let heading = "A line of the log, and the record that it becomes:";
            screen.say(&screen.err(Style::Bold, heading));
            screen.say(&traffic::first_visit(&spec));
            self.write(&mut traffic, duration, child, progress)?;
            let expected = traffic.written.lines - traffic.written.health_checks.count();
            self.wait_for_arrival(expected, child, progress)
        })?;
        let account = Account::of(&traffic.written, &arrived);
        screen.say(&summary::of_traffic(
            screen,
            &traffic.written,
            account,
            &run,
        ));
        if account.is_good() {
            return Ok(());
        }
        let text = "not every line has one record: see the summary";
        Err(Error::Unfinished(text.to_owned()))
    }

    fn run_file(self, file: &str) -> Result<()> {
        let Stage { args, screen, .. } = self;
        let watched = Watched::prepare(file)?;
        let from_end = ["--from", "end"];
        // Whoever watches a log that is there wants to see what comes.
        let job = if watched.bytes > 0 {
            &from_end[..]
        } else {
            &[]
        };
        let arguments = arguments(&args.metrics, &watched.path, job);
        let began = Instant::now();
        let is_over = || {
            args.duration
                .is_some_and(|duration| began.elapsed() >= duration)
        };
        let (run, _) = self.perform(&arguments, Shown::All, String::new, |child, url, _| {
            let title = format!("VES {}: {}", env!("CARGO_PKG_VERSION"), watched.text());
            self.open(&title, &arguments, url);
            screen.say(&format!(
                "Append lines to it in another terminal; Ctrl-C ends this.\n{}",
                screen.err(Style::Dim, &watched.hint())
            ));
            while !is_over() && !self.is_ended(child)? {
                std::thread::sleep(LOOK_INTERVAL);
            }
            Ok(())
        })?;
        screen.say(&summary::of_file(screen, &run));
        Ok(())
    }

    /// Runs `ves collect` while `act` does what it does: that gets the address of the dashboard.
    fn perform(
        self,
        arguments: &[OsString],
        shown: Shown,
        suffix: impl Fn() -> String + Send,
        act: impl FnOnce(&mut Child, &str, &Progress) -> Result<()>,
    ) -> Result<(Run, Arrived)> {
        let (screen, interrupted) = (self.screen, self.interrupted);
        let pipes = (Stdio::piped(), Stdio::piped());
        let mut child = Child::start(arguments.iter().cloned(), self.folder, pipes.0, pipes.1)?;
        let (out, said) = (child.take_stdout(), child.take_stderr());
        let progress = Progress::default();
        let (tell, told) = flume::bounded(1);
        std::thread::scope(|scope| {
            let progress = &progress;
            let reader = scope.spawn(move || {
                let read = |out| arrivals::read(out, shown, progress, screen);
                out.map(read).unwrap_or_default()
            });
            let listener = scope.spawn(move || {
                let listen = |said| voice::listen(said, screen, &tell, suffix);
                said.map(listen).unwrap_or_default()
            });
            let acted = match told.recv_timeout(START_PATIENCE) {
                Ok(url) => act(&mut child, &url, progress),
                // It has ended, and says why.
                Err(RecvTimeoutError::Disconnected) => Ok(()),
                Err(RecvTimeoutError::Timeout) => {
                    let text = "ves collect did not start in time";
                    Err(Error::Unfinished(text.to_owned()))
                }
            };
            child.end();
            let ended = child.wait(|| {
                if interrupted.take() {
                    let text = "ended at once by a second signal";
                    return Err(Error::Unfinished(text.to_owned()));
                }
                Ok(())
            });
            if ended.is_err() {
                child.kill();
            }
            let arrived = reader.join().unwrap_or_default();
            let error = listener.join().unwrap_or_default();
            screen.finish_live();
            acted?;
            Ok((child.run(ended?, &error)?, arrived))
        })
    }

    /// Says what is going on where.
    fn open(self, title: &str, arguments: &[OsString], dashboard: &str) {
        let screen = self.screen;
        let words: Vec<String> = arguments
            .iter()
            .map(|word| watched::quoted(&word.to_string_lossy()))
            .collect();
        screen.say(&screen.err(Style::Bold, title));
        screen.say(&format!("  command    ves collect {}", words.join(" ")));
        screen.say(&format!(
            "  dashboard  {}\n",
            screen.err(Style::Cyan, dashboard)
        ));
    }

    /// Writes and rotates until the time is over.
    fn write(
        self,
        traffic: &mut Traffic<'_>,
        duration: Duration,
        child: &mut Child,
        progress: &Progress,
    ) -> Result<()> {
        let began = Instant::now();
        let mut looked_at = began;
        loop {
            let passed = began.elapsed();
            // Before the first of them can arrive.
            let due = traffic.due(passed.min(duration));
            progress.written.store(due, Ordering::Release);
            traffic.write(due)?;
            if passed >= duration {
                return Ok(());
            }
            if traffic.rotate_if_due(passed)? {
                let text = "access.log is rotated: renamed to access.log.1, and made anew";
                self.screen.say(&self.screen.err(Style::Cyan, text));
            }
            if looked_at.elapsed() >= LOOK_INTERVAL {
                looked_at = Instant::now();
                if self.is_ended(child)? {
                    return Ok(());
                }
            }
            std::thread::sleep(WRITE_INTERVAL);
        }
    }

    /// Waits for the records that are on their way, whether or not somebody still looks at them: at a
    /// stop `ves collect` leaves what it has not read for the next start.
    fn wait_for_arrival(self, expected: u64, child: &mut Child, progress: &Progress) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            let missing = expected.saturating_sub(progress.arrived.load(Ordering::Acquire));
            if missing == 0 || Instant::now() >= until || child.ended()?.is_some() {
                return Ok(());
            }
            if self.interrupted.take() {
                return Err(Error::Unfinished(format!(
                    "ended at once by another signal, while {missing} records were on their way"
                )));
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Whether a signal came, nobody looks any more, or `ves collect` is gone.
    fn is_ended(self, child: &mut Child) -> Result<bool> {
        Ok(self.interrupted.take() || self.screen.is_closed() || child.ended()?.is_some())
    }
}

/// What `ves collect` is given to do.
fn arguments(metrics: &str, log: &Path, job: &[&str]) -> Vec<OsString> {
    // A path, not a pattern.
    let watch = globset::escape(&log.to_string_lossy());
    let mut arguments: Vec<OsString> = vec!["--watch".into(), watch.into()];
    arguments.extend(job.iter().map(OsString::from));
    for word in ["--ship", "stdout:", "--stats", "--metrics", metrics] {
        arguments.push(word.into());
    }
    arguments
}
