//! NDJSON over HTTP(S): one POST per batch, on a connection that is kept. Input: a batch's lines;
//! output: `Ok` after a 2xx, else what went wrong in words.
//!
//! Never follows a redirect, never sends a body in chunks of unknown length, and never gives a
//! record up. A proxy is used where `HTTPS_PROXY`, `HTTP_PROXY` or `ALL_PROXY` name one and
//! `NO_PROXY` does not take the host out.

mod answer;
pub(crate) use answer::redacted;
mod interim;
mod resolve;
mod tls;

#[cfg(test)]
mod tests;

use std::io::Read;
use std::time::{Duration, SystemTime};

use ureq::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use ureq::http::{Method, Request, Response, StatusCode, Uri};
use ureq::unversioned::transport::{Connector as _, DefaultConnector};
use ureq::{Agent, Body, SendBody, Timeout};
use xxhash_rust::xxh3::xxh3_64;

use super::{Sink, SinkError};
use crate::config::{Compression, HttpOptions};
use crate::error::{Error, Result};

/// Bytes of an answer's body that are read so that its connection can serve the next request. A
/// longer answer costs its connection.
const DRAIN_BYTES_MAX: u64 = 64 * 1024;

/// The longest time to connect; a longer `request_timeout` leaves the rest to the request.
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(5);

/// Whole payloads delivered before a limit on the body size, learned from a 413, is doubled to see
/// whether it still holds.
const PAYLOADS_PER_TRIAL: u32 = 128;

/// Headers that the sink or the client sets itself: another value would break the framing.
const RESERVED_HEADERS: [HeaderName; 7] = [
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Delivers each payload as the body of a POST.
pub(crate) struct HttpSink {
    agent: Agent,
    uri: Uri,
    headers: HeaderMap,
    /// The URL as messages show it, without secrets.
    shown_url: String,
    request_timeout: Duration,
    compressor: Option<Compressor>,
    pieces: Pieces,
    /// Whether the next request asks for leave before it sends its body. Set after a connection
    /// broke or stalled under a body: a server that refuses a body by its length answers 413 and
    /// closes, and that answer is lost to a client that is still sending.
    asks_first: bool,
}

impl HttpSink {
    /// Makes the sink. Nothing is sent and no name is resolved yet.
    ///
    /// # Errors
    /// [`Error::Usage`] when the URL, a header or the CA file cannot be used.
    pub(crate) fn open(url: &str, options: &HttpOptions) -> Result<HttpSink> {
        let uri = checked_uri(url)?;
        let tls = tls::config(
            uri.scheme_str() == Some("https"),
            options.ca_file.as_deref(),
        )?;
        let timeout = options.request_timeout;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .tls_config(tls)
            .timeout_global(Some(timeout))
            .timeout_connect(Some(timeout.min(CONNECT_TIMEOUT_MAX)))
            // Servers that do not know the question must still get the body in time.
            .timeout_await_100(Some((timeout / 4).min(Duration::from_secs(1))))
            .max_idle_connections(1)
            .build();
        let resolver = resolve::RememberingResolver::default();
        let connector = DefaultConnector::default().chain(interim::BareInterim);
        Ok(HttpSink {
            agent: Agent::with_parts(config, connector, resolver),
            uri,
            headers: headers(options)?,
            shown_url: answer::redacted(url),
            request_timeout: timeout,
            compressor: Compressor::new(options.compression)?,
            pieces: Pieces::default(),
            asks_first: false,
        })
    }

    /// Sends one body and says whether the server took it or found it too large.
    fn post(&mut self, lines: &[u8]) -> std::result::Result<Verdict, SinkError> {
        let body = match &mut self.compressor {
            Some(compressor) => compressor.compress(lines)?,
            None => lines,
        };
        let mut unsent = body;
        let mut request = Request::new(SendBody::from_reader(&mut unsent));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        // Without a length a reader goes in chunks, which many servers do not take.
        request
            .headers_mut()
            .insert(header::CONTENT_LENGTH, body.len().into());
        if self.asks_first {
            let question = HeaderValue::from_static("100-continue");
            request.headers_mut().insert(header::EXPECT, question);
        }
        let result = self.agent.run(request);
        let was_sent = unsent.is_empty();
        match result {
            Ok(response) => self.judge(response, was_sent),
            Err(error) => Err(self.no_answer(&error, was_sent)),
        }
    }

    fn judge(
        &mut self,
        response: Response<Body>,
        was_sent: bool,
    ) -> std::result::Result<Verdict, SinkError> {
        let (head, mut body) = response.into_parts();
        let excerpt = drain(&mut body);
        if head.status == StatusCode::PAYLOAD_TOO_LARGE {
            return Ok(Verdict::TooLarge);
        }
        self.asks_first = false;
        if head.status.is_success() && was_sent {
            return Ok(Verdict::Taken);
        }
        let mut message = answer::refusal(&self.shown_url, head.status, &head.headers, &excerpt);
        if head.status.is_success() {
            message += ", but before it was sent the batch";
        }
        let retry_after = answer::retry_after(head.status, &head.headers, SystemTime::now());
        Err(SinkError::Retry {
            message,
            retry_after,
        })
    }

    fn no_answer(&mut self, error: &ureq::Error, was_sent: bool) -> SinkError {
        use std::io::ErrorKind::{
            BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset,
        };
        let may_be_refused_unread = match error {
            ureq::Error::Io(error) => {
                matches!(
                    error.kind(),
                    BrokenPipe | ConnectionAborted | ConnectionReset
                )
            }
            ureq::Error::Timeout(Timeout::Global) => !was_sent,
            _ => false,
        };
        // Never twice in a row: a server that cannot be asked must get the body unasked.
        self.asks_first = may_be_refused_unread && !self.asks_first;
        let message = answer::breakdown(&self.shown_url, error, self.request_timeout);
        match error {
            ureq::Error::Io(error) if error.kind() == ConnectionRefused => {
                SinkError::Unreachable { message }
            }
            _ => retry(message),
        }
    }
}

impl Sink for HttpSink {
    fn name(&self) -> String {
        self.shown_url.clone()
    }

    /// One POST, unless the server answers 413 Payload Too Large: then the payload goes in smaller
    /// pieces, one POST each, and `request_timeout` holds for each of them.
    fn deliver(&mut self, payload: &[u8], _records: u64) -> std::result::Result<(), SinkError> {
        let mut delivered_bytes = self.pieces.resume(payload);
        while delivered_bytes < payload.len() {
            let piece = self.pieces.first(&payload[delivered_bytes..]);
            match self.post(piece) {
                Ok(Verdict::Taken) => delivered_bytes += piece.len(),
                Ok(Verdict::TooLarge) if is_one_record(piece) => {
                    self.pieces.interrupt(payload, delivered_bytes);
                    return Err(retry(answer::record_too_large(
                        &self.shown_url,
                        piece.len(),
                    )));
                }
                Ok(Verdict::TooLarge) => self.pieces.shrink(piece.len()),
                Err(error) => {
                    self.pieces.interrupt(payload, delivered_bytes);
                    return Err(error);
                }
            }
        }
        self.pieces.complete();
        Ok(())
    }
}

/// What a server thinks of one body.
enum Verdict {
    Taken,
    TooLarge,
}

/// How payloads are cut for a server that limits bodies, and how far the current one has come.
#[derive(Default)]
struct Pieces {
    /// The largest piece to try; `None` until a server set a limit.
    bytes_max: Option<usize>,
    /// Payloads delivered since the limit last changed.
    payloads: u32,
    progress: Option<Progress>,
}

/// The prefix of an interrupted payload that the server has taken.
struct Progress {
    payload_digest: u64,
    delivered_bytes: usize,
}

impl Pieces {
    /// How much of `payload` was delivered before its last attempt failed. The digest makes sure
    /// that it is the same payload: a prefix skipped in another one would be lost.
    fn resume(&mut self, payload: &[u8]) -> usize {
        match self.progress.take() {
            Some(progress) if progress.payload_digest == xxh3_64(payload) => {
                progress.delivered_bytes
            }
            _ => 0,
        }
    }

    fn interrupt(&mut self, payload: &[u8], delivered_bytes: usize) {
        self.progress = (delivered_bytes > 0).then(|| Progress {
            payload_digest: xxh3_64(payload),
            delivered_bytes,
        });
    }

    /// The lines at the start of `rest` that fit the limit, at least one.
    fn first<'a>(&self, rest: &'a [u8]) -> &'a [u8] {
        let Some(bytes_max) = self.bytes_max.filter(|max| *max < rest.len()) else {
            return rest;
        };
        let newline = memchr::memrchr(b'\n', &rest[..bytes_max])
            .or_else(|| memchr::memchr(b'\n', &rest[bytes_max..]).map(|index| bytes_max + index));
        newline.map_or(rest, |index| &rest[..=index])
    }

    /// A piece of `bytes` was too large: half of it is the new limit.
    fn shrink(&mut self, bytes: usize) {
        self.bytes_max = Some(bytes / 2);
        self.payloads = 0;
    }

    /// A payload is through. After many of them a higher limit gets a chance, so that one odd
    /// answer does not mean small bodies for ever; where it still holds, that costs one 413.
    fn complete(&mut self) {
        self.payloads += 1;
        if self.payloads >= PAYLOADS_PER_TRIAL {
            self.payloads = 0;
            self.bytes_max = self.bytes_max.map(|max| max.saturating_mul(2));
        }
    }
}

fn is_one_record(lines: &[u8]) -> bool {
    memchr::memchr(b'\n', lines).is_none_or(|index| index + 1 == lines.len())
}

/// A zstd context and its output, both kept from batch to batch.
struct Compressor {
    zstd: zstd::bulk::Compressor<'static>,
    output: Vec<u8>,
}

impl Compressor {
    fn new(compression: Compression) -> Result<Option<Compressor>> {
        let Compression::Zstd(level) = compression else {
            return Ok(None);
        };
        let range = zstd::compression_level_range();
        if !range.contains(&level) {
            return Err(Error::Usage(format!(
                "zstd level {level} is out of range: expected {} to {}",
                range.start(),
                range.end()
            )));
        }
        let zstd = zstd::bulk::Compressor::new(level).map_err(Error::system("set up zstd"))?;
        Ok(Some(Compressor {
            zstd,
            output: Vec::new(),
        }))
    }

    fn compress(&mut self, lines: &[u8]) -> std::result::Result<&[u8], SinkError> {
        self.output.clear();
        self.output.reserve(zstd::compress_bound(lines.len()));
        self.zstd
            .compress_to_buffer(lines, &mut self.output)
            .map_err(|error| retry(format!("cannot compress a batch: {error}")))?;
        Ok(&self.output)
    }
}

/// Reads the body to its end, where that is not far, and returns its beginning. An error only
/// costs the connection: the status has said what counts.
fn drain(body: &mut Body) -> Vec<u8> {
    let mut excerpt = Vec::new();
    let mut buffer = [0; 4096];
    let mut reader = body.as_reader().take(DRAIN_BYTES_MAX);
    while let Ok(count @ 1..) = reader.read(&mut buffer) {
        let wanted = count.min(answer::EXCERPT_BYTES_MAX - excerpt.len());
        excerpt.extend_from_slice(&buffer[..wanted]);
    }
    excerpt
}

fn retry(message: String) -> SinkError {
    SinkError::Retry {
        message,
        retry_after: None,
    }
}

fn checked_uri(url: &str) -> Result<Uri> {
    let refuse = |reason: &str| {
        let shown = answer::redacted(url);
        Error::Usage(format!(
            "cannot ship to {shown:?}: {reason}; expected http://host[:port]/path or https://..."
        ))
    };
    let uri: Uri = url.parse().map_err(|error| refuse(&format!("{error}")))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(refuse("the scheme is neither http nor https"));
    }
    if uri.host().is_none_or(str::is_empty) {
        return Err(refuse("the host is missing"));
    }
    let port = uri
        .authority()
        .and_then(|authority| port_text(authority.as_str()));
    if port.is_some_and(|text| text.parse::<u16>().is_err()) {
        return Err(refuse("the port is no number from 1 to 65535"));
    }
    Ok(uri)
}

/// What follows the last colon of an authority, if that colon belongs to no user and no IPv6
/// address.
fn port_text(authority: &str) -> Option<&str> {
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    host.rsplit_once(':')
        .map(|(_, port)| port)
        .filter(|port| !port.contains(']'))
}

/// The headers of every request: the configured ones, and the sink's own where none of that name
/// is configured.
fn headers(options: &HttpOptions) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in &options.headers {
        let (name, value) = checked_header(name, value)?;
        headers.append(name, value);
    }
    let agent = HeaderValue::from_static(concat!("ves/", env!("CARGO_PKG_VERSION")));
    headers.entry(header::USER_AGENT).or_insert(agent);
    let ndjson = HeaderValue::from_static("application/x-ndjson");
    headers.entry(header::CONTENT_TYPE).or_insert(ndjson);
    if matches!(options.compression, Compression::Zstd(_)) {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("zstd"));
    }
    Ok(headers)
}

fn checked_header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue)> {
    let parsed: HeaderName = name.trim().parse().map_err(|_| {
        Error::Usage(format!(
            "{name:?} is no HTTP header name; expected a form like X-Scope-OrgID"
        ))
    })?;
    if RESERVED_HEADERS.contains(&parsed) {
        return Err(Error::Usage(format!(
            "the HTTP header {parsed} cannot be configured: it follows from the body and its \
             compression"
        )));
    }
    // The value may be a secret, so it is not in the message.
    let mut value: HeaderValue = value.trim().parse().map_err(|_| {
        Error::Usage(format!(
            "the value of the HTTP header {parsed} has a character that headers cannot have, like \
             a line break"
        ))
    })?;
    value.set_sensitive(true);
    Ok((parsed, value))
}
