//! A running collector: a process group of its own, which is gone when this is.

use std::fs::File;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::installed::Prepared;
use crate::clock::monotonic_ns;
use crate::cores::Pin;

/// Time between two looks at whether it has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// The running process.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    /// When it was about to be started.
    pub(crate) began_ns: u64,
    /// The CPU time of all children that were waited for until it was started.
    before: Usage,
    ended: Option<ExitStatus>,
}

/// CPU time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) user: Duration,
    pub(crate) system: Duration,
}

impl Usage {
    /// Of all children that have ended.
    pub(crate) fn of_children() -> Usage {
        let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) else {
            return Usage::default();
        };
        let duration = |time: nix::sys::time::TimeVal| {
            let micros = time.tv_sec() * 1_000_000 + time.tv_usec();
            Duration::from_micros(micros.cast_unsigned())
        };
        Usage {
            user: duration(usage.user_time()),
            system: duration(usage.system_time()),
        }
    }

    /// User and system.
    pub(crate) fn total(self) -> Duration {
        self.user + self.system
    }

    /// What was used after that.
    pub(crate) fn since(self, before: Usage) -> Usage {
        Usage {
            user: self.user.saturating_sub(before.user),
            system: self.system.saturating_sub(before.system),
        }
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) status: ExitStatus,
    /// What it used in its whole life, with the children that it waited for.
    pub(crate) usage: Usage,
}

impl End {
    /// Whether it ended as it should: by itself with 0, or by the signal that it was sent.
    pub(crate) fn is_orderly(&self, sent: Option<Signal>) -> bool {
        self.status.success()
            || sent.is_some_and(|signal| self.status.signal() == Some(signal as i32))
            // Shells' way to say the same.
            || sent.is_some_and(|signal| self.status.code() == Some(128 + signal as i32))
    }
}

impl Process {
    /// Starts it on that core, or on all, with that many more bytes in its environment.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start(
        prepared: &Prepared,
        folder: &Path,
        core: Option<usize>,
        padding: usize,
    ) -> Result<Process> {
        let file = |name: &str| {
            let path = folder.join(name);
            File::create(&path).with_context(|| format!("create {}", path.display()))
        };
        let mut command = Command::new(&prepared.program);
        command
            .args(&prepared.arguments)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", folder)
            .env("LANG", "C.UTF-8")
            // The size of the environment shifts the stack, and with it caches: see Mytkowicz et
            // al., "Producing wrong data without doing anything obviously wrong" (2009).
            .env("PADDING", "x".repeat(padding))
            .envs(prepared.environment.iter().cloned())
            .current_dir(folder)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(file("stdout.txt")?)
            .stderr(file("stderr.txt")?);
        let before = Usage::of_children();
        // A child has the cores of the thread that starts it.
        let pin = core.map(Pin::to).transpose()?;
        let began_ns = monotonic_ns();
        let child = command.spawn();
        drop(pin);
        let child = child.with_context(|| format!("start {}", prepared.program.display()))?;
        Ok(Process {
            child,
            began_ns,
            before,
            ended: None,
        })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended.is_some()
    }

    /// How it ended, when it has.
    pub(crate) fn end(&self) -> Option<End> {
        self.ended.map(|status| End {
            status,
            usage: Usage::of_children().since(self.before),
        })
    }

    /// Sends a signal to it.
    pub(crate) fn signal(&self, signal: Signal) {
        if self.ended.is_none() {
            // It may have ended just now.
            let _ = nix::sys::signal::kill(Pid::from_raw(self.pid()), signal);
        }
    }

    /// Waits for its end, for as long as that. Returns how it ended, or nothing when it did not.
    pub(crate) fn wait(&mut self, timeout: Duration) -> Option<End> {
        let until = Instant::now() + timeout;
        while !self.has_ended() {
            if Instant::now() >= until {
                return None;
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
        self.end()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Children of a process that has ended may still be there. There is nothing to be done when
        // the group is empty.
        let group = Pid::from_raw(self.pid());
        let _ = killpg(group, Signal::SIGKILL);
        if self.ended.is_none() {
            let _ = self.child.wait();
        }
    }
}

/// The signal of that name: `TERM`, `INT`, …
///
/// # Errors
/// When there is none.
pub(crate) fn signal(name: &str) -> Result<Signal> {
    Signal::from_str(&format!("SIG{name}")).with_context(|| {
        format!("stop_signal = {name:?}: TERM, INT, QUIT and the like are possible")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(folder: &Path, script: &str) -> Process {
        let prepared = Prepared {
            program: "/bin/sh".into(),
            arguments: vec!["-c".to_owned(), script.to_owned()],
            environment: vec![("GIVEN".to_owned(), "yes".to_owned())],
            files: Vec::new(),
        };
        Process::start(&prepared, folder, None, 7).unwrap()
    }

    #[test]
    fn a_collector_has_only_the_environment_that_it_is_given() {
        let folder = tempfile::tempdir().unwrap();
        let mut process = shell(folder.path(), "echo $GIVEN; env | wc -l; pwd; echo no >&2");
        assert!(
            process
                .wait(Duration::from_secs(20))
                .unwrap()
                .status
                .success()
        );
        let read = |name| std::fs::read_to_string(folder.path().join(name)).unwrap();
        let out = read("stdout.txt");
        let lines: Vec<&str> = out.lines().collect();
        // PATH, HOME, LANG, PADDING, GIVEN, and PWD that the shell adds.
        assert_eq!(lines[..2], ["yes", "6"]);
        assert_eq!(
            lines[2],
            folder.path().canonicalize().unwrap().to_str().unwrap()
        );
        assert_eq!(read("stderr.txt"), "no\n");
    }

    #[test]
    fn the_end_tells_order_from_failure() {
        let folder = tempfile::tempdir().unwrap();
        let mut process = shell(folder.path(), "exit 3");
        let end = process.wait(Duration::from_secs(20)).unwrap();
        assert!(!end.is_orderly(None) && !end.is_orderly(Some(Signal::SIGTERM)));
        let mut process = shell(folder.path(), "exec sleep 600");
        process.signal(Signal::SIGTERM);
        let end = process.wait(Duration::from_secs(20)).unwrap();
        assert!(end.is_orderly(Some(Signal::SIGTERM)) && !end.is_orderly(None));
    }

    #[test]
    fn nothing_is_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let process = shell(folder.path(), "sleep 600 & echo $!; wait");
        let path = folder.path().join("stdout.txt");
        let helper: i32 = loop {
            let text = std::fs::read_to_string(&path).unwrap();
            match text.trim().parse() {
                Ok(pid) => break pid,
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        drop(process);
        // A process that is killed is gone, or a zombie until its new parent looks.
        let until = Instant::now() + Duration::from_secs(20);
        let is_alive = || {
            procfs::process::Process::new(helper)
                .and_then(|process| process.stat())
                .is_ok_and(|stat| stat.state != 'Z')
        };
        while is_alive() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(!is_alive());
    }
}
