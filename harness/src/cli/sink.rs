//! The arguments of `ves-harness sink`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

/// Where `ves-harness sink` listens, and what becomes of the records.
#[derive(Debug, Args)]
pub(crate) struct SinkArgs {
    #[command(flatten)]
    pub(crate) address: SinkAddress,

    /// Write what comes to this file, which is made anew, before it is acknowledged [default: it is
    /// only counted].
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// One of these.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct SinkAddress {
    /// Answer each POST with 200 and take its body as records, one a line; port 0 is any. Compressed
    /// bodies are refused.
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) http: Option<SocketAddr>,

    /// Take lines of any number of connections; port 0 is any.
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) tcp: Option<SocketAddr>,
}
