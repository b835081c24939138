//! `ves-harness`: makes load for log collectors and measures them.

mod cells;
mod chart;
mod cli;
mod clock;
mod collector;
mod compare;
mod comparison;
mod cores;
mod dataset;
mod figures;
mod gate;
mod generate;
mod interrupt;
mod latency;
mod manifest;
mod pace;
mod percentiles;
mod reference;
mod report;
mod results;
mod sample;
mod selftest;
mod sink;
mod soak;
mod statistics;
mod torture;
mod verify;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Generate(args) => generate::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Selftest(args) => selftest::run(&args),
        Command::Torture(args) => torture::run(&args),
        Command::Soak(args) => soak::run(&args),
        Command::Gate(args) => gate::run(&args),
        Command::Reftail(args) => reference::run(&args),
        Command::Sink(args) => sink::run(&args),
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
