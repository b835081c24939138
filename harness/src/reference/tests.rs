//! `reftail` over real files and sockets, right and wrong.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::thread;

use super::*;

fn args(watch: &Path, ship: &str, fault: Option<&str>) -> ReftailArgs {
    ReftailArgs {
        watch: watch.to_owned(),
        ship: ship.parse().unwrap(),
        once: true,
        fault: fault.map(|text| text.parse().unwrap()),
    }
}

/// More than two reads' worth of lines, of which some need escapes.
fn lines() -> Vec<String> {
    let line = |n: usize| format!("{n} \"GET /\\x22\u{e9}\t{}\"", "x".repeat(n % 300));
    (0..20_000).map(line).collect()
}

fn forwarded(content: &str, fault: Option<&str>) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let (log, out) = (folder.path().join("a.log"), folder.path().join("a.ndjson"));
    std::fs::write(&log, content).unwrap();
    run(&args(&log, &format!("file:{}", out.display()), fault)).unwrap();
    messages(&std::fs::read_to_string(out).unwrap())
}

fn messages(records: &str) -> Vec<String> {
    let message = |record| {
        let record: serde_json::Value = serde_json::from_str(record).unwrap();
        record["message"].as_str().unwrap().to_owned()
    };
    records.lines().map(message).collect()
}

#[test]
fn every_line_is_forwarded_once_and_in_order() {
    assert_eq!(forwarded(&(lines().join("\n") + "\n"), None), lines());
}

#[test]
fn empty_lines_and_a_last_one_without_a_newline_are_lines() {
    assert_eq!(forwarded("\n\na\n\nb", None), ["", "", "a", "", "b"]);
    assert_eq!(forwarded("", None), [""; 0]);
}

#[test]
fn a_line_of_several_reads_is_one() {
    let long = "long ".repeat(3 * READ_BYTES / 5);
    assert_eq!(
        forwarded(&format!("a\n{long}\nb\n"), None),
        ["a", &long, "b"]
    );
}

#[test]
fn one_line_in_so_many_is_dropped() {
    let expected = lines().into_iter().enumerate();
    let expected: Vec<_> = expected
        .filter(|(i, _)| i % 1000 != 999)
        .map(|(_, l)| l)
        .collect();
    assert_eq!(forwarded(&lines().join("\n"), Some("drop:1000")), expected);
}

#[test]
fn two_lines_are_swapped() {
    let mut expected = lines();
    expected.swap(99, 100);
    assert_eq!(forwarded(&lines().join("\n"), Some("swap")), expected);
    // Nothing is lost where there is no next line.
    let few = &lines()[..100];
    assert_eq!(forwarded(&few.join("\n"), Some("swap")), few);
}

#[test]
fn the_first_batch_comes_twice() {
    let found = forwarded(&lines().join("\n"), Some("duplicate-batch"));
    let twice = found.len() - lines().len();
    assert!(twice > 100 && twice < lines().len(), "{twice}");
    assert_eq!(found[..twice], lines()[..twice]);
    assert_eq!(found[twice..], lines());
}

#[test]
fn a_connection_gets_the_lines() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("a.log");
    std::fs::write(&log, lines().join("\n")).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ship = format!("tcp://{}", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let mut text = String::new();
        listener
            .accept()
            .unwrap()
            .0
            .read_to_string(&mut text)
            .unwrap();
        text
    });
    run(&args(&log, &ship, None)).unwrap();
    assert_eq!(messages(&server.join().unwrap()), lines());
}

/// Answers each POST of one connection with `status`. Returns the bodies.
fn serve(listener: &TcpListener, status: &str) -> Vec<String> {
    let mut stream = BufReader::new(listener.accept().unwrap().0);
    let mut bodies = Vec::new();
    loop {
        let (mut line, mut length) = (String::new(), 0);
        if stream.read_line(&mut line).unwrap() == 0 {
            return bodies;
        }
        assert_eq!(line, "POST /ingest HTTP/1.1\r\n");
        while line != "\r\n" {
            line.clear();
            stream.read_line(&mut line).unwrap();
            if let Some(value) = line.strip_prefix("Content-Length: ") {
                length = value.trim_end().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).unwrap();
        bodies.push(String::from_utf8(body).unwrap());
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 3\r\n\r\nyes");
        stream.get_mut().write_all(answer.as_bytes()).unwrap();
    }
}

fn posted(status: &'static str) -> (Result<()>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("a.log");
    std::fs::write(&log, lines().join("\n")).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ship = format!("http://{}/ingest", listener.local_addr().unwrap());
    let server = thread::spawn(move || serve(&listener, status));
    let outcome = run(&args(&log, &ship, None));
    (outcome, server.join().unwrap())
}

#[test]
fn a_server_gets_batches_over_one_connection() {
    let (outcome, bodies) = posted("200 OK");
    outcome.unwrap();
    assert!(bodies.len() > 2, "{}", bodies.len());
    assert_eq!(messages(&bodies.concat()), lines());
}

#[test]
fn a_refused_batch_is_an_error() {
    let (outcome, bodies) = posted("503 Busy");
    let message = format!("{:#}", outcome.unwrap_err());
    assert!(message.contains("answered with `503`"), "{message}");
    assert_eq!(bodies.len(), 1);
}

#[test]
fn what_is_no_destination_or_fault_is_refused() {
    for text in [
        "null",
        "file:",
        "http://host/path",
        "tcp://host",
        "udp://a:1",
        "",
    ] {
        assert!(text.parse::<Destination>().is_err(), "{text}");
    }
    for text in [
        "drop", "drop:0", "drop:x", "stall:5", "stall:ms", "swap:1", "",
    ] {
        assert!(text.parse::<Fault>().is_err(), "{text}");
    }
    assert_eq!(
        "stall:500ms".parse(),
        Ok(Fault::Stall(Duration::from_millis(500)))
    );
    let file = Destination::File("/a/b".into());
    assert_eq!("file:///a/b".parse(), Ok(file.clone()));
    assert_eq!("file:/a/b".parse(), Ok(file));
}
