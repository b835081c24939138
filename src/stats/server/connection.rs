//! One connection: a request, its answer, the end. Never blocks; the server says when the socket is
//! ready and what time it is.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::net::sockopt::set_socket_send_buffer_size;

use super::super::dashboard::CONTENT_SECURITY_POLICY;
use super::super::site::Response;
use super::request::{Hosts, Parsed, Request, parse};

/// How long a client may take to send its request.
const HEAD_TIME: Duration = Duration::from_secs(5);

/// How long a client may take to read an answer.
const ANSWER_TIME: Duration = Duration::from_secs(15);

/// How long a client may take to close after the answer. A connection that is closed while something
/// of the client is unread may take the answer with it.
const CLOSE_TIME: Duration = Duration::from_secs(1);

/// How long a client of a stream may leave what was sent to it unread.
const STREAM_TIME: Duration = Duration::from_secs(10);

/// Bytes that the system may keep for a client that does not read.
const SEND_BUFFER_BYTES: usize = 64 << 10;

/// Bytes that are read at once.
const READ_BYTES: usize = 4 << 10;

/// One client.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    phase: Phase,
    input: Vec<u8>,
    output: Vec<u8>,
    written: usize,
    /// When it is dropped as it stands.
    deadline: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The request comes.
    Head,
    /// The answer goes: head and body one after the other.
    Answer,
    /// The answer is gone; the client has to close.
    Close,
    /// Events go as they come.
    Stream,
    /// It is over.
    Over,
}

/// What a look at a connection brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nothing to do.
    None,
    /// A request that wants an answer.
    Request(Request),
}

impl Connection {
    /// A client that was just accepted.
    ///
    /// # Errors
    /// What the system says to making the socket non-blocking.
    pub(super) fn new(stream: TcpStream, now: Instant) -> io::Result<Connection> {
        stream.set_nonblocking(true)?;
        // Answers are written as a whole: there is nothing to wait for.
        let _ = stream.set_nodelay(true);
        // What a client leaves unread is kept in the system, megabytes of it by default.
        let _ = set_socket_send_buffer_size(&stream, SEND_BUFFER_BYTES);
        Ok(Connection {
            stream,
            phase: Phase::Head,
            input: Vec::new(),
            output: Vec::new(),
            written: 0,
            deadline: Some(now + HEAD_TIME),
        })
    }

    /// The socket, for a poll.
    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// What it waits for.
    pub(super) fn interest(&self) -> PollFlags {
        match self.phase {
            Phase::Answer => PollFlags::OUT,
            Phase::Stream if self.has_output() => PollFlags::IN | PollFlags::OUT,
            Phase::Head | Phase::Close | Phase::Stream | Phase::Over => PollFlags::IN,
        }
    }

    /// When it is dropped as it stands.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether it is over, or has taken too long.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.phase == Phase::Over || self.deadline.is_some_and(|deadline| now >= deadline)
    }

    /// Whether its request has not come yet, or its answer is gone: the first to go where there are
    /// too many.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.phase, Phase::Head | Phase::Close)
    }

    /// Whether it is a stream of events.
    pub(super) fn is_stream(&self) -> bool {
        self.phase == Phase::Stream
    }

    /// Does what the socket is ready for.
    pub(super) fn serve(&mut self, ready: PollFlags, hosts: &Hosts, now: Instant) -> Progress {
        let result = match self.phase {
            Phase::Answer => self.write(now).map(|()| Progress::None),
            Phase::Stream if ready.contains(PollFlags::OUT) => {
                self.write(now).map(|()| Progress::None)
            }
            Phase::Head | Phase::Close | Phase::Stream => self.read(hosts, now),
            Phase::Over => Ok(Progress::None),
        };
        result.unwrap_or_else(|_| {
            // Whatever it was, this client is none any more.
            self.phase = Phase::Over;
            Progress::None
        })
    }

    fn read(&mut self, hosts: &Hosts, now: Instant) -> io::Result<Progress> {
        let mut buffer = [0; READ_BYTES];
        let count = match self.stream.read(&mut buffer) {
            Ok(count) => count,
            Err(error) if is_soft(&error) => return Ok(Progress::None),
            Err(error) => return Err(error),
        };
        let received = buffer.get(..count).unwrap_or_default();
        if received.is_empty() {
            self.phase = Phase::Over;
        }
        match self.phase {
            Phase::Head => {
                self.input.extend_from_slice(received);
                match parse(&self.input, hosts) {
                    Parsed::Partial => {}
                    Parsed::Request(request) => return Ok(Progress::Request(request)),
                    Parsed::Refused(response) => self.answer(response, false, now),
                }
            }
            // Whoever reads events has nothing to say.
            Phase::Stream => self.phase = Phase::Over,
            Phase::Answer | Phase::Close | Phase::Over => {}
        }
        Ok(Progress::None)
    }

    /// Answers the request, with the head alone where `is_head`.
    pub(super) fn answer(&mut self, response: Response, is_head: bool, now: Instant) {
        let length = response.body.len();
        let mut head = head(response.status, response.content_type);
        head.push_str(&format!("Content-Length: {length}\r\n\r\n"));
        let mut output = head.into_bytes();
        if !is_head {
            output.extend_from_slice(&response.body);
        }
        self.begin(Phase::Answer, output, Some(now + ANSWER_TIME), now);
    }

    /// Begins a stream of events with `events`.
    pub(super) fn begin_stream(&mut self, events: &str, now: Instant) {
        let head = head(200, "text/event-stream; charset=utf-8");
        let output = format!("{head}\r\n{events}").into_bytes();
        self.begin(Phase::Stream, output, Some(now + STREAM_TIME), now);
    }

    /// Sends events, unless the client has not read the ones before: it gets newer ones later.
    pub(super) fn send_events(&mut self, events: &[u8], now: Instant) {
        if self.phase == Phase::Stream && !self.has_output() {
            self.begin(Phase::Stream, events.to_vec(), Some(now + STREAM_TIME), now);
        }
    }

    fn begin(&mut self, phase: Phase, output: Vec<u8>, deadline: Option<Instant>, now: Instant) {
        (self.phase, self.deadline) = (phase, deadline);
        (self.output, self.written) = (output, 0);
        self.input = Vec::new();
        // Mostly all of it goes at once.
        if self.write(now).is_err() {
            self.phase = Phase::Over;
        }
    }

    fn has_output(&self) -> bool {
        self.written < self.output.len()
    }

    fn write(&mut self, now: Instant) -> io::Result<()> {
        while let Some(left) = self
            .output
            .get(self.written..)
            .filter(|left| !left.is_empty())
        {
            match self.stream.write(left) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        (self.output, self.written) = (Vec::new(), 0);
        if self.phase == Phase::Answer {
            self.phase = Phase::Close;
            self.deadline = Some(now + CLOSE_TIME);
            self.stream.shutdown(Shutdown::Write)?;
        } else {
            self.deadline = None;
        }
        Ok(())
    }
}

fn is_soft(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// The head of an answer, but for its last lines.
fn head(status: u16, content_type: &str) -> String {
    let reason = match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        421 => "Misdirected Request",
        431 => "Request Header Fields Too Large",
        _ => "Service Unavailable",
    };
    let allow = if status == 405 {
        "Allow: GET, HEAD\r\n"
    } else {
        ""
    };
    format!(
        "HTTP/1.1 {status} {reason}\r\n\
         Content-Type: {content_type}\r\n\
         {allow}\
         Cache-Control: no-store\r\n\
         Connection: close\r\n\
         Content-Security-Policy: {CONTENT_SECURITY_POLICY}\r\n\
         Cross-Origin-Resource-Policy: same-origin\r\n\
         Referrer-Policy: no-referrer\r\n\
         X-Content-Type-Options: nosniff\r\n\
         X-Frame-Options: DENY\r\n"
    )
}
