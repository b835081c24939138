//! The head of a request, and whether its `Host` is one of ours.
//!
//! A web page whose host name leads to this machine (DNS rebinding) may read whatever answers to
//! that name. So only names are answered to that such a page cannot have.

use std::net::{IpAddr, SocketAddr};

use super::super::site::Response;

/// Longest head of a request.
pub(super) const HEAD_BYTES_MAX: usize = 8 << 10;

/// Most headers of a request.
const HEADERS_MAX: usize = 64;

/// A request for a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// The address, without its query.
    pub(super) path: String,
    /// Whether only the head of the answer is wanted.
    pub(super) is_head: bool,
}

/// The host names by which this server may be asked.
#[derive(Clone, Debug)]
pub(crate) struct Hosts {
    is_loopback: bool,
    /// In lower case.
    names: Vec<String>,
}

impl Hosts {
    /// Those of a server at `address`: `localhost`, `more`, and where it is not only reached from
    /// this machine, `own_name`.
    pub(crate) fn new(address: SocketAddr, own_name: &str, more: &[String]) -> Hosts {
        let is_loopback = address.ip().is_loopback();
        let mut names = vec!["localhost".to_owned()];
        names.extend(more.iter().map(|name| name.to_ascii_lowercase()));
        if !is_loopback {
            names.push(own_name.to_ascii_lowercase());
        }
        Hosts { is_loopback, names }
    }

    /// Whether a `Host` header names this server. Its port may be any: it may be forwarded.
    fn has(&self, host: &str) -> bool {
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        };
        if let Ok(ip) = name.parse::<IpAddr>() {
            // No name leads to an address by itself: this is what was typed.
            return !self.is_loopback || ip.is_loopback();
        }
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        self.names.contains(&name)
    }
}

/// What was received so far, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// There is more to come.
    Partial,
    /// A request that can be answered.
    Request(Request),
    /// The answer to one that cannot.
    Refused(Response),
}

/// Parses the head of a request.
pub(super) fn parse(input: &[u8], hosts: &Hosts) -> Parsed {
    let refuse = |status, text: &str| Parsed::Refused(Response::text(status, text));
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Request::new(&mut headers);
    match head.parse(input) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) if input.len() < HEAD_BYTES_MAX => return Parsed::Partial,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            return refuse(431, "the head of the request is too long");
        }
        Err(_) => return refuse(400, "not an HTTP request"),
    }
    let mut named = head.headers.iter();
    let mut named = named
        .by_ref()
        .filter(|header| header.name.eq_ignore_ascii_case("host"));
    let (Some(host), None) = (named.next(), named.next()) else {
        return refuse(400, "a request has one Host header");
    };
    if !std::str::from_utf8(host.value).is_ok_and(|host| hosts.has(host.trim())) {
        return refuse(
            421,
            "this is not the host that the request is for: use localhost or an IP address, or \
             allow the name with --metrics-host",
        );
    }
    let is_head = match head.method {
        Some("GET") => false,
        Some("HEAD") => true,
        _ => return refuse(405, "only GET and HEAD are answered"),
    };
    match head.path {
        Some(path) if path.starts_with('/') => Parsed::Request(Request {
            path: path.split('?').next().unwrap_or_default().to_owned(),
            is_head,
        }),
        _ => refuse(400, "the address has to begin with /"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(address: &str) -> Hosts {
        Hosts::new(
            address.parse().unwrap(),
            "Web-1",
            &["logs.example.com".to_owned()],
        )
    }

    #[test]
    fn on_loopback_only_names_of_loopback_are_answered_to() {
        let hosts = hosts("127.0.0.1:9600");
        for host in [
            "127.0.0.1:9600",
            "127.0.0.1",
            "localhost:1234",
            "LOCALHOST.",
            "[::1]:9600",
            "logs.example.com:80",
        ] {
            assert!(hosts.has(host), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:9600",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "web-1",
            "192.0.2.1",
            "[2001:db8::1]",
            "",
            ":9600",
            "[",
        ] {
            assert!(!hosts.has(host), "{host}");
        }
    }

    #[test]
    fn elsewhere_addresses_and_this_hosts_name_are_answered_to() {
        let hosts = hosts("0.0.0.0:9600");
        for host in [
            "192.0.2.1:9600",
            "[2001:db8::1]:9600",
            "web-1:9600",
            "localhost",
        ] {
            assert!(hosts.has(host), "{host}");
        }
        for host in ["evil.example", "web-1.evil.example"] {
            assert!(!hosts.has(host), "{host}");
        }
    }

    #[test]
    fn heads_are_understood_or_refused() {
        let hosts = hosts("127.0.0.1:9600");
        let status = |head: &str| match parse(head.as_bytes(), &hosts) {
            Parsed::Refused(response) => response.status,
            Parsed::Request(_) => 200,
            Parsed::Partial => 0,
        };
        let request = Request {
            path: "/metrics".to_owned(),
            is_head: false,
        };
        assert_eq!(
            parse(
                b"GET /metrics?x=1 HTTP/1.1\r\nhost: localhost\r\n\r\n",
                &hosts
            ),
            Parsed::Request(request)
        );
        assert_eq!(status("GET / HTTP/1.1\r\nHost: localhost\r\n"), 0);
        assert_eq!(status("GET / HTTP/1.1\r\n\r\n"), 400);
        assert_eq!(
            status("GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n"),
            400
        );
        assert_eq!(status("GET / HTTP/1.1\r\nHost: evil\r\n\r\n"), 421);
        assert_eq!(status("POST / HTTP/1.1\r\nHost: localhost\r\n\r\n"), 405);
        assert_eq!(
            status("GET http://evil/ HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            400
        );
        assert_eq!(status("\x16\x03\x01\x02"), 400);
        let long = format!(
            "GET / HTTP/1.1\r\nHost: localhost\r\nx: {}",
            "y".repeat(HEAD_BYTES_MAX)
        );
        assert_eq!(status(&long), 431);
    }
}
