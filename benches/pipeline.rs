//! The whole pipeline over a file of 1 GB, and the steps around the transform: filter expressions on
//! a parsed line, the flush of a batch, the hand-over between two threads.
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;
use std::io::Write;
use std::path::Path;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ves::config::Settings;
use ves::filter::Expression;
use ves::parse::{Fields, LogFormat, Span};
use ves::stages::{Kernels, LineTransform, OpenSink};
use ves_load::{Lines, Spec};

/// Bytes in the file: starting and joining the threads does not show, nor do the caches.
const FILE_BYTES: u64 = 1_000_000_000;

/// Records in a batch, as by default.
const BATCH_RECORDS: u64 = 1000;

/// Size of a batch of so many records of an ordinary log.
const BATCH_BYTES: usize = 256 << 10;

fn write_log(path: &Path) -> u64 {
    let spec = Spec::built_in();
    let mut lines = Lines::new(&spec, 1);
    let mut file = std::fs::File::create(path).unwrap();
    let (mut buffer, mut bytes) = (Vec::new(), 0);
    while bytes < FILE_BYTES {
        buffer.clear();
        for _ in 0..1000 {
            lines.append_next(&mut buffer);
        }
        file.write_all(&buffer).unwrap();
        bytes += buffer.len() as u64;
    }
    bytes
}

fn settings(log: &Path, ship: String, workers: &str) -> Settings {
    let mut settings = Settings::default();
    settings.set_flags("watch_path", "watch", vec![log.display().to_string()]);
    settings.set_flags("drop", "drop", vec!["path == \"/healthz\"".to_owned()]);
    settings.set_flag("format", "format", "nginx".to_owned());
    settings.set_flag("ship_url", "ship", ship);
    settings.set_flag("workers", "workers", workers.to_owned());
    settings.set_switch("once", "once");
    settings.set_switch("no_state", "no-state");
    settings
}

fn drain(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let records = folder.path().join("records.ndjson");
    let bytes = write_log(&log);
    let mut group = criterion.benchmark_group("drain");
    group.throughput(Throughput::Bytes(bytes)).sample_size(10);
    for (name, ship) in [
        ("null", "null:".to_owned()),
        ("file", format!("file://{}", records.display())),
    ] {
        for workers in ["1", "2"] {
            let id = BenchmarkId::new(name, format!("{workers} workers"));
            group.bench_function(id, |bencher| {
                bencher.iter_batched(
                    || {
                        // Each run writes its records anew.
                        let _ = std::fs::remove_file(&records);
                        settings(&log, ship.clone(), workers).resolve().unwrap()
                    },
                    |config| ves::pipeline::run(config).unwrap(),
                    BatchSize::PerIteration,
                );
            });
        }
    }
    group.finish();
}

fn flush(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records.ndjson");
    let ship = format!("file://{}", path.display());
    let config = settings(Path::new("/var/log/access.log"), ship, "1")
        .resolve()
        .unwrap();
    let spec = Spec::built_in();
    let (mut lines, mut line) = (Lines::new(&spec, 1), Vec::new());
    let mut transform = LineTransform::new(&config, Kernels::Detected);
    let (mut batch, mut records) = (Vec::new(), 0);
    while records < BATCH_RECORDS {
        line.clear();
        lines.append_next(&mut line);
        records += transform.run(&line, &mut batch).records;
    }
    // Cut short now and then, so that what is measured does not fill the disk.
    let batches_per_file = (64 << 20) / batch.len() as u64;
    let mut group = criterion.benchmark_group("flush");
    group.throughput(Throughput::Bytes(batch.len() as u64));
    let mut open = OpenSink::open(&config).unwrap();
    let mut batch_count = 0;
    group.bench_function("1000 records to a file", |bencher| {
        bencher.iter_custom(|iterations| {
            let mut elapsed = std::time::Duration::ZERO;
            for _ in 0..iterations {
                if batch_count == batches_per_file {
                    std::fs::remove_file(&path).unwrap();
                    open = OpenSink::open(&config).unwrap();
                    batch_count = 0;
                }
                let began = std::time::Instant::now();
                open.deliver(black_box(&batch), BATCH_RECORDS).unwrap();
                elapsed += began.elapsed();
                batch_count += 1;
            }
            elapsed
        });
    });
    group.finish();
}

/// A batch goes to a thread that is asleep, and comes back for use again.
fn hand_over(criterion: &mut Criterion) {
    let (give, given) = flume::bounded::<Vec<u8>>(1);
    let (give_back, given_back) = flume::bounded(1);
    let other = std::thread::spawn(move || {
        for batch in given {
            if give_back.send(batch).is_err() {
                return;
            }
        }
    });
    let mut batch = Some(vec![0; BATCH_BYTES]);
    criterion.bench_function("hand-over there and back", |bencher| {
        bencher.iter(|| {
            give.send(batch.take().unwrap()).unwrap();
            batch = Some(given_back.recv().unwrap());
        });
    });
    drop(give);
    other.join().unwrap();
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
            bencher.iter(|| predicate.matches(black_box(&fields)))
        });
    }
    group.finish();
}

criterion_group!(benches, filter, hand_over, flush, drain);
criterion_main!(benches);
