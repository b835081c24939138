//! `ves-harness`: makes load for log collectors and measures them.

mod cli;
mod gate;
mod generate;
mod reference;
mod results;
mod statistics;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Generate(args) => generate::run(&args),
        Command::Gate(args) => gate::run(&args),
        Command::Reftail(args) => reference::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ves-harness: {error:#}");
            ExitCode::FAILURE
        }
    }
}
