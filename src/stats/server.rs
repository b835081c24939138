//! Serves [`Site`] over HTTP: one thread, non-blocking sockets, one poll.
//!
//! A library that gives each connection a thread (tiny_http) has no bound on those, and no time limit
//! for a client that sends its request byte by byte: a hundred of them would be a hundred threads in
//! the collector. Here each is a descriptor in a list with an end and a deadline, and the pipeline
//! does not notice them. Parsing is httparse's.

mod connection;
mod request;

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

pub(crate) use request::Hosts;

use super::site::{Page, Response, Site};
use crate::config::MetricsOptions;
use crate::enrich::host_name;
use crate::error::{Error, Result};
use crate::shutdown::Shutdown;
use connection::{Connection, Progress};

/// Most clients at a time. With more, those go whose request has not come yet, the oldest first.
const CONNECTIONS_MAX: usize = 64;

/// Most of them that read events.
const STREAMS_MAX: usize = 16;

/// Time between two events.
const TICK: Duration = Duration::from_secs(1);

/// An address that is taken, and nothing served there yet.
#[derive(Debug)]
pub(crate) struct Listener {
    listener: TcpListener,
    hosts: Hosts,
}

impl Listener {
    /// Takes the address of the options.
    ///
    /// # Errors
    /// [`Error::Usage`] where it cannot be had.
    pub(crate) fn bind(options: &MetricsOptions) -> Result<Listener> {
        let refused = |error: std::io::Error| {
            let remedy = match error.kind() {
                ErrorKind::AddrInUse => {
                    "another program has it: choose another port, or end that program"
                }
                ErrorKind::AddrNotAvailable => "this host has no such address",
                ErrorKind::PermissionDenied => "ports below 1024 are for root",
                _ => "choose another",
            };
            Error::Usage(format!(
                "metrics: cannot listen on {}: {error}; {remedy}",
                options.address
            ))
        };
        let listener = TcpListener::bind(options.address).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let hosts = Hosts::new(options.address, &host_name(), &options.hosts);
        Ok(Listener { listener, hosts })
    }

    /// The same address for another pipeline of this process: who asks in between waits.
    ///
    /// # Errors
    /// When the system has no descriptor left.
    pub(crate) fn share(&self) -> Result<Listener> {
        let listener = self.listener.try_clone();
        Ok(Listener {
            listener: listener.map_err(Error::system("share the address of metrics"))?,
            hosts: self.hosts.clone(),
        })
    }

    /// The address, with the port that was chosen where none was told.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }

    /// Serves `site` until `stop` begins. Blocks.
    pub(crate) fn serve(self, site: Site, stop: &Shutdown) {
        let mut server = Server {
            listener: self,
            site,
            connections: Vec::new(),
            may_accept: true,
        };
        let mut tick_at = Instant::now() + TICK;
        while !stop.begun() {
            server.round(tick_at, stop);
            let now = Instant::now();
            if now >= tick_at {
                tick_at = now.max(tick_at + TICK);
                server.tick(now);
            }
        }
    }
}

struct Server {
    listener: Listener,
    site: Site,
    /// Those that came first come first.
    connections: Vec<Connection>,
    /// Cleared until the next tick when the system has no descriptor left.
    may_accept: bool,
}

impl Server {
    /// Waits, until `tick_at` at most, and serves whoever is ready.
    fn round(&mut self, tick_at: Instant, stop: &Shutdown) {
        let ready = self.wait(tick_at, stop);
        let now = Instant::now();
        let hosts = &self.listener.hosts;
        let mut requests = Vec::new();
        // The listener comes first.
        for (index, connection) in self.connections.iter_mut().enumerate() {
            let flags = ready.get(index + 1).copied().unwrap_or(PollFlags::empty());
            if !flags.is_empty()
                && let Progress::Request(request) = connection.serve(flags, hosts, now)
            {
                requests.push((index, request));
            }
        }
        for (index, request) in requests {
            self.answer(index, &request.path, request.is_head, now);
        }
        self.connections
            .retain(|connection| !connection.is_over(now));
        if ready.first().is_some_and(|flags| !flags.is_empty()) {
            self.accept(now);
        }
    }

    /// What the listener and each connection are ready for.
    fn wait(&self, tick_at: Instant, stop: &Shutdown) -> Vec<PollFlags> {
        let accept = if self.may_accept {
            PollFlags::IN
        } else {
            PollFlags::empty()
        };
        let deadlines = self.connections.iter().filter_map(Connection::deadline);
        let until = deadlines.fold(tick_at, Instant::min);
        let timeout = until.saturating_duration_since(Instant::now());
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(1),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        let mut fds = vec![PollFd::new(&self.listener.listener, accept)];
        let connections = self.connections.iter();
        fds.extend(connections.map(|client| PollFd::new(client.stream(), client.interest())));
        let stop = stop.descriptor();
        fds.push(PollFd::from_borrowed_fd(stop, PollFlags::IN));
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) => fds.iter().map(PollFd::revents).collect(),
            // A signal: the next round looks again.
            Err(_) => Vec::new(),
        }
    }

    fn answer(&mut self, index: usize, path: &str, is_head: bool, now: Instant) {
        let streams = self.connections.iter().filter(|client| client.is_stream());
        let is_full = path == "/events" && streams.count() >= STREAMS_MAX;
        let page = if is_full {
            Page::Whole(Response::text(
                503,
                "too many dashboards are open: close one",
            ))
        } else {
            self.site.page(path)
        };
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        match page {
            Page::Whole(response) => connection.answer(response, is_head, now),
            Page::Events(events) => connection.begin_stream(&events, now),
        }
    }

    fn accept(&mut self, now: Instant) {
        loop {
            match self.listener.listener.accept() {
                Ok((stream, _)) => {
                    if self.connections.len() >= CONNECTIONS_MAX {
                        let waiting = self.connections.iter().position(Connection::is_waiting);
                        self.connections.remove(waiting.unwrap_or(0));
                    }
                    // One that cannot be set up is closed.
                    self.connections.extend(Connection::new(stream, now));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(_) => {
                    // Most likely no descriptor is left, and poll would say again and again that
                    // somebody waits.
                    self.may_accept = false;
                    return;
                }
            }
        }
    }

    fn tick(&mut self, now: Instant) {
        self.may_accept = true;
        let events = self.site.tick();
        for connection in &mut self.connections {
            connection.send_events(events.as_bytes(), now);
        }
    }
}
