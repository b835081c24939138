//! `ves check`.

use super::CheckArgs;
use crate::config::Settings;
use crate::error::Result;

/// Resolves the settings of a file and prints them.
pub(super) fn run(args: &CheckArgs) -> Result<()> {
    let config = Settings::read(&args.file)?.resolve()?;
    println!("# {}: ok", args.file.display());
    print!("{}", config.to_toml());
    Ok(())
}
