//! Lines in memory: where they end, and what the transform makes of them, on the detected and on the
//! portable kernels; then the compression of its output.
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;
use std::io::Write;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ves::parse::log_format::COMBINED;
use ves::stages::{Kernels, LineTransform, config, split_lines};
use ves_load::{Lines, Spec};

/// Bytes of a chunk as the tail cuts them.
const CHUNK_BYTES: usize = 512 << 10;

const KERNELS: [(&str, Kernels); 2] = [
    ("detected", Kernels::Detected),
    ("portable", Kernels::Portable),
];

/// What many add to the combined format: how long the answer took.
const CUSTOM_END: &str = " $request_time";

/// Drops the health checks: one line in eight.
const FILTER: &str = r#"path == "/healthz""#;

/// The same where lines have no fields.
const RAW_FILTER: &str = r#"message contains "/healthz""#;

fn chunk() -> Vec<u8> {
    let spec = Spec::built_in();
    let mut lines = Lines::new(&spec, 1);
    let mut chunk = Vec::with_capacity(CHUNK_BYTES + 4096);
    while chunk.len() < CHUNK_BYTES {
        lines.append_next(&mut chunk);
    }
    chunk
}

/// The same lines in the custom format.
fn custom_chunk() -> Vec<u8> {
    let mut custom = Vec::new();
    for (index, line) in chunk().split_inclusive(|&byte| byte == b'\n').enumerate() {
        custom.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
        writeln!(custom, " 0.{:03}", index % 1000).unwrap();
    }
    custom
}

fn ends(criterion: &mut Criterion) {
    // Large enough that what a call allocates does not show.
    let bytes = chunk().repeat(16);
    let count = bytes.iter().filter(|&&byte| byte == b'\n').count();
    let mut group = criterion.benchmark_group("line ends");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("memchr, each line", |bencher| {
        bencher.iter(|| {
            let ends = memchr::memchr_iter(b'\n', black_box(&bytes));
            assert_eq!(ends.map(black_box).fold(0, |count, _| count + 1), count);
        });
    });
    group.bench_function("memchr, count only", |bencher| {
        bencher.iter(|| {
            assert_eq!(memchr::memchr_iter(b'\n', black_box(&bytes)).count(), count);
        });
    });
    for (name, kernels) in KERNELS {
        group.bench_function(BenchmarkId::new("block map", name), |bencher| {
            bencher.iter(|| assert_eq!(split_lines(black_box(&bytes), kernels), count as u64));
        });
    }
    group.finish();
}

fn transform(criterion: &mut Criterion) {
    let (combined_lines, custom_lines) = (chunk(), custom_chunk());
    let custom = [COMBINED, CUSTOM_END].concat();
    let mut group = criterion.benchmark_group("transform");
    // What is left when every line is dropped is the parser; what it costs less is writing.
    for (format_name, format, filter, nothing, chunk) in [
        ("combined", "nginx", FILTER, "status >= 0", &combined_lines),
        ("raw", "raw", RAW_FILTER, "message != \"\"", &combined_lines),
        ("custom", &custom, FILTER, "status >= 0", &custom_lines),
    ] {
        group.throughput(Throughput::Bytes(chunk.len() as u64));
        for (name, filter) in [
            ("all", None),
            ("filtered", Some(filter)),
            ("all dropped", Some(nothing)),
        ] {
            let config = config(format, filter).unwrap();
            for (kernels_name, kernels) in KERNELS {
                let id = BenchmarkId::new(format!("{format_name}, {name}"), kernels_name);
                let mut transform = LineTransform::new(&config, kernels);
                let mut out = Vec::new();
                // A measurement of lines that do not parse would be one of something else.
                let outcome = transform.run(chunk, &mut out);
                assert_eq!(outcome.records + outcome.dropped, outcome.lines);
                assert_eq!(memchr::memmem::find(&out, b"parse_error"), None);
                group.bench_function(id, |bencher| {
                    bencher.iter(|| {
                        out.clear();
                        transform.run(black_box(chunk), &mut out)
                    });
                });
            }
        }
    }
    group.finish();
}

fn compression(criterion: &mut Criterion) {
    let mut records = Vec::new();
    LineTransform::new(&config("nginx", None).unwrap(), Kernels::Detected)
        .run(&chunk(), &mut records);
    let mut group = criterion.benchmark_group("zstd");
    group.throughput(Throughput::Bytes(records.len() as u64));
    for level in [1, 3] {
        let mut compressor = zstd::bulk::Compressor::new(level).unwrap();
        let compressed_bytes = compressor.compress(&records).unwrap().len();
        let ratio = records.len() as f64 / compressed_bytes as f64;
        let id = BenchmarkId::new(format!("level {level}"), format!("{ratio:.1} to 1"));
        group.bench_function(id, |bencher| {
            bencher.iter(|| compressor.compress(black_box(&records)).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, ends, transform, compression);
criterion_main!(benches);
