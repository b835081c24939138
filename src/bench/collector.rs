//! The process that is measured, and that nothing was lost in it.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::child::{Child, Run};
use crate::cli::{BenchArgs, BenchSink};
use crate::error::{Error, Result};
use crate::interrupted::Interrupted;
use crate::stats::process::ProcessUsage;

/// The running process. It is ended with this.
#[derive(Debug)]
pub(super) struct Collector {
    child: Child,
    complaints: PathBuf,
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
        let complaints = folder.join("complaints.txt");
        let stderr = File::create(&complaints).map_err(Error::file("make", &complaints))?;
        let arguments = arguments(args, folder, log, once);
        let child = Child::start(arguments, folder, Stdio::null(), stderr.into())?;
        Ok(Collector { child, complaints })
    }

    /// Its CPU time and memory, to be read while it runs.
    pub(super) fn usage(&self) -> Option<ProcessUsage> {
        self.child.usage()
    }

    /// Tells it to end in order.
    pub(super) fn end(&self) {
        self.child.end();
    }

    /// Waits for its end and takes its figures.
    ///
    /// # Errors
    /// When it failed, with what it said; when a signal came for the bench.
    pub(super) fn wait(mut self, interrupted: &Interrupted) -> Result<Run> {
        let ended = self.child.wait(|| interrupted.check())?;
        let said = std::fs::read_to_string(&self.complaints).unwrap_or_default();
        self.child.run(ended, &said)
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

fn arguments(args: &BenchArgs, folder: &Path, log: &Path, once: bool) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = Vec::new();
    let mut flag = |name: &str, value: &dyn AsRef<std::ffi::OsStr>| {
        arguments.extend([OsString::from(name), value.as_ref().to_owned()]);
    };
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
