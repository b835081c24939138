//! Where collectors deliver to. A sink only keeps what comes and when; everything that is made of it
//! is made afterwards, so that looking does not get in the way of what is looked at.

mod capture;
mod file;
mod http;
mod receive;
mod tcp;

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

pub(crate) use capture::Capture;
use capture::Recorder;
pub(crate) use receive::run;

use crate::results::SinkKind;

/// Any port of this machine, for collectors on it.
const LOOPBACK: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));

/// A listener at an address.
fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).with_context(|| format!("open a sink on {address}"))
}

/// A sink that takes records.
#[derive(Debug)]
pub(crate) struct Sink {
    recorder: Recorder,
    endpoint: Endpoint,
}

/// What a collector is told about it.
#[derive(Debug)]
enum Endpoint {
    File(file::Watcher),
    Http(http::Server),
    Tcp(tcp::Server),
    Null,
}

impl Sink {
    /// Opens a sink. A file sink looks at its file once per `look_interval`.
    ///
    /// # Errors
    /// When no address can be had or no thread started.
    pub(crate) fn open(
        kind: SinkKind,
        folder: &Path,
        bytes_expected: usize,
        look_interval: Duration,
    ) -> Result<Sink> {
        let recorder = match kind {
            SinkKind::Http | SinkKind::Tcp => Recorder::with_room(bytes_expected),
            SinkKind::File | SinkKind::Null => Recorder::default(),
        };
        let endpoint = match kind {
            SinkKind::File => {
                let path = folder.join("out.ndjson");
                Endpoint::File(file::Watcher::start(path, recorder.clone(), look_interval)?)
            }
            SinkKind::Http => Endpoint::Http(http::Server::start(listen(LOOPBACK)?, &recorder)?),
            SinkKind::Tcp => Endpoint::Tcp(tcp::Server::start(listen(LOOPBACK)?, &recorder)?),
            SinkKind::Null => Endpoint::Null,
        };
        Ok(Sink { recorder, endpoint })
    }

    /// The file that a collector is to write.
    pub(crate) fn path(&self) -> PathBuf {
        match &self.endpoint {
            Endpoint::File(watcher) => watcher.path().to_owned(),
            _ => PathBuf::from("/dev/null"),
        }
    }

    /// The address that a collector is to connect to.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match &self.endpoint {
            Endpoint::Http(server) => Some(server.address()),
            Endpoint::Tcp(server) => Some(server.address()),
            Endpoint::File(_) | Endpoint::Null => None,
        }
    }

    /// How many bytes came until now.
    pub(crate) fn bytes(&self) -> u64 {
        self.recorder.bytes()
    }

    /// When the first byte came, and the last one, in nanoseconds of the monotonic clock.
    pub(crate) fn first_and_last_ns(&self) -> Option<(u64, u64)> {
        self.recorder.first_and_last_ns()
    }

    /// How many records came until now, about: enough to tell whether all have come.
    pub(crate) fn records(&self) -> u64 {
        match &self.endpoint {
            Endpoint::File(watcher) => watcher.records(),
            _ => self.recorder.newlines(),
        }
    }

    /// What came until now.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn so_far(&self) -> Result<Capture> {
        match &self.endpoint {
            Endpoint::File(watcher) => Ok(Capture::whole(watcher.bytes()?)),
            _ => Ok(self.recorder.copy()),
        }
    }

    /// Ends the sink and gives what came.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn close(self) -> Result<Capture> {
        match self.endpoint {
            Endpoint::File(watcher) => watcher.close()?,
            Endpoint::Http(server) => server.close(),
            Endpoint::Tcp(server) => server.close(),
            Endpoint::Null => {}
        }
        Ok(self.recorder.take())
    }
}
