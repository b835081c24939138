//! What `--metrics` serves: the format by Prometheus's own parser, the figures against what was
//! written, health over an outage, and who is refused.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "util/http_server.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "shared with the unit tests of the sink"
)]
mod http_server;
#[path = "util/kit.rs"]
mod util;
#[path = "util/watched.rs"]
#[expect(dead_code, reason = "each test file uses a part of it")]
mod watched;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use http_server::HttpServer;
use util::{Bench, Ves, Writer, wait_until};
use watched::Watched;

fn collect_to(server: &HttpServer, bench: &Bench, more: &[&str]) -> Ves {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ves"));
    command
        .args(["collect", "--metrics", "0", "--ship", &server.url("/")])
        .args(more)
        .arg("--watch")
        .arg(bench.path("logs/*.log"))
        .arg("--state-dir")
        .arg(bench.path("state"))
        .env("NO_PROXY", "127.0.0.1");
    Ves::start_command(command, &bench.path("stderr"))
}

/// Has promtool parse and lint the text.
fn check_format(text: &str) {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is there: scripts/test installs it");
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}{text}");
}

#[test]
fn figures_are_those_of_the_lines_in_a_format_that_prometheus_takes() {
    let bench = Bench::new();
    let lines: String = (1..=100).map(util::line).collect();
    let long = format!("{}\n", "x".repeat(3000));
    let text = format!("{lines}not of the format\n\n\n{long}");
    std::fs::write(bench.path("logs/a \"quoted\\ name.log"), &text).unwrap();
    let more = ["--drop", "path ends_with \"7\"", "--line-bytes-max", "2048"];
    let ves = bench.collect("*.log", &[&more[..], &["--metrics", "0"]].concat());
    let watched = Watched::of(&bench);
    wait_until("all lines", || {
        watched.value("ves_lines_read_total") == 104.0
    });
    for (name, value) in [
        ("ves_lines_parsed_total", 100.0),
        ("ves_lines_filtered_total", 10.0),
        ("ves_parse_errors_total", 2.0),
        ("ves_errors_total{kind=\"parse\"}", 2.0),
        ("ves_errors_total{kind=\"sink\"}", 0.0),
        ("ves_lines_empty_total", 2.0),
        ("ves_lines_truncated_total", 1.0),
        ("ves_records_shipped_total", 92.0),
        ("ves_read_bytes_total", text.len() as f64),
        ("ves_unread_bytes_total", 0.0),
        ("ves_files_missed_total", 0.0),
        ("ves_files_compressed", 0.0),
        ("ves_work_units_in_flight", 0.0),
        ("ves_queue_length{queue=\"ship\"}", 0.0),
        ("ves_batch_records_sum", 92.0),
        ("ves_healthy", 1.0),
    ] {
        assert_eq!(watched.value(name), value, "{name}");
    }
    let shipped = std::fs::metadata(bench.out()).unwrap().len() as f64;
    assert_eq!(watched.value("ves_shipped_bytes_total"), shipped);
    assert_eq!(watched.value("ves_batch_bytes_sum"), shipped);
    let sink = format!("{{sink=\"{}\"}}", bench.out().display());
    let batches = watched.value("ves_batches_shipped_total");
    for name in [
        "ves_hand_over_latency_seconds_count".to_owned(),
        format!("ves_sink_flush_seconds_count{sink}"),
    ] {
        assert_eq!(watched.value(&name), batches, "{name}");
    }
    assert!(watched.value("process_resident_memory_bytes") > 1e6);
    assert!(watched.value("ves_checkpoint_age_seconds") < 60.0);
    wait_until("the file", || watched.value("ves_files_followed") == 1.0);
    let text = watched.get("/metrics").body;
    assert!(!text.contains("quoted"), "no label per file unless asked");
    check_format(&text);
    assert!(ves.terminate().success());
}

#[test]
fn files_are_told_one_by_one_where_that_is_asked() {
    let bench = Bench::new();
    let name = "a \"quoted\\ name\n.log";
    std::fs::write(bench.path("logs").join(name), util::line(1)).unwrap();
    let _ves = bench.collect("*.log", &["--metrics", "0", "--metrics-per-file"]);
    let watched = Watched::of(&bench);
    let delivered = || {
        let text = watched.get("/metrics").body;
        let line = text.lines().find(|line| {
            line.starts_with("ves_file_delivered_bytes{")
                && line.contains("a \\\"quoted\\\\ name\\n.log\"")
        });
        line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok())
    };
    wait_until("the file", || delivered() == Some(util::line(1).len()));
    check_format(&watched.get("/metrics").body);
}

#[test]
fn the_grafana_dashboard_names_only_metrics_that_are_exported() {
    let bench = Bench::new();
    let _ves = bench.collect("*.log", &["--metrics", "0"]);
    let watched = Watched::of(&bench);
    wait_until("the checkpoint", || {
        watched.get("/metrics").body.contains("ves_checkpoint_age")
    });
    let text = watched.get("/metrics").body;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/grafana/ves.json");
    let dashboard = std::fs::read_to_string(path).unwrap();
    let _: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let words = dashboard.split(|character| !is_part(character));
    let named: BTreeSet<&str> = words
        .filter(|word| word.starts_with("ves_") || word.starts_with("process_"))
        .collect();
    assert!(named.len() > 25, "{named:?}");
    for name in named {
        let is_there = |line: &str| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
        };
        assert!(text.lines().any(is_there), "{name}");
    }
}

#[test]
fn foreign_hosts_are_refused_and_named_ones_are_not() {
    let bench = Bench::new();
    let more = ["--metrics", "0", "--metrics-host", "Logs.example.com"];
    let _ves = bench.collect("*.log", &more);
    let watched = Watched::of(&bench);
    for path in ["/", "/metrics", "/events", "/healthz", "/dashboard.js"] {
        let refused = watched.get_as(path, "rebound.example");
        assert_eq!(refused.status, 421, "{path}");
        assert!(refused.body.contains("--metrics-host"), "{}", refused.body);
    }
    for host in ["localhost", "127.0.0.1:1", "logs.example.com:9600"] {
        assert_eq!(watched.get_as("/healthz", host).status, 200, "{host}");
    }
    let page = watched.get("/");
    let policy = page.header("content-security-policy");
    assert!(
        policy.contains("default-src 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    assert_eq!(watched.get("/nothing").status, 404);
    assert_eq!(
        watched
            .request("POST / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .status,
        405
    );
    assert_eq!(watched.request("GET / HTTP/1.1\r\n\r\n").status, 400);
}

#[test]
fn a_port_in_use_is_an_error_before_anything_starts() {
    let bench = Bench::new();
    std::fs::write(bench.path("logs/a.log"), util::line(1)).unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut ves = bench.collect("*.log", &["--metrics", &address]);
    assert_eq!(ves.wait().code(), Some(2));
    let said = bench.stderr();
    assert!(
        said.contains(&address) && said.contains("another program has it"),
        "{said}"
    );
    assert!(!bench.out().exists() && !bench.path("state").exists());
}

#[test]
fn health_follows_the_sink_down_and_up_again() {
    let bench = Bench::new();
    let mut server = HttpServer::start();
    let mut writer = Writer::new(bench.path("logs/a.log"));
    let ves = collect_to(&server, &bench, &[]);
    let watched = Watched::of(&bench);
    wait_until("ready", || watched.get("/readyz").status == 200);
    writer.write(1);
    wait_until("the first record", || {
        watched.value("ves_records_shipped_total") == 1.0
    });
    // Nothing to flow is as good as data that flows.
    assert_eq!(watched.get("/healthz").body, "ok\n");
    server.refuse();
    assert_eq!(watched.get("/healthz").status, 200);
    writer.write(1);
    wait_until("the word of it", || watched.get("/healthz").status == 503);
    let why = watched.get("/healthz").body;
    assert!(
        why.contains("nothing was delivered for") && why.contains(&server.url("/")),
        "{why}"
    );
    assert_eq!(watched.value("ves_healthy"), 0.0);
    let sink = format!("{{sink=\"{}\"}}", server.url("/"));
    assert!(watched.value(&format!("ves_sink_failing_seconds{sink}")) > 1.0);
    assert!(watched.value(&format!("ves_sink_retries_total{sink}")) >= 1.0);
    assert!(watched.value("ves_errors_total{kind=\"sink\"}") >= 1.0);
    assert_eq!(watched.value("ves_lag_bytes"), util::line(2).len() as f64);
    assert!(watched.value("ves_lag_seconds") > 1.0);
    // The files were found: what comes is collected.
    assert_eq!(watched.get("/readyz").status, 200);
    server.accept_again();
    wait_until("health", || watched.get("/healthz").status == 200);
    assert_eq!(watched.value("ves_lag_bytes"), 0.0);
    assert_eq!(
        watched.value(&format!("ves_sink_failing_seconds{sink}")),
        0.0
    );
    assert!(ves.terminate().success());
}

#[test]
fn a_hundred_slow_clients_do_not_hold_anything_up() {
    let bench = Bench::new();
    let mut writer = Writer::new(bench.path("logs/a.log"));
    let ves = bench.collect("*.log", &["--metrics", "0"]);
    let watched = Watched::of(&bench);
    let status = || std::fs::read_to_string(format!("/proc/{}/status", ves.pid())).unwrap();
    let threads = |status: String| {
        let line = status.lines().find(|line| line.starts_with("Threads:"));
        line.unwrap().to_owned()
    };
    let descriptors = || {
        std::fs::read_dir(format!("/proc/{}/fd", ves.pid()))
            .unwrap()
            .count()
    };
    let (threads_before, descriptors_before) = (threads(status()), descriptors());
    let connect = |said: &str| {
        let mut client = TcpStream::connect(&watched.address).unwrap();
        client.write_all(said.as_bytes()).unwrap();
        client
    };
    // Half a request, nothing at all, and a request whose answer is never read.
    let events = "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let slow: Vec<TcpStream> = (0..40)
        .map(|_| connect("GET /metrics HTTP/1.1\r\nHost: loc"))
        .chain((0..40).map(|_| connect("")))
        .chain((0..20).map(|_| connect(events)))
        .collect();
    for _ in 0..20 {
        writer.write(50);
        assert_eq!(watched.get("/healthz").status, 200);
    }
    wait_until("all records", || {
        bench.numbers().len() as u64 == writer.written
    });
    util::assert_each_once(&bench.numbers(), writer.written);
    assert_eq!(threads(status()), threads_before);
    assert!(descriptors() <= descriptors_before + 70);
    // Whoever does not send a request is let go of, and whoever reads no events.
    wait_until("the end of those who say nothing", || {
        descriptors() <= descriptors_before + 20
    });
    drop(slow);
    assert!(ves.terminate().success());
}

/// A stream that nobody reads would grow in memory for as long as it is open.
#[test]
fn a_reader_of_events_that_stops_reading_is_let_go_of() {
    let bench = Bench::new();
    // The events hold the files: many of them fill the buffers of the system soon.
    for number in 0..100 {
        let name = format!("logs/{}-{number}.log", "long-name".repeat(20));
        std::fs::write(bench.path(&name), util::line(number)).unwrap();
    }
    let _ves = bench.collect("*.log", &["--metrics", "0"]);
    let watched = Watched::of(&bench);
    let mut reader = TcpStream::connect(&watched.address).unwrap();
    // What it may leave unread is the least that the system allows.
    rustix::net::sockopt::set_socket_recv_buffer_size(&reader, 1).unwrap();
    reader
        .write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    reader
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let begun_at = Instant::now();
    let mut byte = [0];
    reader.read_exact(&mut byte).unwrap();
    let is_closed = || {
        let of_ves = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let port = watched
            .address
            .rsplit_once(':')
            .unwrap()
            .1
            .parse::<u16>()
            .unwrap();
        let own = reader.local_addr().unwrap().port();
        let pair = format!(":{port:04X} 0100007F:{own:04X} 01");
        !of_ves.contains(&pair)
    };
    assert!(!is_closed(), "it is open at first");
    wait_until("its end", is_closed);
    assert!(begun_at.elapsed() > Duration::from_secs(5), "not at once");
}
