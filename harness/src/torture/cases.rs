//! What happens in each case, by what it happens to. A case writes and does; what came of it is
//! counted elsewhere.

pub(super) mod files;
pub(super) mod lines;
pub(super) mod restart;
pub(super) mod rewriting;
pub(super) mod rotation;
pub(super) mod sinks;
pub(super) mod state;
pub(super) mod watching;

use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::scene::not_applicable;

/// A time in milliseconds, as the cases give them.
fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Words before a command that take from root what lets it read and write whatever the permissions
/// say; none for another user.
///
/// # Errors
/// Where that cannot be done the case is not applicable.
fn without_override() -> Result<Vec<String>> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(Vec::new());
    }
    let capabilities = "-dac_override,-dac_read_search";
    let words = [
        "setpriv".to_owned(),
        format!("--bounding-set={capabilities}"),
        format!("--inh-caps={capabilities}"),
    ];
    let tried = Command::new("setpriv")
        .args(&words[1..])
        .arg("true")
        .output();
    if !tried.is_ok_and(|output| output.status.success()) {
        not_applicable("permissions bind root only with setpriv, which does not work here")?;
    }
    Ok(words.to_vec())
}
