//! The raw arguments of `ves-harness`; nothing here is looked at beyond its shape.

mod compare;
mod gate;
mod generate;
mod reftail;
mod report;
mod selftest;
mod sink;
mod soak;
mod torture;
mod verify;

use clap::{Parser, Subcommand};

pub(crate) use compare::CompareArgs;
pub(crate) use gate::GateArgs;
pub(crate) use generate::{GenerateArgs, RotateHow};
pub(crate) use reftail::ReftailArgs;
pub(crate) use report::ReportArgs;
pub(crate) use selftest::SelftestArgs;
pub(crate) use sink::SinkArgs;
pub(crate) use soak::SoakArgs;
pub(crate) use torture::TortureArgs;
pub(crate) use verify::VerifyArgs;

/// Makes load for log collectors and measures them.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write log lines that are the same for the same seed.
    Generate(GenerateArgs),
    /// Run collectors under identical load, prove that they did the same work, and report.
    Compare(Box<CompareArgs>),
    /// Compare records with the generated lines that they were made of.
    Verify(VerifyArgs),
    /// Prove that the harness sees what it claims to see.
    Selftest(SelftestArgs),
    /// Do to logs, sinks and collectors what happens to them, and count what was delivered.
    Torture(TortureArgs),
    /// Run VES for long, rotated and killed, and look for lost lines and growing memory.
    Soak(SoakArgs),
    /// Tell whether VES has become slower, on a machine that is not quiet.
    Gate(GateArgs),
    /// Forward the lines of a file in the plainest way: a yardstick, and a subject with known faults.
    Reftail(ReftailArgs),
    /// Take what a collector delivers, count it, and write it to a file.
    Sink(SinkArgs),
    /// Make the report and the charts of a comparison again from its raw results; nothing is run.
    Report(ReportArgs),
}
