//! `ves-harness`: makes load for log collectors and measures them.

mod cells;
mod chart;
mod cli;
mod comparison;
mod figures;
mod generate;
mod percentiles;
mod report;
mod results;
mod statistics;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Generate(args) => generate::run(&args),
        Command::Report(args) => report::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ves-harness: {error:#}");
            ExitCode::FAILURE
        }
    }
}
