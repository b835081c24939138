//! Drain: a backlog is written once and collected over and over, until the time is over. Each run is
//! a process that starts, does all of it, and ends.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use ves_load::{Lines, Spec};

use super::collector::Collector;
use super::results::{Load, Progress, Results};
use super::sink_path;
use crate::child::Run;
use crate::cli::BenchArgs;
use crate::error::{Error, Result};
use crate::interrupted::Interrupted;

/// Writes go out in pieces of this size.
const WRITE_BYTES: usize = 1 << 20;

/// Runs after which the bench may end, whatever time they took: a median needs some.
const RUNS_MIN: usize = 3;

pub(super) fn run(args: &BenchArgs, folder: &Path, interrupted: &Interrupted) -> Result<Results> {
    let mut progress = Progress::new();
    let log = folder.join("access.log");
    let bytes = write_backlog(args.lines, &log, interrupted, &mut progress)?;
    progress.show("first run, not counted: it touches the memory that the others use");
    run_once(args, folder, &log, interrupted)?;
    let began = Instant::now();
    let mut runs = Vec::new();
    while began.elapsed() < args.duration || runs.len() < RUNS_MIN {
        let run = run_once(args, folder, &log, interrupted)?;
        progress.show_run(&run, began.elapsed(), args.duration);
        runs.push(run);
    }
    progress.clear();
    let load = Load::Backlog {
        lines: u64::from(args.lines),
        bytes,
    };
    Ok(Results::new(args, load, runs, began.elapsed()))
}

fn run_once(args: &BenchArgs, folder: &Path, log: &Path, interrupted: &Interrupted) -> Result<Run> {
    // Each run writes its records anew.
    let _ = std::fs::remove_file(sink_path(folder));
    let run = Collector::start(args, folder, log, true)?.wait(interrupted)?;
    run.check(args.lines.into())?;
    Ok(run)
}

/// Writes the lines; gives their bytes.
fn write_backlog(
    count: u32,
    path: &Path,
    interrupted: &Interrupted,
    progress: &mut Progress,
) -> Result<u64> {
    let spec = Spec::built_in();
    let mut lines = Lines::new(&spec, 1);
    let mut file = File::create(path).map_err(Error::file("make", path))?;
    // Room for the line that crosses the limit, so that it never grows.
    let mut buffer = Vec::with_capacity(WRITE_BYTES + 4096);
    let mut bytes = 0;
    for index in 0..count {
        lines.append_next(&mut buffer);
        if buffer.len() >= WRITE_BYTES || index + 1 == count {
            interrupted.check()?;
            file.write_all(&buffer).map_err(Error::file(
                "write the load to (--lines makes it smaller)",
                path,
            ))?;
            bytes += buffer.len() as u64;
            buffer.clear();
            let done = u64::from(index + 1) * 100 / u64::from(count);
            progress.show(&format!("writing the load: {done}%"));
        }
    }
    Ok(bytes)
}
