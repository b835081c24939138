//! The HTTP sink against a server that misbehaves on request.

use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::*;
use server::{HttpServer, Reply};

#[path = "../../../tests/util/http_server.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "shared with the tests of the built binary"
)]
mod server;

fn options() -> HttpOptions {
    HttpOptions {
        compression: Compression::None,
        headers: Vec::new(),
        request_timeout: Duration::from_secs(10),
        ca_file: None,
    }
}

fn sink(server: &HttpServer) -> HttpSink {
    HttpSink::open(&server.url("/ingest"), &options()).unwrap()
}

fn lines(count: u64) -> Vec<u8> {
    (0..count)
        .flat_map(|n| format!("{{\"n\":{n},\"pad\":\"xxxxxxxxxxxx\"}}\n").into_bytes())
        .collect()
}

/// Delivers and expects a failure worth another attempt.
fn refused(sink: &mut HttpSink, payload: &[u8]) -> (String, Option<Duration>) {
    let (message, retry_after) = match sink.deliver(payload, 1) {
        Err(SinkError::Retry {
            message,
            retry_after,
        }) => (message, retry_after),
        Err(SinkError::Unreachable { message }) => (message, None),
        other => panic!("expected a failure worth another attempt, got {other:?}"),
    };
    assert!(message.chars().all(|c| !c.is_control()), "{message:?}");
    (message, retry_after)
}

fn usage(url: &str, options: &HttpOptions) -> String {
    match HttpSink::open(url, options) {
        Err(Error::Usage(text)) => text,
        Err(other) => panic!("expected a usage error, got {other:?}"),
        Ok(_) => panic!("{url} was accepted"),
    }
}

/// The parts all stand in the text.
#[track_caller]
fn assert_says(text: &str, parts: &[&str]) {
    parts
        .iter()
        .for_each(|part| assert!(text.contains(part), "no {part:?} in {text:?}"));
}

#[test]
fn a_batch_is_one_post_of_known_length() {
    let server = HttpServer::start();
    let payload = lines(100);
    sink(&server).deliver(&payload, 100).unwrap();
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    let request = &requests[0];
    assert_eq!(request.line, "POST /ingest HTTP/1.1");
    assert_eq!(request.body, payload);
    assert_eq!(request.header("content-type"), Some("application/x-ndjson"));
    let agent = format!("ves/{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(request.header("user-agent"), Some(agent.as_str()));
    assert_eq!(
        request.header("content-length"),
        Some(payload.len().to_string().as_str())
    );
    assert_eq!(request.header("transfer-encoding"), None);
    assert_eq!(request.header("content-encoding"), None);
    assert_eq!(request.header("expect"), None);
}

#[test]
fn a_compressed_body_decodes_to_the_payload_batch_after_batch() {
    let server = HttpServer::start();
    let options = HttpOptions {
        compression: Compression::Zstd(1),
        ..options()
    };
    let mut sink = HttpSink::open(&server.url("/"), &options).unwrap();
    let payloads = [lines(5_000), lines(1), lines(300)];
    payloads
        .iter()
        .for_each(|payload| sink.deliver(payload, 1).unwrap());
    for (request, payload) in server.requests().iter().zip(&payloads) {
        assert_eq!(request.header("content-encoding"), Some("zstd"));
        assert_eq!(&request.body, payload);
    }
    assert!(server.requests()[0].wire_bytes < payloads[0].len() / 5);
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn one_connection_serves_every_batch_even_after_refusals() {
    let server = HttpServer::start();
    server.then([
        Reply::Status(200),
        Reply::Status(204),
        Reply::with_body(201, vec![b'x'; 60_000]),
        Reply::with_body(500, "no"),
        Reply::Status(404),
        Reply::with_header(307, "location", "/elsewhere"),
    ]);
    let mut sink = sink(&server);
    for _ in 0..20 {
        let _ = sink.deliver(&lines(10), 10);
    }
    assert_eq!(server.requests().len(), 20);
    assert_eq!(server.connections(), 1);
}

#[test]
fn configured_headers_go_along_and_override_the_own_ones() {
    let server = HttpServer::start();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let headers = vec![
        pair("Authorization", "Bearer s3cret"),
        pair("Content-Type", "application/json"),
        pair("user-agent", "mine"),
        pair("X-Scope-OrgID", "a"),
        pair("X-Scope-OrgID", "b"),
    ];
    let options = HttpOptions {
        headers,
        ..options()
    };
    HttpSink::open(&server.url("/"), &options)
        .unwrap()
        .deliver(b"{}\n", 1)
        .unwrap();
    let request = &server.requests()[0];
    assert_eq!(request.header("authorization"), Some("Bearer s3cret"));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("user-agent"), Some("mine"));
    let count = |name: &str| {
        request
            .headers
            .iter()
            .filter(|(key, _)| key == name)
            .count()
    };
    assert_eq!(
        (
            count("content-type"),
            count("user-agent"),
            count("x-scope-orgid")
        ),
        (1, 1, 2)
    );
}

#[test]
fn credentials_in_the_url_become_basic_authorization_and_stay_out_of_messages() {
    let server = HttpServer::start();
    let url = server
        .url("/in?token=hidden")
        .replace("http://", "http://user:hidden@");
    let mut sink = HttpSink::open(&url, &options()).unwrap();
    server.then([Reply::Status(403)]);
    let (message, _) = refused(&mut sink, b"{}\n");
    assert!(!message.contains("hidden"), "{message}");
    assert!(!sink.name().contains("hidden"));
    let request = &server.requests()[0];
    assert_eq!(request.line, "POST /in?token=hidden HTTP/1.1");
    assert_eq!(
        request.header("authorization"),
        Some("Basic dXNlcjpoaWRkZW4=")
    );
}

#[test]
fn refusals_name_status_body_and_remedy() {
    let server = HttpServer::start();
    let mut sink = sink(&server);
    for (status, remedy) in [
        (400, "NDJSON"),
        (401, "--header"),
        (403, "Authorization"),
        (404, "path"),
        (405, "POST"),
        (415, "zstd"),
        (418, "418"),
        (500, "500 Internal Server Error"),
        (502, "502"),
    ] {
        server.then([Reply::with_body(status, "because\x1b[31m")]);
        let (message, retry_after) = refused(&mut sink, b"{}\n");
        assert_says(
            &message,
            &[
                &server.url("/ingest"),
                &status.to_string(),
                "because",
                remedy,
            ],
        );
        assert_eq!(retry_after, None);
    }
    sink.deliver(b"{}\n", 1).unwrap();
}

#[test]
fn redirects_are_named_and_never_followed() {
    let server = HttpServer::start();
    let elsewhere = HttpServer::start();
    let mut sink = sink(&server);
    for status in [301, 302, 303, 307, 308] {
        server.then([Reply::with_header(
            status,
            "location",
            &elsewhere.url("/x?secret=1"),
        )]);
        let (message, _) = refused(&mut sink, b"{}\n");
        assert_says(
            &message,
            &[&status.to_string(), &elsewhere.url("/x"), "--ship"],
        );
        assert!(!message.contains("secret"), "{message}");
    }
    server.then([Reply::Status(304)]);
    refused(&mut sink, b"{}\n");
    assert_eq!(elsewhere.requests().len(), 0);
    assert_eq!(server.requests().len(), 6);
}

#[test]
fn the_pause_that_the_server_asks_for_is_handed_on() {
    let server = HttpServer::start();
    let mut sink = sink(&server);
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(60));
    server.then([
        Reply::with_header(429, "Retry-After", "7"),
        Reply::with_header(503, "Retry-After", &date),
        Reply::with_header(503, "Retry-After", "100000"),
        Reply::with_header(500, "Retry-After", "7"),
        Reply::Status(503),
    ]);
    assert_eq!(refused(&mut sink, b"{}\n").1, Some(Duration::from_secs(7)));
    let pause = refused(&mut sink, b"{}\n").1.unwrap();
    assert!((50..=60).contains(&pause.as_secs()), "{pause:?}");
    assert_eq!(
        refused(&mut sink, b"{}\n").1,
        Some(Duration::from_secs(300))
    );
    assert_eq!(refused(&mut sink, b"{}\n").1, None);
    assert_eq!(refused(&mut sink, b"{}\n").1, None);
}

#[test]
fn a_payload_too_large_is_halved_at_line_boundaries() {
    let server = HttpServer::start();
    server.limit_body(1_000);
    let payload = lines(200);
    let mut sink = sink(&server);
    sink.deliver(&payload, 200).unwrap();
    assert_eq!(server.taken(), payload);
    let taken: Vec<_> = server
        .requests()
        .into_iter()
        .filter(|r| r.was_taken())
        .collect();
    assert!(taken.len() > 5 && taken.iter().all(|request| request.body.ends_with(b"\n")));
    // The limit is remembered: the next payload is cut without being refused first.
    let refusals = |server: &HttpServer| {
        server
            .requests()
            .iter()
            .filter(|request| request.status == Some(413))
            .count()
    };
    let before = refusals(&server);
    sink.deliver(&payload, 200).unwrap();
    assert_eq!(refusals(&server), before);
    assert_eq!(server.taken(), [&payload[..], &payload[..]].concat());
}

#[test]
fn a_split_payload_resumes_after_what_was_delivered() {
    let server = HttpServer::start();
    server.limit_body(3_000);
    let payload = lines(200);
    let mut sink = sink(&server);
    server.then([
        Reply::Status(200),
        Reply::Status(200),
        Reply::Status(500),
        Reply::DropAfterBody,
    ]);
    assert_says(&refused(&mut sink, &payload).0, &["500"]);
    let before = server.taken();
    assert!(!before.is_empty() && before.len() < payload.len());
    // A second failure in a row keeps the progress, too.
    assert_says(&refused(&mut sink, &payload).0, &["cannot deliver"]);
    assert_eq!(server.taken(), before);
    sink.deliver(&payload, 200).unwrap();
    assert_eq!(server.taken(), payload);
}

#[test]
fn progress_in_one_payload_skips_nothing_of_another() {
    let server = HttpServer::start();
    let (first, second) = (lines(200), lines(200).to_ascii_uppercase());
    let mut sink = sink(&server);
    server.limit_body(first.len() / 2 + 100);
    server.then([Reply::Status(200), Reply::Status(500)]);
    refused(&mut sink, &first);
    let before = server.taken().len();
    assert!(before > 0);
    sink.deliver(&second, 200).unwrap();
    assert_eq!(&server.taken()[before..], second);
}

#[test]
fn a_single_record_too_large_is_reported_and_holds_up_what_follows() {
    let server = HttpServer::start();
    server.limit_body(100);
    let small = lines(1);
    let large = [&vec![b'x'; 500][..], b"\n"].concat();
    let payload = [&small[..], &large, &small].concat();
    let mut sink = sink(&server);
    for _ in 0..2 {
        let (message, _) = refused(&mut sink, &payload);
        assert_says(&message, &["413", "501 bytes", "--line-bytes-max"]);
        assert_eq!(server.taken(), small);
    }
    server.limit_body(1_000);
    sink.deliver(&payload, 3).unwrap();
    assert_eq!(server.taken(), payload);
}

#[test]
fn a_learned_limit_is_tried_again_after_a_while() {
    let server = HttpServer::start();
    server.limit_body(1_000);
    let payload = lines(100);
    let mut sink = sink(&server);
    sink.deliver(&payload, 100).unwrap();
    server.limit_body(1_000_000);
    for _ in 0..4 * PAYLOADS_PER_TRIAL {
        sink.deliver(&payload, 100).unwrap();
    }
    assert_eq!(server.requests().last().unwrap().body, payload);
}

#[test]
fn a_413_that_comes_before_the_body_is_read_is_heard() {
    let server = HttpServer::start();
    let payload = lines(200_000);
    let mut sink = sink(&server);
    // The server closes while megabytes are on their way, so the answer may be lost at first.
    server.limit_body_unread(1_000_000);
    assert!((0..5).any(|_| sink.deliver(&payload, 200_000).is_ok()));
    assert_eq!(server.taken(), payload);
    assert!(
        server
            .requests()
            .iter()
            .any(|request| request.header("expect").is_some())
    );
    sink.deliver(&lines(1), 1).unwrap();
    assert_eq!(server.requests().last().unwrap().header("expect"), None);
}

#[test]
fn success_before_the_body_was_sent_is_no_success() {
    let server = HttpServer::start();
    let mut sink = sink(&server);
    // Asking first, the client gets its answer before a byte of the body is out.
    sink.asks_first = true;
    server.then([Reply::RefuseBody(200)]);
    assert_says(&refused(&mut sink, b"{}\n").0, &["200 OK", "before"]);
    sink.deliver(b"{}\n", 1).unwrap();
    assert_eq!(server.requests().len(), 2);
    assert_eq!(server.requests()[1].body, b"{}\n");
}

/// A server that put `Date` into `100 Continue` never got the body, attempt after attempt.
#[test]
fn interim_answers_may_have_fields() {
    let server = HttpServer::start();
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
    let leave = "HTTP/1.1 100 Continue\r\nServer: x\r\nDate: y\r\n\r\n";
    let payload = lines(1_000);
    for interim in [leave.to_owned(), hints.to_owned(), hints.to_owned() + leave] {
        server.answer_interim(&interim);
        let mut sink = sink(&server);
        for _ in 0..2 {
            sink.asks_first = true;
            sink.deliver(&payload, 1_000).unwrap();
        }
    }
    let requests = server.requests();
    assert_eq!(requests.len(), 6);
    assert!(requests.iter().all(|it| it.header("expect").is_some()));
    assert_eq!(server.taken(), payload.repeat(6));
    assert_eq!(server.connections(), 3);
}

#[test]
fn a_server_that_breaks_off_at_a_question_gets_the_body_unasked() {
    let server = HttpServer::start();
    let mut sink = sink(&server);
    let reset = ureq::Error::Io(std::io::ErrorKind::ConnectionReset.into());
    for asks in [true, false, true] {
        sink.no_answer(&reset, false);
        assert_eq!(sink.asks_first, asks);
    }
}

#[test]
fn a_refused_connection_is_said_in_words_and_gets_better() {
    let mut server = HttpServer::start();
    let mut sink = sink(&server);
    sink.deliver(b"{}\n", 1).unwrap();
    server.refuse();
    // The first attempt may still find the closed connection.
    let _ = sink.deliver(b"{}\n", 1);
    assert_says(
        &refused(&mut sink, b"{}\n").0,
        &["connection refused", &server.url("/ingest")],
    );
    let again = sink.deliver(b"{}\n", 1);
    assert!(
        matches!(again, Err(SinkError::Unreachable { .. })),
        "{again:?}"
    );
    server.accept_again();
    sink.deliver(b"{}\n", 1).unwrap();
}

#[test]
fn a_server_that_hangs_costs_one_request_timeout() {
    let server = HttpServer::start();
    let options = HttpOptions {
        request_timeout: Duration::from_millis(200),
        ..options()
    };
    let mut sink = HttpSink::open(&server.url("/"), &options).unwrap();
    server.then([Reply::Hang, Reply::Slow(200, Duration::from_millis(50))]);
    for _ in 0..2 {
        let begin = Instant::now();
        assert_says(
            &refused(&mut sink, b"{}\n").0,
            &["200ms", "--request-timeout"],
        );
        assert!(begin.elapsed() < Duration::from_secs(5));
    }
    sink.deliver(b"{}\n", 1).unwrap();
}

#[test]
fn a_slow_answer_in_time_is_an_answer() {
    let server = HttpServer::start();
    server.then([Reply::Slow(200, Duration::from_millis(1))]);
    sink(&server).deliver(b"{}\n", 1).unwrap();
}

#[test]
fn broken_connections_are_worth_another_attempt() {
    let server = HttpServer::start();
    let mut sink = sink(&server);
    let payload = lines(100_000);
    for reply in [
        Reply::DropBeforeBody,
        Reply::DropMidBody,
        Reply::DropAfterBody,
    ] {
        server.then([reply]);
        assert_says(&refused(&mut sink, &payload).0, &["connection"]);
    }
    sink.deliver(&payload, 1).unwrap();
    assert_eq!(server.taken(), payload);
}

#[test]
fn hostile_answers_end_in_a_message_or_in_success() {
    let server = HttpServer::start();
    let options = HttpOptions {
        request_timeout: Duration::from_secs(2),
        ..options()
    };
    let mut sink = HttpSink::open(&server.url("/"), &options).unwrap();
    let head = |rest: &str| Reply::Raw(format!("HTTP/1.1 {rest}").into_bytes());
    let endless_header = [b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'x'; 200_000]].concat();
    let many_headers = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(10_000));
    for reply in [
        Reply::Raw(b"\x00\xff\x1b[2J not http at all\r\n\r\n".to_vec()),
        Reply::Raw(vec![b'\n'; 300_000]),
        Reply::Raw(endless_header),
        Reply::Raw(many_headers.into_bytes()),
        Reply::Raw(Vec::new()),
        head("999 What\r\n\r\n"),
        head("500 Oops\r\ncontent-length: 1000000\r\n\r\nshort \x1b[31m\u{202e}"),
        head("500 Oops\r\ncontent-length: 99999999999999999999\r\n\r\n"),
        head("500 Oops\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nnonsense"),
        head("500 Oops\r\ncontent-length: 5\r\ncontent-length: 7\r\n\r\nhello"),
        head("101 Switching Protocols\r\nupgrade: x\r\n\r\n"),
        head("302 Found\r\nlocation: \x01\r\n\r\n"),
        Reply::with_body(500, vec![0xff; 10_000_000]),
    ] {
        let shown = format!("{reply:.80?}");
        server.then([reply]);
        let (message, _) = refused(&mut sink, b"{}\n");
        assert!(
            message.len() < 1_500,
            "{} bytes: {shown:.80}",
            message.len()
        );
    }
    for reply in [
        head("200 OK\r\ncontent-length: 1000000\r\n\r\nshort"),
        head("200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nnonsense"),
        head("200 OK\r\n\r\nuntil the connection closes"),
        Reply::with_body(200, vec![b'x'; 10_000_000]),
    ] {
        server.then([reply]);
        sink.deliver(b"{}\n", 1).unwrap();
    }
}

#[test]
fn an_unknown_host_is_said_in_words() {
    let mut sink = HttpSink::open("http://no-such-host.invalid/", &options()).unwrap();
    assert_says(
        &refused(&mut sink, b"{}\n").0,
        &["no-such-host.invalid", "host name"],
    );
}

#[test]
fn urls_that_cannot_work_are_refused_at_the_start() {
    for (url, reason) in [
        ("", "cannot ship"),
        ("ftp://h/", "scheme"),
        ("http://", "cannot ship"),
        ("http:///path", "cannot ship"),
        ("http://:80/", "host"),
        ("http://h:99999/", "port"),
        ("http://h:/", "port"),
        ("http://h h/", "cannot ship"),
        ("/path", "scheme"),
    ] {
        assert_says(&usage(url, &options()), &[reason]);
    }
    let text = usage("ftp://user:hidden@h/?token=hidden", &options());
    assert!(!text.contains("hidden"), "{text}");
    for url in [
        "http://h",
        "HTTP://h/",
        "http://[::1]:80/",
        "http://[::1]/x?y=z",
        "http://u:p@h:1/",
    ] {
        assert!(HttpSink::open(url, &options()).is_ok(), "{url}");
    }
}

#[test]
fn headers_that_cannot_work_are_refused_at_the_start_without_their_value() {
    for (name, value, part) in [
        ("", "x", "header name"),
        ("a b", "x", "a b"),
        ("x", "hid\nden", "line break"),
        ("Content-Length", "5", "content-length"),
        ("transfer-encoding", "chunked", "transfer-encoding"),
        ("Content-Encoding", "gzip", "content-encoding"),
    ] {
        let headers = vec![(name.to_owned(), value.to_owned())];
        let text = usage(
            "http://h/",
            &HttpOptions {
                headers,
                ..options()
            },
        );
        assert_says(&text, &[part]);
        assert!(!text.contains("hid"), "{text}");
    }
}

#[test]
fn a_zstd_level_out_of_range_is_refused_at_the_start() {
    let options = HttpOptions {
        compression: Compression::Zstd(99),
        ..options()
    };
    assert_says(&usage("http://h/", &options), &["99", "22"]);
}

#[test]
fn ca_files_that_cannot_work_are_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let pem =
        |body: &str| format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
    for (path, part) in [
        (folder.path().join("missing.pem"), "missing.pem"),
        (write("empty.pem", ""), "no certificate"),
        (write("text.pem", "hello"), "no certificate"),
        (write("damaged.pem", &pem("aGVsbG8=")), "damaged"),
        (write("odd.pem", &pem("!!!")), "odd.pem"),
    ] {
        let options = HttpOptions {
            ca_file: Some(path),
            ..options()
        };
        assert_says(&usage("https://h/", &options), &[part]);
    }
}

#[test]
fn https_trusts_the_ca_file_and_nobody_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let (server, ca_file) = HttpServer::start_tls(folder.path());
    let url = format!("https://localhost:{}/in", server.port());
    let trusting = HttpOptions {
        ca_file: Some(ca_file),
        ..options()
    };
    let mut sink = HttpSink::open(&url, &trusting).unwrap();
    let payload = lines(10_000);
    (0..3).for_each(|_| sink.deliver(&payload, 10_000).unwrap());
    assert_eq!(server.taken(), payload.repeat(3));
    assert_eq!(server.connections(), 1);

    // Where the system has no authorities at all, the sink is refused even earlier.
    if let Ok(mut sink) = HttpSink::open(&url, &options()) {
        assert_says(&refused(&mut sink, &payload).0, &["TLS", "--ca-file"]);
    }
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn https_refuses_another_authority_another_name_and_plain_http() {
    let (folder, other_folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (server, ca_file) = HttpServer::start_tls(folder.path());
    let (_other, other_ca_file) = HttpServer::start_tls(other_folder.path());
    let attempt = |url: String, ca_file: &PathBuf| {
        let options = HttpOptions {
            ca_file: Some(ca_file.clone()),
            ..options()
        };
        refused(&mut HttpSink::open(&url, &options).unwrap(), b"{}\n").0
    };
    let message = attempt(
        format!("https://localhost:{}/", server.port()),
        &other_ca_file,
    );
    assert_says(&message, &["TLS", "--ca-file"]);
    let message = attempt(format!("https://127.0.0.1:{}/", server.port()), &ca_file);
    assert_says(&message, &["TLS", "another host name"]);
    let message = attempt(
        format!("https://localhost:{}/", plain_http_port()),
        &ca_file,
    );
    assert_says(&message, &["TLS", "plain http"]);
    assert_eq!(server.requests().len(), 0);
}

/// A port whose one client is told that it did not speak HTTP.
fn plain_http_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    port
}

#[test]
fn a_port_that_never_accepts_ends_in_a_timeout() {
    // The kernel connects on behalf of a listener that never accepts, and nothing answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let options = HttpOptions {
        request_timeout: Duration::from_millis(200),
        ..options()
    };
    let mut sink = HttpSink::open(&url, &options).unwrap();
    let begin = Instant::now();
    refused(&mut sink, b"{}\n");
    assert!(begin.elapsed() < Duration::from_secs(5));
}
