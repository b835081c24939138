//! What an HTTP answer or a failed attempt means, in words for the operator. Pure functions: the
//! sink does the talking.

use std::io;
use std::time::{Duration, SystemTime};

use ureq::Timeout;
use ureq::http::{HeaderMap, StatusCode, header};

/// Bytes of a body that are quoted in a message.
pub(super) const EXCERPT_BYTES_MAX: usize = 200;

/// The longest `Retry-After` that is honoured: a wrong clock or header must not stop a collector
/// for a day.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(5 * 60);

/// The URL without what may be secret: user, password, query and fragment. Works on text that is
/// no valid URL, too.
pub(crate) fn redacted(url: &str) -> String {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let (scheme, rest) = url[..end].split_once("://").unwrap_or(("", &url[..end]));
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    if scheme.is_empty() {
        format!("{host}{path}")
    } else {
        format!("{scheme}://{host}{path}")
    }
}

/// What a status other than 2xx means. `excerpt` is the beginning of the body.
pub(super) fn refusal(
    sink: &str,
    status: StatusCode,
    headers: &HeaderMap,
    excerpt: &[u8],
) -> String {
    let mut message = format!("{sink} answered {status}");
    if let Some(location) = location(status, headers) {
        message += &format!(" to {location:?}");
    }
    if !excerpt.is_empty() {
        // Debug escapes what could play with the operator's terminal.
        message += &format!(", {:?}", String::from_utf8_lossy(excerpt));
    }
    if let Some(remedy) = remedy(status) {
        message += "; ";
        message += remedy;
    }
    message
}

fn location(status: StatusCode, headers: &HeaderMap) -> Option<String> {
    let location = headers
        .get(header::LOCATION)
        .filter(|_| status.is_redirection())?;
    let text = String::from_utf8_lossy(location.as_bytes());
    Some(redacted(&text).chars().take(EXCERPT_BYTES_MAX).collect())
}

fn remedy(status: StatusCode) -> Option<&'static str> {
    Some(match status.as_u16() {
        300..=399 => "redirects are not followed: give --ship the final URL",
        400 => "the server does not understand the request: check that it takes NDJSON here",
        401 | 403 => "check the credentials in the Authorization header (--header)",
        404 | 410 => "check the path of the URL",
        405 => "check that the URL takes POST",
        407 => "check the credentials in the proxy's URL (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY)",
        408 => "the server waited too long for the request: lower the batch size",
        415 => "check that the server takes NDJSON, and zstd where compression is on",
        429 => "the server asks for fewer requests: a larger batch size makes fewer",
        _ => return None,
    })
}

/// What it means that the server takes not even one record.
pub(super) fn record_too_large(sink: &str, record_bytes: usize) -> String {
    format!(
        "{sink} answered 413 Payload Too Large to a single record of {record_bytes} bytes, which \
         holds up all that follow; raise the limit of the server (nginx: client_max_body_size), \
         or lower --line-bytes-max"
    )
}

/// The pause that the server asked for, in seconds or as a date, at most 5 minutes. `None` where
/// it asked for none or in no form that HTTP knows.
pub(super) fn retry_after(
    status: StatusCode,
    headers: &HeaderMap,
    now: SystemTime,
) -> Option<Duration> {
    if !matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    ) {
        return None;
    }
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let pause = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Digits that overflow ask for more than the bound, too.
        text.parse().map_or(RETRY_AFTER_MAX, Duration::from_secs)
    } else {
        // A date that is past asks for no pause.
        httpdate::parse_http_date(text)
            .ok()?
            .duration_since(now)
            .unwrap_or_default()
    };
    Some(pause.min(RETRY_AFTER_MAX))
}

/// What it means that there was no answer.
pub(super) fn breakdown(sink: &str, error: &ureq::Error, request_timeout: Duration) -> String {
    let reason = match error {
        ureq::Error::Timeout(phase) => timed_out(*phase, request_timeout),
        ureq::Error::HostNotFound => "the host name has no address: check the URL".to_owned(),
        ureq::Error::Io(error) => broken(error),
        ureq::Error::Rustls(error) => untrusted(error),
        ureq::Error::Protocol(error) => {
            format!("the answer is not HTTP ({error}): check the port of the URL")
        }
        ureq::Error::LargeResponseHeader(..) => "the head of the answer has no end".to_owned(),
        ureq::Error::ConnectProxyFailed(reason) => {
            format!("the proxy refused ({reason:?}): check HTTPS_PROXY, HTTP_PROXY, ALL_PROXY")
        }
        other => other.to_string(),
    };
    format!("cannot deliver to {sink}: {reason}")
}

fn timed_out(phase: Timeout, request_timeout: Duration) -> String {
    match phase {
        Timeout::Resolve => "the host name was not resolved in time".to_owned(),
        Timeout::Connect => "no connection in time: check the host, port and firewall".to_owned(),
        _ => format!(
            "no complete answer within {}: raise --request-timeout if the server is that slow",
            humantime::format_duration(request_timeout)
        ),
    }
}

fn broken(error: &io::Error) -> String {
    if let Some(tls) = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
    {
        return untrusted(tls);
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "connection refused: nothing listens there, check host and port".to_owned()
        }
        // Many servers refuse a body that is too large by closing the connection.
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe => {
            format!("the connection broke while the request was sent or answered ({error})")
        }
        io::ErrorKind::UnexpectedEof => {
            "the server closed the connection without an answer".to_owned()
        }
        _ => error.to_string(),
    }
}

fn untrusted(error: &rustls::Error) -> String {
    use rustls::CertificateError as Cause;
    let remedy = match error {
        // A bad signature is what another authority of the same name leaves.
        rustls::Error::InvalidCertificate(Cause::UnknownIssuer | Cause::BadSignature) => {
            "its authority is not trusted here: name the authority's PEM file with --ca-file"
        }
        rustls::Error::InvalidCertificate(
            Cause::NotValidForName | Cause::NotValidForNameContext { .. },
        ) => "it is for another host name: use the name that is in the certificate",
        rustls::Error::InvalidCertificate(
            Cause::Expired | Cause::ExpiredContext { .. } | Cause::NotValidYet,
        ) => "check the certificate's dates and this machine's clock",
        rustls::Error::InvalidMessage(_) => "does this port speak plain http?",
        _ => return format!("TLS failed: {error}"),
    };
    format!("TLS failed: {error}; {remedy}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_lose_their_secrets() {
        for (url, shown) in [
            ("http://h:1/a/b", "http://h:1/a/b"),
            ("https://u:p@h/a?token=x#y", "https://h/a"),
            ("https://u:p@h?token=x", "https://h"),
            ("http://u:p@ss@h", "http://h"),
            ("http://h/a@b", "http://h/a@b"),
            ("u:p@h", "h"),
            ("", ""),
        ] {
            assert_eq!(redacted(url), shown);
        }
    }

    #[test]
    fn retry_after_in_both_forms_is_bounded() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let asked = |status, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, value.parse().unwrap());
            retry_after(StatusCode::from_u16(status).unwrap(), &headers, now)
        };
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(asked(429, "7"), seconds(7));
        assert_eq!(asked(503, " 7 "), seconds(7));
        assert_eq!(asked(503, "0"), seconds(0));
        assert_eq!(asked(503, "86400"), seconds(300));
        assert_eq!(asked(503, "99999999999999999999999999"), seconds(300));
        assert_eq!(asked(503, "Sun, 06 Nov 1994 08:50:00 GMT"), seconds(23));
        assert_eq!(asked(503, "Sun, 06 Nov 1994 08:49:00 GMT"), seconds(0));
        assert_eq!(asked(503, "Sun, 06 Nov 2044 08:49:00 GMT"), seconds(300));
        for nonsense in ["", "soon", "-5", "1.5", "1e3"] {
            assert_eq!(asked(503, nonsense), None, "{nonsense:?}");
        }
        assert_eq!(asked(500, "7"), None);
        assert_eq!(
            retry_after(StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new(), now),
            None
        );
    }

    #[test]
    fn bodies_and_locations_are_quoted_without_control_characters() {
        let mut headers = HeaderMap::new();
        let hostile = header::HeaderValue::from_bytes(b"http://u:p@h/\xff?secret").unwrap();
        headers.insert(header::LOCATION, hostile);
        let message = refusal("s", StatusCode::FOUND, &headers, b"\x1b[2J\r\n\0\xff \"q\"");
        assert!(message.chars().all(|c| !c.is_control()), "{message:?}");
        assert!(
            message.starts_with("s answered 302 Found to \"http://h/"),
            "{message}"
        );
        assert!(
            !message.contains("secret") && message.contains("--ship"),
            "{message}"
        );
    }
}
