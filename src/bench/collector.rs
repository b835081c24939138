//! `ves collect` in a process of its own.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::Interrupted;
use crate::cli::{BenchArgs, BenchSink};
use crate::error::{Error, Result};
use crate::pipeline::Figures;
use crate::stats::figures::monotonic_ns;
use crate::stats::process::ProcessUsage;

/// Time between two looks at whether the process has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// The running process. It is ended with this.
#[derive(Debug)]
pub(super) struct Collector {
    child: Child,
    figures: PathBuf,
    complaints: PathBuf,
    began_ns: u64,
}

/// What a process did, and when.
#[derive(Debug)]
pub(super) struct Run {
    /// Its own figures.
    pub(super) figures: Figures,
    /// From before it was started until it was gone.
    pub(super) wall: Duration,
    /// From before it was started until its sink had the first batch.
    pub(super) start: Option<Duration>,
}

impl Collector {
    /// Starts the whole job on `log`: parse, drop health checks, add a field, encode, ship.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub(super) fn start(
        args: &BenchArgs,
        folder: &Path,
        log: &Path,
        once: bool,
    ) -> Result<Collector> {
        let figures = folder.join("figures.json");
        let complaints = folder.join("complaints.txt");
        let program = std::env::current_exe().map_err(Error::system("find the ves program"))?;
        let stderr = File::create(&complaints).map_err(Error::file("make", &complaints))?;
        let began_ns = monotonic_ns();
        let child = Command::new(program)
            .args(arguments(args, folder, log, once, &figures))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .map_err(Error::system("start ves collect"))?;
        Ok(Collector {
            child,
            figures,
            complaints,
            began_ns,
        })
    }

    /// Its CPU time and memory, to be read while it runs.
    pub(super) fn usage(&self) -> Option<ProcessUsage> {
        ProcessUsage::of(self.child.id())
    }

    /// Tells it to end in order.
    pub(super) fn end(&self) {
        if let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) {
            // It may be gone already.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// Waits for its end and takes its figures.
    ///
    /// # Errors
    /// When it failed, with what it said; when a signal came for the bench.
    pub(super) fn wait(mut self, interrupted: &Interrupted) -> Result<Run> {
        let status = loop {
            interrupted.check()?;
            let ended = self.child.try_wait();
            if let Some(status) = ended.map_err(Error::system("wait for ves collect"))? {
                break status;
            }
            std::thread::sleep(LOOK_INTERVAL);
        };
        let wall = Duration::from_nanos(monotonic_ns() - self.began_ns);
        let said = std::fs::read_to_string(&self.complaints).unwrap_or_default();
        let said = said.trim();
        if status.code() == Some(2) {
            // It names the setting, and that is one of the bench's.
            let text = said.strip_prefix("ves: error: ").unwrap_or(said);
            return Err(Error::Usage(text.to_owned()));
        }
        if !status.success() {
            return Err(Error::Unfinished(format!("ves collect failed: {said}")));
        }
        let json = std::fs::read(&self.figures).map_err(Error::file("read", &self.figures))?;
        let figures: Figures = serde_json::from_slice(&json)
            .map_err(|error| Error::file("read", &self.figures)(error.into()))?;
        let began_ns = self.began_ns;
        let start = figures
            .first_shipped_ns
            .map(|at| at.saturating_sub(began_ns));
        Ok(Run {
            figures,
            wall,
            start: start.map(Duration::from_nanos),
        })
    }
}

impl Run {
    /// That each of `lines` lines was read, and shipped or dropped by the filter.
    ///
    /// # Errors
    /// When it was not, with what became of them.
    pub(super) fn check(&self, lines: u64) -> Result<()> {
        let figures = &self.figures;
        let accounted = figures.records_shipped + figures.lines_filtered;
        if figures.lines_read == lines && accounted == lines {
            return Ok(());
        }
        Err(Error::Unfinished(format!(
            "{lines} lines were written, {} were read, {} shipped and {} dropped by the filter",
            figures.lines_read, figures.records_shipped, figures.lines_filtered
        )))
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn arguments(
    args: &BenchArgs,
    folder: &Path,
    log: &Path,
    once: bool,
    figures: &Path,
) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = Vec::new();
    let mut flag = |name: &str, value: &dyn AsRef<std::ffi::OsStr>| {
        arguments.extend([OsString::from(name), value.as_ref().to_owned()]);
    };
    flag("bench-collect", &"--no-state");
    flag("--figures", &figures);
    flag("--watch", &log);
    flag("--format", &"nginx");
    flag("--drop", &r#"path == "/healthz""#);
    flag("--add", &"host=bench");
    let sink = match args.sink {
        BenchSink::Null => OsString::from("null:"),
        BenchSink::File => {
            let mut url = OsString::from("file:");
            url.push(super::sink_path(folder));
            url
        }
    };
    flag("--ship", &sink);
    for (name, value) in [
        ("--batch-size", &args.batch_size),
        ("--flush-interval", &args.flush_interval),
        ("--workers", &args.workers),
    ] {
        if let Some(value) = value {
            flag(name, value);
        }
    }
    for (flag, is_set) in [("--once", once), ("--pin", args.pin)] {
        if is_set {
            arguments.push(OsString::from(flag));
        }
    }
    arguments
}
