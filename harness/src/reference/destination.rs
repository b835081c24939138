//! Where `reftail` sends its batches: a file, an HTTP server, a TCP connection, or nowhere.

use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Result};

use super::Sink;

/// A destination as it was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// Appended to this file.
    File(PathBuf),
    /// A POST per batch.
    Http {
        /// `HOST:PORT`
        address: String,
        /// From its `/` on.
        path: String,
    },
    /// One connection, to `HOST:PORT`.
    Tcp(String),
    /// Thrown away.
    Null,
}

impl FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Destination, String> {
        let with_port = |address: &str| match address.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                Ok(address.to_owned())
            }
            _ => Err(format!("`{address}` is not HOST:PORT")),
        };
        if let Some(rest) = text.strip_prefix("http://") {
            let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
            let address = with_port(address)?;
            let path = format!("/{path}");
            return Ok(Destination::Http { address, path });
        }
        if let Some(address) = text.strip_prefix("tcp://") {
            return with_port(address).map(Destination::Tcp);
        }
        let path = text.strip_prefix("file:");
        match path.map(|path| path.strip_prefix("//").unwrap_or(path)) {
            Some(path) if !path.is_empty() => Ok(Destination::File(path.into())),
            None if text == "null:" => Ok(Destination::Null),
            _ => Err(format!(
                "`{text}` is no destination; expected file:PATH, http://HOST:PORT/PATH, \
                 tcp://HOST:PORT or null:"
            )),
        }
    }
}

impl Destination {
    /// Opens the file or makes the connection.
    ///
    /// # Errors
    /// When that fails.
    pub(super) fn open(&self) -> Result<Box<dyn Sink>> {
        Ok(match self {
            Destination::File(path) => {
                let file = OpenOptions::new().create(true).append(true).open(path);
                let file = file.with_context(|| format!("open {}", path.display()))?;
                Box::new(Stream(file))
            }
            Destination::Tcp(address) => Box::new(Stream(connect(address)?)),
            Destination::Http { address, path } => Box::new(Http {
                stream: BufReader::new(connect(address)?),
                head: format!(
                    "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/x-ndjson\r\n\
                     Content-Length: "
                ),
                request: Vec::new(),
            }),
            Destination::Null => Box::new(Null),
        })
    }
}

fn connect(address: &str) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).with_context(|| format!("connect to {address}"))?;
    stream.set_nodelay(true).context("set TCP_NODELAY")?;
    Ok(stream)
}

struct Null;

impl Sink for Null {
    fn send(&mut self, _batch: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

struct Stream<W>(W);

impl<W: Write> Sink for Stream<W> {
    fn send(&mut self, batch: &[u8]) -> io::Result<()> {
        self.0.write_all(batch)
    }
}

struct Http {
    stream: BufReader<TcpStream>,
    head: String,
    request: Vec<u8>,
}

impl Sink for Http {
    fn send(&mut self, batch: &[u8]) -> io::Result<()> {
        self.request.clear();
        write!(self.request, "{}{}\r\n\r\n", self.head, batch.len())?;
        self.request.extend_from_slice(batch);
        self.stream.get_mut().write_all(&self.request)?;
        read_answer(&mut self.stream)
    }
}

/// Reads an answer to its end; it has to be a 2xx with a known length.
fn read_answer(stream: &mut impl BufRead) -> io::Result<()> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut length = 0;
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        if name.eq_ignore_ascii_case("content-length") {
            let parsed = value.trim().parse();
            length = parsed.map_err(|_| invalid(format!("content-length{value}")))?;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(invalid("an answer of unknown length".to_owned()));
        }
    }
    io::copy(&mut stream.take(length), &mut io::sink())?;
    match status.starts_with('2') {
        true => Ok(()),
        false => Err(invalid(format!("the server answered with `{status}`"))),
    }
}

fn invalid(what: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}
