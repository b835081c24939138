//! `ves-kernels`: one stage of VES, on one thread, over a block of lines that is in memory. The gate
//! runs it under callgrind with two numbers of passes; the difference is what passes cost, without
//! start, setup and first growth of memory. Never two threads, a clock or a file but the input in
//! here: the counts have to repeat to the last instruction.

mod kernel;

use std::alloc::System;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use kernel::Kernel;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Runs one stage of VES over the lines of a file.
#[derive(Debug, Parser)]
#[command(max_term_width = 100)]
struct Cli {
    /// Which stage.
    #[arg(required_unless_present = "list")]
    kernel: Option<Kernel>,

    /// The lines, nginx combined.
    #[arg(long, value_name = "FILE", required_unless_present = "list")]
    input: Option<PathBuf>,

    /// How many times they are gone through.
    #[arg(long, value_name = "N", default_value_t = 1)]
    passes: u32,

    /// Print the names of the stages.
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ves-kernels: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    let (Some(kernel), Some(input)) = (cli.kernel, &cli.input) else {
        for kernel in Kernel::ALL {
            println!("{}", kernel.name());
        }
        return Ok(());
    };
    let block =
        std::fs::read(input).with_context(|| format!("read the lines in {}", input.display()))?;
    let mut pass = kernel.prepare(&block)?;
    let (mut work, mut allocations) = (0, 0);
    for _ in 0..cli.passes {
        let region = Region::new(ALLOCATOR);
        work = pass()?;
        let change = region.change();
        allocations = change.allocations + change.reallocations;
    }
    // Of the last pass: memory that is kept has grown by then.
    println!("work {work}");
    println!("allocations {allocations}");
    Ok(())
}
