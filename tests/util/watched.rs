//! The metrics server of a running `ves`, asked over plain sockets.

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;

use crate::util::{Bench, PATIENCE, wait_until};

/// Where it listens.
pub(crate) struct Watched {
    /// Address and port.
    pub(crate) address: String,
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    /// The value of the header with that name in lower case.
    pub(crate) fn header(&self, name: &str) -> &str {
        let headers = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut named = headers.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        named.next().map_or("", |(_, value)| value)
    }
}

impl Watched {
    /// Of a `ves` that says where it listens.
    pub(crate) fn of(bench: &Bench) -> Watched {
        Watched::at(bench, "dashboard are at http://")
    }

    /// Of a `ves` that says where it listens after `words`; where it said so last.
    pub(crate) fn at(bench: &Bench, words: &str) -> Watched {
        let mut address = None;
        wait_until("the address of the metrics", || {
            let said = bench.stderr();
            address = said.lines().rev().find_map(|line| {
                let (_, url) = line.split_once(words)?;
                let (address, _) = url.split_once('/')?;
                Some(address.to_owned())
            });
            address.is_some()
        });
        Watched {
            address: address.unwrap(),
        }
    }

    /// What is at `path`.
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.get_as(path, &self.address)
    }

    /// The same, asked for by another name.
    pub(crate) fn get_as(&self, path: &str, host: &str) -> Answer {
        self.request(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
    }

    /// The answer to any request.
    pub(crate) fn request(&self, request: &str) -> Answer {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    /// The stream of events, open until the server ends it.
    pub(crate) fn events(&self) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!("GET /events HTTP/1.1\r\nHost: {}\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).unwrap();
        BufReader::new(stream)
    }

    /// The value of a metric with its labels as they are written.
    pub(crate) fn value(&self, name: &str) -> f64 {
        let text = self.get("/metrics").body;
        let value = |line: &str| {
            let value = line.strip_prefix(name)?.strip_prefix(' ')?;
            value.parse().ok()
        };
        text.lines()
            .find_map(value)
            .unwrap_or_else(|| panic!("no {name} in {text}"))
    }
}
