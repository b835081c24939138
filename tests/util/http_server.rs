//! An HTTP/1.1 server on 127.0.0.1 that misbehaves on request and writes down what it was sent.
//!
//! A script says how the next requests are treated, one entry each; after it the standing reply
//! holds. Plain `std::net` threads, one per connection; dropping the server ends them all.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What happens to one request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// An empty answer with this status.
    Status(u16),
    /// An answer with headers and a body.
    Answer {
        status: u16,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    },
    /// The request is read and never answered: `release` or the end closes the connection.
    Hang,
    /// The connection is closed after the head of the request, its body unread.
    DropBeforeBody,
    /// The connection is closed after half of the body.
    DropMidBody,
    /// The connection is closed after the whole request.
    DropAfterBody,
    /// This status is the answer to the head alone; the body is not read, the connection closed.
    RefuseBody(u16),
    /// An empty answer with this status, byte by byte with this pause before each.
    Slow(u16, Duration),
    /// These bytes instead of an answer; then the connection is closed.
    Raw(Vec<u8>),
}

impl Reply {
    /// An answer with a header.
    pub fn with_header(status: u16, name: &str, value: &str) -> Reply {
        let headers = vec![(name.to_owned(), value.to_owned())];
        Reply::Answer {
            status,
            headers,
            body: Vec::new(),
        }
    }

    /// An answer with a body.
    pub fn with_body(status: u16, body: impl Into<Vec<u8>>) -> Reply {
        Reply::Answer {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }
}

/// One request as it arrived, in the order of arrival.
#[derive(Clone, Debug)]
pub struct Request {
    /// Method, path and version.
    pub line: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as far as it was read, decompressed where it says zstd.
    pub body: Vec<u8>,
    /// Bytes of the body on the wire.
    pub wire_bytes: usize,
    /// The number of its connection, from 0.
    pub connection: usize,
    /// The status that it was answered with; `None` without an answer.
    pub status: Option<u16>,
}

impl Request {
    /// The value of the first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Whether the answer was a 2xx.
    pub fn was_taken(&self) -> bool {
        self.status
            .is_some_and(|status| (200..300).contains(&status))
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// Turns an accepted connection into the stream that HTTP is spoken on.
type Wrap = Box<dyn Fn(TcpStream) -> io::Result<Box<dyn Stream>> + Send + Sync>;

/// What HTTP is spoken on: TCP, or TLS over it.
pub trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

/// The server. Ends on drop.
pub struct HttpServer {
    shared: Arc<Shared>,
    address: SocketAddr,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    wrap: Wrap,
}

#[derive(Default)]
struct State {
    script: VecDeque<Reply>,
    standing: Option<Reply>,
    body_limit: Option<(usize, Reply)>,
    interim: String,
    requests: Vec<Request>,
    /// The sockets of the connections that are open, with their numbers.
    streams: Vec<(usize, TcpStream)>,
    connections: usize,
    releases: usize,
    hanging: usize,
    is_refusing: bool,
    is_ending: bool,
    threads: Vec<JoinHandle<()>>,
}

impl HttpServer {
    /// Starts on a free port; every request is answered 200.
    pub fn start() -> HttpServer {
        HttpServer::start_wrapped(Box::new(|stream| Ok(Box::new(stream) as Box<dyn Stream>)))
    }

    /// Starts with TLS and a certificate for `localhost`; the PEM file of the authority that signed
    /// it is in `folder`.
    pub fn start_tls(folder: &Path) -> (HttpServer, PathBuf) {
        let (config, ca_pem) = tls_config();
        let ca_file = folder.join("ca.pem");
        std::fs::write(&ca_file, ca_pem).unwrap();
        let server = HttpServer::start_wrapped(Box::new(move |stream| {
            let tls = ServerConnection::new(config.clone()).map_err(io::Error::other)?;
            Ok(Box::new(StreamOwned::new(tls, stream)) as Box<dyn Stream>)
        }));
        (server, ca_file)
    }

    fn start_wrapped(wrap: Wrap) -> HttpServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                interim: "HTTP/1.1 100 Continue\r\n\r\n".to_owned(),
                ..State::default()
            }),
            changed: Condvar::new(),
            wrap,
        });
        let mut server = HttpServer {
            shared,
            address,
            acceptor: None,
        };
        server.listen(listener);
        server
    }

    /// The URL of `path` here.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Appends to the script.
    pub fn then(&self, replies: impl IntoIterator<Item = Reply>) {
        self.shared.lock().script.extend(replies);
    }

    /// How requests are treated when the script is at its end.
    pub fn always(&self, reply: Reply) {
        self.shared.lock().standing = Some(reply);
    }

    /// Bodies of more bytes on the wire are answered 413; they take nothing off the script.
    pub fn limit_body(&self, bytes: usize) {
        self.shared.lock().body_limit = Some((bytes, Reply::Status(413)));
    }

    /// The same, but such a body is not even read before the connection is closed.
    pub fn limit_body_unread(&self, bytes: usize) {
        self.shared.lock().body_limit = Some((bytes, Reply::RefuseBody(413)));
    }

    /// What a client that asks for leave to send its body is answered.
    pub fn answer_interim(&self, interim: &str) {
        interim.clone_into(&mut self.shared.lock().interim);
    }

    /// Closes the port and every connection, until `accept_again`.
    pub fn refuse(&mut self) {
        self.shared.lock().is_refusing = true;
        self.stop_listening();
        self.shared.close_connections();
    }

    /// Opens the same port again.
    pub fn accept_again(&mut self) {
        self.shared.lock().is_refusing = false;
        let listener = TcpListener::bind(self.address).unwrap();
        self.listen(listener);
    }

    /// Closes the connections of the requests that hang now.
    pub fn release(&self) {
        self.shared.lock().releases += 1;
        self.shared.changed.notify_all();
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.lock().requests.clone()
    }

    /// The bodies that were answered 2xx, one after the other.
    pub fn taken(&self) -> Vec<u8> {
        let state = self.shared.lock();
        let taken = state.requests.iter().filter(|request| request.was_taken());
        taken
            .flat_map(|request| request.body.iter().copied())
            .collect()
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.shared.lock().connections
    }

    /// Requests that hang now.
    pub fn hanging(&self) -> usize {
        self.shared.lock().hanging
    }

    /// Waits until `condition` holds for the requests so far; `false` after `timeout`.
    pub fn wait_until(
        &self,
        timeout: Duration,
        mut condition: impl FnMut(&[Request]) -> bool,
    ) -> bool {
        let deadline = Instant::now() + timeout;
        let mut state = self.shared.lock();
        loop {
            if condition(&state.requests) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self
                .shared
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn listen(&mut self, listener: TcpListener) {
        let shared = self.shared.clone();
        self.acceptor = Some(std::thread::spawn(move || accept(&listener, &shared)));
    }

    fn stop_listening(&mut self) {
        if let Some(acceptor) = self.acceptor.take() {
            // Wakes the acceptor, which then sees that it is to end and closes the port.
            drop(TcpStream::connect(self.address));
            acceptor.join().unwrap();
        }
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.shared.lock().is_ending = true;
        self.shared.changed.notify_all();
        self.stop_listening();
        self.shared.close_connections();
        let threads = std::mem::take(&mut self.shared.lock().threads);
        threads.into_iter().for_each(|thread| drop(thread.join()));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close_connections(&self) {
        let streams = std::mem::take(&mut self.lock().streams);
        streams
            .iter()
            .for_each(|(_, stream)| drop(stream.shutdown(std::net::Shutdown::Both)));
    }

    /// Writes a request down, together with its verdict, before the verdict is sent: a client
    /// never knows of an answer that is not in the record.
    fn record(&self, request: Request) {
        self.lock().requests.push(request);
        self.changed.notify_all();
    }

    fn next_reply(&self, body_bytes: usize) -> Reply {
        let mut state = self.lock();
        if let Some((_, reply)) = state
            .body_limit
            .as_ref()
            .filter(|(max, _)| body_bytes > *max)
        {
            return reply.clone();
        }
        let scripted = state.script.pop_front();
        scripted
            .or_else(|| state.standing.clone())
            .unwrap_or(Reply::Status(200))
    }

    fn hang(&self) {
        let mut state = self.lock();
        let releases = state.releases;
        state.hanging += 1;
        self.changed.notify_all();
        while state.releases == releases && !state.is_ending && !state.is_refusing {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.hanging -= 1;
    }
}

/// A fresh certificate for `localhost`, and its authority as PEM.
fn tls_config() -> (Arc<ServerConfig>, String) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let authority = CertifiedIssuer::self_signed(authority, authority_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &authority).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    (Arc::new(config), authority.pem())
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        let mut state = shared.lock();
        if state.is_ending || state.is_refusing {
            return;
        }
        let number = state.connections;
        state.connections += 1;
        state
            .streams
            .extend(stream.try_clone().map(|clone| (number, clone)));
        let shared = shared.clone();
        state.threads.push(std::thread::spawn(move || {
            // A client that went away is part of every other test.
            let _ = converse(&shared, stream, number);
            // The last clone: closing a socket with unread input resets the connection, as a real
            // server does.
            shared.lock().streams.retain(|(other, _)| *other != number);
        }));
    }
}

fn converse(shared: &Shared, stream: TcpStream, connection: usize) -> io::Result<()> {
    let mut stream = BufReader::new((shared.wrap)(stream)?);
    while let Some(mut request) = read_head(&mut stream, connection)? {
        let reply = shared.next_reply(content_length(&request));
        let read = read_body(shared, &mut stream, &mut request, &reply);
        if read.is_err() {
            shared.record(request);
            return read;
        }
        if !answer(shared, stream.get_mut(), request, reply)? {
            break;
        }
    }
    Ok(())
}

fn read_head(stream: &mut impl BufRead, connection: usize) -> io::Result<Option<Request>> {
    let Some(line) = read_line(stream)? else {
        return Ok(None);
    };
    let mut headers = Vec::new();
    while let Some(header) = read_line(stream)?.filter(|line| !line.is_empty()) {
        let (name, value) = header.split_once(':').unwrap_or((&header, ""));
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Ok(Some(Request {
        line,
        headers,
        body: Vec::new(),
        wire_bytes: 0,
        connection,
        status: None,
    }))
}

fn read_line(stream: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    let count = stream.read_line(&mut line)?;
    Ok((count > 0).then(|| line.trim_end().to_owned()))
}

fn content_length(request: &Request) -> usize {
    request
        .header("content-length")
        .and_then(|value| value.parse().ok())
        .unwrap_or(0)
}

fn read_body(
    shared: &Shared,
    stream: &mut BufReader<Box<dyn Stream>>,
    request: &mut Request,
    reply: &Reply,
) -> io::Result<()> {
    let wanted = match reply {
        Reply::DropBeforeBody | Reply::RefuseBody(_) => return Ok(()),
        Reply::DropMidBody => content_length(request) / 2,
        _ => content_length(request),
    };
    if request.header("expect") == Some("100-continue") {
        let interim = shared.lock().interim.clone();
        stream.get_mut().write_all(interim.as_bytes())?;
        stream.get_mut().flush()?;
    }
    let read = stream.take(wanted as u64).read_to_end(&mut request.body);
    request.wire_bytes = request.body.len();
    read?;
    if request.wire_bytes < wanted {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let is_whole = !matches!(reply, Reply::DropMidBody);
    if is_whole && request.header("content-encoding") == Some("zstd") {
        request.body = zstd::decode_all(&request.body[..])?;
    }
    Ok(())
}

/// Says whether the connection goes on.
fn answer(
    shared: &Shared,
    stream: &mut dyn Stream,
    mut request: Request,
    reply: Reply,
) -> io::Result<bool> {
    request.status = match &reply {
        Reply::Status(status) | Reply::RefuseBody(status) | Reply::Slow(status, _) => Some(*status),
        Reply::Answer { status, .. } => Some(*status),
        _ => None,
    };
    shared.record(request);
    match reply {
        Reply::Status(status) => stream.write_all(&head(status, &[], 0))?,
        Reply::Answer {
            status,
            headers,
            body,
        } => {
            stream.write_all(&head(status, &headers, body.len()))?;
            stream.write_all(&body)?;
        }
        Reply::Slow(status, pause) => {
            for byte in head(status, &[], 0) {
                std::thread::sleep(pause);
                stream.write_all(&[byte])?;
                stream.flush()?;
            }
        }
        Reply::RefuseBody(status) => {
            let close = [("connection".to_owned(), "close".to_owned())];
            stream.write_all(&head(status, &close, 0))?;
            stream.flush()?;
            return Ok(false);
        }
        Reply::Raw(bytes) => {
            stream.write_all(&bytes)?;
            stream.flush()?;
            return Ok(false);
        }
        Reply::Hang => {
            shared.hang();
            return Ok(false);
        }
        Reply::DropBeforeBody | Reply::DropMidBody | Reply::DropAfterBody => return Ok(false),
    }
    stream.flush()?;
    Ok(true)
}

/// The head of an answer. A 204 has no length.
fn head(status: u16, headers: &[(String, String)], body_bytes: usize) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status} Scripted\r\n");
    if status != 204 {
        head += &format!("content-length: {body_bytes}\r\n");
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    (head + "\r\n").into_bytes()
}
