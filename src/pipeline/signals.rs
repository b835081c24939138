//! SIGINT, SIGTERM and SIGHUP as bytes in pipes that a poll can wait for.

use std::fs::File;
use std::io::PipeReader;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe::register;

use crate::error::{Error, Result};
use crate::interrupted::is_hang_up_ignored;

/// The signals of this process.
pub(super) struct Signals {
    end: PipeReader,
    /// SIGHUP, where that is caught.
    hang_up: Option<PipeReader>,
    had_terminal: bool,
}

/// What the supervisor waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The pipeline has ended.
    Ended,
    /// SIGINT or SIGTERM came, or the terminal is gone.
    Signal,
    /// SIGHUP came.
    Reload,
    /// Nothing of that.
    Timeout,
}

impl Signals {
    /// Catches them from now on, SIGHUP if that `is_reloading`. A process that was told to ignore
    /// SIGHUP (nohup) goes on ignoring it.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn catch(is_reloading: bool) -> Result<Signals> {
        let catch = || {
            let (end, writer) = std::io::pipe()?;
            register(SIGINT, writer.try_clone()?)?;
            register(SIGTERM, writer)?;
            let hang_up = if is_reloading && !is_hang_up_ignored() {
                let (pipe, writer) = std::io::pipe()?;
                register(SIGHUP, writer)?;
                Some(pipe)
            } else {
                None
            };
            Ok(Signals {
                end,
                hang_up,
                had_terminal: has_terminal(),
            })
        };
        catch().map_err(Error::system("catch signals"))
    }

    /// Waits for one of them, or until `ended` is readable, for `timeout` at most.
    pub(super) fn wait(&self, ended: &rustix::fd::OwnedFd, timeout: Duration) -> Event {
        let mut fds = vec![
            PollFd::new(ended, PollFlags::IN),
            PollFd::new(&self.end, PollFlags::IN),
        ];
        let hang_up = self.hang_up.as_ref();
        fds.extend(hang_up.map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(1),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        if poll(&mut fds, Some(&timeout)).is_err() {
            return Event::Timeout;
        }
        match fds.iter().position(|fd| !fd.revents().is_empty()) {
            None => Event::Timeout,
            Some(0) => Event::Ended,
            Some(1) => {
                take_byte(&self.end);
                Event::Signal
            }
            Some(_) => {
                hang_up.iter().for_each(|pipe| take_byte(pipe));
                // Whoever closes the terminal of a job does not want it to go on unseen.
                if self.had_terminal && !has_terminal() {
                    Event::Signal
                } else {
                    Event::Reload
                }
            }
        }
    }
}

/// Takes the byte of a signal; it is there, or poll would not have said so.
fn take_byte(pipe: &PipeReader) {
    let _ = rustix::io::read(pipe, &mut [0; 1]);
}

fn has_terminal() -> bool {
    File::open("/dev/tty").is_ok()
}
