//! `ves collect` in a process of its own: what the bench measures and the demo shows. Its CPU time,
//! memory and latencies are its own, whatever this process does meanwhile.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};

use crate::error::{Error, Result};
use crate::pipeline::Figures;
use crate::stats::figures::monotonic_ns;
use crate::stats::process::ProcessUsage;

/// Time between two looks at whether the process has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// The running process. It is ended with this.
#[derive(Debug)]
pub(crate) struct Child {
    process: process::Child,
    figures: PathBuf,
    began_ns: u64,
}

/// That it ended, and how long after its start.
#[derive(Debug)]
pub(crate) struct Ended {
    status: ExitStatus,
    wall: Duration,
}

/// What a process did, and when.
#[derive(Debug)]
pub(crate) struct Run {
    /// Its own figures.
    pub(crate) figures: Figures,
    /// From before it was started until it was gone.
    pub(crate) wall: Duration,
    /// From before it was started until its sink had the first batch.
    pub(crate) start: Option<Duration>,
}

impl Child {
    /// Starts `ves collect` with `arguments`. What it keeps is in `folder`.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub(crate) fn start(
        arguments: impl IntoIterator<Item = OsString>,
        folder: &Path,
        stdout: Stdio,
        stderr: Stdio,
    ) -> Result<Child> {
        let figures = folder.join("figures.json");
        let program = std::env::current_exe().map_err(Error::system("find the ves program"))?;
        let began_ns = monotonic_ns();
        let process = Command::new(program)
            .args(["bench-collect", "--no-state", "--figures"])
            .arg(&figures)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            // Ctrl-C is for this process, which ends the other one when its work is done.
            .process_group(0)
            .spawn()
            .map_err(Error::system("start ves collect"))?;
        Ok(Child {
            process,
            figures,
            began_ns,
        })
    }

    /// Its standard output, where that is a pipe and was not taken yet.
    pub(crate) fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.process.stdout.take()
    }

    /// The same for standard error.
    pub(crate) fn take_stderr(&mut self) -> Option<ChildStderr> {
        self.process.stderr.take()
    }

    /// Its CPU time and memory, to be read while it runs.
    pub(crate) fn usage(&self) -> Option<ProcessUsage> {
        ProcessUsage::of(self.process.id())
    }

    /// Tells it to end in order.
    pub(crate) fn end(&self) {
        if let Some(pid) = Pid::from_raw(self.process.id().cast_signed()) {
            // It may be gone already.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        // It may be gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Whether it has ended.
    ///
    /// # Errors
    /// When the system does not say.
    pub(crate) fn ended(&mut self) -> Result<Option<Ended>> {
        let ended = self.process.try_wait();
        let ended = ended.map_err(Error::system("wait for ves collect"))?;
        Ok(ended.map(|status| Ended {
            status,
            wall: Duration::from_nanos(monotonic_ns() - self.began_ns),
        }))
    }

    /// Waits for its end, as long as `look` finds nothing that speaks against it.
    ///
    /// # Errors
    /// Those of `look`, and when the system does not say.
    pub(crate) fn wait(&mut self, look: impl Fn() -> Result<()>) -> Result<Ended> {
        loop {
            look()?;
            if let Some(ended) = self.ended()? {
                return Ok(ended);
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
    }

    /// What it did, once it has ended. `said` is what it wrote to standard error.
    ///
    /// # Errors
    /// When it failed, with what it said.
    pub(crate) fn run(&self, ended: Ended, said: &str) -> Result<Run> {
        let said = said.trim();
        if ended.status.code() == Some(2) {
            // It names the setting, and that is one of the bench's or the demo's.
            let text = said.strip_prefix("ves: error: ").unwrap_or(said);
            return Err(Error::Usage(text.to_owned()));
        }
        if !ended.status.success() {
            return Err(Error::Unfinished(format!("ves collect failed: {said}")));
        }
        let json = std::fs::read(&self.figures).map_err(Error::file("read", &self.figures))?;
        let figures: Figures = serde_json::from_slice(&json)
            .map_err(|error| Error::file("read", &self.figures)(error.into()))?;
        let start = figures
            .first_shipped_ns
            .map(|at| Duration::from_nanos(at.saturating_sub(self.began_ns)));
        Ok(Run {
            figures,
            wall: ended.wall,
            start,
        })
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            self.kill();
        }
    }
}

/// Has the system end this process in order when the one that started it is gone, even if that was
/// killed: nobody else would.
pub(crate) fn end_with_parent() {
    // What it cannot do leaves a process behind that someone has to look for.
    let _ = set_parent_process_death_signal(Some(Signal::TERM));
}
