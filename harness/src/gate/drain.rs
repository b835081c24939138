//! One run of the paired layer: a program drains a log to nowhere on one core, and its CPU time is
//! what the kernel accounts to it at its end.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use tempfile::TempDir;
use ves_load::{Lines, Random, Spec};

use super::pairs::{Cost, Runner, Side};

const MEMORY_FOLDER: &str = "/dev/shm";
/// The seed of the log.
const SEED: u64 = 1;
/// Lines whose records are counted before anything is timed.
const CHECKED_LINES: u64 = 20_000;
/// Longest addition to the environment of a run. It moves the stack, on whose place speed depends.
const PAD_BYTES_MAX: u32 = 4096;

/// Generated logs in a folder that goes away.
#[derive(Debug)]
pub(crate) struct Logs {
    folder: TempDir,
    lines: u64,
    /// Of [`Self::checked`], those that are kept by the filter.
    kept: u64,
    is_in_memory: bool,
}

impl Logs {
    /// Writes a log of so many lines, and a short one of [`CHECKED_LINES`], in memory where there is
    /// room.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(crate) fn write(lines: u64) -> Result<Logs> {
        let is_in_memory = free_bytes(Path::new(MEMORY_FOLDER)) > lines * 256 + (64 << 20);
        let mut builder = tempfile::Builder::new();
        let builder = builder.prefix("ves-gate-");
        let folder = if is_in_memory {
            builder.tempdir_in(MEMORY_FOLDER)
        } else {
            builder.tempdir()
        };
        let folder = folder.context("make a folder for the log")?;
        let mut logs = Logs {
            folder,
            lines,
            kept: 0,
            is_in_memory,
        };
        write_log(&logs.drained(), lines)?;
        logs.kept = write_log(&logs.checked(), CHECKED_LINES)?;
        Ok(logs)
    }

    /// The folder, for what else is written.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The long log.
    pub(crate) fn drained(&self) -> PathBuf {
        self.folder.path().join("drain.log")
    }

    /// The short log.
    pub(crate) fn checked(&self) -> PathBuf {
        self.folder.path().join("check.log")
    }

    /// Lines of the long log.
    pub(crate) fn lines(&self) -> u64 {
        self.lines
    }

    /// Lines of the short log.
    pub(crate) fn checked_lines(&self) -> u64 {
        CHECKED_LINES
    }

    /// Whether they are in memory and not on a disk.
    pub(crate) fn is_in_memory(&self) -> bool {
        self.is_in_memory
    }
}

fn free_bytes(folder: &Path) -> u64 {
    nix::sys::statvfs::statvfs(folder)
        .map_or(0, |found| found.blocks_available() * found.fragment_size())
}

/// Returns how many of the lines are not health checks.
fn write_log(path: &Path, count: u64) -> Result<u64> {
    let write = || -> std::io::Result<u64> {
        let spec = Spec::built_in();
        let (mut lines, mut line, mut kept) = (Lines::new(&spec, SEED), Vec::new(), 0);
        let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
        let probe = memchr::memmem::Finder::new(b"\"GET /healthz HTTP");
        for _ in 0..count {
            line.clear();
            lines.append_next(&mut line);
            kept += u64::from(probe.find(&line).is_none());
            file.write_all(&line)?;
        }
        file.flush()?;
        Ok(kept)
    };
    write().with_context(|| format!("write {}", path.display()))
}

/// A program that drains.
#[derive(Clone, Debug)]
pub(crate) enum Program {
    /// With the whole transform.
    Ves(PathBuf),
    /// This program itself, as reftail.
    Reftail(PathBuf),
}

impl Program {
    /// The command that ships `log` to `ship` and ends.
    pub(crate) fn command(&self, log: &Path, ship: &str, folder: &Path) -> Command {
        let (path, arguments): (_, &[&str]) = match self {
            Program::Ves(path) => (
                path,
                &[
                    "collect",
                    "--format",
                    "nginx",
                    "--drop",
                    "path == \"/healthz\"",
                    "--add",
                    "host=gate",
                    "--no-state",
                ],
            ),
            Program::Reftail(path) => (path, &["reftail"]),
        };
        let mut command = Command::new(path);
        command
            .args(arguments)
            .arg("--once")
            .arg("--watch")
            .arg(log)
            .arg("--ship")
            .arg(ship);
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .current_dir(folder);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// Has it do its work on the short log, and counts the records.
    ///
    /// # Errors
    /// When there are more or less than there should be: its speed would mean nothing.
    pub(crate) fn check(&self, logs: &Logs) -> Result<()> {
        let out = logs.folder().join("check.ndjson");
        run(&mut self.command(
            &logs.checked(),
            &format!("file:{}", out.display()),
            logs.folder(),
        ))?;
        let records = fs::read(&out).with_context(|| format!("read {}", out.display()))?;
        fs::remove_file(&out).with_context(|| format!("remove {}", out.display()))?;
        let found = memchr::memchr_iter(b'\n', &records).count() as u64;
        let expected = match self {
            Program::Ves(_) => logs.kept,
            Program::Reftail(_) => CHECKED_LINES,
        };
        ensure!(
            found == expected,
            "{self}: {found} records from a log of {CHECKED_LINES} lines, where {expected} were expected"
        );
        Ok(())
    }
}

impl std::fmt::Display for Program {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Program::Ves(path) => write!(formatter, "{}", path.display()),
            Program::Reftail(path) => write!(formatter, "{} reftail", path.display()),
        }
    }
}

fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stderr(Stdio::piped()).output();
    let output = output.with_context(|| format!("start {name}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{name} failed: {}: {}", output.status, said.trim_end());
    }
    Ok(())
}

/// Runs programs on the long log.
#[derive(Debug)]
pub(crate) struct Drains<'a> {
    logs: &'a Logs,
    base: Program,
    copy: Program,
    head: Program,
    random: Random,
    interrupted: Arc<AtomicBool>,
}

impl<'a> Drains<'a> {
    /// Nothing runs yet. No run begins once `interrupted` is set.
    pub(crate) fn new(
        logs: &'a Logs,
        base: Program,
        copy: Program,
        head: Program,
        interrupted: Arc<AtomicBool>,
    ) -> Drains<'a> {
        let random = Random::new(SEED);
        Drains {
            logs,
            base,
            copy,
            head,
            random,
            interrupted,
        }
    }
}

impl Runner for Drains<'_> {
    fn run(&mut self, side: Side) -> Result<Cost> {
        ensure!(
            !self.interrupted.load(Ordering::Relaxed),
            "interrupted: there is no verdict"
        );
        let program = match side {
            Side::Base => &self.base,
            Side::Copy => &self.copy,
            Side::Head => &self.head,
        };
        let mut command = program.command(&self.logs.drained(), "null:", self.logs.folder());
        command.env("PAD", "x".repeat(self.random.below(PAD_BYTES_MAX) as usize));
        let (cpu_before, began) = (children_cpu()?, Instant::now());
        run(&mut command)?;
        let (wall, cpu) = (began.elapsed(), children_cpu()?.saturating_sub(cpu_before));
        Ok(Cost {
            cpu_s_per_m_lines: cpu.as_secs_f64() * 1e6 / self.logs.lines as f64,
            wall_s: wall.as_secs_f64(),
        })
    }
}

/// CPU time of all processes that this one has waited for. It is exact to the microsecond, which
/// the ticks in procfs are not.
fn children_cpu() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("ask for the CPU time of children")?;
    let time = |time: TimeVal| {
        let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
        let microseconds = u64::try_from(time.tv_usec()).unwrap_or(0);
        Duration::from_secs(seconds) + Duration::from_micros(microseconds)
    };
    Ok(time(usage.user_time()) + time(usage.system_time()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A program for the place of VES, that keeps the lines without `dropped`.
    fn program(folder: &Path, dropped: &str) -> Program {
        let path = folder.join("ves");
        let script = format!(
            "#!/bin/sh\n\
             while [ $# -gt 1 ]; do [ $1 = --watch ] && log=$2; [ $1 = --ship ] && out=$2; shift; done\n\
             grep -v '{dropped}' $log > ${{out#file:}}\n"
        );
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        Program::Ves(path)
    }

    #[test]
    fn a_program_that_does_not_do_the_work_is_not_timed() {
        let (logs, folder) = (Logs::write(1000).unwrap(), tempfile::tempdir().unwrap());
        program(folder.path(), "/healthz").check(&logs).unwrap();
        let error = program(folder.path(), "/api/").check(&logs).unwrap_err();
        assert!(error.to_string().contains("were expected"), "{error}");
        let nowhere = Program::Ves("/bin/true".into());
        assert!(nowhere.check(&logs).is_err());
        let failing = Program::Ves("/bin/false".into());
        let error = failing.check(&logs).unwrap_err().to_string();
        assert!(
            error.contains("/bin/false failed: exit status: 1"),
            "{error}"
        );
    }
}
