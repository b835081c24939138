//! The whole pipeline over a file, and filter expressions on a parsed line: `cargo bench`.
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::io::Write;
use std::path::Path;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ves::config::Settings;
use ves::filter::Expression;
use ves::parse::{Fields, LogFormat, Span};

/// Lines in the file: enough that starting and joining the threads does not show.
const LINES: usize = 200_000;

fn write_log(path: &Path) -> u64 {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    let mut bytes = 0;
    for number in 0..LINES {
        let path = if number % 8 == 0 {
            "/healthz"
        } else {
            "/api/v1/items?page=3&sort=price"
        };
        let line = format!(
            "10.0.{}.{} - - [24/Nov/2026:00:00:00 +0000] \"GET {path} HTTP/1.1\" 200 {number} \
             \"https://example.com/\" \"Mozilla/5.0 (X11; Linux x86_64) Safari/537.36\"\n",
            number % 256,
            number % 251
        );
        bytes += line.len() as u64;
        file.write_all(line.as_bytes()).unwrap();
    }
    file.flush().unwrap();
    bytes
}

fn drain(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let bytes = write_log(&log);
    let mut group = criterion.benchmark_group("drain to null:");
    group.throughput(Throughput::Bytes(bytes)).sample_size(20);
    for workers in ["1", "2"] {
        group.bench_function(BenchmarkId::new("workers", workers), |bencher| {
            bencher.iter(|| {
                let mut settings = Settings::default();
                settings.set_flags("watch_path", "watch", vec![log.display().to_string()]);
                settings.set_flags("drop", "drop", vec!["path == \"/healthz\"".to_owned()]);
                settings.set_flag("format", "format", "nginx".to_owned());
                settings.set_flag("ship_url", "ship", "null:".to_owned());
                settings.set_flag("workers", "workers", workers.to_owned());
                settings.set_switch("once", "once");
                settings.set_switch("no_state", "no-state");
                ves::pipeline::run(settings.resolve().unwrap()).unwrap();
            });
        });
    }
    group.finish();
}

fn filter(criterion: &mut Criterion) {
    let schema = LogFormat::combined().schema().clone();
    let bytes = b"GET /api/v1/items?page=3 404";
    let mut spans = vec![Span::NULL; schema.fields().len()];
    for (name, start, end) in [("method", 0, 3), ("path", 4, 24), ("status", 25, 28)] {
        spans[schema.slot(name).unwrap()] = Span::new(start, end);
    }
    let fields = Fields {
        bytes,
        spans: &spans,
    };
    let mut group = criterion.benchmark_group("filter");
    for text in [
        "path == \"/healthz\"",
        "status >= 400 and status < 500",
        "method in [\"POST\", \"PUT\"] or path contains \"items\"",
        "path =~ \"^/api/v[0-9]+/\"",
    ] {
        let predicate = Expression::parse(text, &schema).unwrap().bind(&schema);
        group.bench_function(text, |bencher| {
            bencher.iter(|| predicate.matches(std::hint::black_box(&fields)))
        });
    }
    group.finish();
}

criterion_group!(benches, drain, filter);
criterion_main!(benches);
