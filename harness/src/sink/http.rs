//! An HTTP server that answers every POST with 200 and keeps its body.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow};
use tiny_http::{Request, Response};

use super::capture::Recorder;

/// Collectors use up to this many connections here; each request is answered by one thread.
const THREADS: usize = 4;

pub(super) struct Server {
    server: Arc<tiny_http::Server>,
    address: SocketAddr,
    threads: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Server({})", self.address)
    }
}

impl Server {
    pub(super) fn start(recorder: &Recorder) -> Result<Server> {
        let server = tiny_http::Server::http("127.0.0.1:0")
            .map_err(|error| anyhow!("open an HTTP sink: {error}"))?;
        let address = server.server_addr().to_ip().context("no address")?;
        let server = Arc::new(server);
        let mut threads = Vec::new();
        for index in 0..THREADS {
            let (server, recorder) = (server.clone(), recorder.clone());
            let builder = std::thread::Builder::new().name(format!("sink-http-{index}"));
            threads.push(builder.spawn(move || serve(&server, &recorder))?);
        }
        Ok(Server {
            server,
            address,
            threads,
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn close(self) {
        // Each call wakes one thread.
        for _ in &self.threads {
            self.server.unblock();
        }
        for thread in self.threads {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

fn serve(server: &tiny_http::Server, recorder: &Recorder) {
    let mut body = Vec::new();
    while let Ok(mut request) = server.recv() {
        body.clear();
        let status = match read(&mut request, &mut body) {
            Ok(()) => 200,
            Err(_) => 400,
        };
        if status == 200 {
            recorder.append(&body);
        }
        // A client that is gone gets no answer.
        let _ = request.respond(Response::empty(status));
    }
}

fn read(request: &mut Request, body: &mut Vec<u8>) -> std::io::Result<()> {
    body.reserve(request.body_length().unwrap_or_default());
    request.as_reader().read_to_end(body).map(drop)
}
