//! The `ves` program: parses the command line, runs it, prints what went wrong once.

use std::process::ExitCode;

use clap::Parser;
use ves::{cli, report};

fn main() -> ExitCode {
    match cli::run(cli::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}
