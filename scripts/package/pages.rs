//! Writes the man pages and shell completions of `ves` below a folder, where a prefix has them:
//! `cargo run --example pages -- DIR`. An example, so that nothing of it is in the program.

use std::io::{Error, ErrorKind, Result};
use std::path::Path;
use std::{env, fs};

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use ves::cli::Cli;

/// The program and the link to it.
const NAMES: [&str; 2] = ["ves", "ves-log-collector"];

fn main() -> Result<()> {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let [folder] = arguments.as_slice() else {
        let usage = "usage: pages DIR";
        return Err(Error::new(ErrorKind::InvalidInput, usage));
    };
    let share = Path::new(folder).join("share");
    man_pages(&share.join("man/man1"))?;
    completions(&share)
}

/// The command line without what is hidden in its help: zsh would offer it all the same.
fn visible() -> Command {
    let all = Cli::command();
    let mut command = Command::new(NAMES[0]).version(env!("CARGO_PKG_VERSION"));
    command = command.args(all.get_arguments().filter(|one| !one.is_hide_set()));
    command = command.subcommands(all.get_subcommands().filter(|one| !one.is_hide_set()));
    if let Some(about) = all.get_about() {
        command = command.about(about.clone());
    }
    if let Some(about) = all.get_long_about() {
        command = command.long_about(about.clone());
    }
    if let Some(text) = all.get_after_long_help() {
        command = command.after_long_help(text.clone());
    }
    command
}

/// One page for the program and one for each subcommand.
fn man_pages(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    // `ves help` has nothing that --help does not say.
    let command = visible().disable_help_subcommand(true);
    clap_mangen::generate_to(command, folder)?;
    fs::write(
        folder.join(format!("{}.1", NAMES[1])),
        format!(".so man1/{}.1\n", NAMES[0]),
    )
}

fn completions(share: &Path) -> Result<()> {
    for (shell, folder) in [
        (Shell::Bash, "bash-completion/completions"),
        (Shell::Zsh, "zsh/site-functions"),
        (Shell::Fish, "fish/vendor_completions.d"),
    ] {
        let folder = share.join(folder);
        fs::create_dir_all(&folder)?;
        for name in NAMES {
            let mut command = visible();
            let path = clap_complete::generate_to(shell, &mut command, name, &folder)?;
            if shell == Shell::Bash {
                // bash-completion looks for the bare name first; `ves.bash` is found by newer ones only.
                fs::rename(path, folder.join(name))?;
            }
        }
    }
    Ok(())
}
