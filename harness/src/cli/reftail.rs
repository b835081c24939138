//! The raw arguments of `ves-harness reftail`.

use std::path::PathBuf;

use clap::Args;

use crate::reference::{Destination, Fault, REFERENCE_VERSION};

/// What `ves-harness reftail` reads, and where its lines go.
#[derive(Debug, Args)]
#[command(version = REFERENCE_VERSION, disable_version_flag = false)]
pub(crate) struct ReftailArgs {
    /// The file that is read from its start and followed; it is waited for.
    #[arg(long, value_name = "FILE")]
    pub(crate) watch: PathBuf,

    /// file:PATH, http://HOST:PORT/PATH, tcp://HOST:PORT or null:
    #[arg(long, value_name = "URL")]
    pub(crate) ship: Destination,

    /// End at the end of the file instead of following it.
    #[arg(long)]
    pub(crate) once: bool,

    /// Do one thing wrong, to see it caught: drop:N (every Nth line), duplicate-batch, swap or
    /// stall:TIME (500ms; once, after 2 s).
    #[arg(long, value_name = "FAULT")]
    pub(crate) fault: Option<Fault>,
}
