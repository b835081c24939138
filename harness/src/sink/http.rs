//! An HTTP server that answers every POST with 200 and keeps its body. One that is compressed is not
//! taken: nobody here could count its records.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
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
    pub(super) fn start(listener: TcpListener, recorder: &Recorder) -> Result<Server> {
        let server = tiny_http::Server::from_listener(listener, None)
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
            Err(_) => 400,
            Ok(()) if is_compressed(&request) => 415,
            Ok(()) => recorder.append(&body).map_or(503, |()| 200),
        };
        // A client that is gone gets no answer.
        let _ = request.respond(Response::empty(status));
    }
}

fn is_compressed(request: &Request) -> bool {
    let mut headers = request.headers().iter();
    headers
        .any(|header| header.field.equiv("Content-Encoding") && header.value.as_str() != "identity")
}

fn read(request: &mut Request, body: &mut Vec<u8>) -> std::io::Result<()> {
    let length = request.body_length();
    body.reserve(length.unwrap_or_default());
    request.as_reader().read_to_end(body)?;
    // A connection that was cut ends a body like any other end: half a batch is none.
    if length.is_some_and(|length| length != body.len()) {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpStream;

    use super::*;

    /// Sends a request whose body is to have `length` bytes. Gives the answer.
    fn post(address: SocketAddr, length: usize, body: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        let head = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all((head + body).as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
        answer
    }

    #[test]
    fn a_body_that_was_cut_is_no_batch() {
        let recorder = Recorder::default();
        let listener = super::super::listen(super::super::LOOPBACK).unwrap();
        let server = Server::start(listener, &recorder).unwrap();
        let whole = post(server.address(), 4, "{}\n{");
        assert!(whole.starts_with("HTTP/1.1 200"), "{whole}");
        let cut = post(server.address(), 400, "{}\n{\"a\":");
        assert!(!cut.starts_with("HTTP/1.1 200"), "{cut}");
        server.close();
        let capture = recorder.take();
        let records: Vec<&[u8]> = capture.records().map(|(record, _)| record).collect();
        assert_eq!(records, [&b"{}"[..], b"{"]);
    }
}
