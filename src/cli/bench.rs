//! `ves bench`.

use super::BenchArgs;
use crate::bench;
use crate::error::Result;

/// Runs the bench and prints its results on standard output.
pub(super) fn run(args: &BenchArgs) -> Result<()> {
    let results = bench::run(args)?;
    if args.json {
        println!("{}", results.to_json());
    } else {
        print!("{}", results.to_table());
    }
    Ok(())
}
