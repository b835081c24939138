//! Interim answers (1xx) without their header fields. RFC 9110, 15.2, allows such fields, and some
//! servers put `Date` and `Server` even into `100 Continue`; ureq takes any field in an answer to
//! `Expect: 100-continue` for a final answer: it keeps the body and waits for an answer that the
//! server gives only to a body. This layer between ureq and the connection takes the fields out.
//! The transport interface is outside ureq's semantic versioning, so an update may need a change
//! here.

use std::time::Instant;

use ureq::Error;
use ureq::unversioned::transport::time::Duration;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

/// Fields of an interim answer that are understood; one with more is left as it is.
const FIELDS_MAX: usize = 64;

/// The end of a chain of connectors.
#[derive(Debug)]
pub(super) struct BareInterim;

impl<In: Transport> Connector<In> for BareInterim {
    type Out = BareInterimTransport<In>;

    fn connect(
        &self,
        _: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        Ok(chained.map(BareInterimTransport))
    }
}

/// A connection on which interim answers have no fields.
#[derive(Debug)]
pub(super) struct BareInterimTransport<T>(T);

impl<T: Transport> Transport for BareInterimTransport<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.0.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.0.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let begin = Instant::now();
        let mut left = timeout;
        loop {
            let has_progressed = self.0.await_input(left)?;
            match look(self.0.buffers().input()) {
                Look::Other => return Ok(has_progressed),
                Look::Interim { status, bytes } => {
                    replace(self.0.buffers(), bytes, &bare(status));
                    return Ok(true);
                }
                Look::Unfinished if !has_progressed => return Ok(false),
                Look::Unfinished => {}
            }
            if !timeout.after.is_not_happening() {
                let rest = timeout.after.saturating_sub(begin.elapsed());
                if rest.is_zero() {
                    return Err(Error::Timeout(timeout.reason));
                }
                left.after = Duration::Exact(rest);
            }
        }
    }

    fn is_open(&mut self) -> bool {
        self.0.is_open()
    }

    fn is_tls(&self) -> bool {
        self.0.is_tls()
    }
}

/// What the unread input begins with.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    /// Interim answers, of the last of which not all is there.
    Unfinished,
    /// Interim answers, their length, and what they come to: leave to go on if one of them gives it.
    Interim { status: u16, bytes: usize },
    /// What ureq can be left alone with.
    Other,
}

fn look(input: &[u8]) -> Look {
    let mut seen = Look::Other;
    let mut end = 0;
    loop {
        match first(input.get(end..).unwrap_or_default()) {
            Look::Other => return seen,
            Look::Unfinished => return Look::Unfinished,
            Look::Interim { status, bytes } => {
                end += bytes;
                let status = match seen {
                    Look::Interim { status: 100, .. } => 100,
                    _ => status,
                };
                seen = Look::Interim { status, bytes: end };
            }
        }
    }
}

/// The same for one answer.
fn first(input: &[u8]) -> Look {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut answer = httparse::Response::new(&mut fields);
    let Ok(parsed) = answer.parse(input) else {
        return Look::Other;
    };
    // 101 is no interim answer to a request like ours: the connection is another one after it.
    let status = match answer.code {
        Some(code @ 100..=199) if code != 101 => code,
        _ => return Look::Other,
    };
    match parsed {
        httparse::Status::Partial => Look::Unfinished,
        httparse::Status::Complete(bytes) => Look::Interim { status, bytes },
    }
}

fn bare(status: u16) -> Vec<u8> {
    format!("HTTP/1.1 {status} Interim\r\n\r\n").into_bytes()
}

/// Puts other bytes in the place of the first ones of the input.
fn replace(buffers: &mut dyn Buffers, bytes: usize, bare: &[u8]) {
    let mut input = bare.to_vec();
    input.extend_from_slice(buffers.input().get(bytes..).unwrap_or_default());
    let consumed = buffers.input().len();
    buffers.input_consume(consumed);
    if let Some(room) = buffers.input_append_buf().get_mut(..input.len()) {
        room.copy_from_slice(&input);
        buffers.input_appended(input.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interim_answers_are_told_from_others() {
        let interim = |status, bytes| Look::Interim { status, bytes };
        for (input, expected) in [
            ("", Look::Other),
            ("HTTP/1.1 1", Look::Other),
            ("HTTP/1.1 100 Continue\r\n\r\n", interim(100, 25)),
            ("HTTP/1.1 100 Continue\r\n", Look::Unfinished),
            ("HTTP/1.1 100 Continue\r\nDate: x\r\n", Look::Unfinished),
            ("HTTP/1.1 100 Continue\r\nDate: x\r\n\r\n", interim(100, 34)),
            (
                "HTTP/1.1 100 C\r\nA: b\r\n\r\nHTTP/1.1 200",
                interim(100, 24),
            ),
            (
                "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n",
                interim(103, 37),
            ),
            (
                "HTTP/1.1 100 A\r\n\r\nHTTP/1.1 103 B\r\n\r\nHTTP/1.1 200 OK\r\n",
                interim(100, 36),
            ),
            (
                "HTTP/1.1 103 B\r\n\r\nHTTP/1.1 100 A\r\nDa",
                Look::Unfinished,
            ),
            ("HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", Look::Other),
            ("HTTP/1.1 200 OK\r\nDate: x\r\n\r\n", Look::Other),
            ("HTTP/1.1 200 OK\r\nDate", Look::Other),
            ("\0\x01\x02", Look::Other),
        ] {
            assert_eq!(look(input.as_bytes()), expected, "{input:?}");
        }
    }

    #[test]
    fn what_follows_an_interim_answer_stays() {
        let mut buffers = ureq::unversioned::transport::LazyBuffers::new(1024, 1024);
        let input = b"HTTP/1.1 100 Continue\r\nDate: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
        buffers.input_append_buf()[..input.len()].copy_from_slice(input);
        buffers.input_appended(input.len());
        replace(&mut buffers, 34, &bare(100));
        let expected = b"HTTP/1.1 100 Interim\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
        assert_eq!(buffers.input(), expected);
        assert!(buffers.can_use_input());
    }
}
